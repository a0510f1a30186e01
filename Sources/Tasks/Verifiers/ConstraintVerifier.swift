/// Checks a completion against the constraint in the problem's details.
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
            let (isMet, evidence) = constraint.check(rollout.text)
            return .judged(Verdict(isMet ? .right : .wrong, evidence: evidence))
        }
    }
}
