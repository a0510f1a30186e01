/// The vocabulary head over requested rows: logits are made a chunk of rows at a time and never kept.
public struct VocabularyHead {
    public let weight: Parameter  // [vocabulary, hidden]
    public let bias: Parameter?  // [vocabulary]
    /// Logits become cap · tanh(logit / cap). Source: Gemma Team 2024, arXiv:2408.00118.
    public let cap: Float?
    /// Rows whose logits exist at once: enough that reading the table is little work beside the products.
    public static let rowsAtOnce = 256

    public init(weight: Parameter, bias: Parameter? = nil, cap: Float? = nil) {
        self.weight = weight
        self.bias = bias
        self.cap = cap
    }

    public var vocabularySize: Int { weight.shape[0] }

    /// - Parameter hidden: `[R, hidden]`.
    /// - Returns: `[R, vocabulary]`. For sampling; training goes through `laws`.
    public func logits(_ hidden: Tensor) -> Tensor { capped(linear(hidden.detached, weight, bias)).logits }

    /// Logits under the cap, and what the cap's slope depends on.
    private func capped(_ logits: Tensor) -> (logits: Tensor, shares: Tensor?) {
        guard let cap else { return (logits, nil) }
        let shares = scale(logits, by: 1 / cap)
        return (scale(activate(.tanh, shares), by: cap), shares)
    }

    /// Log-probability of the target, log-sum-exp and entropy of every row.
    public func laws(_ hidden: Tensor, targets: [Int32]) -> [RowLaw] {
        precondition(hidden.shape[0] == targets.count, "\(targets.count) targets for hidden states \(hidden.shape)")
        var laws: [RowLaw] = []
        laws.reserveCapacity(targets.count)
        for range in Self.chunks(0..<targets.count) {
            laws += hidden.backend.laws(logits(hidden.slice(range)), targets: Array(targets[range]))
        }
        return laws
    }

    /// Adds the weights' gradients and returns that of `hidden`.
    ///
    /// Logits are made once for as many groups of rows as fit at once, and a second time only for a group that alone has too many rows.
    /// - Parameters:
    ///   - hidden: `[R, hidden]`.
    ///   - targets: one per row.
    ///   - groups: consecutive rows whose gradients depend on each other's laws; together all rows.
    ///   - gradients: where the weights' gradients are added.
    ///   - differentiate: given some of the groups and the laws of their rows, the loss's gradient by each row's log-probability and entropy.
    /// - Returns: `[R, hidden]`.
    public func backward(
        _ hidden: Tensor, targets: [Int32], groups: [Range<Int>], into gradients: Gradients,
        _ differentiate: (_ groups: Range<Int>, _ laws: [RowLaw]) -> (logProbability: [Float], entropy: [Float])
    ) -> Tensor {
        let meet = zip([0] + groups.map(\.upperBound), groups.map(\.lowerBound) + [targets.count]).allSatisfy { $0 == $1 }
        precondition(hidden.shape[0] == targets.count && meet, "\(targets.count) targets and \(groups) for hidden states \(hidden.shape)")
        let (backend, hidden) = (hidden.backend, hidden.detached)
        let dHidden = backend.empty(hidden.shape)
        var first = 0
        while first < groups.count {
            var end = first + 1
            while end < groups.count, groups[end].upperBound - groups[first].lowerBound <= Self.rowsAtOnce { end += 1 }
            let rows = groups[first].lowerBound..<groups[end - 1].upperBound
            let once = rows.count <= Self.rowsAtOnce ? capped(linear(hidden.slice(rows), weight, bias)) : nil
            let laws = once.map { backend.laws($0.logits, targets: Array(targets[rows])) } ?? laws(hidden.slice(rows), targets: Array(targets[rows]))
            let (logProbability, entropy) = differentiate(first..<end, laws)
            for range in Self.chunks(rows) {
                var (logits, shares) = once ?? capped(linear(hidden.slice(range), weight, bias))
                let local = range.lowerBound - rows.lowerBound..<range.upperBound - rows.lowerBound
                backend.headBackward(
                    logits, targets: Array(targets[range]), laws: Array(laws[local]), logProbabilityGradients: Array(logProbability[local]),
                    entropyGradients: Array(entropy[local]))
                if let shares {
                    let slope = backend.empty(logits.shape)
                    backend.activateBackward(.tanh, logits, shares, into: slope)
                    logits = slope
                }
                backend.linearInputGradient(logits, weight.matrix, into: dHidden.slice(range))
                if gradients.trains(weight) { backend.linearWeightGradient(logits, hidden.slice(range), into: gradients.matrix(weight)) }
                if let bias, gradients.trains(bias) { backend.columnSums(logits, into: gradients.vector(bias)) }
            }
            first = end
        }
        return dHidden
    }

    private static func chunks(_ rows: Range<Int>) -> [Range<Int>] {
        stride(from: rows.lowerBound, to: rows.upperBound, by: rowsAtOnce).map { $0..<min(rows.upperBound, $0 + rowsAtOnce) }
    }
}
