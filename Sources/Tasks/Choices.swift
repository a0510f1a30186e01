import ModelFiles

/// The options of a multiple-choice problem, lettered from (a).
public struct Choices: Sendable, Equatable {
    public let texts: [String]

    /// `nil` for fewer than 2 or more than 26 options, or a blank one.
    public init?(_ texts: [String]) {
        guard (2...26).contains(texts.count), texts.allSatisfy({ !$0.allSatisfy(\.isWhitespace) }) else { return nil }
        self.texts = texts
    }

    /// Those of a problem, which keeps them as `details["choices"]`; `nil` where it has none.
    public init?(_ problem: Problem) {
        guard let encoded = problem.details["choices"], let values = try? JSON.parse(encoded, source: "choices").array else { return nil }
        let texts = values.compactMap(\.string)
        guard texts.count == values.count else { return nil }
        self.init(texts)
    }

    /// As a problem keeps them: a JSON array.
    public var encoded: String { JSON.array(texts.map(JSON.string)).text() }

    public static func letter(_ index: Int) -> String { String(UnicodeScalar(UInt8(ascii: "a") + UInt8(index))) }

    /// The place of a letter, whatever its case; `nil` where there is no such option.
    public func index(of letter: String) -> Int? {
        guard letter.utf8.count == 1, let byte = letter.lowercased().utf8.first, byte >= UInt8(ascii: "a") else { return nil }
        let index = Int(byte - UInt8(ascii: "a"))
        return texts.indices.contains(index) ? index : nil
    }

    /// The place of an answer, which is a letter or else a text; `nil` where it is neither.
    public func right(_ answer: String) -> Int? { index(of: answer) ?? texts.firstIndex(of: answer) }

    /// One option a line, "(a) shirt pocket"; the right one is marked as in STaR's rationalisation prompts, " (CORRECT)".
    public func listed(marking right: Int? = nil) -> String {
        texts.enumerated().map { "(\(Self.letter($0))) \($1)\($0 == right ? " (CORRECT)" : "")" }.joined(separator: "\n")
    }
}
