import Foundation

/// A table of rewritten strings, as SentencePiece models carry it (`precompiled_charsmap`): a double-array trie over the old strings, whose leaves
/// point at the new ones.
///
/// Source: google/sentencepiece `src/normalizer.cc`; the trie is that of Darts-clone.
struct CharacterMap: Sendable {
    private let units: [UInt32]
    private let targets: [UInt8]  // new strings, each ended by a zero byte
    /// The bytes as they stand in the file.
    let serialized: [UInt8]

    /// - Parameter bytes: the size of the trie in bytes (32 bits, little-endian), the trie, the new strings.
    /// - Returns: nil with the reason when the bytes contradict themselves.
    init(_ bytes: [UInt8]) throws(CharacterMapError) {
        func word(_ place: Int) -> UInt32 {
            UInt32(bytes[place]) | UInt32(bytes[place + 1]) << 8 | UInt32(bytes[place + 2]) << 16 | UInt32(bytes[place + 3]) << 24
        }
        guard bytes.count > 4 else { throw CharacterMapError(problem: "\(bytes.count) bytes are too few for a character map") }
        let trieBytes = Int(word(0))
        guard trieBytes % 4 == 0, trieBytes > 0, trieBytes <= bytes.count - 4 else {
            throw CharacterMapError(problem: "a trie of \(trieBytes) bytes is announced, but \(bytes.count - 4) bytes follow")
        }
        units = stride(from: 4, to: 4 + trieBytes, by: 4).map(word)
        targets = Array(bytes[(4 + trieBytes)...]) + [0]
        guard String(validating: targets, as: UTF8.self) != nil else { throw CharacterMapError(problem: "the new strings are not UTF-8") }
        serialized = bytes
    }

    struct Match {
        var target: Range<Int>
        var byteCount: Int  // of the old string
    }

    /// The longest old string that starts at `place`, for SentencePiece; the shortest one for huggingface/tokenizers.
    func match(_ text: Span<UInt8>, at start: Int, takesShortest: Bool = false) -> Match? {
        var found: Match?
        var unit = units[0]
        var node = CharacterMap.offset(unit)
        for place in start..<text.count {
            guard text[place] != 0 else { break }
            node ^= Int(text[place])
            guard node < units.count else { break }
            unit = units[node]
            guard unit & 0x8000_00FF == UInt32(text[place]) else { break }  // a leaf has the highest bit
            node ^= CharacterMap.offset(unit)
            guard unit & 0x100 != 0, node < units.count else { continue }  // no string ends here
            // A sound map has whole characters on both sides; of a damaged one, nothing else is taken.
            guard place + 1 == text.count || text[place + 1] & 0xC0 != 0x80, let target = target(at: Int(units[node] & 0x7FFF_FFFF)) else { continue }
            found = Match(target: target, byteCount: place + 1 - start)
            if takesShortest { break }
        }
        return found
    }

    /// Whether accents are joined to their letters.
    var composes: Bool {
        let apart = Array("e\u{301}".utf8)
        return match(apart.span, at: 0).map { bytes($0).elementsEqual("\u{E9}".utf8) } ?? false
    }

    func bytes(_ match: Match) -> ArraySlice<UInt8> { targets[match.target] }

    /// Nil when no new string can start there.
    private func target(at start: Int) -> Range<Int>? {
        guard start < targets.count, targets[start] & 0xC0 != 0x80 else { return nil }
        var end = start
        while targets[end] != 0 { end += 1 }
        return start..<end
    }

    /// Darts-clone stores wide offsets in units of 256.
    private static func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & 0x200) >> 6)) }

    /// What huggingface/tokenizers makes of the map: a grapheme of less than 6 bytes is rewritten whole by the shortest old string it starts with,
    /// a longer one scalar by scalar. Source: `tokenizers/src/normalizers/precompiled.rs`, which says itself that this is odd.
    func normalize(_ text: AlignedText) -> AlignedText {
        var edit = TextEdit(text)
        let bytes = text.bytes.span
        // The last new character waits: what is dropped after it becomes its own.
        var last: (scalar: Unicode.Scalar, characters: Int)?
        func write() {
            guard let last else { return }
            if last.characters > 0 { edit.replace(last.characters, by: last.scalar) } else { edit.insert(last.scalar) }
        }
        func append(_ scalar: Unicode.Scalar, _ characters: Int) {
            write()
            last = (scalar, characters)
        }
        func rewrite(_ range: Range<Int>, _ match: Match) {
            let old = bytes.extracting(range).scalarCount
            var new = 0
            for scalar in String(decoding: self.bytes(match), as: UTF8.self).unicodeScalars {
                append(scalar, new < old ? 1 : 0)
                new += 1
            }
            if new < old { last?.characters += old - new }
        }
        var start = 0
        for grapheme in String(decoding: text.bytes, as: UTF8.self) {
            let end = start + grapheme.utf8.count
            if end - start < 6, let match = match(bytes.extracting(..<end), at: start, takesShortest: true) {
                rewrite(start..<end, match)
            } else {
                var place = start
                while place < end {
                    let next = place + scalarWidth(bytes[place])
                    if let match = match(bytes.extracting(..<next), at: place, takesShortest: true) {
                        rewrite(place..<next, match)
                    } else {
                        append(bytes.scalar(at: place), 1)
                    }
                    place = next
                }
            }
            start = end
        }
        write()
        return edit.result
    }
}

extension [UInt8] {
    var base64: String { Data(self).base64EncodedString() }
}

struct CharacterMapError: Error {
    var problem: String
}
