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
            if let cutOff = rollout.cutOff { return .judged(cutOff) }
            if let copied = Self.copied(rollout) { return .judged(Verdict(.wrong, evidence: copied)) }
            let (isMet, evidence) = constraint.check(rollout.text)
            return .judged(Verdict(isMet ? .right : .wrong, evidence: evidence))
        }
    }

    /// Words in a row that make a copy.
    private static let run = 5

    private static func copied(_ rollout: Rollout) -> String? {
        let said = Splitting.words(of: rollout.text.lowercased())
        let demand = (rollout.problem.details["instruction"] ?? "").lowercased()
        // Pieces between quotation marks are asked for; a run of nothing else is no copy.
        let words = demand.split(separator: "\"", omittingEmptySubsequences: false).enumerated().flatMap { index, piece in
            Splitting.words(of: String(piece)).map { (text: $0, isAskedFor: index % 2 == 1) }
        }
        for start in 0..<max(0, words.count - run + 1) {
            let part = words[start..<start + run]
            if part.count(where: { !$0.isAskedFor }) >= 3, said.firstRange(of: part.map(\.text)) != nil {
                return "repeats the demand: '\(part.map(\.text).joined(separator: " "))'"
            }
        }
        if Splitting.words(of: rollout.problem.question.lowercased()).contains(where: { $0.hasPrefix("apple") }) { return nil }
        if rollout.mode == .hinted, said.contains(where: { $0.hasPrefix("apple") }) { return "tells of the hint's apples" }
        if let sentence = Constraint.demonstratedSentences.first(where: { said.firstRange(of: Splitting.words(of: $0.lowercased())) != nil }) {
            return "repeats the hint: '\(sentence)'"
        }
        return nil
    }
}
