/// What products are computed from. Only `float32` is exact: it takes every weight as it is, in float32 chains.
public enum Precision: String, Sendable, Codable, CaseIterable {
    case float32 = "f32"
    /// Weights in float32 are rounded to bfloat16.
    case bfloat16 = "bf16"
    /// Weights that are no codes already are rounded to 8 bits with a scale in float16 for 32 inputs, as Q8_0 of GGUF files.
    case quantised = "q8_0"
    /// As `quantised`, and what is multiplied by codes is rounded to 8 bits too, in blocks of 32.
    case int8

    /// How a matrix of a format lies at this precision.
    func format(of format: WeightFormat, inputs: Int) -> WeightFormat {
        switch self {
        case .float32: format
        case .bfloat16: format == .float32 ? .bfloat16 : format
        // What is no whole number of blocks stays.
        case .quantised, .int8: format.isCoded || inputs % WeightFormat.eightBitsHalf.group != 0 ? format : .eightBitsHalf
        }
    }
}
