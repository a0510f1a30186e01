import Foundation
import ModelFiles

/// A demand on an answer's form that a program can check.
///
/// Checks ignore case where a word or phrase is given. Every answer that is not JSON needs three different words besides
/// the words and phrases asked for, so that no demand is met by saying nothing.
public enum Constraint: Codable, Sendable, Equatable {
    /// Words are what white space separates.
    case atMostWords(count: Int)
    /// No upper-case letter, and at least one letter.
    case lowercase
    /// As a whole word.
    case contains(word: String)
    /// Before trailing white space and quotation marks.
    case endsWith(phrase: String)
    /// One JSON object with exactly these keys, each with a value that says something; a code fence around it is allowed.
    case json(keys: [String])
    /// Lines that start with "- ", "* " or "• " and go on; other lines are allowed.
    case bullets(count: Int)
    case noCommas
    /// After leading white space and quotation marks.
    case startsWith(phrase: String)
    /// All of them at once.
    case all([Constraint])

    /// What reports group by.
    public enum Kind: String, Codable, Sendable, CaseIterable {
        case atMostWords = "at-most-words"
        case lowercase, contains
        case endsWith = "ends-with"
        case json, bullets
        case noCommas = "no-commas"
        case startsWith = "starts-with"
        case combination

        /// Whether it names words, which can be seen in training or not.
        package var hasWords: Bool { [.contains, .endsWith, .json, .startsWith].contains(self) }
    }

    public var kind: Kind {
        switch self {
        case .atMostWords: .atMostWords
        case .lowercase: .lowercase
        case .contains: .contains
        case .endsWith: .endsWith
        case .json: .json
        case .bullets: .bullets
        case .noCommas: .noCommas
        case .startsWith: .startsWith
        case .all: .combination
        }
    }

    /// The demands one by one.
    public var parts: [Constraint] {
        if case .all(let constraints) = self { constraints.flatMap(\.parts) } else { [self] }
    }

    // MARK: - Asking

    /// How many ways there are to ask for each demand.
    public static let phrasings = 3

    /// The demand in words.
    /// - Parameter phrasing: any number; it counts around the phrasings.
    public func instruction(phrasing: Int) -> String {
        func choose(_ first: String, _ second: String, _ third: String) -> String {
            [first, second, third][((phrasing % Self.phrasings) + Self.phrasings) % Self.phrasings]
        }
        switch self {
        case .atMostWords(let count):
            return choose("Use at most \(count) words.", "Your answer must not be longer than \(count) words.", "Keep the answer to \(count) words or fewer.")
        case .lowercase:
            return choose(
                "Write everything in lowercase letters.", "Your whole answer must be in lowercase, without any capital letter.",
                "Do not use capital letters anywhere in the answer.")
        case .contains(let word):
            return choose("Use the word \"\(word)\" in your answer.", "The answer must contain the word \"\(word)\".", "Make sure that the word \"\(word)\" appears.")
        case .endsWith(let phrase):
            return choose(
                "End your answer with exactly this phrase: \"\(phrase)\"", "The last words of the answer must be \"\(phrase)\" with nothing after them.",
                "Finish with the phrase \"\(phrase)\" and write nothing behind it.")
        case .json(let keys):
            let list = keys.map { "\"\($0)\"" }.joined(separator: ", ")
            return choose(
                "Answer with a single valid JSON object that has exactly the keys \(list).",
                "Give your whole answer as one JSON object. Its keys must be \(list), and no others.",
                "Format the answer as valid JSON: one object with the keys \(list) and nothing around it.")
        case .bullets(let count):
            return choose(
                "Give exactly \(count) bullet points, each on its own line starting with \"- \".",
                "Your answer must have exactly \(count) bullets. Begin each with \"- \" on a new line.",
                "Write the answer as \(count) bullet points (lines that start with \"- \"), no more and no fewer.")
        case .noCommas:
            return choose("Do not use any commas.", "Your answer must not contain a comma.", "Write the answer without commas.")
        case .startsWith(let phrase):
            return choose(
                "Start your answer with exactly this phrase: \"\(phrase)\"", "The first words of the answer must be \"\(phrase)\" with nothing before them.",
                "Begin with the phrase \"\(phrase)\".")
        case .all(let constraints):
            return constraints.map { $0.instruction(phrasing: phrasing) }.joined(separator: " ")
        }
    }

    // MARK: - Showing

    /// What a demonstration answers; its answers are about nothing else.
    static let demonstratedQuestion = "Why do people like apples?"

    /// What a demonstration says: so short that every demand on length is met, and about apples, so that copies are known.
    static let demonstratedSentences = [
        "Apples taste sweet.", "Apples travel easily.", "Apples keep well.", "Children love apples.", "Apples grow widely.", "Apples cost little.", "Cheese suits apples.",
        "Apples bake nicely.",
    ]

    /// An answer to `demonstratedQuestion` that meets the demand, as a hint.
    public var demonstration: String {
        let sentences = Self.demonstratedSentences
        var (keys, bullets) = ([String](), 0)
        var (opening, ending, middle) = ("", "", "")
        for part in parts {
            switch part {
            case .json(let wanted): keys = wanted
            case .bullets(let count): bullets = count
            case .startsWith(let phrase): opening = phrase
            case .endsWith(let phrase): ending = phrase
            case .contains(let word): middle = "Apples remind me of \(word)."
            case .atMostWords, .lowercase, .noCommas, .all: break
            }
        }
        let said = (middle.isEmpty ? [] : [middle]) + sentences
        let body =
            if !keys.isEmpty {
                "{" + keys.enumerated().map { "\"\($1)\": \"\(said[$0 % said.count])\"" }.joined(separator: ", ") + "}"
            } else if bullets > 0 {
                (0..<bullets).map { "- \(said[$0 % said.count])" }.joined(separator: "\n")
            } else {
                ([sentences[0], sentences[1]] + (middle.isEmpty ? [] : [middle])).joined(separator: " ")
            }
        let text = [opening, body, ending].filter { !$0.isEmpty }.joined(separator: bullets > 0 ? "\n" : " ")
        return parts.contains(.lowercase) ? text.lowercased() : text
    }

    // MARK: - Checking

    /// Whether a text meets every demand and says something besides.
    /// - Returns: the finding, and what was found: of all demands when met, of those not met otherwise.
    public func check(_ text: String) -> (isMet: Bool, evidence: String) {
        let text = text.trimmingCharacters(in: .whitespacesAndNewlines)
        if text.isEmpty { return (false, "the answer is empty") }
        let findings = parts.map { $0.checkForm(text) }
        let failures = findings.filter { !$0.isMet }
        if !failures.isEmpty { return (false, failures.map(\.evidence).joined(separator: "; ")) }
        if !parts.contains(where: { $0.kind == .json }) {
            let count = contentWords(text).count
            if count < 3 { return (false, "only \(count) different words besides what was asked for, at least 3 needed") }
        }
        return (true, findings.map(\.evidence).joined(separator: "; "))
    }

    private func checkForm(_ text: String) -> (isMet: Bool, evidence: String) {
        switch self {
        case .atMostWords(let count):
            let found = text.split(whereSeparator: \.isWhitespace).count
            return (found <= count, "\(found) words, at most \(count) asked")
        case .lowercase:
            if let word = text.split(whereSeparator: \.isWhitespace).first(where: { String($0) != $0.lowercased() }) {
                return (false, "'\(shortened(word))' is not lowercase")
            }
            let hasLetter = text.contains(where: \.isLetter)
            return (hasLetter, hasLetter ? "all lowercase" : "no letter in the answer")
        case .contains(let word):
            let isThere = Self.containsWord(word, in: text)
            return (isThere, isThere ? "contains '\(word)'" : "does not contain '\(word)'")
        case .endsWith(let phrase):
            let isThere = Self.unquoted(text).lowercased().hasSuffix(phrase.lowercased())
            return (isThere, isThere ? "ends with '\(phrase)'" : "ends with '\(Self.tail(text))' instead of '\(phrase)'")
        case .startsWith(let phrase):
            let isThere = Self.unquoted(text).lowercased().hasPrefix(phrase.lowercased())
            return (isThere, isThere ? "starts with '\(phrase)'" : "starts with '\(shortened(text.prefix(40)))' instead of '\(phrase)'")
        case .json(let keys):
            return Self.checkJSON(text, keys: keys)
        case .bullets(let count):
            let bullets = Self.bullets(in: text)
            if bullets.contains(where: { Splitting.words(of: $0).isEmpty }) { return (false, "a bullet without words") }
            return (bullets.count == count, "\(bullets.count) bullets, exactly \(count) asked")
        case .noCommas:
            let found = text.count { $0 == "," || $0 == "，" || $0 == "、" }
            return (found == 0, found == 0 ? "no commas" : "\(found) commas, none allowed")
        case .all(let constraints):
            let findings = constraints.map { $0.checkForm(text) }
            return (findings.allSatisfy(\.isMet), findings.map(\.evidence).joined(separator: "; "))
        }
    }

    /// The different words of a text, without the words and phrases that were asked for.
    private func contentWords(_ text: String) -> Set<String> {
        var rest = Self.unquoted(text).lowercased()
        for part in parts {
            switch part {
            case .startsWith(let phrase) where rest.hasPrefix(phrase.lowercased()): rest.removeFirst(phrase.lowercased().count)
            case .endsWith(let phrase) where rest.hasSuffix(phrase.lowercased()): rest.removeLast(phrase.lowercased().count)
            default: break
            }
        }
        var words = Set(Splitting.words(of: rest))
        for case .contains(let word) in parts { words.remove(word.lowercased()) }
        return words
    }

    private static func containsWord(_ word: String, in text: String) -> Bool {
        let wanted = word.lowercased()
        return Splitting.words(of: text.lowercased()).contains { found in
            found == wanted || found.trimmingCharacters(in: CharacterSet(charactersIn: "'’")) == wanted
                || found == wanted + "'s" || found == wanted + "’s"
        }
    }

    private static func unquoted(_ text: String) -> String {
        text.trimmingCharacters(in: CharacterSet(charactersIn: "\"'“”‘’").union(.whitespacesAndNewlines))
    }

    private static func tail(_ text: String) -> String {
        text.count <= 40 ? shortened(text) : "…" + shortened(text.suffix(40))
    }

    /// What stands behind each bullet.
    private static func bullets(in text: String) -> [String] {
        text.split(whereSeparator: \.isNewline).compactMap { line in
            let line = line.trimmingCharacters(in: .whitespaces)
            if ["-", "*", "•"].contains(line) { return "" }
            for mark in ["- ", "* ", "• "] where line.hasPrefix(mark) { return String(line.dropFirst(mark.count)) }
            return nil
        }
    }

    private static func checkJSON(_ text: String, keys: [String]) -> (isMet: Bool, evidence: String) {
        let body = withoutFence(text)
        guard let value = try? JSON.parse([UInt8](body.utf8), source: "answer") else {
            return (false, "'\(shortened(body.prefix(40)))' is not valid JSON")
        }
        guard let object = value.object else { return (false, "JSON, but not an object") }
        let found = Array(object.keys)
        if let missing = keys.first(where: { !found.contains($0) }) { return (false, "the JSON object has no key '\(missing)'") }
        if let extra = found.first(where: { !keys.contains($0) }) { return (false, "the JSON object has the key '\(extra)', which was not asked for") }
        if let empty = keys.first(where: { key in object[key].map { !hasContent($0) } ?? true }) { return (false, "the value of '\(empty)' says nothing") }
        return (true, "a JSON object with the keys \(keys.joined(separator: ", "))")
    }

    private static func withoutFence(_ text: String) -> String {
        guard text.hasPrefix("```"), text.hasSuffix("```"), text.count >= 6, let end = text.firstIndex(where: \.isNewline) else { return text }
        let inside = text[text.index(after: end)...]
        return inside.hasSuffix("```") ? String(inside.dropLast(3)).trimmingCharacters(in: .whitespacesAndNewlines) : text
    }

    private static func hasContent(_ value: JSON) -> Bool {
        switch value {
        case .null: return false
        case .string(let text): return !Splitting.words(of: text).isEmpty
        case .array(let items): return items.contains(where: hasContent)
        case .object(let object): return Array(object.keys).contains { key in object[key].map(hasContent) ?? false }
        default: return true
        }
    }

    // MARK: - As text

    /// How a problem's details hold it: JSON with sorted keys.
    package func encoded() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    package init(encoded text: String) throws {
        self = try JSONDecoder().decode(Constraint.self, from: Data(text.utf8))
    }
}
