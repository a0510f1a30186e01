import Foundation
import ModelFiles

/// Where a completion's answer is: rules tried in order, the first that finds something counts.
///
/// Source: `strict-match` and `flexible-extract` of GSM8K in EleutherAI's lm-evaluation-harness.
public struct AnswerExtraction: Codable, Sendable, Equatable {
    public enum Rule: Codable, Sendable, Equatable {
        /// The number behind the first `#### `.
        case strict
        /// The last match of `(-?[$0-9.,]{2,})|(-?[0-9]+)` that holds a digit.
        case flexible
        /// The last decimal number; a minus sign counts only where no word or number stands before it.
        case lastNumber
        /// The last line that is not blank.
        case lastLine
        /// The whole text.
        case whole
        /// The first group (or all) of the first match of a regular expression.
        case pattern(String)

        /// As a task file writes it: a name, or a regular expression between slashes.
        public init(named name: String) throws {
            if name.count >= 2, name.hasPrefix("/"), name.hasSuffix("/") {
                let pattern = String(name.dropFirst().dropLast())
                _ = try Self.compiled(pattern)
                self = .pattern(pattern)
            } else if let rule = Self.named.first(where: { $0.name == name }) {
                self = rule
            } else {
                let known = Self.named.map(\.name)
                let nearest = nearestName(to: name, in: known).map { "did you mean '\($0)'? " } ?? ""
                throw TaskError.badValue(
                    file: "extraction", line: nil, key: "rule", value: name,
                    reason: "\(nearest)Known rules: \(known.joined(separator: ", ")), or a regular expression as '/answer is (.*)/'.")
            }
        }

        public var name: String {
            switch self {
            case .strict: "strict"
            case .flexible: "flexible"
            case .lastNumber: "last-number"
            case .lastLine: "last-line"
            case .whole: "whole"
            case .pattern(let pattern): "/\(pattern)/"
            }
        }

        private static let named: [Rule] = [.strict, .flexible, .lastNumber, .lastLine, .whole]

        static func compiled(_ pattern: String) throws -> BoundedPattern {
            guard let made = BoundedPattern(pattern) else {
                throw TaskError.badValue(file: "extraction", line: nil, key: "rule", value: pattern, reason: "It is no regular expression. Check its brackets and backslashes.")
            }
            return made
        }
    }

    public var rules: [Rule]

    /// Where answers of a kind are unless a task says otherwise: of numbers as GSM8K's, of texts in the last line.
    public static func usual(for comparison: AnswerVerifier.Comparison) -> AnswerExtraction {
        comparison == .number ? AnswerExtraction([.strict, .flexible]) : AnswerExtraction([.lastLine])
    }

    public init(_ rules: [Rule]) {
        precondition(!rules.isEmpty, "an extraction without rules")
        self.rules = rules
    }

    /// - Throws: `TaskError.badValue` for an unknown rule or a broken regular expression.
    public init(named names: [String]) throws {
        guard !names.isEmpty else {
            throw TaskError.badValue(file: "extraction", line: nil, key: "rules", value: "[]", reason: "Name at least one rule, such as 'flexible'.")
        }
        rules = try names.map { try Rule(named: $0) }
    }

    /// The answer as it stands in the text, and the rule that found it; `nil` where no rule did.
    /// - Throws: `TaskError.badValue` for a regular expression that is broken, or backtracks too long in this text.
    public func extract(from text: String) throws -> (answer: String, rule: Rule)? {
        try Extractor(self).extract(from: text)
    }

    /// Rules with their regular expressions compiled, for many texts.
    struct Extractor {
        private let rules: [(rule: Rule, find: (String) throws -> String?)]

        init(_ extraction: AnswerExtraction) throws {
            rules = try extraction.rules.map { ($0, try Self.finder($0)) }
        }

        private static func finder(_ rule: Rule) throws -> (String) throws -> String? {
            func expression(_ pattern: String) -> NSRegularExpression {
                guard let made = try? NSRegularExpression(pattern: pattern) else { preconditionFailure("'\(pattern)' is no regular expression") }
                return made
            }
            switch rule {
            case .strict:
                let expression = expression(#"#### (\-?[0-9\.\,]+)"#)
                return { text in expression.firstMatch(in: text, range: NSRange(text.startIndex..., in: text)).flatMap { group(1, of: $0, in: text) } }
            case .flexible: return last(expression(#"(-?[$0-9.,]{2,})|(-?[0-9]+)"#))
            case .lastNumber: return last(expression(#"(?:(?<![\w)])-)?\$?[0-9](?:[0-9,]*[0-9])?(?:\.[0-9]+)?"#))
            case .lastLine: return { $0.split(whereSeparator: \.isNewline).last { !$0.allSatisfy(\.isWhitespace) }.map(String.init) }
            case .whole: return { $0 }
            case .pattern(let pattern):
                let bounded = try Rule.compiled(pattern)
                return { text in try bounded.firstMatch(in: text).flatMap { group(1, of: $0, in: text) } }
            }
        }

        /// The last match that holds a digit.
        private static func last(_ expression: NSRegularExpression) -> (String) -> String? {
            { text in expression.matches(in: text, range: NSRange(text.startIndex..., in: text)).compactMap { group(0, of: $0, in: text) }.last { $0.contains(where: \.isASCIIDigit) } }
        }

        /// The whole match where there is no such group, or it took no part.
        private static func group(_ number: Int, of match: NSTextCheckingResult, in text: String) -> String? {
            var range = match.range(at: min(number, match.numberOfRanges - 1))
            if range.location == NSNotFound { range = match.range }
            // A match may begin between the two characters of a line's end.
            return range.location == NSNotFound ? nil : NSString(string: text).substring(with: range)
        }

        /// - Throws: `TaskError.badValue` for a regular expression that backtracks too long.
        func extract(from text: String) throws -> (answer: String, rule: Rule)? {
            for (rule, find) in rules {
                if let answer = try find(text)?.trimmingCharacters(in: .whitespacesAndNewlines), !answer.isEmpty { return (answer, rule) }
            }
            return nil
        }
    }
}
