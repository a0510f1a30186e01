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

extension EvaluationPlan {
    /// Finds what would end a measurement half-way.
    /// - Throws: `TaskError` for a problem without options where those are compared, and what a verifier lacks.
    public func check() async throws {
        if method == .likelihood { for problem in problems { _ = try options(of: problem) } } else { try await environment.verifier.checkReady() }
    }

    func options(of problem: Problem) throws -> AnswerOptions {
        guard let options = environment.options(of: problem, as: form) else {
            throw TaskError.badProblem(
                id: problem.id, reason: "it has no options with the right one among them, so task '\(environment.name)' cannot be measured by likelihood. Use --method generate.")
        }
        return options
    }
}
