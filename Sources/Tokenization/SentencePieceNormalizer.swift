/// What SentencePiece does to text before encoding it: rewriting by a table, trimming white space, writing spaces as U+2581.
///
/// Source: google/sentencepiece `src/normalizer.cc`.
struct SentencePieceNormalizer: Sendable {
    var characterMap: CharacterMap?
    var addsDummyPrefix = true
    var removesExtraWhitespace = true
    var escapesWhitespace = true
    var treatsWhitespaceAsSuffix = false  // the dummy space goes to the end
    var userDefined: PieceTrie?  // these are left as they are

    /// The origins of the result say what SentencePiece says: a byte reaches from the start of the characters it was made of to the start of those
    /// of the next byte.
    func normalize(_ text: AlignedText) -> AlignedText {
        guard !text.isEmpty else { return text }
        let input = text.bytes.span
        var output: [UInt8] = []
        output.reserveCapacity(input.count + 16)
        var starts: [Int] = []  // [output], in `input`; only when tracked
        let space = escapesWhitespace ? metaspace : [UInt8(ascii: " ")]
        var place = 0

        func append(_ byte: UInt8) {
            if byte == UInt8(ascii: " ") {
                appendSpace()
            } else {
                output.append(byte)
                if text.isTracked { starts.append(place) }
            }
        }
        func appendSpace() {
            output.append(contentsOf: space)
            if text.isTracked { for _ in space { starts.append(place) } }
        }

        if removesExtraWhitespace {
            while place < input.count {
                let prefix = self.prefix(input, place)
                guard prefix.target?.elementsEqual([UInt8(ascii: " ")]) ?? (prefix.byteCount == 1 && input[place] == UInt8(ascii: " ")) else { break }
                place += prefix.byteCount
            }
            if place == input.count { return AlignedText([], origins: [], isTracked: text.isTracked) }
        }
        if addsDummyPrefix && !treatsWhitespaceAsSuffix { appendSpace() }
        var isAfterSpace = removesExtraWhitespace
        while place < input.count {
            let prefix = self.prefix(input, place)
            if let target = prefix.target {
                var target = target
                while isAfterSpace, target.first == UInt8(ascii: " ") { target = target.dropFirst() }
                for byte in target { append(byte) }
                if let last = target.last { isAfterSpace = last == UInt8(ascii: " ") }
            } else {
                var next = place
                while isAfterSpace, next < place + prefix.byteCount, input[next] == UInt8(ascii: " ") { next += 1 }
                let end = place + prefix.byteCount
                if next < end { isAfterSpace = input[end - 1] == UInt8(ascii: " ") }
                for index in next..<end { append(input[index]) }
            }
            place += prefix.byteCount
            if !removesExtraWhitespace { isAfterSpace = false }
        }
        if removesExtraWhitespace {
            while output.count >= space.count, output.suffix(space.count).elementsEqual(space) {
                output.removeLast(space.count)
                guard text.isTracked else { continue }
                place = starts[output.count]
                starts.removeLast(space.count)
            }
        }
        if addsDummyPrefix && treatsWhitespaceAsSuffix { appendSpace() }
        guard text.isTracked else { return AlignedText(output, origins: [], isTracked: false) }
        starts.append(place)
        let places = starts.map { $0 < input.count ? text.origins[$0].start : text.origins[input.count - 1].end }
        return AlignedText(output, origins: zip(places, places.dropFirst()).map { .init(start: $0, end: $1) }, isTracked: true)
    }

    /// The next characters that are rewritten together.
    /// - Returns: how many bytes they have, and what they become; nil when they stay.
    private func prefix(_ input: Span<UInt8>, _ place: Int) -> (byteCount: Int, target: ArraySlice<UInt8>?) {
        if let end = userDefined?.longest(input, from: place)?.end { return (end - place, nil) }
        if let characterMap, let match = characterMap.match(input, at: place) { return (match.byteCount, characterMap.bytes(match)) }
        return (scalarWidth(input[place]), nil)
    }
}
