import Sampling
import Tasks

/// What is measured, and how: everything that decides a score but the model.
public struct EvaluationPlan: Sendable {
    public enum Method: String, Codable, Sendable, CaseIterable {
        /// Sampled completions, judged by the task's own verifier.
        case generate
        /// The likelihood of each option.
        case likelihood
        /// The solutions that come with the problems, judged as completions: a test of the task, without a model.
        case reference
    }

    public let environment: any Tasks.Environment
    public let split: Split
    public let problems: [Problem]
    public var method = Method.generate
    /// Completions of each problem.
    public var samples = 1
    public var sampling = SamplingOptions.greedy
    /// How options are said where their likelihood decides.
    public var form = AnswerOptions.Form.letter
    /// Of the draws. No part of the recipe: another seed measures the same thing again.
    public var seed: UInt64 = 0

    /// - Parameters:
    ///   - environment: gives problems, prompts and the verifier.
    ///   - split: the part to measure on.
    ///   - limit: at most so many problems, evenly spread, since they come sorted by kind; `nil`: all.
    /// - Throws: what the environment throws, and `TaskError` for a part without problems.
    public init(_ environment: any Tasks.Environment, split: Split = .test, limit: Int? = nil) throws {
        (self.environment, self.split) = (environment, split)
        let all = try environment.problems(in: split), count = min(limit ?? all.count, all.count)
        guard count > 0 else { throw TaskError.emptySplit(task: environment.name, split: split, reason: "There is nothing to measure. Choose another part with --split.") }
        problems = (0..<count).map { all[$0 * all.count / count] }
    }
}
