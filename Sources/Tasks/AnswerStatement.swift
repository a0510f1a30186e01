import Foundation

/// What a completion itself calls its answer.
enum AnswerStatement {
    private static let names = ["answer"] + ["correct", "right", "best"].flatMap { ["\($0) option", "\($0) choice"] }
    private static let links = ["is", "must be", "would be", "should be", "will be"]

    /// The text behind the last "answer is", "answer:" or "correct option is", up to the end of its line; `nil` where there are no such words.
    static func last(in text: String) -> Substring? {
        func place(of name: String, before end: String.Index) -> Range<String.Index>? { text[..<end].range(of: name, options: [.caseInsensitive, .backwards]) }
        // Each is looked for again only once it was the last: long texts are read once.
        var places = names.map { place(of: $0, before: text.endIndex) }
        while let (index, word) = places.enumerated().compactMap({ place in place.element.map { (place.offset, $0) } }).max(by: { $0.1.lowerBound < $1.1.lowerBound }) {
            places[index] = place(of: names[index], before: word.lowerBound)
            var tail = text[word.upperBound...].drop(while: isMark)
            let isLinked = links.contains { link in
                guard tail.prefix(link.count).lowercased() == link, tail.dropFirst(link.count).first?.isLetter != true else { return false }
                tail = tail.dropFirst(link.count)
                return true
            }
            tail = tail.drop(while: isMark)
            guard isLinked || tail.first == ":" else { continue }
            let said = tail.drop { $0 == ":" || $0.isWhitespace || isMark($0) }.prefix { !$0.isNewline }
            if !said.isEmpty { return said }
        }
        return nil
    }

    /// A text up to the first full stop with a space and a capital letter behind it: "Rs. 30" goes on.
    static func firstSentence(of text: Substring) -> Substring {
        var rest = text
        while let stop = rest.firstRange(of: ". ") {
            rest = rest[stop.upperBound...]
            if rest.first?.isUppercase == true { return text[..<stop.lowerBound] }
        }
        return text
    }

    /// Which of several things some words name, each of them by any of its sayings. At each place the longest counts; behind "not" it is denied.
    static func named<Word: StringProtocol>(_ sayings: [[[Word]]], in words: [Word]) -> [Int] {
        var found: Set<Int> = []
        var place = 0
        while place < words.count {
            let here = sayings.indices.flatMap { index in sayings[index].filter { words[place...].starts(with: $0) }.map { (index: index, length: $0.count) } }
            let longest = here.map(\.length).max() ?? 0
            let isDenied = place > 0 && (words[place - 1] == "not" || words[place - 1].hasSuffix("n't"))
            if !isDenied { found.formUnion(here.filter { $0.length == longest }.map(\.index)) }
            place += max(longest, 1)
        }
        return found.sorted()
    }

    /// Spaces and Markdown's emphasis.
    private static func isMark(_ character: Character) -> Bool { character == " " || character == "*" || character == "_" }
}
