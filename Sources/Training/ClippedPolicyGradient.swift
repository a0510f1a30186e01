import Tensors

/// Policy gradient with importance weights: `-min(min(ρ, δ) A, clip(ρ, 1 - ε, 1 + ε') A)` for every trained token, where
/// ρ = exp(log-probability - behaviour's) and A is the example's advantage.
///
/// Without recorded behaviour the examples were drawn from the weights that are trained, and ρ is 1. With it, δ bounds the weight that a token
/// drawn under another law may have. Sources: Shao et al. 2024, arXiv:2402.03300 (GRPO); Yu et al. 2025, arXiv:2503.14476 (DAPO); Liu et al. 2025,
/// arXiv:2503.20783 (Dr. GRPO); Munos et al. 2016, arXiv:1606.02647 (truncated weights).
public struct ClippedPolicyGradient: Objective, Codable, Equatable {
    /// What the sum over tokens is divided by.
    public enum Normalization: Sendable, Codable, Equatable {
        /// Each sequence by its trained tokens, then by the number of sequences (GRPO).
        case sequences
        /// All trained tokens of the batch (DAPO).
        case tokens
        /// The number of sequences times a fixed length (Dr. GRPO).
        case length(Int)
    }

    public var normalization: Normalization
    /// ε and ε'.
    public var clipLow, clipHigh: Double
    /// δ, the most that a weight may be; nil for no bound.
    public var maximumRatio: Double?

    public init(_ normalization: Normalization = .tokens, clipLow: Double = 0.2, clipHigh: Double = 0.2, maximumRatio: Double? = nil) {
        self.normalization = normalization
        self.clipLow = clipLow
        self.clipHigh = clipHigh
        self.maximumRatio = maximumRatio
    }

    public func counts(_ examples: [Example]) -> [TermCount] {
        switch normalization {
        case .sequences: [TermCount("policy", Double(examples.count))]
        case .tokens: [TermCount("policy", examples.reduce(0) { $0 + Double($1.trainedCount) })]
        case .length(let length): [TermCount("policy", Double(examples.count * length))]
        }
    }

    public func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        guard let advantage = example.advantage.map({ Double($0) }) else { preconditionFailure("an example of a policy gradient has no advantage") }
        let behavior = example.behaviorLogProbabilities.map { zip($0, example.trained).filter(\.1).map { Double($0.0) } }
        let share = normalization == .sequences ? 1 / Double(max(1, laws.count)) : 1
        var sum = 0.0
        let gradients = laws.enumerated().map { index, law in
            let ratio = behavior.map { fixedExp(Double(law.logProbability) - $0[index]) } ?? 1
            let bounded = min(ratio, maximumRatio ?? .infinity), clipped = min(max(ratio, 1 - clipLow), 1 + clipHigh)
            sum -= share * min(bounded * advantage, clipped * advantage)
            // The side that counts moves the token only while it is the weight itself.
            let moves = (bounded * advantage <= clipped * advantage ? bounded : clipped) == ratio
            return moves ? Float(-share * ratio * advantage) : 0
        }
        return [TermSum("policy", sum: sum, logProbabilityGradients: gradients)]
    }
}

/// Rewards relative to their group: `(r - mean) / (deviation + 1e-4)`, with the deviation of a sample (n - 1), of the group's rewards or of none.
/// Groups in which all rewards are equal give exactly 0. Sources: as `ClippedPolicyGradient`.
public func groupAdvantages(_ rewards: [Double], dividingByDeviation: Bool = true) -> [Double] {
    guard rewards.count > 1, rewards.contains(where: { $0 != rewards[0] }) else { return rewards.map { _ in 0 } }
    let mean = rewards.reduce(0, +) / Double(rewards.count)
    let deviation = (rewards.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rewards.count - 1)).squareRoot()
    return rewards.map { ($0 - mean) / (dividingByDeviation ? deviation + 1e-4 : 1) }
}
