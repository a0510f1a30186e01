import Foundation

/// Reads which option of a multiple-choice problem a completion chooses, and compares it with the right one.
///
/// The choice is what stands behind the last "answer is" or "answer:", else the last line, else the letter that the first line begins with, unless the options are gone through. It
/// is a letter ("(B)", "B.", "B) text", "text (b)") or an option's own text. Two choices, or the text of two equal options, are unreadable.
/// The options are the problem's `details["choices"]`, a JSON array; its answer is a letter or a text.
public struct ChoiceVerifier: AnswerReader {
    public let name = "choice"

    public init() {}

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { rollout in
            guard let choices = Choices(rollout.problem), let answer = rollout.problem.answer,
                let right = choices.right(answer)
            else { return .failed(reason: "problem '\(rollout.problem.id)' has no options with the right one among them") }
            if let cutOff = rollout.cutOff { return .judged(cutOff) }
            let expected = "expected (\(Choices.letter(right)))"
            switch Self.read(rollout.text, choices) {
            case .one(let index):
                let evidence = "read (\(Choices.letter(index))) \(shortened(choices.texts[index])), \(expected)"
                return .judged(Verdict(index == right ? .right : .wrong, evidence: evidence))
            case .several(let several):
                let letters = Set(several).sorted().map { "(\(Choices.letter($0)))" }.joined(separator: " and ")
                return .judged(Verdict(.unreadable, evidence: "chooses \(letters), \(expected)"))
            case .none: return .judged(Verdict(.unreadable, evidence: "no option chosen in '\(shortened(rollout.text.suffix(60)))', \(expected)"))
            }
        }
    }

    /// The letter of the one option chosen.
    public func answer(in rollout: Rollout) -> String? {
        guard rollout.finishReason != .length, let choices = Choices(rollout.problem), case .one(let index) = Self.read(rollout.text, choices) else { return nil }
        return Choices.letter(index)
    }

    enum Reading: Equatable {
        case none, one(Int), several([Int])

        init(_ found: [Int]) {
            let different = Set(found)
            self = different.isEmpty ? .none : different.count == 1 ? .one(found[0]) : .several(found)
        }
    }

    static func read(_ text: String, _ choices: Choices) -> Reading {
        if let statement = AnswerStatement.last(in: text) {
            if let index = whole(statement, choices) { return .one(index) }
            let reading = read(lettered: statement, choices)
            return reading == .none ? read(named: statement, choices) : reading
        }
        let lines = text.split(whereSeparator: \.isNewline).filter { !$0.allSatisfy(\.isWhitespace) }
        guard let first = lines.first, let last = lines.last else { return .none }
        var reading = whole(last, choices).map { .one($0) } ?? read(lettered: last, choices)
        if reading == .none { reading = Reading(choices.texts.indices.filter { words(choices.texts[$0]) == words(last) }) }
        // "A) is too small.", "B) fits.": one by one they choose nothing.
        let listed = lines.map { line in leadingLetter(line, choices).flatMap { $0.rest.first.map(").:]".contains) == true ? $0.index : nil } }, inOrder = listed.compactMap(\.self)
        if inOrder.starts(with: [0, 1]) { return listed.last! == nil ? reading : .several(inOrder) }
        guard lines.count > 1, let opening = leadingLetter(first, choices)?.index else { return reading }
        return switch reading {
        case .none: .one(opening)
        case .one(let index): Reading([opening, index])
        case .several: reading
        }
    }

    // MARK: - Letters

    /// The letter that a text begins with, or the ones in brackets in its first sentence.
    private static func read(lettered text: Substring, _ choices: Choices) -> Reading {
        guard let (index, rest) = leadingLetter(text, choices) else { return Reading(bracketed(AnswerStatement.firstSentence(of: text), choices)) }
        var found = [index] + bracketed(AnswerStatement.firstSentence(of: rest), choices)
        // "B or C", "B, C", "B/C"
        let behind = rest.drop { ")]}*_ ".contains($0) }
        for link in ["or ", "and ", "& ", ", or ", ", and ", ",", "/"] where behind.hasPrefix(link) {
            if let other = leadingLetter(behind.dropFirst(link.count), choices) { found.append(other.index) }
        }
        return Reading(found)
    }

    /// "B", "B.", "B)", "(B)", "[b]", "**B**", "option B", "\boxed{B}" at the start of a text. A lone "A" or "I" before another word is that word.
    private static func leadingLetter(_ text: Substring, _ choices: Choices) -> (index: Int, rest: Substring)? {
        var rest = text.drop { " \t*_`\"'$".contains($0) }
        for word in ["option ", "choice ", "\\boxed", "{\\text"] where rest.lowercasedPrefix(word.count) == word { rest = rest.dropFirst(word.count) }
        let isBracketed = rest.first.map { "([{".contains($0) } ?? false
        if isBracketed { rest = rest.dropFirst() }
        guard let letter = rest.first, let index = choices.index(of: String(letter)) else { return nil }
        rest = rest.dropFirst()
        guard let next = rest.first else { return (index, rest) }
        if isBracketed { return ")]}".contains(next) ? (index, rest) : nil }
        if ").:]}*".contains(next) { return (index, rest) }
        guard letter.isUppercase, ",;/".contains(next) || next.isWhitespace else { return nil }
        return "AI".contains(letter) && next.isWhitespace && !rest.allSatisfy(\.isWhitespace) ? nil : (index, rest)
    }

    /// Letters in brackets, but for those that are denied: "not (c)", "isn't blotter (d)".
    private static func bracketed(_ text: Substring, _ choices: Choices) -> [Int] {
        let characters = Array(text)
        return characters.indices.dropFirst().dropLast().compactMap { place in
            guard "([".contains(characters[place - 1]), ")]".contains(characters[place + 1]), let index = choices.index(of: String(characters[place])) else { return nil }
            var before = words(String(characters[..<(place - 1)]))[...]
            let own = words(choices.texts[index])
            if before.suffix(own.count).elementsEqual(own) { before = before.dropLast(own.count) }
            let isDenied = before.last.map { $0 == "not" || $0.hasSuffix("n't") || $0.hasSuffix("n’t") } ?? false
            return isDenied ? nil : index
        }
    }

    // MARK: - Texts of options

    /// The one option whose text this is, also where that begins as with a letter: "B cells". A letter alone is one, also beside an option "C#".
    private static func whole(_ text: Substring, _ choices: Choices) -> Int? {
        let said = words(text), same = choices.texts.indices.filter { words(choices.texts[$0]) == said }
        if said.count == 1, said[0].count == 1 { return nil }
        return same.count == 1 ? same[0] : nil
    }

    /// The options that a text consists of; where it is none, those that its first sentence names. "car park" is not also "park".
    private static func read(named text: Substring, _ choices: Choices) -> Reading {
        let options = choices.texts.map(words)
        let said = words(text)
        let same = options.indices.filter { options[$0] == said }
        return Reading(same.isEmpty ? AnswerStatement.named(options.map { [$0] }, in: words(AnswerStatement.firstSentence(of: text))) : same)
    }

    /// Lower-case words without articles in front and punctuation around them. A text of punctuation alone is one word.
    private static func words(_ text: some StringProtocol) -> [Substring] {
        let all = text.lowercased().split(whereSeparator: \.isWhitespace)
        let words = all.map { $0.trimmed { $0.isPunctuation && $0 != "%" && $0 != "-" } }.filter { !$0.isEmpty }
        let kept = words.drop { ["a", "an", "the"].contains($0) }
        return kept.isEmpty ? all : Array(kept)
    }
}

extension Substring {
    fileprivate func lowercasedPrefix(_ count: Int) -> String { prefix(count).lowercased() }

    fileprivate func trimmed(_ isOutside: (Character) -> Bool) -> Substring {
        let start = drop(while: isOutside)
        guard let end = start.lastIndex(where: { !isOutside($0) }) else { return "" }
        return start[...end]
    }
}
