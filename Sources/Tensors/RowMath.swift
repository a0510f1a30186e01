import CAutodidact

/// Functions of one row of logits, with the bits that the scoring kernels give.
public enum RowMath {
    // A name that the environment gives and nobody knows has been refused when the backend was made.
    private static let kernels = (try? CPUBackend.kernels(named: nil)) ?? ad_kernels_best().pointee

    /// `log Σ exp(x / temperature)`: the maximum first, then the sum in fixed order.
    public static func logSumExp(_ row: UnsafeBufferPointer<Float>, temperature: Float = 1) -> Float {
        kernels.log_sum_exp(row.baseAddress!, row.count, temperature)
    }

    /// The index of the largest value, the lowest among equals.
    public static func argmax(_ row: UnsafeBufferPointer<Float>) -> Int { kernels.argmax(row.baseAddress!, row.count) }

    /// `exp(x)` of every value, in place.
    public static func exponentiate(_ values: inout [Float]) {
        let count = values.count
        values.withUnsafeMutableBufferPointer { kernels.exponential($0.baseAddress!, $0.baseAddress!, count) }
    }
}
