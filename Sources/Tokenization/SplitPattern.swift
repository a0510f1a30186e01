/// The split patterns in use, each with a scanner written by hand for it.
///
/// A pattern is recognised by its exact text; another one is refused, because a near match gives other ids.
enum SplitPattern: Sendable, Equatable {
    case literal([Unicode.Scalar])
    case gpt2, llama3, qwen2, o200k
    case deepseekV3Digits, deepseekV3Ideographs, deepseekV3Words
    case lineEnd, spacedLetters, spacedPunctuation, deepseekIdeographs
    case threeDigits, whitespaceRuns, words

    private static let texts: [(pattern: SplitPattern, text: String)] = [
        (.gpt2, #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#),
        (
            .llama3,
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        ),
        (
            .qwen2,
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        ),
        (
            .o200k,
            #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
        ),
        (.deepseekV3Digits, #"\p{N}{1,3}"#),
        (.deepseekV3Ideographs, "[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+"),
        (
            .deepseekV3Words,
            ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^"## + "\r\n"
                + #"\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+["# + "\r\n" + #"]*|\s*["# + "\r\n" + #"]+|\s+(?!\S)|\s+"#
        ),
        (.lineEnd, #"[\r\n]"#),
        (.spacedLetters, #"\s?\p{L}+"#),
        (.spacedPunctuation, #"\s?\p{P}+"#),
        (.deepseekIdeographs, #"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+"#),
        (.threeDigits, "[0-9][0-9][0-9]"),
        (.whitespaceRuns, #"\s+"#),
        (.words, #"\w+|[^\w\s]+"#),
    ]

    /// The pattern written exactly like this; nil when there is none.
    static func regex(_ text: String) -> SplitPattern? {
        texts.first { $0.text.utf8.elementsEqual(text.utf8) }?.pattern
    }

    /// How a `tokenizer.json` writes the pattern.
    var regexText: String? { SplitPattern.texts.first { $0.pattern == self }?.text }

    /// - Returns: the end of the match that starts at `start`; nil when none does. The text ends at `text.endIndex`.
    func match(_ text: ArraySlice<Unicode.Scalar>, at start: Int) -> Int? {
        let here = text[start]
        switch self {
        case .literal(let wanted):
            return !wanted.isEmpty && text[start...].starts(with: wanted) ? start + wanted.count : nil
        case .gpt2:
            if let end = contraction(text, start, foldingCase: false) { return end }
            let first = here == " " && start + 1 < text.endIndex ? start + 1 : start
            if text[first].isLetter { return run(text, first, \.isLetter) }
            if text[first].isNumber { return run(text, first, \.isNumber) }
            if !text[first].isSpace { return run(text, first) { !$0.isSpace && !$0.isLetter && !$0.isNumber } }
            return whitespace(text, start)
        case .llama3, .qwen2:
            if let end = contraction(text, start, foldingCase: true) { return end }
            if let end = prefixed(text, start, prefix: { !$0.isLineEnd && !$0.isLetter && !$0.isNumber }, \.isLetter) { return end }
            if here.isNumber { return self == .qwen2 ? start + 1 : digits(text, start) }
            return symbols(text, start, tail: \.isLineEnd) ?? lineEnds(text, start) ?? whitespace(text, start)
        case .o200k:
            if let end = casedWord(text, start) { return end }
            if here.isNumber { return digits(text, start) }
            return symbols(text, start) { $0.isLineEnd || $0 == "/" } ?? lineEnds(text, start) ?? whitespace(text, start)
        case .deepseekV3Digits:
            return here.isNumber ? digits(text, start) : nil
        case .deepseekV3Ideographs:
            return nonempty(run(text, start) { 0x4E00...0x9FA5 ~= $0.value || 0x3040...0x30FF ~= $0.value }, from: start)
        case .deepseekV3Words:
            if here.isASCIIPunctuation, let end = nonempty(run(text, start + 1, \.isASCIILetter), from: start + 1) { return end }
            let prefix: (Unicode.Scalar) -> Bool = { !$0.isLineEnd && !$0.isLetter && !$0.isPunctuation && !$0.isSymbol }
            if let end = prefixed(text, start, prefix: prefix, { $0.isLetter || $0.isMark }) { return end }
            let first = here == " " ? start + 1 : start
            if let end = nonempty(run(text, first, { $0.isPunctuation || $0.isSymbol }), from: first) { return run(text, end, \.isLineEnd) }
            return lineEnds(text, start) ?? whitespace(text, start)
        case .lineEnd:
            return here.isLineEnd ? start + 1 : nil
        case .spacedLetters:
            let first = here.isSpace ? start + 1 : start
            return nonempty(run(text, first, \.isLetter), from: first)
        case .spacedPunctuation:
            let first = here.isSpace ? start + 1 : start
            return nonempty(run(text, first, \.isPunctuation), from: first)
        case .deepseekIdeographs:
            return nonempty(run(text, start) { 0x800...0x9FA5 ~= $0.value || 0xAC00...0xD7FF ~= $0.value }, from: start)
        case .threeDigits:
            return start + 3 <= text.endIndex && text[start..<start + 3].allSatisfy(\.isASCIIDigit) ? start + 3 : nil
        case .whitespaceRuns:
            return nonempty(run(text, start, \.isSpace), from: start)
        case .words:
            return nonempty(run(text, start, \.isWord), from: start) ?? nonempty(run(text, start) { !$0.isWord && !$0.isSpace }, from: start)
        }
    }
}

private typealias Text = ArraySlice<Unicode.Scalar>

private func run(_ text: Text, _ start: Int, _ holds: (Unicode.Scalar) -> Bool) -> Int {
    var end = start
    while end < text.endIndex, holds(text[end]) { end += 1 }
    return end
}

private func nonempty(_ end: Int, from start: Int) -> Int? { end > start ? end : nil }

/// `'s|'t|'re|'ve|'m|'ll|'d`; folding case also takes ſ (U+017F), which folds to s.
private func contraction(_ text: Text, _ start: Int, foldingCase: Bool) -> Int? {
    guard text[start] == "'", start + 1 < text.endIndex else { return nil }
    func letter(_ index: Int) -> UInt32 {
        guard index < text.endIndex else { return 0 }
        let value = text[index].value
        guard foldingCase else { return value }
        return value == 0x17F ? 0x73 : 0x41...0x5A ~= value ? value + 0x20 : value
    }
    switch (letter(start + 1), letter(start + 2)) {
    case (0x73, _), (0x74, _), (0x6D, _), (0x64, _): return start + 2  // s, t, m, d
    case (0x72, 0x65), (0x76, 0x65), (0x6C, 0x6C): return start + 3  // re, ve, ll
    default: return nil
    }
}

/// `<prefix>?<body>+`
private func prefixed(
    _ text: Text, _ start: Int, prefix: (Unicode.Scalar) -> Bool, _ body: (Unicode.Scalar) -> Bool
) -> Int? {
    if prefix(text[start]), let end = nonempty(run(text, start + 1, body), from: start + 1) { return end }
    return nonempty(run(text, start, body), from: start)
}

/// `\p{N}{1,3}`
private func digits(_ text: Text, _ start: Int) -> Int {
    min(run(text, start, \.isNumber), start + 3)
}

/// ` ?[^\s\p{L}\p{N}]+<tail>*`
private func symbols(_ text: Text, _ start: Int, tail: (Unicode.Scalar) -> Bool) -> Int? {
    let first = text[start] == " " ? start + 1 : start
    guard let end = nonempty(run(text, first) { !$0.isSpace && !$0.isLetter && !$0.isNumber }, from: first) else { return nil }
    return run(text, end, tail)
}

/// `\s*[\r\n]+`
private func lineEnds(_ text: Text, _ start: Int) -> Int? {
    let end = run(text, start, \.isSpace)
    return text[start..<end].lastIndex(where: \.isLineEnd).map { $0 + 1 }
}

/// `\s+(?!\S)|\s+`
private func whitespace(_ text: Text, _ start: Int) -> Int? {
    let end = run(text, start, \.isSpace)
    guard end > start else { return nil }
    return end == text.endIndex || end - start == 1 ? end : end - 1
}

/// The two word alternatives of o200k: `<prefix>?<upper>*<lower>+<contraction>?`, else `<prefix>?<upper>+<lower>*<contraction>?`.
private func casedWord(_ text: Text, _ start: Int) -> Int? {
    let hasPrefix = !text[start].isLineEnd && !text[start].isLetter && !text[start].isNumber
    let starts = hasPrefix ? [start + 1, start] : [start]
    func finish(_ end: Int) -> Int {
        end < text.endIndex ? contraction(text, end, foldingCase: true) ?? end : end
    }
    for first in starts {
        let upperEnd = run(text, first, \.isUpperLike)
        var lower = upperEnd  // give back what could also be lower case, until one is there
        while lower >= first {
            if lower < text.endIndex, text[lower].isLowerLike { return finish(run(text, lower, \.isLowerLike)) }
            lower -= 1
        }
    }
    for first in starts {
        if let upperEnd = nonempty(run(text, first, \.isUpperLike), from: first) { return finish(run(text, upperEnd, \.isLowerLike)) }
    }
    return nil
}
