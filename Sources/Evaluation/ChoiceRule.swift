/// What a model says of one option.
public struct ChoiceScore: Codable, Sendable, Equatable {
    /// Without the space before it.
    public var text: String
    /// Natural logarithm of its probability after the question.
    public var logLikelihood: Double
    /// The same after "Answer:" alone.
    public var unconditional: Double
    /// How many tokens of the model it has after the question.
    public var tokens: Int

    public init(text: String, logLikelihood: Double, unconditional: Double, tokens: Int) {
        (self.text, self.logLikelihood, self.unconditional, self.tokens) = (text, logLikelihood, unconditional, tokens)
    }
}

/// By what the best of several options is found. Source of the first two and the last: EleutherAI's lm-evaluation-harness.
public enum ChoiceRule: String, Codable, Sendable, CaseIterable {
    /// The log-likelihood.
    case acc
    /// Per character (Unicode scalar) of the option.
    case accNorm = "acc_norm"
    /// Per UTF-8 byte of the option.
    case accNormBytes = "acc_norm_bytes"
    /// Per token.
    case accNormTokens = "acc_norm_tokens"
    /// Less what the option has without the question.
    case accMutualInfo = "acc_mutual_info"

    public func value(of score: ChoiceScore) -> Double {
        switch self {
        case .acc: score.logLikelihood
        case .accNorm: score.logLikelihood / Double(max(1, score.text.unicodeScalars.count))
        case .accNormBytes: score.logLikelihood / Double(max(1, score.text.utf8.count))
        case .accNormTokens: score.logLikelihood / Double(max(1, score.tokens))
        case .accMutualInfo: score.logLikelihood - score.unconditional
        }
    }

    /// The place of the best; of equals the first. `scores` holds at least one.
    public func choice(of scores: [ChoiceScore]) -> Int {
        scores.indices.dropFirst().reduce(0) { value(of: scores[$1]) > value(of: scores[$0]) ? $1 : $0 }
    }
}
