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
        case token(Int32)
        case text(Range<Int>)
    }

    let tokens: [AddedToken]
    private let original: Matcher
    private let normalized: Matcher

    /// - Parameter normalize: applied to the content of tokens that are matched in normalized text.
    init(_ tokens: [AddedToken], normalize: ([UInt8]) -> [UInt8]) {
        self.tokens = tokens
        original = Matcher(tokens.filter { !$0.normalized })
        normalized = Matcher(
            tokens.filter(\.normalized).map { token in
                var token = token
                token.content = normalize(token.content)
                return token
            })
    }

    func splitOriginal(_ text: [UInt8], parseSpecial: Bool) -> [Segment] { original.split(text, parseSpecial: parseSpecial) }
    func splitNormalized(_ text: [UInt8], parseSpecial: Bool) -> [Segment] { normalized.split(text, parseSpecial: parseSpecial) }
}

/// Finds the leftmost, and there the longest, token.
private struct Matcher: Sendable {
    private var byFirstByte: [[AddedToken]] = Array(repeating: [], count: 256)  // longest first
    private var isEmpty = true

    init(_ tokens: [AddedToken]) {
        for token in tokens {
            guard let first = token.content.first else { continue }
            byFirstByte[Int(first)].append(token)
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
            let candidates = byFirstByte[Int(text[position])]
            guard !candidates.isEmpty, let token = candidates.first(where: { text[position...].starts(with: $0.content) }) else {
                position += 1
                continue
            }
            var (start, end) = (position, position + token.content.count)
            position = end
            if token.isSpecial && !parseSpecial { continue }
            if token.singleWord, scalar(before: start, in: text)?.isWord == true || scalar(at: end, in: text)?.isWord == true { continue }
            if token.lstrip {
                while start > done, let before = scalar(before: start, in: text), before.properties.isWhitespace {
                    start -= UTF8.width(before)
                }
                start = max(start, done)
            }
            if token.rstrip {
                while let after = scalar(at: end, in: text), after.properties.isWhitespace { end += UTF8.width(after) }
            }
            if done < start { segments.append(.text(done..<start)) }
            segments.append(.token(token.id))
            done = end
            position = max(position, end)
        }
        if done < text.count { segments.append(.text(done..<text.count)) }
        return segments
    }

    private func scalar(at position: Int, in text: [UInt8]) -> Unicode.Scalar? {
        guard position < text.count else { return nil }
        var end = position + 1
        while end < text.count, text[end] & 0xC0 == 0x80 { end += 1 }
        return String(decoding: text[position..<end], as: UTF8.self).unicodeScalars.first
    }

    private func scalar(before position: Int, in text: [UInt8]) -> Unicode.Scalar? {
        guard position > 0 else { return nil }
        var start = position - 1
        while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
        return scalar(at: start, in: text)
    }
}
