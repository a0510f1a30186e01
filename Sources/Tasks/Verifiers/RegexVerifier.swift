import Foundation

/// Whether a completion, without the white space around it, matches a regular expression (ICU's): the task's, or else the problem's answer.
public struct RegexVerifier: Verifier {
    public enum Extent: String, Codable, Sendable, CaseIterable {
        /// The whole completion.
        case whole
        /// Some part of it.
        case search
    }

    public let name = "regex"
    public let extent: Extent
    private let pattern: BoundedPattern?

    /// Each problem's answer is its pattern.
    public init(extent: Extent = .whole) {
        self.extent = extent
        pattern = nil
    }

    /// One pattern for all problems.
    /// - Throws: `TaskError.badValue` for what is no regular expression.
    public init(_ pattern: String, extent: Extent = .whole) throws {
        guard let compiled = BoundedPattern(pattern, whole: extent == .whole) else {
            throw TaskError.badValue(file: "regex", line: nil, key: "pattern", value: pattern, reason: "It is no regular expression. Check its brackets and backslashes.")
        }
        self.extent = extent
        self.pattern = compiled
    }

    public var settings: [String: String] { ["extent": extent.rawValue, "pattern": pattern?.text ?? "each problem's"] }

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { rollout in
            guard let text = pattern?.text ?? rollout.problem.answer else {
                return .failed(reason: "problem '\(rollout.problem.id)' has no pattern as its answer")
            }
            guard let pattern = pattern ?? BoundedPattern(text, whole: extent == .whole) else {
                return .failed(reason: "problem '\(rollout.problem.id)': '\(shortened(text))' is no regular expression")
            }
            if let cutOff = rollout.cutOff { return .judged(cutOff) }
            let said = rollout.text.trimmingCharacters(in: .whitespacesAndNewlines)
            switch pattern.find(in: said) {
            case .found: return .judged(Verdict(.right, evidence: "'\(shortened(said))' matches /\(shortened(text))/"))
            case .notFound where said.isEmpty: return .judged(Verdict(.unreadable, evidence: "nothing to match with /\(shortened(text))/"))
            case .notFound: return .judged(Verdict(.wrong, evidence: "'\(shortened(said))' does not match /\(shortened(text))/"))
            case .gaveUp(let reason): return .failed(reason: reason)
            }
        }
    }
}
