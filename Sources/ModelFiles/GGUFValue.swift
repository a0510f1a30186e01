/// A metadata value of a GGUF file. Widths are forgotten, signs and kinds are kept.
public enum GGUFValue: Sendable, Equatable {
    case uint(UInt64)
    case int(Int64)
    case float(Double)
    case bool(Bool)
    case string(String)
    case strings([String])
    /// An array of integers of any width but u8 and u64.
    case ints([Int64])
    /// An array of u64, whose values may not fit `Int64`.
    case uints([UInt64])
    /// An array of u8.
    case bytes([UInt8])
    case floats([Double])
    case bools([Bool])
    /// An array of arrays.
    case arrays([GGUFValue])

    public var int: Int? {
        switch self {
        case .uint(let value): Int(exactly: value)
        case .int(let value): Int(exactly: value)
        default: nil
        }
    }

    public var double: Double? {
        switch self {
        case .uint(let value): Double(value)
        case .int(let value): Double(value)
        case .float(let value): value
        default: nil
        }
    }

    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    public var strings: [String]? {
        if case .strings(let values) = self { values } else { nil }
    }

    /// An array of integers; `nil` when one does not fit.
    public var ints: [Int64]? {
        switch self {
        case .ints(let values): values
        case .bytes(let values): values.map(Int64.init)
        case .uints(let values): values.allSatisfy { $0 <= UInt64(Int64.max) } ? values.map(Int64.init) : nil
        default: nil
        }
    }

    public var floats: [Double]? {
        if case .floats(let values) = self { values } else { nil }
    }

    public var bytes: [UInt8]? {
        if case .bytes(let values) = self { values } else { nil }
    }
}
