import Foundation

/// Extracts an answer from a completion and compares it with the problem's.
public struct AnswerVerifier: AnswerReader {
    public enum Comparison: String, Codable, Sendable, CaseIterable {
        /// As decimal numbers where both are (18 = 18.0 = $18), else as cleaned text.
        case number
        /// As text, whatever its case, surrounding white space and trailing full stop.
        case text
        /// As text, character for character after trimming white space.
        case exact
    }

    public let name = "answer"
    public let extraction: AnswerExtraction
    public let comparison: Comparison

    public init(extraction: AnswerExtraction = AnswerExtraction([.strict, .flexible]), comparison: Comparison = .number) {
        self.extraction = extraction
        self.comparison = comparison
    }

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        let extractor: AnswerExtraction.Extractor
        do {
            extractor = try AnswerExtraction.Extractor(extraction)
        } catch {
            return rollouts.map { _ in .failed(reason: "\(error)") }
        }
        return rollouts.map { rollout in
            guard let expected = rollout.problem.answer else {
                return .failed(reason: "problem '\(rollout.problem.id)' has no answer to compare with")
            }
            if let cutOff = rollout.cutOff { return .judged(cutOff) }
            let found: (answer: String, rule: AnswerExtraction.Rule)?
            do { found = try extractor.extract(from: rollout.text) } catch { return .failed(reason: "\(error)") }
            guard let (answer, rule) = found else {
                let rules = extraction.rules.map(\.name).joined(separator: ", ")
                return .judged(Verdict(.unreadable, evidence: "no answer found (\(rules)), expected \(expected)"))
            }
            let isRight = canonical(answer) == canonical(expected)
            return .judged(Verdict(isRight ? .right : .wrong, evidence: "read \(shortened(answer)) (\(rule.name)), expected \(expected)"))
        }
    }

    public var settings: [String: String] { ["extraction": extraction.rules.map(\.name).joined(separator: ", "), "comparison": comparison.rawValue] }

    public func answer(in rollout: Rollout) -> String? {
        rollout.finishReason == .length ? nil : (try? extraction.extract(from: rollout.text)).flatMap { $0 }.map { canonical($0.answer) }
    }

    /// What is compared: equal answers have equal canonical forms, so a majority vote can count them.
    public func canonical(_ answer: String) -> String {
        switch comparison {
        case .number: return CanonicalAnswer.canonical(answer)
        case .text:
            var text = answer.trimmingCharacters(in: .whitespacesAndNewlines).lowercased()
            while text.hasSuffix(".") { text.removeLast() }
            return text.trimmingCharacters(in: .whitespacesAndNewlines)
        case .exact: return answer.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }
}
