import Tasks
import Tensors
import Training

/// What becomes of completions that were cut off by their length in a policy gradient.
public enum Truncation: String, Sendable, Codable, CaseIterable {
    /// They are neither trained nor compared with.
    case mask
    /// They take part, with a reward of 0 at most, and no higher than that of any that was finished: being cut off must not pay.
    case penalise
}

/// Every judged rollout, weighted by its reward relative to others; what the verifier could not judge takes no part.
///
/// A group whose rewards are all equal tells nothing and is left out, where rewards are compared within it. The others then weigh what they would weigh beside it.
/// Sources: Shao et al. 2024, arXiv:2402.03300 (group); Ahmadian et al. 2024, arXiv:2402.14740 (the others of the group); Williams 1992 (all).
public struct RelativeRewards: Selector, Codable, Equatable {
    /// What a reward is compared with.
    public enum Baseline: Sendable, Codable, Equatable {
        /// The rewards of its problem's rollouts.
        case group(AdvantageScale)
        /// The mean of all rollouts.
        case batch
        /// Nothing.
        case none
    }

    public var baseline: Baseline
    /// β of the reward `r - β Σ (log-probability - reference's)`; above 0 examples need the reference's.
    public var klWeight = 0.0
    public var truncation = Truncation.mask
    /// Whether losses are means over all completions that were compared, and not over what is left of it: the gradient is then that of the expected reward, however few groups tell something.
    public var countsEqualGroups = true

    public init(_ baseline: Baseline = .group(.group), klWeight: Double = 0, truncation: Truncation = .mask, countsEqualGroups: Bool = true) {
        (self.baseline, self.klWeight, self.truncation, self.countsEqualGroups) = (baseline, klWeight, truncation, countsEqualGroups)
    }

    public var trainsAsSampled: Bool { true }
    public var comparesFirst: Bool { klWeight > 0 }

    public func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example] {
        let comparesWithin = if case .group = baseline { true } else { false }
        var rest = truncation.rewards(of: groups.flatMap(\.self))[...]
        let judged = groups.map { group in
            defer { rest = rest.dropFirst(group.count) }
            return zip(group, comparesWithin ? truncation.rewards(of: group) : Array(rest.prefix(group.count))).compactMap { rollout, reward -> (example: Example, reward: Double)? in
                guard let reward, let example = make(rollout) else { return nil }
                return (example, reward - (klWeight > 0 ? klWeight * Self.divergence(example) : 0))
            }
        }
        let rewards = judged.map { $0.map(\.reward) }, all = rewards.flatMap(\.self), mean = all.reduce(0, +) / Double(max(1, all.count))
        let advantages: [[Double]] =
            switch baseline {
            case .group(let scale): groupAdvantages(rewards, dividedBy: scale)
            case .batch: rewards.map { $0.map { $0 - mean } }
            case .none: rewards
            }
        let told = zip(judged, advantages).filter { !comparesWithin || $1.contains { $0 != 0 } }
        let share = comparesWithin && countsEqualGroups ? Double(told.reduce(0) { $0 + $1.0.count }) / Double(max(1, all.count)) : 1
        return told.flatMap { group, advantages in
            zip(group, advantages).map { member, advantage in
                var example = member.example
                example.advantage = Float(share * advantage)
                return example
            }
        }
    }

    /// Σ (log-probability - reference's) over the completion: what its divergence from the reference is estimated by (k1).
    static func divergence(_ example: Example) -> Double {
        zip(example.behaviorLogProbabilities ?? [], example.referenceLogProbabilities ?? []).reduce(0) { $0 + Double($1.0) - Double($1.1) }
    }
}

extension Truncation {
    /// Of rollouts that are compared with each other; nil: it takes no part.
    func rewards(of rollouts: [Rollout]) -> [Double?] {
        func isCutOff(_ rollout: Rollout) -> Bool { rollout.finishReason == .length || rollout.verdict?.outcome == .cutOff }
        let known = rollouts.map { rollout in rollout.verdict.flatMap { $0.outcome == .unknown ? nil : $0.reward } }
        let lowest = zip(rollouts, known).compactMap { isCutOff($0) ? nil : $1 }.reduce(0, min)
        return zip(rollouts, known).map { rollout, reward in
            isCutOff(rollout) ? (self == .mask ? nil : reward.map { min(lowest, $0) }) : reward
        }
    }
}
