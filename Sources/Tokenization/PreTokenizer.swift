/// Cuts text into words that the model then encodes one by one.
///
/// Source: huggingface/tokenizers `tokenizers/src/pre_tokenizers/`.
indirect enum PreTokenizer: Sendable {
    enum Behavior: String, Sendable, CaseIterable {
        case removed = "Removed"
        case isolated = "Isolated"
        case mergedWithPrevious = "MergedWithPrevious"
        case mergedWithNext = "MergedWithNext"
        case contiguous = "Contiguous"
    }

    /// Where Metaspace puts a replacement character in front.
    enum PrependScheme: String, Sendable, CaseIterable { case first, never, always }

    case sequence([PreTokenizer])
    case byteLevel(addPrefixSpace: Bool, usesPattern: Bool, spells: Bool)  // `spells`: writes the words in the byte alphabet
    case split(SplitPattern, Behavior, invert: Bool)
    case digits(individual: Bool)
    case metaspace(replacement: Unicode.Scalar, PrependScheme, split: Bool)
    case punctuation(Behavior)
    case whitespaceSplit
    case bert
    case delimiter(Unicode.Scalar)
    case fixedLength(Int)  // in scalars

    /// A text, and the words found in it so far: in order, not empty, not overlapping.
    struct Words: Sendable {
        var text: AlignedText
        var ranges: [Range<Int>]
        var startsText: Bool  // whether `text` starts the text given to `encode`

        init(_ text: AlignedText, startsText: Bool) {
            self.text = text
            self.startsText = startsText
            ranges = text.isEmpty ? [] : [0..<text.count]
        }
    }

    /// The same stage when the model that follows reads bytes: ByteLevel as the last stage then leaves them as they are.
    /// - Returns: nil when the last stage is another one.
    var leavingBytes: PreTokenizer? {
        switch self {
        case .byteLevel(let addPrefixSpace, let usesPattern, _):
            return .byteLevel(addPrefixSpace: addPrefixSpace, usesPattern: usesPattern, spells: false)
        case .sequence(let stages):
            guard let last = stages.last?.leavingBytes else { return nil }
            return .sequence(stages.dropLast() + [last])
        default: return nil
        }
    }

    func split(_ words: inout Words) {
        switch self {
        case .sequence(let stages): for stage in stages { stage.split(&words) }
        case .byteLevel(let addPrefixSpace, let usesPattern, let spells):
            if addPrefixSpace { words.prepend(" ", replacing: nil) { text, _ in text.first != UInt8(ascii: " ") } }
            if usesPattern { words.cut(.isolated) { text, part in SplitPattern.gpt2.forEachPart(of: text, part) } }
            if spells { words.rewrite { ByteAlphabet.spelled($0) } }
        case .split(let pattern, let behavior, let invert):
            words.cut(behavior) { text, part in pattern.forEachPart(of: text) { part($0, $1 != invert) } }
        case .digits(let individual): words.cut(individual ? .isolated : .contiguous, at: .numeric)
        case .punctuation(let behavior): words.cut(behavior, at: .bertPunctuation)
        case .whitespaceSplit: words.cut(.removed, at: .space)
        case .bert:
            words.cut(.removed, at: .space)
            words.cut(.isolated, at: .bertPunctuation)
        case .delimiter(let delimiter): words.cut(.removed) { text, part in PreTokenizer.parts(of: text, part) { $0 == delimiter } }
        case .fixedLength(let length):
            words.cut(.isolated) { text, part in
                var start = 0
                while start < text.count {
                    var end = start
                    for _ in 0..<length where end < text.count { end += scalarWidth(text[end]) }
                    part(start..<end, true)
                    start = end
                }
            }
        case .metaspace(let replacement, let scheme, let split):
            let first = Array(String(replacement).utf8)
            words.prepend(replacement, replacing: " ") { text, startsText in
                scheme == .always && !text.starts(with: first) && text.first != UInt8(ascii: " ")
                    || scheme == .first && startsText && !text.starts(with: first) && text.first != UInt8(ascii: " ")
            }
            if split { words.cut(.mergedWithNext) { text, part in PreTokenizer.parts(of: text, part) { $0 == replacement } } }
        }
    }

    /// One part for every scalar that `isMatch` accepts, and one for every stretch of others.
    fileprivate static func parts(of text: Span<UInt8>, _ body: (Range<Int>, Bool) -> Void, _ isMatch: (Unicode.Scalar) -> Bool) {
        var (gap, place) = (0, 0)
        while place < text.count {
            let end = place + scalarWidth(text[place])
            if isMatch(text.scalar(at: place)) {
                if gap < place { body(gap..<place, false) }
                body(place..<end, true)
                gap = end
            }
            place = end
        }
        if gap < place { body(gap..<place, false) }
    }
}

extension PreTokenizer.Words {
    /// Cuts every word at the scalars of a class.
    fileprivate mutating func cut(_ behavior: PreTokenizer.Behavior, at wanted: ScalarClass) {
        cut(behavior) { text, part in PreTokenizer.parts(of: text, part) { ScalarClass.of($0).contains(wanted) } }
    }

    /// Cuts every word.
    /// - Parameter parts: hands out the parts of one word, matches and the text between them, in order and complete.
    fileprivate mutating func cut(_ behavior: PreTokenizer.Behavior, parts: (Span<UInt8>, _ part: (Range<Int>, Bool) -> Void) -> Void) {
        var found: [Range<Int>] = []
        found.reserveCapacity(ranges.count == 1 ? text.count / 4 : ranges.count)
        let text = text  // so that `ranges` may change while its bytes are looked at
        let bytes = text.bytes.span
        for word in ranges {
            var isFirst = true
            var wasMatch = false
            var merges = false  // mergedWithNext: a match waits for what follows
            let start = word.lowerBound
            func joinLast(_ end: Int) { found[found.count - 1] = found[found.count - 1].lowerBound..<end }
            parts(bytes.extracting(word)) { part, isMatch in
                let part = part.lowerBound + start..<part.upperBound + start
                switch behavior {
                case .isolated: found.append(part)
                case .removed: if !isMatch { found.append(part) }
                case .mergedWithPrevious:
                    if isMatch, !wasMatch, !isFirst { joinLast(part.upperBound) } else { found.append(part) }
                case .mergedWithNext:
                    if merges && !isMatch { joinLast(part.upperBound) } else { found.append(part) }
                    merges = isMatch
                case .contiguous:
                    if isMatch == wasMatch, !isFirst { joinLast(part.upperBound) } else { found.append(part) }
                }
                (isFirst, wasMatch) = (false, isMatch)
            }
        }
        ranges = found
    }

    /// Makes a new text of the words, each rewritten.
    fileprivate mutating func rewrite(_ change: (AlignedText) -> AlignedText) {
        var result = AlignedText(isTracked: text.isTracked, capacity: text.count)
        for index in ranges.indices {
            var word = AlignedText(isTracked: text.isTracked, capacity: ranges[index].count)
            word.append(text, ranges[index])
            let changed = change(word)
            ranges[index] = result.count..<result.count + changed.count
            result.append(changed, 0..<changed.count)
        }
        text = result
    }

    /// Puts a scalar in front of the words that ask for it, with the origin of their first character.
    /// - Parameter replaced: a scalar that becomes `scalar` wherever it stands.
    fileprivate mutating func prepend(
        _ scalar: Unicode.Scalar, replacing replaced: Unicode.Scalar?, where isWanted: (ArraySlice<UInt8>, _ startsText: Bool) -> Bool
    ) {
        let wanted = ranges.map { isWanted(text.bytes[$0], startsText && $0.lowerBound == 0) }
        guard replaced != nil || wanted.contains(true) else { return }
        var result = AlignedText(isTracked: text.isTracked, capacity: text.count + text.count / 2)
        let content = Array(String(scalar).utf8)
        let old = replaced.map { UInt8($0.value) }
        for index in ranges.indices {
            let range = ranges[index]
            let start = result.count
            if wanted[index] { result.append(content, from: text.isTracked ? text.origins[range.lowerBound] : .none) }
            var kept = range.lowerBound
            for place in range where text.bytes[place] == old {
                result.append(text, kept..<place)
                result.append(content, from: text.isTracked ? text.origins[place] : .none)
                kept = place + 1
            }
            result.append(text, kept..<range.upperBound)
            ranges[index] = start..<result.count
        }
        if ranges.first?.lowerBound != 0 { startsText = false }
        text = result
    }
}
