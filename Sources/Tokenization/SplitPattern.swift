/// The split patterns in use, each with a scanner written by hand for it.
///
/// A pattern is recognised by its exact text, or as a run of one class of characters; another one is refused, because a near match gives
/// other ids. Every scanner looks at a stretch of text a bounded number of times, whatever the text.
enum SplitPattern: Sendable, Equatable {
    case literal([UInt8])
    case gpt2, llama3, qwen2, o200k, clip
    case run(ScalarRun)
    case trailingSpace, twoSpaces, firstSpaces, lastSpaces, textEnd
    case deepseekV3Digits, deepseekV3Ideographs, deepseekV3Words
    case lineEnd, spacedLetters, spacedPunctuation
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
        (.clip, #"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"#),
        (.trailingSpace, #"\s+$"#),
        (.twoSpaces, " {2,}"),
        (.firstSpaces, #"\A +"#),
        (.lastSpaces, #" +\z"#),
        (.textEnd, #"\z"#),
        (.lineEnd, #"[\r\n]"#),
        (.spacedLetters, #"\s?\p{L}+"#),
        (.spacedPunctuation, #"\s?\p{P}+"#),
        (.threeDigits, "[0-9][0-9][0-9]"),
        (.whitespaceRuns, #"\s+"#),
        (.words, #"\w+|[^\w\s]+"#),
    ]

    /// The pattern of a regular expression; nil when it is none of those known.
    static func regex(_ text: String) -> SplitPattern? {
        texts.first { $0.text.utf8.elementsEqual(text.utf8) }?.pattern ?? ScalarRun(regex: text).map { .run($0) }
    }

    /// How a `tokenizer.json` writes the pattern.
    var regexText: String? {
        if case .run(let run) = self { return run.regex }
        return SplitPattern.texts.first { $0.pattern == self }?.text
    }

    /// Hands out the matches, and the text between them, in order and without empty parts.
    func forEachPart(of text: Span<UInt8>, _ body: (_ part: Range<Int>, _ isMatch: Bool) -> Void) {
        SplitPattern.forEachPart(of: text, match: { match(text, at: $0) }, body)
    }

    /// - Parameter match: the end of the match that starts at a place, or that `place` starts none.
    static func forEachPart(of text: Span<UInt8>, match: (_ place: Int) -> Match, _ body: (_ part: Range<Int>, _ isMatch: Bool) -> Void) {
        var (gap, place) = (0, 0)
        while place < text.count {
            switch match(place) {
            case .none(let next): place = next
            case .end(let end):
                if gap < place { body(gap..<place, false) }
                body(place..<end, true)
                (gap, place) = (end, end)
            }
        }
        if gap < place { body(gap..<place, false) }
    }

    enum Match {
        case end(Int)
        case none(next: Int)  // the earliest later place where a match may start
    }

    /// Whether a match starts at `start`, which lies inside `text`.
    func match(_ text: Span<UInt8>, at start: Int) -> Match {
        if case .trailingSpace = self {
            let end = text.run(from: start, of: .space)
            if end == text.count, end > start { return .end(end) }
            // As in Ruby, `$` also stands before a line feed.
            var place = end - 1
            while place > start, text[place] != UInt8(ascii: "\n") { place -= 1 }
            return place > start ? .end(place) : .none(next: max(end, text.after(start)))
        }
        if case .lastSpaces = self {
            let end = text.spaces(from: start)
            return end == text.count && end > start ? .end(end) : .none(next: max(end, text.after(start)))
        }
        return matchEnd(text, start).map { .end($0) } ?? .none(next: text.after(start))
    }

    private func matchEnd(_ text: Span<UInt8>, _ start: Int) -> Int? {
        switch self {
        case .gpt2:
            if let end = text.contraction(start, foldingCase: false) { return end }
            let first = text[start] == UInt8(ascii: " ") && start + 1 < text.count ? start + 1 : start
            let found = text.scalarClass(at: first)
            if found.contains(.letter) { return text.run(from: first, of: .letter) }
            if found.contains(.number) { return text.run(from: first, of: .number) }
            if !found.contains(.space) { return text.run(from: first, ofNone: [.space, .letter, .number]) }
            return text.whitespace(start)
        case .llama3, .qwen2:
            if let end = text.contraction(start, foldingCase: true) { return end }
            if let end = text.prefixed(start, prefixNone: [.lineEnd, .letter, .number], body: .letter) { return end }
            if text.scalarClass(at: start).contains(.number) { return self == .qwen2 ? text.after(start) : text.digits(start) }
            return text.symbols(start).map { text.run(from: $0, of: .lineEnd) } ?? text.lineEnds(start) ?? text.whitespace(start)
        case .o200k:
            if let end = text.casedWord(start) { return end }
            if text.scalarClass(at: start).contains(.number) { return text.digits(start) }
            if let end = text.symbols(start) { return text.lineEndsAndSlashes(from: end) }
            return text.lineEnds(start) ?? text.whitespace(start)
        case .clip:
            if let end = text.contraction(start, foldingCase: false) { return end }
            let found = text.scalarClass(at: start)
            if found.contains(.letter) { return text.run(from: start, of: .letter) }
            if found.contains(.number) { return text.after(start) }
            return nonempty(text.run(from: start, ofNone: [.space, .letter, .number]), from: start)
        case .deepseekV3Digits:
            return text.scalarClass(at: start).contains(.number) ? text.digits(start) : nil
        case .deepseekV3Ideographs:
            return nonempty(text.run(from: start) { 0x4E00...0x9FA5 ~= $0.value || 0x3040...0x30FF ~= $0.value }, from: start)
        case .deepseekV3Words:
            if Unicode.Scalar(text[start]).isASCIIPunctuation, let end = nonempty(text.asciiLetters(from: start + 1), from: start + 1) { return end }
            if let end = text.prefixed(start, prefixNone: [.lineEnd, .letter, .punctuation, .symbol], body: [.letter, .mark]) { return end }
            let first = text[start] == UInt8(ascii: " ") ? start + 1 : start
            if let end = nonempty(text.run(from: first, of: [.punctuation, .symbol]), from: first) { return text.run(from: end, of: .lineEnd) }
            return text.lineEnds(start) ?? text.whitespace(start)
        case .lineEnd:
            return text.scalarClass(at: start).contains(.lineEnd) ? start + 1 : nil
        case .spacedLetters, .spacedPunctuation:
            let first = text.scalarClass(at: start).contains(.space) ? text.after(start) : start
            return nonempty(text.run(from: first, of: self == .spacedLetters ? .letter : .punctuation), from: first)
        case .threeDigits:
            guard start + 3 <= text.count else { return nil }
            for place in start..<start + 3 where text[place] &- 0x30 > 9 { return nil }
            return start + 3
        case .twoSpaces:
            let end = text.spaces(from: start)
            return end - start > 1 ? end : nil
        case .firstSpaces:
            return start == 0 ? nonempty(text.spaces(from: 0), from: 0) : nil
        case .whitespaceRuns:
            return nonempty(text.run(from: start, of: .space), from: start)
        case .words:
            return nonempty(text.run(from: start, of: .word), from: start) ?? nonempty(text.run(from: start, ofNone: [.word, .space]), from: start)
        case .literal(let wanted):
            return text.starts(with: wanted, at: start) ? start + wanted.count : nil
        case .run(let run):
            let first = run.mayFollowSpace && text.scalarClass(at: start).contains(.space) ? text.after(start) : start
            return nonempty(text.run(from: first, where: run.contains), from: first) ?? nonempty(text.run(from: start, where: run.contains), from: start)
        case .trailingSpace, .lastSpaces, .textEnd:
            return nil  // above; or a place, not a stretch of text
        }
    }
}

/// A run of one class of characters, perhaps after one white-space character: `\s?[A-Za-z\x{B5}]+`.
struct ScalarRun: Sendable, Equatable {
    let regex: String
    let mayFollowSpace: Bool
    private let ranges: [ClosedRange<UInt32>]  // ascending, apart

    /// - Returns: nil unless the class lists single scalars and ranges only, written as themselves or as `\x{…}`.
    init?(regex: String) {
        var text = Array(regex.unicodeScalars)[...]
        mayFollowSpace = text.starts(with: "\\s?".unicodeScalars)
        if mayFollowSpace { text = text.dropFirst(3) }
        guard text.popFirst() == "[", text.popLast() == "+", text.popLast() == "]", !text.isEmpty, text.first != "^" else { return nil }
        func member() -> UInt32? {
            guard let first = text.popFirst(), first != "[", first != "]", first != "&" else { return nil }
            guard first == "\\" else { return first.value }
            guard text.popFirst() == "x", text.popFirst() == "{", let close = text.firstIndex(of: "}") else { return nil }
            let digits = String(String.UnicodeScalarView(text[..<close]))
            text = text[(close + 1)...]
            return UInt32(digits, radix: 16)
        }
        var found: [ClosedRange<UInt32>] = []
        while !text.isEmpty {
            guard let first = member() else { return nil }
            var last = first
            if text.first == "-" {
                text = text.dropFirst()
                guard let end = member() else { return nil }
                last = end
            }
            guard first <= last else { return nil }
            found.append(first...last)
        }
        found.sort { $0.lowerBound < $1.lowerBound }
        ranges = found.reduce(into: []) { ranges, range in
            if let before = ranges.last, range.lowerBound <= before.upperBound {
                ranges[ranges.count - 1] = before.lowerBound...max(before.upperBound, range.upperBound)
            } else {
                ranges.append(range)
            }
        }
        self.regex = regex
    }

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < scalar.value { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(scalar.value)
    }
}

private func nonempty(_ end: Int, from start: Int) -> Int? { end > start ? end : nil }

extension Span<UInt8> {
    /// The place after the scalar at `place`.
    @inline(__always)
    fileprivate func after(_ place: Int) -> Int { place + scalarWidth(self[place]) }

    @inline(__always)
    fileprivate func scalarClass(at place: Int) -> ScalarClass { ScalarClass.of(scalar(at: place)) }

    @inline(__always)
    fileprivate func run(from start: Int, where holds: (Unicode.Scalar) -> Bool) -> Int {
        var end = start
        while end < count {
            let scalar = scalar(at: end)
            guard holds(scalar) else { break }
            end += scalarWidth(self[end])
        }
        return end
    }

    /// The end of the run of scalars that have one of the classes.
    fileprivate func run(from start: Int, of classes: ScalarClass) -> Int { run(from: start) { !ScalarClass.of($0).isDisjoint(with: classes) } }

    fileprivate func run(from start: Int, ofNone classes: ScalarClass) -> Int { run(from: start) { ScalarClass.of($0).isDisjoint(with: classes) } }

    fileprivate func spaces(from start: Int) -> Int { run(from: start) { $0 == " " } }

    fileprivate func asciiLetters(from start: Int) -> Int { run(from: start) { ($0.value | 0x20) &- 0x61 < 26 } }

    /// `'s|'t|'re|'ve|'m|'ll|'d`; folding case also takes ſ (U+017F), which folds to s.
    @inline(__always)
    fileprivate func contraction(_ start: Int, foldingCase: Bool) -> Int? {
        guard self[start] == UInt8(ascii: "'"), start + 1 < count else { return nil }
        return contractionEnd(start, foldingCase)
    }

    private func contractionEnd(_ start: Int, _ foldingCase: Bool) -> Int? {
        func letter(_ place: Int) -> UInt8 {
            guard place < count else { return 0 }
            let byte = self[place]
            return foldingCase && 0x41...0x5A ~= byte ? byte + 0x20 : byte
        }
        switch (letter(start + 1), letter(start + 2)) {
        case (0x73, _), (0x74, _), (0x6D, _), (0x64, _): return start + 2  // s, t, m, d
        case (0x72, 0x65), (0x76, 0x65), (0x6C, 0x6C): return start + 3  // re, ve, ll
        case (0xC5, 0xBF): return foldingCase ? start + 3 : nil  // ſ
        default: return nil
        }
    }

    /// `<prefix>?<body>+`
    fileprivate func prefixed(_ start: Int, prefixNone: ScalarClass, body: ScalarClass) -> Int? {
        let found = scalarClass(at: start)
        if found.isDisjoint(with: prefixNone) {
            let first = after(start)
            if let end = nonempty(run(from: first, of: body), from: first) { return end }
        }
        return found.isDisjoint(with: body) ? nil : run(from: start, of: body)
    }

    /// `\p{N}{1,3}`
    fileprivate func digits(_ start: Int) -> Int {
        var end = start
        for _ in 0..<3 where end < count && scalarClass(at: end).contains(.number) { end = after(end) }
        return end
    }

    /// ` ?[^\s\p{L}\p{N}]+`
    fileprivate func symbols(_ start: Int) -> Int? {
        let first = self[start] == UInt8(ascii: " ") ? start + 1 : start
        return nonempty(run(from: first, ofNone: [.space, .letter, .number]), from: first)
    }

    /// `[\r\n/]*`
    fileprivate func lineEndsAndSlashes(from start: Int) -> Int { run(from: start) { $0 == "\r" || $0 == "\n" || $0 == "/" } }

    /// `\s*[\r\n]+`
    fileprivate func lineEnds(_ start: Int) -> Int? {
        var place = run(from: start, of: .space)
        while place > start {
            if self[place - 1] == 10 || self[place - 1] == 13 { return place }
            place -= 1
        }
        return nil
    }

    /// `\s+(?!\S)|\s+`
    fileprivate func whitespace(_ start: Int) -> Int? {
        let end = run(from: start, of: .space)
        guard end > start else { return nil }
        let last = scalarStart(before: end)
        return end == count || last == start ? end : last
    }

    /// The two word alternatives of o200k: `<prefix>?<upper>*<lower>+<contraction>?`, else `<prefix>?<upper>+<lower>*<contraction>?`.
    fileprivate func casedWord(_ start: Int) -> Int? {
        let hasPrefix = scalarClass(at: start).isDisjoint(with: [.lineEnd, .letter, .number])
        let starts = hasPrefix ? [after(start), start] : [start]
        func finish(_ end: Int) -> Int {
            end < count ? contraction(end, foldingCase: true) ?? end : end
        }
        for first in starts {
            var lower = run(from: first, of: .upperLike)  // give back what could also be lower case, until one is there
            while lower >= first {
                if lower < count, scalarClass(at: lower).contains(.lowerLike) { return finish(run(from: lower, of: .lowerLike)) }
                guard lower > first else { break }
                lower = scalarStart(before: lower)
            }
        }
        for first in starts {
            if let upperEnd = nonempty(run(from: first, of: .upperLike), from: first) { return finish(run(from: upperEnd, of: .lowerLike)) }
        }
        return nil
    }
}
