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

/// Of each problem the completion with the highest reward above 0, the first of them where several have it.
public struct HighestReward: Selector {
    public init() {}

    public func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example] {
        groups.compactMap { group in best(of: group).flatMap(make) }
    }

    private func best(of group: [Rollout]) -> Rollout? {
        var best: (rollout: Rollout, reward: Double)?
        // What was cut off makes no example, so it must not win.
        for rollout in group where rollout.finishReason == .stop {
            guard let reward = rollout.verdict?.reward, reward > (best?.reward ?? 0) else { continue }
            best = (rollout, reward)
        }
        return best?.rollout
    }
}
