/// Tokens that are recognised in the text before any other stage, and never split.
///
/// Source: huggingface/tokenizers `tokenizers/src/tokenizer/added_vocabulary.rs`.
struct AddedToken: Sendable {
    var id: Int32
    var content: [UInt8]
    var isSpecial = false
    var singleWord = false  // only between non-word characters
    var lstrip = false  // takes the white space before it
    var rstrip = false
    var normalized = false  // matched in the normalized text
}

struct AddedTokens: Sendable {
    enum Segment: Equatable {
        case token(Int32, Range<Int>)  // with the bytes that it takes
        case text(Range<Int>)
    }

    let tokens: [AddedToken]
    /// The same, with what is looked for in the text as content: normalized where the token is matched in normalized text. That is also what
    /// such a token decodes to.
    let asMatched: [AddedToken]
    private let original: Matcher
    private let normalized: Matcher

    init(_ tokens: [AddedToken], normalizer: TextNormalizer?) {
        self.tokens = tokens
        asMatched = tokens.map { token in
            guard token.normalized, let normalizer else { return token }
            var token = token
            token.content = normalizer.normalize(AlignedText(token.content, 0..<token.content.count, isTracked: false)).bytes
            return token
        }
        original = Matcher(asMatched.filter { !$0.normalized })
        normalized = Matcher(asMatched.filter(\.normalized))
    }

    func splitOriginal(_ text: [UInt8], parseSpecial: Bool) -> [Segment] { original.split(text, parseSpecial: parseSpecial) }
    func splitNormalized(_ text: [UInt8], parseSpecial: Bool) -> [Segment] { normalized.split(text, parseSpecial: parseSpecial) }
}

/// Finds the leftmost, and there the longest, token.
private struct Matcher: Sendable {
    private var byFirstByte: [[AddedToken]] = Array(repeating: [], count: 256)  // longest first
    private var startsToken = [Bool](repeating: false, count: 256)
    private var isEmpty = true

    init(_ tokens: [AddedToken]) {
        for token in tokens {
            guard let first = token.content.first else { continue }
            byFirstByte[Int(first)].append(token)
            startsToken[Int(first)] = true
            isEmpty = false
        }
        for byte in byFirstByte.indices { byFirstByte[byte].sort { $0.content.count > $1.content.count } }
    }

    func split(_ text: [UInt8], parseSpecial: Bool) -> [AddedTokens.Segment] {
        guard !text.isEmpty else { return [] }
        if isEmpty { return [.text(0..<text.count)] }
        var segments: [AddedTokens.Segment] = []
        var done = 0
        var position = 0
        while position < text.count {
            guard startsToken[Int(text[position])],
                let token = byFirstByte[Int(text[position])].first(where: { text.span.starts(with: $0.content, at: position) })
            else {
                position += 1
                continue
            }
            var (start, end) = (position, position + token.content.count)
            position = end
            if token.isSpecial && !parseSpecial { continue }
            if token.singleWord, isWord(before: start, in: text) || end < text.count && ScalarClass.of(text.scalar(at: end)).contains(.word) { continue }
            if token.lstrip {
                while start > done, case let before = text.span.scalarStart(before: start), ScalarClass.of(text.scalar(at: before)).contains(.space) {
                    start = before
                }
                start = max(start, done)
            }
            if token.rstrip {
                while end < text.count, ScalarClass.of(text.scalar(at: end)).contains(.space) { end += scalarWidth(text[end]) }
            }
            if done < start { segments.append(.text(done..<start)) }
            segments.append(.token(token.id, start..<end))
            done = end
            position = max(position, end)
        }
        if done < text.count { segments.append(.text(done..<text.count)) }
        return segments
    }

    private func isWord(before position: Int, in text: [UInt8]) -> Bool {
        position > 0 && ScalarClass.of(text.scalar(at: text.span.scalarStart(before: position))).contains(.word)
    }
}
