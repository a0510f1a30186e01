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

    /// As it was written: the normal form is for comparing as text, and cannot always be read again ("2\pir").
    public func answer(in rollout: Rollout) -> String? { rollout.finishReason == .length ? nil : MathAnswer.extract(from: rollout.text) }

    /// Whether two answers are the same as text, as words or by value.
    public func areEqual(_ a: String, _ b: String) -> Bool { MathAnswer.compare(a, b).areEqual }
}
