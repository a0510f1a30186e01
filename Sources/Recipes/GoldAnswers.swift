import Architectures
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

    public func workload(problems: Int) -> Workload { Workload(iterations: 1, problems: problems, samples: 0, cap: 1, training: .ownAnswers(epochs: epochs, verified: verified)) }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws { try check((1...1_000_000).contains(epochs), "epochs", "1 to 1000000") }
}

extension Environment {
    /// What the data itself answers, in the form of rollouts; problems without an answer are left out.
    /// - Throws: `RecipeFileError` where no problem has one.
    func ownAnswers(to problems: [Problem], _ model: Model) throws -> [Rollout] {
        let given = try problems.compactMap { problem in try goldCompletion(problem).map { (problem, $0) } }
        guard !given.isEmpty else { throw RecipeFileError(file: name, problem: "gives no answers of its own to train on. Use another recipe, or data with answers.") }
        return try given.enumerated().map { index, pair in
            let (problem, text) = pair, tokens = try model.encode(text, addSpecialTokens: false) + model.endTokens, none = tokens.map { _ in Float(0) }
            return Rollout(
                key: RolloutKey(iteration: 1, phase: "gold", index: index), problem: problem, mode: .plain, promptTokens: try model.encode(reset(problem, mode: .plain)),
                completionTokens: tokens, finishReason: .stop, text: text, logProbabilities: none, behaviorLogProbabilities: none, temperatures: none, weightsHash: "")
        }
    }
}
