/// Checks a completion against the constraint in the problem's details.
///
/// An answer that repeats the demand, or tells of what a hint told of, answers nothing: it is wrong whatever its form.
public struct ConstraintVerifier: Verifier {
    public let name = "constraint"

    public init() {}

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { rollout in
            guard let encoded = rollout.problem.details["constraint"], let constraint = try? Constraint(encoded: encoded) else {
                return .failed(reason: "problem '\(rollout.problem.id)' has no readable constraint in its details")
            }
            if rollout.finishReason == .length {
                return .judged(Verdict(.cutOff, evidence: "cut off after \(rollout.completionTokens.count) tokens"))
            }
            if let copied = Self.copied(rollout) { return .judged(Verdict(.wrong, evidence: copied)) }
            let (isMet, evidence) = constraint.check(rollout.text)
            return .judged(Verdict(isMet ? .right : .wrong, evidence: evidence))
        }
    }

    /// Words in a row that make a copy.
    private static let run = 4

    private static func copied(_ rollout: Rollout) -> String? {
        let text = rollout.text.lowercased()
        let demand = (rollout.problem.details["instruction"] ?? "").lowercased()
        let words = demand.prefix { $0 != "\"" }.split(separator: " ")
        for start in 0..<max(0, words.count - run + 1) {
            let part = words[start..<start + run].joined(separator: " ")
            if text.contains(part) { return "repeats the demand: '\(part)'" }
        }
        if rollout.mode == .hinted, text.contains("apple"), !rollout.problem.question.lowercased().contains("apple") { return "tells of the hint's apples" }
        return nil
    }
}
