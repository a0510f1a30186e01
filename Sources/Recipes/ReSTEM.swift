import Sampling
import Tasks
import Training

/// Iterated fine-tuning on the model's own verified samples: k per problem, right ones deduplicated and capped, from the base.
/// Source: Singh et al. 2024, arXiv:2312.06585, algorithm 1.
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
            let examples = try loop.examples(from: rollouts, RightCompletions(cap: cap), iteration: n)
            policy = try await loop.train(on: examples, NegativeLogLikelihood(), from: base, iteration: n, epochs: epochs)
            try await loop.evaluate(policy, iteration: n)
        }
    }
}
