import Sampling
import Tasks
import Tensors
import Training

/// Of n completions of each problem the one with the highest reward is kept, and training goes on from the previous policy.
/// Source: Dong et al. 2023 (RAFT), arXiv:2304.06767.
public struct BestOfN: Recipe {
    public static let name = "best-of-n"
    public var iterations = 2
    public var samplesPerProblem = 8
    public var sampling = SamplingOptions(temperature: 0.8)
    public var epochs = 2

    public init() {}

    public func run(_ loop: isolated LearningLoop) async throws {
        let base = try await loop.start()
        let problems = try loop.environment.problems(in: .train)
        var policy = base, last = max(1, iterations)
        for n in 1...last {
            let rollouts = try await loop.sample(problems, samples: samplesPerProblem, from: policy, iteration: n, phase: "attempt", sampling).lastTurns()
            let examples = try loop.examples(from: rollouts, HighestReward(), iteration: n)
            policy = try await loop.train(on: examples, NegativeLogLikelihood(), from: policy, iteration: n, epochs: epochs)
            try await loop.evaluate(policy, iteration: n)
            last = n
            if loop.isSpent { break }
        }
        try await loop.finish(base, policy, iteration: last)
    }

    public func sampling(of phase: String) -> SamplingOptions { phase == "attempt" ? sampling : .greedy }

    public func workload(problems: Int) -> Workload {
        Workload(iterations: iterations, problems: problems, samples: samplesPerProblem, cap: 1, training: .epochs(epochs))
    }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try check([iterations, samplesPerProblem, epochs].allSatisfy((1...1_000_000).contains), "iterations, samplesPerProblem and epochs", "1 to 1000000")
        try sampling.validate("sampling", samples: samplesPerProblem, check)
    }
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
