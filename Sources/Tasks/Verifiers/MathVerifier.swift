/// Reads a solution's boxed answer and compares it with the problem's, as text in normal form and then by what it means.
///
/// A cut completion is cut off whatever it says. Source: Hendrycks et al. 2021, arXiv:2103.03874 (MATH).
public struct MathVerifier: AnswerReader {
    public let name = "math"

    public init() {}

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { rollout in
            guard let expected = rollout.problem.answer else {
                return .failed(reason: "problem '\(rollout.problem.id)' has no answer to compare with")
            }
            if let cutOff = rollout.cutOff { return .judged(cutOff) }
            guard let answer = MathAnswer.extract(from: rollout.text) else {
                return .judged(Verdict(.unreadable, evidence: "no answer found (\\boxed{…} or $…$), expected \(expected)"))
            }
            let comparison = MathAnswer.compare(answer, expected)
            return .judged(
                Verdict(comparison.areEqual ? .right : .wrong, evidence: "read \(shortened(answer)), expected \(expected) (compared by \(comparison.method.rawValue))"))
        }
    }

    public func answer(in rollout: Rollout) -> String? { rollout.finishReason == .length ? nil : MathAnswer.extract(from: rollout.text).map(canonical) }

    /// The normal form as text, so that a majority vote can count answers; answers that are equal only by value have several.
    public func canonical(_ answer: String) -> String { MathAnswer.normalized(answer) }

    /// Whether two answers are the same as text, as words or by value.
    public func areEqual(_ a: String, _ b: String) -> Bool { MathAnswer.compare(a, b).areEqual }
}
