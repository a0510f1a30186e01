import Tensors

/// Right answers up and wrong ones down, each by itself, relative to a reference: `1 - σ(β(r - z))` of a right answer and `1 - σ(β(z - r))` of a wrong one, where
/// r is the answer's log-probability less the reference's, and z the mean of that over answers to other prompts, at least 0.
///
/// An example with a negative advantage is wrong. What is put beside its prompt for z is its `mismatch`; without any z is 0. Source: Ethayarajh et al. 2024,
/// arXiv:2402.01306, equation 8.
public struct KTO: Objective, Codable, Equatable {
    public var beta: Double
    public var rightWeight, wrongWeight: Double
    /// Whether the rarer kind of a batch weighs more, so that both have the same weight.
    public var balances: Bool
    /// z, as `prepared` finds it.
    public var divergence = 0.0

    public init(beta: Double = 0.1, rightWeight: Double = 1, wrongWeight: Double = 1, balances: Bool = false) {
        (self.beta, self.rightWeight, self.wrongWeight, self.balances) = (beta, rightWeight, wrongWeight, balances)
    }

    public func prepared(for examples: [Example], _ score: ([Example]) -> [[RowLaw]]) -> any Objective {
        var result = self
        let wrong = Double(examples.count(where: \.isWrong)), right = Double(examples.count) - wrong
        if balances, right > 0, wrong > 0 { (result.rightWeight, result.wrongWeight) = (rightWeight * max(1, wrong / right), wrongWeight * max(1, right / wrong)) }
        let mismatched = examples.compactMap(\.mismatch).map(\.example)
        guard !mismatched.isEmpty else { return result }
        let sums = score(mismatched).map { $0.reduce(0) { $0 + Double($1.logProbability) } }
        result.divergence = Self.divergence(policy: sums, reference: mismatched.map(\.referenceSum))
        return result
    }

    /// max(0, mean of the differences).
    public static func divergence(policy: [Double], reference: [Double]) -> Double {
        max(0, zip(policy, reference).reduce(0) { $0 + $1.0 - $1.1 } / Double(max(1, policy.count)))
    }

    public func counts(_ examples: [Example]) -> [TermCount] { [TermCount("kto", Double(examples.count)), TermCount("divergence", Double(examples.count))] }

    public func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        let r = Dual.variable(laws.reduce(0) { $0 + Double($1.logProbability) }, 0) - example.referenceSum
        let loss = example.isWrong ? wrongWeight * (1 - (beta * (divergence - r)).sigmoid) : rightWeight * (1 - (beta * (r - divergence)).sigmoid)
        return [
            TermSum("kto", sum: Double(example.weight) * loss.value, logProbabilityGradients: laws.map { _ in example.weight * Float(loss.slopes[0]) }),
            .shown("divergence", divergence, tokens: laws.count),
        ]
    }
}

/// What has to be forgotten becomes unlikely: `-2/β ln σ(-β(log-probability - reference's))`. Source: Zhang et al. 2024, arXiv:2404.05868, equation 3.
public struct NegativePreference: Objective, Codable, Equatable {
    public var beta: Double

    public init(beta: Double = 0.1) { self.beta = beta }

    public func counts(_ examples: [Example]) -> [TermCount] { [TermCount("npo", Double(examples.count))] }

    public func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        let r = Dual.variable(laws.reduce(0) { $0 + Double($1.logProbability) }, 0) - example.referenceSum, loss = -(2 / beta) * (-(beta * r)).logSigmoid
        return [TermSum("npo", sum: loss.value, logProbabilityGradients: laws.map { _ in Float(loss.slopes[0]) })]
    }
}

/// Answers to one prompt in the order of their rewards: `max(0, pⱼ - pᵢ)` for every pair in which i has the higher reward, with p the mean log-probability of a token, less
/// the log-probability of the best answer.
///
/// Examples of one prompt, or of one comparison where they say of which they are, lie together, their rewards as advantages. Source: Yuan et al. 2023, arXiv:2304.05302,
/// equations 2 to 4.
public struct RRHF: Objective, Codable, Equatable {
    /// What the best answer's likelihood counts beside the order.
    public var likelihood: Double

    public init(likelihood: Double = 1) { self.likelihood = likelihood }

    public func groups(_ examples: [Example]) -> [Range<Int>] { examples.consecutive(Self.areCompared) }

    /// Prompts of one comparison may differ, where they were cut for answers of different lengths.
    private static func areCompared(_ a: Example, _ b: Example) -> Bool {
        guard let first = a.standing, let second = b.standing else { return a.promptTokens == b.promptTokens }
        return first.comparison == second.comparison
    }

    public func counts(_ examples: [Example]) -> [TermCount] {
        let count = Double(groups(examples).count)
        return [TermCount("rank", count), TermCount("nll", count)]
    }

    public func sums(_ group: ArraySlice<Example>, _ laws: [[RowLaw]]) -> [[TermSum]] {
        let rewards = group.map { example in
            guard let reward = example.advantage else { preconditionFailure("an example that is ranked has no reward as its advantage") }
            return reward
        }
        let weights = group.map { Double($0.weight) }
        let sums = laws.map { $0.reduce(0) { $0 + Double($1.logProbability) } }, means = zip(sums, laws).map { $0 / Double(max(1, $1.count)) }
        var (losses, slopes) = ([Double](repeating: 0, count: laws.count), [Double](repeating: 0, count: laws.count))
        for i in rewards.indices {
            for j in rewards.indices where rewards[i] > rewards[j] && means[j] > means[i] {
                let weight = weights[i] * weights[j]
                losses[j] += weight * (means[j] - means[i])
                slopes[j] += weight / Double(laws[j].count)
                slopes[i] -= weight / Double(laws[i].count)
            }
        }
        let best = rewards.indices.reduce(0) { rewards[$1] > rewards[$0] ? $1 : $0 }
        return laws.indices.map { index in
            [TermSum("rank", sum: losses[index], logProbabilityGradients: laws[index].map { _ in Float(slopes[index]) })]
                + (index == best ? [TermSum("nll", weight: likelihood, sum: -weights[index] * sums[index], logProbabilityGradients: laws[index].map { _ in Float(-weights[index]) })] : [])
        }
    }
}
