import Sampling
import Tasks

/// One completion of a problem, or its options, with what came of it.
public struct EvaluatedSample: Codable, Sendable, Equatable {
    /// The problem's id.
    public var problem: String
    public var sample: Int
    /// As put to the model; in an episode of several turns the last one's.
    public var prompt: String
    /// The completion, or the option with the highest likelihood.
    public var text: String
    public var judgement: Judgement
    /// What it votes for; `nil` where nothing can be read, or the verifier reads no answers.
    public var answer: String?
    /// Of the completion, with its stop token; of all turns.
    public var tokens: Int
    /// Natural logarithm of the whole completion's probability at temperature 1; of the last turn's, or of the option.
    public var logProbability: Double
    /// Where the likelihood of options decides: all of them, and the place of the right one.
    public var choices: [ChoiceScore]?
    public var right: Int?

    public init(
        problem: String, sample: Int, prompt: String, text: String, judgement: Judgement, answer: String? = nil, tokens: Int, logProbability: Double,
        choices: [ChoiceScore]? = nil, right: Int? = nil
    ) {
        (self.problem, self.sample, self.prompt, self.text, self.judgement) = (problem, sample, prompt, text, judgement)
        (self.answer, self.tokens, self.logProbability, self.choices, self.right) = (answer, tokens, logProbability, choices, right)
    }

    /// `nil` where the verifier could not do its work.
    public var outcome: Verdict.Outcome? { if case .judged(let verdict) = judgement { verdict.outcome } else { nil } }
    public var isRight: Bool { outcome == .right }
    /// Whether it is right or not: what the verifier could not judge, or calls unknown, is neither.
    public var isDecided: Bool { outcome != nil && outcome != .unknown }
}

extension Array where Element == EvaluatedSample {
    /// Of each problem the share of its decided samples that are right.
    public func shares() -> [String: Double] {
        Dictionary(grouping: filter(\.isDecided), by: \.problem).mapValues { Double($0.count(where: \.isRight)) / Double($0.count) }
    }
}
