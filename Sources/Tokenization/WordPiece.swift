import ModelFiles

/// The longest piece first, from left to right; pieces inside a word carry a prefix such as `##`.
///
/// Source: Wu et al. 2016, arXiv:1609.08144, section 4.1; BERT's `WordpieceTokenizer`.
struct WordPiece: TokenModel {
    let vocabulary: Vocabulary
    let unknownToken: Int32?
    let continuingPrefix: [UInt8]
    let longestWord: Int  // in scalars; longer words are unknown
    private let trie: PieceTrie
    private let continuing: Int?  // the node of the prefix

    init(vocabulary: Vocabulary, unknownToken: Int32, continuingPrefix: [UInt8], longestWord: Int) {
        self.vocabulary = vocabulary
        self.unknownToken = unknownToken
        self.continuingPrefix = continuingPrefix
        self.longestWord = longestWord
        trie = PieceTrie(vocabulary, ids: vocabulary.findableIDs)
        continuing = trie.node(continuingPrefix)
    }

    func encode(_ word: Span<UInt8>, into tokens: inout Tokens, using scratch: inout EncodingScratch) {
        tokens.appendCached(word, &scratch) { tokens, scratch in
            guard word.count <= longestWord || word.scalarCount <= longestWord else {
                tokens.append(unknownToken!, 0, word.count)
                return
            }
            let start = tokens.ids.count
            var place = 0
            while place < word.count {
                guard let node = place == 0 ? PieceTrie.root : continuing, let (id, end) = trie.longest(word, from: place, below: node) else {
                    tokens.removeAll(from: start)
                    tokens.append(unknownToken!, 0, word.count)
                    return
                }
                tokens.append(id, place, end)
                place = end
            }
        }
    }

    func description(_ text: (Int32) -> String) -> ModelDescription {
        ModelDescription(type: "WordPiece", settings: [
            ("unk_token", .string(text(unknownToken!))), ("continuing_subword_prefix", .string(String(decoding: continuingPrefix, as: UTF8.self))),
            ("max_input_chars_per_word", .integer(Int64(longestWord))),
        ])
    }
}
