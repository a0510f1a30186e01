import Tensors

/// -Σ q(r) [ln p(r|x) + ln p(y|x,r)] of a question x with its label y, where one head of classes gives both laws: the M-step of `RationaleLaw`.
///
/// The head reads the pair (x, r) and gives a logit z(r, c) for each class c. p(y|x,r) is their softmax, and p(r|x) the softmax over the candidates r of their log-sum-exp, so that
/// p(r, y|x) is exp z(r, y) over the sum of all candidates' and all classes'. Neither law restricts the other: C logits are C - 1 of a law over classes, and one number beside it. Source of
/// the reading: Grathwohl et al. 2020, arXiv:1912.03263, section 3.
///
/// The candidates of one question are one comparison, in which each one's score is its weight q; their target is the label.
public struct RationaleObjective: Objective, Codable, Equatable {
    public init() {}

    public func groups(_ examples: [Example]) -> [Range<Int>] { examples.comparisons }

    /// Every question counts once, whatever the number of its candidates.
    public func counts(_ examples: [Example]) -> [TermCount] { [TermCount("rationale", Double(groups(examples).count))] }

    public func sums(_ group: ArraySlice<Example>, _ laws: [[RowLaw]]) -> [[TermSum]] {
        let weights = group.map(\.knownStanding.score), total = weights.reduce(0, +)
        let candidates = SoftmaxRow(laws.map { Double($0[0].logSumExp) })
        return weights.indices.map { index in
            let weight = weights[index], joint = candidates.logProbabilities[index] + Double(laws[index][0].logProbability)
            return [TermSum(
                "rationale", sum: -weighted(weight, joint), logProbabilityGradients: [Float(-weight)], normalizerGradients: [Float(total * candidates.probabilities[index] - weight)])]
        }
    }
}
