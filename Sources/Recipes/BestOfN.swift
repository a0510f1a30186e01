import Sampling
import Tasks
import Tensors
import Training

/// Of n completions of each problem the one with the highest reward is kept, and training goes on from the previous policy.
/// Source: Dong et al. 2023 (RAFT), arXiv:2304.06767.
public struct BestOfN: ComparingRecipe {
    public static let name = "best-of-n"
    public var iterations = 2
    public var samplesPerProblem = 8
    public var sampling = SamplingOptions(temperature: 0.8)
    public var epochs = 2
    public var problemsPerIteration = 0
    public var cap: Int { 1 }

    public init() {}

    public func run(_ loop: isolated LearningLoop) async throws {
        try await iterate(loop) { loop, rollouts, policy, n in
            try await loop.train(on: loop.examples(from: rollouts, HighestReward(), iteration: n), NegativeLogLikelihood(), from: policy, iteration: n, epochs: epochs)
        }
    }

    public func workload(problems: Int) -> Workload { workload(problems: problems, examples: 1) }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws { try validateComparisons(check, atLeast: 1) }
}

/// Of each problem the completion with the highest reward, the first of them where several have it; it must be above 0, or, as reward models give it, below 0 and beside a lower one.
public struct HighestReward: Selector {
    public init() {}

    public func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example] {
        groups.compactMap { group in best(of: group).flatMap(make) }
    }

    private func best(of group: [Rollout]) -> Rollout? {
        // What was cut off makes no example, so it must not win.
        let finished = group.filter { $0.finishReason == .stop }.compactMap { rollout in rollout.verdict.flatMap { $0.outcome == .unknown ? nil : (rollout: rollout, reward: $0.reward) } }
        guard let highest = finished.map(\.reward).max(), highest > 0 || (highest < 0 && finished.contains { $0.reward < highest }) else { return nil }
        return finished.first { $0.reward == highest }?.rollout
    }
}
