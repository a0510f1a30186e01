import Sampling
import Tasks
import Training

/// Supervised fine-tuning on the answers that the data itself gives, under the prompts of the task: what self-training is compared with.
public struct GoldAnswers: Recipe {
    public static let name = "gold"
    public var epochs = 3
    /// Only answers that the task's verifier finds right.
    public var verified = false

    public init() {}

    public func run(_ loop: isolated LearningLoop) async throws {
        let base = try await loop.start()
        let examples = try await loop.goldExamples(verified: verified)
        let policy = try await loop.train(on: examples, NegativeLogLikelihood(), from: base, iteration: 1, epochs: epochs)
        try await loop.evaluate(policy, iteration: 1)
        try await loop.finish(base, policy, iteration: 1)
    }

    public func sampling(of phase: String) -> SamplingOptions { .greedy }

    public func workload(problems: Int) -> Workload { Workload(iterations: 1, problems: problems, samples: 1, cap: 1, training: .epochs(epochs)) }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws { try check((1...1_000_000).contains(epochs), "epochs", "1 to 1000000") }
}
