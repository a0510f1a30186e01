import CAutodidact

/// How the weights of a matrix lie in memory. Whatever it is, they enter the float32 chains as the same values.
public enum WeightFormat: Sendable, Hashable, CaseIterable {
    case float32
    case bfloat16, float16
    /// Codes 0 to 15, of which 32 inputs of an output share a scale and an offset in float32, or in float16.
    case fourBits, fourBitsHalf
    /// Codes -8 to 7; scale and offset in float16.
    case signedFourBitsHalf
    /// Codes -128 to 127.
    case eightBits, eightBitsHalf
    /// Codes -128 to 127, with a scale and an offset for 16 inputs of an output.
    case shortEightBits

    /// The format for codes of a range that share a scale in groups; nil where there is none.
    /// - Parameters:
    ///   - codes: the range of the codes.
    ///   - group: inputs that share a scale.
    ///   - halves: scales and offsets are values of float16.
    public init?(codes: ClosedRange<Int>, group: Int, halves: Bool) {
        switch group {
        case 32 where codes.lowerBound >= 0 && codes.upperBound <= 15: self = halves ? .fourBitsHalf : .fourBits
        case 32 where codes.lowerBound >= -8 && codes.upperBound <= 7 && halves: self = .signedFourBitsHalf
        case 32 where codes.lowerBound >= -128 && codes.upperBound <= 127: self = halves ? .eightBitsHalf : .eightBits
        case 16 where codes.lowerBound >= -128 && codes.upperBound <= 127: self = .shortEightBits
        default: return nil
        }
    }

    /// Made of codes, scales and offsets.
    public var isCoded: Bool { code.map { ad_code_factor_bytes($0) > 0 } ?? false }

    /// Inputs that share a scale.
    public var group: Int { code.map { ad_code_group($0) } ?? 1 }

    /// Of a weight, without what its group shares.
    var bits: Int { code.map { ad_code_bits($0) } ?? 32 }

    /// Scales and offsets are values of float16.
    public var hasHalves: Bool { code.map { ad_code_has_halves($0) != 0 } ?? false }

    var code: ad_code_format? {
        switch self {
        case .float32: nil
        case .bfloat16: ad_bf16
        case .float16: ad_f16
        case .fourBits: ad_codes_u4
        case .fourBitsHalf: ad_codes_u4_half
        case .signedFourBitsHalf: ad_codes_s4_half
        case .eightBits: ad_codes_s8
        case .eightBitsHalf: ad_codes_s8_half
        case .shortEightBits: ad_codes_s8_short
        }
    }
}

extension Float {
    /// As a bfloat16 that has the same value.
    var brainBits: UInt16 {
        precondition(bitPattern & 0xffff == 0, "\(self) is no value of bfloat16")
        return UInt16(bitPattern >> 16)
    }

    /// The nearest value of float16, ties to even; infinite where there is none so large.
    var roundedToHalf: Float {
        guard isFinite else { return self }
        // Adding and taking off a power of two leaves as many digits as float16 has there.
        let size = magnitude, digits = Float(sign: .plus, exponent: max(size == 0 ? -14 : size.exponent, -14) + 13, significand: 1)
        let rounded = size + digits - digits
        return Float(signOf: self, magnitudeOf: rounded < 0x1p16 ? rounded : .infinity)
    }

    /// As a float16 that has the same value.
    var halfBits: UInt16 {
        let sign = UInt16(bitPattern >> 16 & 0x8000), size = magnitude
        if size.isNaN { return sign | 0x7e00 }
        if size.isInfinite { return sign | 0x7c00 }
        precondition(size < 0x1p16, "\(self) is no value of float16")
        let half = size < 0x1p-14 ? UInt16(size * 0x1p24) : UInt16((size.bitPattern - 112 << 23) >> 13)
        precondition(size < 0x1p-14 ? Float(half) * 0x1p-24 == size : size.bitPattern & 0x1fff == 0, "\(self) is no value of float16")
        return sign | half
    }
}

/// Some rows of a matrix as codes, scales and offsets, in row-major order.
public struct CodedRows {
    /// `[rows, inputs]`
    public let codes: UnsafeMutablePointer<Int8>
    /// `[rows, inputs / group]`; the offsets begin as -0, which adds nothing.
    public let scales, offsets: UnsafeMutablePointer<Float>
}
