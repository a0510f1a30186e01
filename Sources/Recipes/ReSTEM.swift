import Sampling
import Tasks
import Tensors
import Training

/// Iterated fine-tuning on the model's own verified samples: k per problem, right ones deduplicated and capped, from the base.
/// Source: Singh et al. 2024, arXiv:2312.06585.
public struct ReSTEM: Recipe, Equatable {
    public static let name = "rest-em"
    public var iterations = 2
    public var samplesPerProblem = 4
    /// Right completions kept of one problem.
    public var cap = 10
    public var sampling = SamplingOptions(temperature: 0.7, topK: 40)
    public var epochs = 4

    public init() {}

    public func run(_ loop: isolated LearningLoop) async throws {
        let problems = try loop.environment.problems(in: .train)
        let base = try await loop.start()
        var policy = base
        for n in 1...max(1, iterations) {
            let rollouts = try await loop.sample(problems, samples: samplesPerProblem, from: policy, iteration: n, phase: "attempt", sampling)
            let kept = rollouts.grouped().flatMap { cap($0.filter(\.isRight).deduplicated(), key: loop.key.folding("cap").folding(n)) }
            let examples = try loop.likelihoodExamples(kept)
            policy = try await loop.train(on: examples, from: base, iteration: n, epochs: epochs)
            try await loop.evaluate(policy, iteration: n)
        }
    }

    /// A random subset of a problem's right completions, in key order.
    private func cap(_ group: [Rollout], key: RandomKey) -> [Rollout] {
        guard group.count > cap, let first = group.first else { return group }
        return key.folding(first.key.index).permutation(group.count).prefix(cap).sorted().map { group[$0] }
    }
}

extension Array where Element == Rollout {
    /// The rollouts of each problem, in key order.
    public func grouped() -> [[Rollout]] {
        var groups: [[Rollout]] = []
        for rollout in self {
            if let last = groups.last?.first, last.key.index == rollout.key.index { groups[groups.count - 1].append(rollout) } else { groups.append([rollout]) }
        }
        return groups
    }

    /// Without repeats of the same completion.
    public func deduplicated() -> [Rollout] {
        var seen: Set<[Int32]> = []
        return filter { seen.insert($0.completionTokens).inserted }
    }
}
