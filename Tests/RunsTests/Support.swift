import Foundation
import ModelFiles
import Recipes
import Runs
import Tasks
import Testing
import Training

/// Runs `body` with the path of a folder that does not exist yet and whatever was made there is removed afterwards.
func withTemporaryPath<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("runs-tests-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body("\(folder)/run")
}

let recipe = """
    task: addition
    taskSettings:
      digits: 1-3
      max-tokens: 32
      train-count: 40
    recipe:
      star:
        iterations: 2
    options:
      testLimit: 100
      learningRate: 0.001
    """

/// Runs `body` with the record of a fresh run, which is closed afterwards.
func withRecord<Result>(_ body: (RunRecord) throws -> Result) throws -> Result {
    try withTemporaryPath { path in
        let record = try RunRecord(writing: RunFolder(creating: path, recipe: recipe))
        let result = try body(record)
        try record.close()
        return result
    }
}

/// The error of an expression, which must be a `FileError`, in words.
func runError(_ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) -> String {
    do {
        try body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    } catch let error as FileError {
        return error.description
    } catch {
        Issue.record("another error: \(error)", sourceLocation: sourceLocation)
    }
    return ""
}

func problem(_ index: Int) -> Problem {
    Problem(id: "sum-\(index)", question: "Q: \(index) + 1 = ?", answer: "\(index + 1)", category: index.isMultiple(of: 2) ? "1" : "2", details: ["a": "\(index)", "b/c": "\"1\""])
}

func rollout(
    _ index: Int, iteration: Int = 0, phase: String = "attempt", sample: Int = 0, mode: PromptMode = .plain, text: String = "A: 2", judgement: Judgement? = nil
) -> Rollout {
    Rollout(
        key: RolloutKey(iteration: iteration, phase: phase, index: index, sample: sample), problem: problem(index), mode: mode, promptTokens: [1, -2, .max],
        completionTokens: [7, .min, 9], finishReason: index == 3 ? .length : .stop, text: text, logProbabilities: [-0.1, -.infinity, -1e-30],
        behaviorLogProbabilities: [-0.2, 0, -.leastNonzeroMagnitude], temperatures: [0.7, 0.7, 0], weightsHash: "aa", judgement: judgement)
}

func judged(_ outcome: Verdict.Outcome, reward: Double? = nil) -> Judgement { .judged(Verdict(outcome, reward: reward, evidence: "compared 2 with 3")) }

/// `StepResult` is made by the trainer alone; elsewhere it is read.
func step(_ step: Int, iteration: Int = 1, phase: String = "improve", loss: Double = 0.1 + 0.2, seconds: Double = 0.25) throws -> StepRecord {
    let json = """
        {"step": \(step), "loss": \(loss), "terms": {"policy": 1e-300, "kl": -0.1}, "gradientNorm": 3.3333333333333335, "learningRate": 1e-05,
         "entropy": 2.1, "trainedTokens": 12, "computedTokens": 100}
        """
    return StepRecord(
        training: TrainingKey(iteration: iteration, phase: phase), result: try JSONDecoder().decode(StepResult.self, from: Data(json.utf8)), seconds: seconds)
}

func checkpoint(_ number: Int, step: Int = 20, hash: String, parents: [String]) -> CheckpointRecord {
    let training = TrainingKey(iteration: number, phase: "improve")
    return CheckpointRecord(training: training, step: step, isFinal: true, path: training.checkpointPath, weightsHash: hash, parents: parents)
}

/// What a short run leaves, in pieces that may be recorded in any order.
func pieces(seconds: Double = 0.5) throws -> [(RunRecord) throws -> Void] {
    let training = TrainingKey(iteration: 1, phase: "improve")
    let examples = [Example(promptTokens: [1], completionTokens: [2, 3], trained: [true, false], weight: 0.5, rollouts: [RolloutKey(iteration: 1, phase: "attempt", index: 0)])]
    let steps = try (1...3).map { try step($0, loss: 1 / Double($0), seconds: seconds * Double($0)) }
    return [
        { try $0.record([rollout(0, judgement: judged(.right)), rollout(1, judgement: judged(.wrong))]) },
        { try $0.record([rollout(0, iteration: 1, judgement: judged(.right)), rollout(1, iteration: 1, judgement: judged(.right))]) },
        { try $0.record(examples, for: training) },
        { record in for step in steps { try record.record(step) } },
        { try $0.record([MetricRecord(iteration: 0, phase: "test", name: "accuracy", value: 0.5, count: 100)]) },
        { try $0.record([MetricRecord(iteration: 1, phase: "test", name: "accuracy", category: "2", value: 0.75, count: 40)]) },
        { try $0.record(checkpoint(1, hash: "bb", parents: ["aa"])) },
        { try $0.complete(iteration: 1, phase: "attempt") },
        { try $0.recordModel(hash: "aa", name: "SmolLM2-135M") },
        { try $0.recordData(hash: "dd", name: "addition", order: "by key, seed 7") },
    ]
}
