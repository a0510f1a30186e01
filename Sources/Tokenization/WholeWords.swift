import ModelFiles

/// SentencePiece's model types `char` and `word`: a token for every character, or for every word that the vocabulary has.
///
/// Source: google/sentencepiece `src/char_model.cc`, `src/word_model.cc`.
struct WholeWords: TokenModel {
    enum Unit: Sendable { case character, word }

    let unit: Unit
    let vocabulary: Vocabulary
    let unknownToken: Int32?
    let treatsWhitespaceAsSuffix: Bool
    let byteTokens: ByteTokens?
    let userDefined: PieceTrie?  // never cut, for characters

    func encode(_ word: Span<UInt8>, into tokens: inout Tokens, using scratch: inout EncodingScratch) {
        let firstToken = tokens.ids.count
        var start = 0
        while start < word.count {
            let end = self.end(word, start)
            if let id = vocabulary.id(of: word.extracting(start..<end)) {
                tokens.append(id, start, end)
            } else {
                tokens.appendUnknown(word, start..<end, 0, firstToken, unknownToken: unknownToken!, byteTokens: byteTokens)
            }
            start = end
        }
    }

    private func end(_ text: Span<UInt8>, _ start: Int) -> Int {
        switch unit {
        case .character: return userDefined?.longest(text, from: start)?.end ?? start + scalarWidth(text[start])
        case .word:
            // A word begins with U+2581, or ends with it.
            var place = start
            while place < text.count {
                let isMark = text.starts(with: metaspace, at: place)
                if isMark, place > start, !treatsWhitespaceAsSuffix { return place }
                place += isMark ? metaspace.count : 1
                if isMark, treatsWhitespaceAsSuffix { return place }
            }
            return text.count
        }
    }

    func description(_ text: (Int32) -> String) -> ModelDescription {
        switch unit {
        case .word: ModelDescription(type: "WordLevel", settings: [("unk_token", .string(text(unknownToken!)))])
        case .character:
            // Byte-pair encoding without merges.
            ModelDescription(
                type: "BPE",
                settings: [
                    ("dropout", .null), ("unk_token", .string(text(unknownToken!))), ("continuing_subword_prefix", .null),
                    ("end_of_word_suffix", .null), ("fuse_unk", .bool(true)), ("byte_fallback", .bool(byteTokens != nil)),
                    ("ignore_merges", .bool(false)),
                ], merges: [])
        }
    }
}
