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
    case byteLevel(addPrefixSpace: Bool, usesPattern: Bool)
    case split(SplitPattern, Behavior, invert: Bool)
    case digits(individual: Bool)
    case metaspace(replacement: Unicode.Scalar, PrependScheme, split: Bool)
    case punctuation(Behavior)
    case whitespaceSplit

    /// - Parameter startsText: whether the piece stands at the very start of the text given to `encode`.
    struct Piece {
        var text: ArraySlice<Unicode.Scalar>
        var startsText: Bool
    }

    func split(_ pieces: [Piece]) -> [Piece] {
        switch self {
        case .sequence(let stages): return stages.reduce(pieces) { $1.split($0) }
        case .byteLevel(let addPrefixSpace, let usesPattern):
            var words = pieces
            if addPrefixSpace {
                for index in words.indices where words[index].text.first != " " { words[index].text = ([" "] + words[index].text)[...] }
            }
            if usesPattern { words = words.flatMap { cut($0, SplitPattern.gpt2.split($0.text), .isolated) } }
            return words.map { word in
                var spelled: [Unicode.Scalar] = []
                spelled.reserveCapacity(word.text.count)
                for scalar in word.text {
                    for byte in UTF8.encode(scalar)! { spelled.append(ByteAlphabet.scalars[Int(byte)]) }
                }
                return Piece(text: spelled[...], startsText: word.startsText)
            }
        case .split(let pattern, let behavior, let invert):
            return pieces.flatMap { piece in
                var parts = pattern.split(piece.text)
                if invert { for index in parts.indices { parts[index].isMatch.toggle() } }
                return cut(piece, parts, behavior)
            }
        case .digits(let individual):
            return pieces.flatMap { cut($0, parts($0.text, \.isNumber), individual ? .isolated : .contiguous) }
        case .punctuation(let behavior):
            return pieces.flatMap { cut($0, parts($0.text) { $0.isASCIIPunctuation || $0.isPunctuation }, behavior) }
        case .whitespaceSplit:
            return pieces.flatMap { cut($0, parts($0.text, \.isSpace), .removed) }
        case .metaspace(let replacement, let scheme, let split):
            return pieces.flatMap { piece in
                var text = piece.text.map { $0 == " " ? replacement : $0 }
                if text.first != replacement, scheme == .always || scheme == .first && piece.startsText { text.insert(replacement, at: 0) }
                let whole = Piece(text: text[...], startsText: piece.startsText)
                return split ? cut(whole, parts(whole.text) { $0 == replacement }, .mergedWithNext) : [whole]
            }
        }
    }

    /// One part for every scalar that `isMatch` accepts, and for every stretch of others.
    private func parts(_ text: ArraySlice<Unicode.Scalar>, _ isMatch: (Unicode.Scalar) -> Bool) -> [SplitPattern.Part] {
        SplitPattern.split(text) { isMatch(text[$0]) ? $0 + 1 : nil }
    }

    private func cut(_ piece: Piece, _ parts: [SplitPattern.Part], _ behavior: Behavior) -> [Piece] {
        var ranges: [Range<Int>] = []
        var afterMatch = false
        switch behavior {
        case .removed: ranges = parts.filter { !$0.isMatch }.map(\.range)
        case .isolated: ranges = parts.map(\.range)
        case .mergedWithPrevious:
            for part in parts {
                if part.isMatch, !afterMatch, let last = ranges.last {
                    ranges[ranges.count - 1] = last.lowerBound..<part.range.upperBound
                } else {
                    ranges.append(part.range)
                }
                afterMatch = part.isMatch
            }
        case .mergedWithNext:
            for part in parts.reversed() {
                if part.isMatch, !afterMatch, let next = ranges.last {
                    ranges[ranges.count - 1] = part.range.lowerBound..<next.upperBound
                } else {
                    ranges.append(part.range)
                }
                afterMatch = part.isMatch
            }
            ranges.reverse()
        case .contiguous:
            for part in parts {
                if part.isMatch == afterMatch, let last = ranges.last {
                    ranges[ranges.count - 1] = last.lowerBound..<part.range.upperBound
                } else {
                    ranges.append(part.range)
                }
                afterMatch = part.isMatch
            }
        }
        return ranges.map { Piece(text: piece.text[$0], startsText: piece.startsText && $0.lowerBound == piece.text.startIndex) }
    }
}

extension SplitPattern {
    struct Part {
        var range: Range<Int>
        var isMatch: Bool
    }

    /// The matches, and the text between them, in order and without empty parts.
    func split(_ text: ArraySlice<Unicode.Scalar>) -> [Part] {
        SplitPattern.split(text) { match(text, at: $0) }
    }

    static func split(_ text: ArraySlice<Unicode.Scalar>, matchEnd: (Int) -> Int?) -> [Part] {
        var parts: [Part] = []
        var (gap, position) = (text.startIndex, text.startIndex)
        while position < text.endIndex {
            guard let end = matchEnd(position) else {
                position += 1
                continue
            }
            if gap < position { parts.append(Part(range: gap..<position, isMatch: false)) }
            parts.append(Part(range: position..<end, isMatch: true))
            (gap, position) = (end, end)
        }
        if gap < position { parts.append(Part(range: gap..<position, isMatch: false)) }
        return parts
    }
}
