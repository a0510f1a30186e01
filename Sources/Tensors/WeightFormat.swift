import CAutodidact

/// How the weights of a matrix lie in memory. Whatever it is, they enter the float32 chains as the same values.
public enum WeightFormat: Sendable, Hashable, CaseIterable {
    case float32
    /// Codes 0 to 15, or -8 to 7, of which 32 inputs of an output share a scale and an offset.
    case fourBits, signedFourBits
    /// Codes -128 to 127 with a scale and an offset for 32 inputs of an output, or for 16.
    case eightBits, shortEightBits

    /// The format for codes of a range that share a scale in groups; nil where there is none.
    public init?(codes: ClosedRange<Int>, group: Int) {
        switch group {
        case 32 where codes.lowerBound >= 0 && codes.upperBound <= 15: self = .fourBits
        case 32 where codes.lowerBound >= -8 && codes.upperBound <= 7: self = .signedFourBits
        case 32 where codes.lowerBound >= -128 && codes.upperBound <= 127: self = .eightBits
        case 16 where codes.lowerBound >= -128 && codes.upperBound <= 127: self = .shortEightBits
        default: return nil
        }
    }

    /// Inputs that share a scale.
    public var group: Int { code.map { ad_code_group($0) } ?? 1 }

    /// Of a weight, without what its group shares.
    var bits: Int {
        switch self {
        case .float32: 32
        case .fourBits, .signedFourBits: 4
        case .eightBits, .shortEightBits: 8
        }
    }

    var code: ad_code_format? {
        switch self {
        case .float32: nil
        case .fourBits: ad_codes_u4
        case .signedFourBits: ad_codes_s4
        case .eightBits: ad_codes_s8
        case .shortEightBits: ad_codes_s8_short
        }
    }
}

/// Some rows of a matrix as codes, scales and offsets, in row-major order.
public struct CodedRows {
    /// `[rows, inputs]`
    public let codes: UnsafeMutablePointer<Int8>
    /// `[rows, inputs / group]`; the offsets begin as -0, which adds nothing.
    public let scales, offsets: UnsafeMutablePointer<Float>
}
