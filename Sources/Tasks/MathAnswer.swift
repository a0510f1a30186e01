/// A final answer of competition mathematics: where it is in a solution, its normal form as text, and its comparison with another.
///
/// Sources: Hendrycks et al. 2021, arXiv:2103.03874 (MATH, `math_equivalence.py`) for extraction and normal form; the comparison by value is our own
/// second opinion.
public enum MathAnswer {
    /// Characters of an answer that is compared by value.
    public static let characterLimit = 2_000
    /// Steps that one comparison may take: tokens read, nodes evaluated, factors multiplied.
    public static let stepLimit = 100_000

    /// How two answers were found equal or not.
    public struct Comparison: Equatable, Sendable {
        public enum Method: String, Codable, Sendable {
            /// The normal forms are the same text.
            case text
            /// Both are words, the same but for case, spaces and punctuation.
            case words
            /// Both are expressions, compared by what they mean.
            case value
        }
        public var areEqual: Bool
        /// What decided; `text` where the answers differ as text and one is no expression.
        public var method: Method
        /// At most `stepLimit`.
        public var steps: Int
    }

    // MARK: Extraction

    /// The content of the last complete `\boxed{…}`, `\fbox{…}` or `\boxed x`, else what stands between the first and the last `$`; `nil` where there is neither.
    public static func extract(from text: String) -> String? {
        let answer = boxed(in: text) ?? betweenDollars(in: text)
        return answer.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// In one pass, for a text may open many boxes and close none.
    private static func boxed(in text: String) -> String? {
        let characters = Array(text.utf8)
        var open: [Int?] = []  // for each open brace, where its box's content begins
        var last: (start: Int, end: Int)?
        var place = 0
        while place < characters.count {
            switch characters[place] {
            case UInt8(ascii: "\\"):
                guard let command = ["\\boxed", "\\fbox"].first(where: { characters[place...].starts(with: $0.utf8) }) else {
                    place += 1  // an escaped brace is text
                    break
                }
                place += command.utf8.count
                let isSpaced = place < characters.count && characters[place] == UInt8(ascii: " ")
                while place < characters.count, characters[place] == UInt8(ascii: " ") { place += 1 }
                if place < characters.count, characters[place] == UInt8(ascii: "{") {
                    open.append(place + 1)
                } else {
                    let start = place
                    if isSpaced { last = (start, endOfUnbraced(characters, from: start)) }
                    place -= 1
                }
            case UInt8(ascii: "{"): open.append(nil)
            case UInt8(ascii: "}"):
                if let start = open.popLast() ?? nil, start > last?.start ?? -1 { last = (start, place) }
            default: break
            }
            place += 1
        }
        return last.map { String(decoding: characters[$0.start..<$0.end], as: UTF8.self).trimming { $0.isWhitespace } }
    }

    /// Up to the formula's end, or the word's where no formula ends on the line.
    private static func endOfUnbraced(_ characters: [UInt8], from start: Int) -> Int {
        let line = characters[start...].prefix(characterLimit).prefix { $0 != UInt8(ascii: "\n") }
        let end = line.firstIndex(of: UInt8(ascii: "$")) ?? line.firstIndex(of: UInt8(ascii: " ")) ?? line.endIndex
        return line[..<end].last == UInt8(ascii: ".") ? end - 1 : end
    }

    private static func betweenDollars(in text: String) -> String? {
        let characters = Array(text.utf8)
        let signs = characters.indices.filter { characters[$0] == UInt8(ascii: "$") && ($0 == 0 || characters[$0 - 1] != UInt8(ascii: "\\")) }
        guard let first = signs.first, let last = signs.last, first < last else { return nil }
        return String(decoding: characters[(first + 1)..<last], as: UTF8.self).trimming { $0 == "$" || $0.isWhitespace }
    }

    // MARK: Normal form

    /// The answer as MATH's own comparison writes it, so that different spellings of one answer are often the same text.
    ///
    /// Beyond MATH's rules, outer dollar signs and a full stop at the end go, a unit is dropped only at the right end, and the space of "3 1/2" counts.
    /// A text beyond `characterLimit` stays as it is.
    public static func normalized(_ answer: String) -> String {
        var text = answer.trimming { $0.isWhitespace || $0 == "$" }
        guard text.utf8.count <= characterLimit else { return text }
        // The standard library's replacing: Foundation's traps on some texts with combining characters.
        func replace(_ pairs: KeyValuePairs<String, String>) {
            for (old, new) in pairs where text.contains(old) { text = text.replacing(old, with: new) }
        }
        replace(["\n": "", "\\!": "", "\\\\": "\\", "tfrac": "frac", "dfrac": "frac", "\\left": "", "\\right": "", "^{\\circ}": "", "^\\circ": "", "\\$": ""])
        text = withoutUnits(text)
        replace(["\\%": "", "%": "", " .": " 0.", "{.": "{0."])
        while text.hasSuffix(".") { text.removeLast() }
        if text.hasPrefix(".") { text = "0" + text }
        let sides = text.split(separator: "=", omittingEmptySubsequences: false)
        if sides.count == 2, sides[0].trimming({ $0.isWhitespace }).count == 1, !sides[1].isEmpty { text = String(sides[1]) }
        if text.contains("/") { text = text.replacing(/(\d) +(\d+\/\d)/) { "\($0.1)+\($0.2)" } }
        if text.contains("\\sqrt") { text = text.replacing(/\\sqrt *([^\s{\[\\])/) { "\\sqrt{\($0.1)}" } }
        text = text.filter { $0 != " " }
        if text.contains("\\frac") {
            text = text.replacing(/\\frac([^{}\\])([^{}\\])/) { "\\frac{\($0.1)}{\($0.2)}" }.replacing(/\\frac([^{}\\])\{/) { "\\frac{\($0.1)}{" }
        }
        if text == "0.5" { return "\\frac{1}{2}" }
        return text.contains("/") ? text.replacing(/^(-?\d+)\/(-?\d+)$/) { "\\frac{\($0.1)}{\($0.2)}" } : text
    }

    /// Without a `\text{ unit}` at the right end, with its power.
    private static func withoutUnits(_ text: String) -> String {
        guard let start = text.ranges(of: "\\text{ ").last ?? text.ranges(of: "\\mbox{ ").last, start.lowerBound > text.startIndex,
            let end = text[start.upperBound...].firstIndex(of: "}")
        else { return text }
        let (unit, rest) = (text[start.upperBound..<end], text[end...].dropFirst())
        let isUnit = !unit.split(separator: " ").contains { ["and", "or", "a.m.", "p.m.", "am", "pm"].contains($0) }
        return isUnit && rest.allSatisfy { "^{}.23 ".contains($0) } ? text[..<start.lowerBound].trimming { $0.isWhitespace } : text
    }

    // MARK: Comparison

    /// Equal normal forms, equal words, or equal meaning. Never throws, and stops after `stepLimit` steps: what needs more is unequal.
    public static func compare(_ a: String, _ b: String) -> Comparison {
        if normalized(a) == normalized(b) { return Comparison(areEqual: true, method: .text, steps: 0) }
        guard max(a.utf8.count, b.utf8.count) <= characterLimit else { return Comparison(areEqual: false, method: .text, steps: 0) }
        let (left, right) = (unwrapped(a), unwrapped(b))
        if let words = words(left), words == Self.words(right) { return Comparison(areEqual: true, method: .words, steps: 0) }
        var equivalence = MathEquivalence(budget: MathBudget(limit: stepLimit))
        let areEqual = try? equivalence.areEqual(left, right)
        return Comparison(areEqual: areEqual ?? false, method: areEqual == nil ? .text : .value, steps: equivalence.budget.steps)
    }

    /// The content of an answer that is one `\text{…}`.
    private static func unwrapped(_ answer: String) -> String {
        let text = answer.trimming { $0.isWhitespace || $0 == "$" }
        guard text.hasPrefix("\\"), let match = text.wholeMatch(of: /\\(?:text|mbox|textbf|textit|mathrm|mathbf)\s*\{([^{}]*)\}[.\s]*/) else { return text }
        return match.1.trimming { $0.isWhitespace }
    }

    /// An answer in words ("4:30 p.m.", "June 20") without spaces and punctuation, in small letters unless it is written in capitals;
    /// `nil` for a formula and for a number with a unit, which are compared by value.
    private static func words(_ answer: String) -> String? {
        let answer = answer.contains("\\") ? answer.replacing(/\\(?:text|mbox)\s*\{([^{}]*)\}/) { $0.1 } : answer
        guard answer.allSatisfy({ $0.isLetter || $0.isNumber || $0.isWhitespace || ".,:;'()-".contains($0) }) else { return nil }
        let words = answer.split { !$0.isLetter && $0 != "." }.map { $0.filter { $0 != "." }.lowercased() }
        let isTime = words.contains("am") || words.contains("pm")
        guard isTime || words.contains(where: { $0.count >= 3 }), isTime || answer.first(where: { $0 != "(" })?.isLetter ?? false else { return nil }
        // Of punctuation only what changes a number counts.
        let places = answer.indices, text = String(places.filter { place in
            let character = answer[place], next = answer[answer.index(after: place)...].first, last = answer[..<place].last
            switch character {
            case "-": return next?.isNumber == true && !(last.map { $0.isLetter || $0.isNumber } ?? false)
            case ".": return next?.isNumber == true && last?.isNumber == true
            default: return character.isLetter || character.isNumber || character == ":"
            }
        }.map { answer[$0] })
        return isTime || !text.dropFirst().allSatisfy { !$0.isLowercase } ? text.lowercased() : text
    }
}
