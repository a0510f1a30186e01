import Architectures
import Foundation
import Recipes
import Tasks
import Tensors
import Training

/// A loop over two-digit sums with a decoder so small that it trains in a second.
func makeLoop(
    _ folder: String, journal: some Journal & Sendable, prompts: [any Tasks.Environment] = [], verifier: (any Verifier)? = nil, warmUpSteps: Int = 150, precision: Precision = .float32, adapter: AdapterChoices? = nil, saveEvery: Int = 1000,
    optimizer: OptimizerOptions = OptimizerOptions(learningRate: 4e-3), tokenBudget: Int = 0, report: @escaping @Sendable (LoopEvent) -> Void = { _ in }, intermediateSize: Int = 64, isCancelled: @escaping @Sendable () -> Bool = { false }, plugins: @escaping @Sendable () -> [any StepPlugin] = { [] }
) throws -> LearningLoop {
    let addition = try Addition(digits: 1...2, seed: 1, trainCount: 40, devPerLength: 5, testPerLength: 10)
    let options = LoopOptions(
        seed: 3, trainer: TrainerOptions(optimizer: optimizer), batchSize: 8, maxSequences: 16, rolloutPrecision: precision, saveEvery: saveEvery, warmUpSteps: warmUpSteps,
        tokenBudget: tokenBudget, adapter: adapter)
    var shape = FreshDecoder()
    (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, intermediateSize, 2, 2, 128)
    let fixed = shape
    return try LearningLoop(
        executor: EngineExecutor(), environments: prompts.isEmpty ? [addition] : prompts, verifier: verifier, options: options, workedExamples: try addition.warmUp(count: 40, longest: 20), folder: folder,
        makeModel: { try Model.forAddition(fixed, key: RandomKey(seed: 3), on: try CPUBackend(threads: 2)) }, makeJournal: { journal }, report: report, isCancelled: isCancelled,
        makePlugins: plugins)
}

func withFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("recipes-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: "\(path)/checkpoints", withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

/// A whole completion that was judged, of which nothing is known but its tokens.
func judgedRollout(_ index: Int, _ sample: Int, prompt: [Int32] = [0], tokens: [Int32], _ outcome: Verdict.Outcome, reward: Double? = nil) -> Rollout {
    Rollout(
        key: RolloutKey(iteration: 1, phase: "attempt", index: index, sample: sample), problem: Problem(id: "\(index)", question: ""), mode: .plain, promptTokens: prompt,
        completionTokens: tokens, finishReason: .stop, text: "", logProbabilities: [], behaviorLogProbabilities: [], temperatures: [], weightsHash: "",
        judgement: .judged(Verdict(outcome, reward: reward, evidence: "")))
}

extension Example {
    /// The example of a rollout as it was sampled.
    init(_ rollout: Rollout) { self.init(promptTokens: rollout.promptTokens, completionTokens: rollout.completionTokens, rollouts: [rollout.key]) }
}
