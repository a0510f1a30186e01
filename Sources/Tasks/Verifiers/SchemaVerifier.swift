import Foundation
import ModelFiles

/// Whether a completion is a JSON text that a JSON Schema allows: the task's schema, or else the problem's `details["schema"]`.
///
/// The JSON is the whole completion, or what stands in its only code fence, with or without the word `json`. See `JSONSchema` for what a schema may say.
public struct SchemaVerifier: Verifier {
    public let name = "schema"
    private let schema: JSONSchema?

    /// - Parameter schema: for all problems; `nil`: each problem has its own.
    public init(_ schema: JSONSchema? = nil) { self.schema = schema }

    public var settings: [String: String] { ["schema": schema?.text ?? "each problem's"] }

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { rollout in
            let schema: JSONSchema
            do {
                guard let own = try self.schema ?? rollout.problem.details["schema"].map({ try JSONSchema(parsing: $0) }) else {
                    return .failed(reason: "problem '\(rollout.problem.id)' has no schema in its details")
                }
                schema = own
            } catch {
                return .failed(reason: "problem '\(rollout.problem.id)': \(error)")
            }
            if let cutOff = rollout.cutOff { return .judged(cutOff) }
            guard let text = Self.json(in: rollout.text) else { return .judged(Verdict(.unreadable, evidence: "more than one code fence, or an open one")) }
            let value: JSON
            do {
                value = try JSON.parse(text, source: "completion")
            } catch {
                return .judged(Verdict(.unreadable, evidence: "no JSON: \((error as? JSONError)?.problem ?? "\(error)") in '\(shortened(text))'"))
            }
            switch schema.check(value) {
            case .valid: return .judged(Verdict(.right, evidence: "valid: \(shortened(value.text()))"))
            case .violated(let violation): return .judged(Verdict(.wrong, evidence: "\(violation)"))
            case .gaveUp(let reason): return .failed(reason: reason)
            }
        }
    }

    /// What a code fence holds, the whole text where there is none; `nil` for an open fence or several.
    private static func json(in text: String) -> String? {
        var inside: [Substring]?
        var fences = 0
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
            if line.drop(while: \.isWhitespace).hasPrefix("```") {
                fences += 1
                if fences == 1 { inside = [] }
            } else if fences == 1 {
                inside?.append(line)
            }
        }
        return switch fences {
        case 0: text
        case 2: inside?.joined(separator: "\n")
        default: nil
        }
    }
}
