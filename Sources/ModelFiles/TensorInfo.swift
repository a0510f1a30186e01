/// How the elements of a tensor lie in a file. The raw value is the name the format gives it.
public enum DType: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case u8 = "U8", i8 = "I8", u16 = "U16", i16 = "I16", u32 = "U32", i32 = "I32", u64 = "U64", i64 = "I64"
    case f16 = "F16", bf16 = "BF16", f32 = "F32", f64 = "F64"
    case f8_e4m3 = "F8_E4M3", f8_e5m2 = "F8_E5M2", f8_e8m0 = "F8_E8M0"
    case f8_e4m3fnuz = "F8_E4M3FNUZ", f8_e5m2fnuz = "F8_E5M2FNUZ"
    case f6_e2m3 = "F6_E2M3", f6_e3m2 = "F6_E3M2", f4 = "F4", c64 = "C64"
    case q4_0 = "Q4_0", q4_1 = "Q4_1", q5_0 = "Q5_0", q5_1 = "Q5_1", q8_0 = "Q8_0", q8_1 = "Q8_1"
    case q2_K = "Q2_K", q3_K = "Q3_K", q4_K = "Q4_K", q5_K = "Q5_K", q6_K = "Q6_K", q8_K = "Q8_K"
    case iq1_s = "IQ1_S", iq1_m = "IQ1_M", iq2_xxs = "IQ2_XXS", iq2_xs = "IQ2_XS", iq2_s = "IQ2_S"
    case iq3_xxs = "IQ3_XXS", iq3_s = "IQ3_S", iq4_nl = "IQ4_NL", iq4_xs = "IQ4_XS"
    case tq1_0 = "TQ1_0", tq2_0 = "TQ2_0", mxfp4 = "MXFP4", nvfp4 = "NVFP4"

    public var name: String { rawValue }
    /// Elements that share one block; 1 for plain types.
    public var blockSize: Int { layout.elements }
    public var bytesPerBlock: Int { layout.bytes }

    private var layout: (elements: Int, bytes: Int) {
        switch self {
        case .bool, .u8, .i8, .f8_e4m3, .f8_e5m2, .f8_e8m0, .f8_e4m3fnuz, .f8_e5m2fnuz: (1, 1)
        case .u16, .i16, .f16, .bf16: (1, 2)
        case .u32, .i32, .f32: (1, 4)
        case .u64, .i64, .f64, .c64: (1, 8)
        case .f4: (2, 1)
        case .f6_e2m3, .f6_e3m2: (4, 3)
        case .q4_0, .iq4_nl: (32, 18)
        case .q4_1: (32, 20)
        case .q5_0: (32, 22)
        case .q5_1: (32, 24)
        case .q8_0: (32, 34)
        case .q8_1: (32, 36)
        case .mxfp4: (32, 17)
        case .nvfp4: (64, 36)
        case .q2_K: (256, 84)
        case .q3_K, .iq3_s: (256, 110)
        case .q4_K: (256, 144)
        case .q5_K: (256, 176)
        case .q6_K: (256, 210)
        case .q8_K: (256, 292)
        case .iq1_s: (256, 50)
        case .iq1_m: (256, 56)
        case .iq2_xxs, .tq2_0: (256, 66)
        case .iq2_xs: (256, 74)
        case .iq2_s: (256, 82)
        case .iq3_xxs: (256, 98)
        case .iq4_xs: (256, 136)
        case .tq1_0: (256, 54)
        }
    }

    /// The type a safetensors header names, exactly as the format spells it.
    public init?(safetensors name: String) {
        guard let type = DType(rawValue: name), type.isSafetensors else { return nil }
        self = type
    }

    /// Whether the safetensors format knows this type.
    public var isSafetensors: Bool {
        switch self {
        case .bool, .u8, .i8, .u16, .i16, .u32, .i32, .u64, .i64, .f16, .bf16, .f32, .f64, .c64, .f4,
            .f8_e4m3, .f8_e5m2, .f8_e8m0, .f8_e4m3fnuz, .f8_e5m2fnuz, .f6_e2m3, .f6_e3m2:
            true
        default: false
        }
    }

    /// The type with this number in GGUF; `nil` for numbers never given out and for types since removed.
    public init?(ggml number: UInt32) {
        switch number {
        case 0: self = .f32
        case 1: self = .f16
        case 2: self = .q4_0
        case 3: self = .q4_1
        case 6: self = .q5_0
        case 7: self = .q5_1
        case 8: self = .q8_0
        case 9: self = .q8_1
        case 10: self = .q2_K
        case 11: self = .q3_K
        case 12: self = .q4_K
        case 13: self = .q5_K
        case 14: self = .q6_K
        case 15: self = .q8_K
        case 16: self = .iq2_xxs
        case 17: self = .iq2_xs
        case 18: self = .iq3_xxs
        case 19: self = .iq1_s
        case 20: self = .iq4_nl
        case 21: self = .iq3_s
        case 22: self = .iq2_s
        case 23: self = .iq4_xs
        case 24: self = .i8
        case 25: self = .i16
        case 26: self = .i32
        case 27: self = .i64
        case 28: self = .f64
        case 29: self = .iq1_m
        case 30: self = .bf16
        case 34: self = .tq1_0
        case 35: self = .tq2_0
        case 39: self = .mxfp4
        case 40: self = .nvfp4
        default: return nil
        }
    }

    /// The number of this type in GGUF; `nil` for types the format does not know.
    public var ggmlNumber: UInt32? { (0...40).first { DType(ggml: $0) == self } }

    /// Bytes taken by a tensor; `nil` when the elements are no whole number of blocks or the size overflows.
    public func byteCount(elements: Int) -> Int? {
        guard elements % blockSize == 0 else { return nil }
        let (bytes, overflow) = (elements / blockSize).multipliedReportingOverflow(by: bytesPerBlock)
        return overflow ? nil : bytes
    }
}

/// Name, type, shape and place of one tensor in a file.
public struct TensorInfo: Sendable, Equatable {
    public let name: String
    public let dtype: DType
    /// Row-major: the last axis is the one whose elements are neighbours. (GGUF stores the reverse.)
    public let shape: [Int]
    /// From the beginning of the file.
    public let byteOffset: Int
    public let byteCount: Int
    /// The product of `shape`.
    public let elementCount: Int

    /// - Precondition: the product of `shape` fits an `Int`.
    public init(name: String, dtype: DType, shape: [Int], byteOffset: Int, byteCount: Int) {
        guard let elements = TensorInfo.elementCount(shape) else {
            preconditionFailure("the shape \(shape) of '\(name)' has more elements than fit an Int")
        }
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.byteOffset = byteOffset
        self.byteCount = byteCount
        elementCount = elements
    }

    /// The same values under other axes.
    public func reshaped(_ shape: [Int]) -> TensorInfo {
        precondition(shape.reduce(1, *) == elementCount, "'\(name)' of shape \(self.shape) is not of shape \(shape)")
        return TensorInfo(name: name, dtype: dtype, shape: shape, byteOffset: byteOffset, byteCount: byteCount)
    }

    /// The product of a shape; `nil` when it is negative somewhere or overflows.
    static func elementCount(_ shape: [Int]) -> Int? {
        guard shape.allSatisfy({ $0 >= 0 }) else { return nil }
        if shape.contains(0) { return 0 }
        var count = 1
        for size in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: size)
            if overflow { return nil }
            count = product
        }
        return count
    }
}
