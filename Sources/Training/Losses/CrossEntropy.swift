/// Cross-entropy of a row of logits with a class: (1 - e) w(y) · -ln p(y) + e · mean over classes of w · -ln p.
///
/// Means divide by the weights of the rows' classes, and rows without a target leave numerator and denominator, as in PyTorch.
/// Source of smoothing: Szegedy et al. 2015, arXiv:1512.00567.
public struct CrossEntropy: Sendable, Codable, Equatable {
    /// e.
    public var smoothing: Double
    /// w; nil for 1 each.
    public var classWeights: [Double]?

    public init(smoothing: Double = 0, classWeights: [Double]? = nil) {
        self.smoothing = smoothing
        self.classWeights = classWeights
    }

    /// - Parameters:
    ///   - logits: one per class.
    ///   - target: the class; below 0 for none, and the row is ignored.
    public func callAsFunction(_ logits: [Double], target: Int32) -> RowLoss {
        guard target >= 0 else { return .ignored(width: logits.count) }
        let weights = classWeights ?? Array(repeating: 1, count: logits.count), target = Int(target)
        precondition(target < logits.count && weights.count == logits.count, "class \(target) and \(weights.count) weights for \(logits.count) logits")
        var shares = weights.map { smoothing / Double(weights.count) * $0 }
        shares[target] += (1 - smoothing) * weights[target]
        var loss = SoftmaxRow(logits).crossEntropy(shares)
        loss.weight = weights[target]
        return loss
    }
}

/// For each token the one that follows it, and none (-100) for the last: the targets of a causal model, from one sequence's labels.
public func causalTargets(_ labels: [Int32]) -> [Int32] { labels.dropFirst() + (labels.isEmpty ? [] : [-100]) }

/// `coefficient` · (ln Σ exp z)²: keeps logits from drifting, of a vocabulary or of a router over experts.
/// Sources: Chowdhery et al. 2022, arXiv:2204.02311; Zoph et al. 2022, arXiv:2202.08906 (routers).
public func zLoss(_ logits: [Double], coefficient: Double = 1) -> RowLoss {
    let law = SoftmaxRow(logits)
    return RowLoss(coefficient * law.logSumExp * law.logSumExp, gradient: law.probabilities.map { 2 * coefficient * law.logSumExp * $0 })
}
