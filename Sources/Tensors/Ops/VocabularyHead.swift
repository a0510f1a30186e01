/// The vocabulary head over requested rows: logits are made a chunk of rows at a time and never kept.
public struct VocabularyHead {
    public let weight: Parameter  // [vocabulary, hidden]
    public let bias: Parameter?  // [vocabulary]
    /// Rows whose logits exist at once.
    private static let chunk = 64

    public init(weight: Parameter, bias: Parameter? = nil) {
        self.weight = weight
        self.bias = bias
    }

    public var vocabularySize: Int { weight.shape[0] }

    /// - Parameter hidden: `[R, hidden]`.
    /// - Returns: `[R, vocabulary]`. For sampling; training goes through `laws`.
    public func logits(_ hidden: Tensor) -> Tensor { linear(hidden.detached, weight, bias) }

    /// Log-probability of the target, log-sum-exp and entropy of every row.
    public func laws(_ hidden: Tensor, targets: [Int32]) -> [RowLaw] {
        var laws: [RowLaw] = []
        laws.reserveCapacity(targets.count)
        chunks(of: hidden, targets.count) { range, rows in
            laws += hidden.backend.laws(logits(rows), targets: Array(targets[range]))
        }
        return laws
    }

    /// Adds the weights' gradients and returns that of `hidden`, given one gradient per row for the log-probability and
    /// one for the entropy. Logits are computed again, chunk by chunk.
    public func backward(
        _ hidden: Tensor, targets: [Int32], laws: [RowLaw], logProbabilityGradients: [Float], entropyGradients: [Float]? = nil, into gradients: Gradients
    ) -> Tensor {
        let backend = hidden.backend
        let dHidden = backend.empty(hidden.shape)
        let entropies = entropyGradients ?? Array(repeating: 0, count: targets.count)
        chunks(of: hidden, targets.count) { range, rows in
            let logits = logits(rows)
            backend.headBackward(
                logits, targets: Array(targets[range]), laws: Array(laws[range]), logProbabilityGradients: Array(logProbabilityGradients[range]),
                entropyGradients: Array(entropies[range]))
            backend.linearInputGradient(logits, weight.matrix, into: dHidden.slice(range))
            if gradients.trains(weight) { backend.linearWeightGradient(logits, rows, into: gradients.matrix(weight)) }
            if let bias, gradients.trains(bias) { backend.columnSums(logits, into: gradients.vector(bias)) }
        }
        return dHidden
    }

    private func chunks(of hidden: Tensor, _ count: Int, _ body: (Range<Int>, Tensor) -> Void) {
        precondition(hidden.shape[0] == count, "\(count) targets for hidden states \(hidden.shape)")
        for start in stride(from: 0, to: count, by: Self.chunk) {
            let range = start..<min(count, start + Self.chunk)
            body(range, hidden.detached.slice(range))
        }
    }
}
