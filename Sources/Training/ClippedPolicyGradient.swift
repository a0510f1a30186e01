import Tensors

/// Policy gradient with importance weights: `-min(min(ρ, δ) A, clip(ρ, 1 - ε, 1 + ε') A)` for every trained token, where
/// ρ = exp(log-probability - behavior's) and A is the example's advantage, or the token's; and β times the divergence from a reference.
///
/// Without recorded behavior the examples were drawn from the weights that are trained, and ρ is 1. With it, δ bounds the weight that a token
/// drawn under another law may have. An example's weight multiplies its advantages. Sources: Schulman et al. 2017, arXiv:1707.06347 (PPO); Shao et al. 2024,
/// arXiv:2402.03300 (GRPO); Yu et al. 2025, arXiv:2503.14476 (DAPO); Liu et al. 2025, arXiv:2503.20783 (Dr. GRPO); Zheng et al. 2025, arXiv:2507.18071
/// (GSPO: ρ of the sequence); MiniMax 2025, arXiv:2506.13585 (CISPO); Munos et al. 2016, arXiv:1606.02647 (truncated weights).
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

    /// What a weight belongs to.
    public enum Level: String, Sendable, Codable, CaseIterable { case token, sequence }

    /// What becomes of weights beyond their bounds.
    public enum Surrogate: String, Sendable, Codable, CaseIterable {
        /// Their tokens move nothing.
        case clipped
        /// The weight is at most ε', and the token moves on with it (CISPO).
        case bounded
    }

    public var normalization: Normalization
    /// ε and ε'.
    public var clipLow, clipHigh: Double
    /// δ, the most that a weight may be; nil for no bound.
    public var maximumRatio: Double?
    public var level = Level.token
    public var surrogate = Surrogate.clipped
    /// β, of the divergence exp(d) - d - 1 with d = reference's - own log-probability (k3); above 0 examples need the reference's.
    public var klWeight = 0.0

    public init(_ normalization: Normalization = .tokens, clipLow: Double = 0.2, clipHigh: Double = 0.2, maximumRatio: Double? = nil) {
        self.normalization = normalization
        self.clipLow = clipLow
        self.clipHigh = clipHigh
        self.maximumRatio = maximumRatio
    }

    public func counts(_ examples: [Example]) -> [TermCount] {
        let tokens = examples.reduce(0) { $0 + Double($1.trainedCount) }
        let count =
            switch normalization {
            case .sequences: Double(examples.count)
            case .tokens: tokens
            case .length(let length): Double(examples.count * length)
            }
        return [TermCount("policy", count), TermCount("kl", count), TermCount("clipped", tokens)]
    }

    public func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        let advantages = example.trainedAdvantages, own = laws.map { Double($0.logProbability) }
        let share = normalization == .sequences ? 1 / Double(max(1, laws.count)) : 1
        let ratios = ratios(own, example)
        var (sum, clippedCount) = (0.0, 0.0)
        let gradients = own.indices.map { index in
            let (advantage, ratio) = (advantages[index] * Double(example.weight), ratios[index])
            if surrogate == .bounded {
                let weight = min(ratio, clipHigh)
                clippedCount += weight < ratio ? 1 : 0
                sum -= share * weight * advantage * own[index]
                return Float(-share * weight * advantage)
            }
            let bounded = min(ratio, maximumRatio ?? .infinity), clipped = min(max(ratio, 1 - clipLow), 1 + clipHigh)
            sum -= share * min(bounded * advantage, clipped * advantage)
            // The side that counts moves the token only while it is the weight itself.
            let moves = (bounded * advantage <= clipped * advantage ? bounded : clipped) == ratio
            clippedCount += moves ? 0 : 1
            return moves ? Float(-share * ratio * advantage) : 0
        }
        return [TermSum("policy", sum: sum, logProbabilityGradients: gradients), .shown("clipped", clippedCount, tokens: laws.count)]
            + (klWeight > 0 ? [divergence(own, example, share: share)] : [])
    }

    private func ratios(_ own: [Double], _ example: Example) -> [Double] {
        guard let behavior = example.trainedBehavior else { return own.map { _ in 1 } }
        let differences = zip(own, behavior).map { $0 - $1 }
        guard level == .sequence else { return differences.map(fixedExp) }
        let ratio = fixedExp(differences.reduce(0, +) / Double(max(1, own.count)))
        return own.map { _ in ratio }
    }

    private func divergence(_ own: [Double], _ example: Example, share: Double) -> TermSum {
        let estimates = zip(own, example.trainedReference).map { KLEstimator.k3(policy: $0, reference: $1) }
        return TermSum("kl", weight: klWeight, sum: share * estimates.reduce(0) { $0 + $1.value }, logProbabilityGradients: estimates.map { Float(share * $0.gradient) })
    }
}

/// PPO: a clipped policy gradient, and the squared error of a critic's values, which may leave the values of the time of sampling only by so much.
///
/// Source: Schulman et al. 2017, arXiv:1707.06347, equation 9; the clipped values are those of OpenAI's baselines.
public struct ActorCritic: Objective, Codable, Equatable {
    public var policy: ClippedPolicyGradient
    public var valueWeight: Double
    /// How far values may move before they are held; nil: without bound.
    public var valueClip: Double?
    public var criticRate: Double?

    public init(_ policy: ClippedPolicyGradient = ClippedPolicyGradient(), valueWeight: Double = 0.1, valueClip: Double? = 0.2, criticRate: Double = 1e-4) {
        self.policy = policy
        self.valueWeight = valueWeight
        self.valueClip = valueClip
        self.criticRate = criticRate
    }

    public func counts(_ examples: [Example]) -> [TermCount] {
        policy.counts(examples) + [TermCount("value", examples.reduce(0) { $0 + Double($1.trainedCount) })]
    }

    public func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        let (old, returns) = example.trainedValues
        var sum = 0.0
        let slopes = laws.indices.map { index in
            let value = Double(laws[index].value), bound = valueClip ?? .infinity, held = min(max(value, old[index] - bound), old[index] + bound)
            let (free, fixed) = (value - returns[index], held - returns[index])
            sum += 0.5 * max(free * free, fixed * fixed)
            return free * free >= fixed * fixed ? Float(free) : held == value ? Float(fixed) : 0
        }
        return policy.sums(example, laws) + [TermSum("value", weight: valueWeight, sum: sum, logProbabilityGradients: laws.map { _ in 0 }, valueGradients: slopes)]
    }
}
