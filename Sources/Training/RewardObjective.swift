import Tensors

/// Rewards from comparisons: in every pair of answers to one prompt the better one should have the higher reward, by the head of one number.
///
/// K ranked answers are K(K - 1)/2 pairs, all of them in one batch, and count as much as one pair: else a model learns prompts with many answers by heart.
/// Equal scores are a tie. Sources: Christiano et al. 2017, arXiv:1706.03741; Ouyang et al. 2022, arXiv:2203.02155, equation 1; `BradleyTerry` for the rest.
public struct RewardObjective: Objective, Codable, Equatable {
    public var law: BradleyTerry

    public init(_ law: BradleyTerry = BradleyTerry()) { self.law = law }

    public func groups(_ examples: [Example]) -> [Range<Int>] { examples.comparisons }

    public func counts(_ examples: [Example]) -> [TermCount] {
        let groups = groups(examples), decided = groups.count { group in group.contains { examples[$0].knownStanding.score != examples[group.lowerBound].knownStanding.score } }
        return [TermCount("comparison", Double(groups.count))] + ["accuracy", "margin"].map { TermCount($0, Double(decided)) }
    }

    public func sums(_ group: ArraySlice<Example>, _ laws: [[RowLaw]]) -> [[TermSum]] {
        let standings = group.map(\.knownStanding), rewards = laws.map { Double($0[0].value) }, weight = Double(group.first?.weight ?? 1)
        precondition(group.count > 1, "a comparison is of two or more examples, not of \(group.count)")
        var (loss, right, ahead, decided, slopes) = (0.0, 0.0, 0.0, 0.0, rewards.map { _ in 0.0 })
        for first in rewards.indices {
            for second in rewards.indices.dropFirst(first + 1) {
                let isTurned = standings[second].score > standings[first].score, (better, worse) = isTurned ? (second, first) : (first, second)
                let isTie = standings[first].score == standings[second].score
                let pair = law(chosen: rewards[better], rejected: rewards[worse], margin: isTie ? 0 : standings[better].margin, label: isTie ? 0.5 : 1)
                loss += pair.value
                slopes[better] += pair.gradient[0]
                slopes[worse] += pair.gradient[1]
                guard !isTie else { continue }
                decided += 1
                ahead += rewards[better] - rewards[worse]
                right += rewards[better] > rewards[worse] ? 1 : rewards[better] == rewards[worse] ? 0.5 : 0
            }
        }
        let share = weight / Double(rewards.count * (rewards.count - 1) / 2)
        return rewards.indices.map { index in
            let trained = TermSum("comparison", sum: index == 0 ? share * loss : 0, logProbabilityGradients: [0], valueGradients: [Float(share * slopes[index])])
            guard index == 0, decided > 0 else { return [trained] }
            return [trained, .shown("accuracy", right / decided, tokens: 1), .shown("margin", ahead / decided, tokens: 1)]
        }
    }
}
