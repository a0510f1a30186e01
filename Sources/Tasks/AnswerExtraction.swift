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
                _ = try Self.compile(pattern)
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

        static func compile(_ pattern: String) throws -> NSRegularExpression {
            do {
                return try NSRegularExpression(pattern: pattern)
            } catch {
                throw TaskError.badValue(file: "extraction", line: nil, key: "rule", value: pattern, reason: "It is no regular expression. Check its brackets and backslashes.")
            }
        }
    }

    public var rules: [Rule]

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
    /// - Throws: `TaskError.badValue` for a broken regular expression.
    public func extract(from text: String) throws -> (answer: String, rule: Rule)? {
        try Extractor(self).extract(from: text)
    }

    /// Rules with their regular expressions compiled, for many texts.
    struct Extractor {
        private var rules: [(rule: Rule, expression: NSRegularExpression?)] = []

        init(_ extraction: AnswerExtraction) throws {
            for rule in extraction.rules {
                let pattern: String? =
                    switch rule {
                    case .strict: #"#### (\-?[0-9\.\,]+)"#
                    case .flexible: #"(-?[$0-9.,]{2,})|(-?[0-9]+)"#
                    case .lastNumber: #"(?:(?<![\w)])-)?\$?[0-9](?:[0-9,]*[0-9])?(?:\.[0-9]+)?"#
                    case .pattern(let pattern): pattern
                    case .lastLine, .whole: nil
                    }
                rules.append((rule, try pattern.map(Rule.compile)))
            }
        }

        func extract(from text: String) -> (answer: String, rule: Rule)? {
            for (rule, expression) in rules {
                let found: String? =
                    switch rule {
                    case .strict, .pattern: matches(expression!, in: text, group: 1).first
                    case .flexible, .lastNumber: matches(expression!, in: text, group: 0).last { $0.contains(where: \.isASCIIDigit) }
                    case .lastLine: text.split(whereSeparator: \.isNewline).last { !$0.allSatisfy(\.isWhitespace) }.map(String.init)
                    case .whole: text
                    }
                if let answer = found?.trimmingCharacters(in: .whitespacesAndNewlines), !answer.isEmpty { return (answer, rule) }
            }
            return nil
        }

        private func matches(_ expression: NSRegularExpression, in text: String, group: Int) -> [String] {
            expression.matches(in: text, range: NSRange(text.startIndex..., in: text)).compactMap { match in
                var range = match.range(at: min(group, match.numberOfRanges - 1))
                if range.location == NSNotFound { range = match.range }
                return Range(range, in: text).map { String(text[$0]) }
            }
        }
    }
}
