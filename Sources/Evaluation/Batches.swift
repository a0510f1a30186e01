import Architectures
import Sampling
import Tensors

/// Consecutive sequences, as many as fit into `limit` tokens; one that alone is longer stands alone.
func batches(_ lengths: [Int], of limit: Int) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var start = 0, used = 0
    for (index, length) in lengths.enumerated() {
        if index > start, used + length > limit {
            ranges.append(start..<index)
            (start, used) = (index, 0)
        }
        used += length
    }
    if start < lengths.count { ranges.append(start..<lengths.count) }
    return ranges
}

/// Natural logarithms of the softmax.
/// - Throws: `SamplingError.notFinite`.
func logProbabilities(_ scores: [Double]) throws -> [Double] {
    guard scores.allSatisfy(\.isFinite) else { throw SamplingError.notFinite }
    let top = scores.max() ?? 0, normalizer = top + fixedLog(scores.reduce(0) { $0 + fixedExp($1 - top) })
    return scores.map { $0 - normalizer }
}

extension Pass {
    /// The segments of a batch's texts, where any of them has some.
    init(segments inputs: [(tokens: [Int32], segments: [Int32]?)]) {
        self.init()
        guard inputs.contains(where: { $0.segments != nil }) else { return }
        segments = inputs.flatMap { $0.segments ?? Array(repeating: 0, count: $0.tokens.count) }
    }
}

extension String {
    /// "12.3 %"
    public init(percent share: Double) {
        let tenths = Int((share * 1000).rounded())
        self = "\(tenths / 10).\(tenths % 10) %"
    }
}
