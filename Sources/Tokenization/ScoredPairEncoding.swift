/// Byte-pair encoding as SentencePiece does it: no merge list; of all neighbours that form a piece, the piece with the highest score merges first.
///
/// GGUF files of model `llama`. Source: google/sentencepiece `src/bpe_model.cc`.
struct ScoredPairEncoding: Sendable {
    let vocabulary: Vocabulary  // only normal and user-defined pieces can be found
    let ranks: [UInt32]  // [vocabulary], 0 for the highest score; equal scores share a rank
    let byteTokens: [Int32]  // [256], −1 where the vocabulary lacks the byte
    let unknownToken: Int32

    init(vocabulary: Vocabulary, scores: [Double], byteTokens: [Int32], unknownToken: Int32) {
        self.vocabulary = vocabulary
        self.byteTokens = byteTokens
        self.unknownToken = unknownToken
        let order = scores.indices.sorted { scores[$0] > scores[$1] }
        var ranks = [UInt32](repeating: 0, count: scores.count)
        for (position, id) in order.enumerated() where position > 0 {
            let before = order[position - 1]
            ranks[id] = scores[id] == scores[before] ? ranks[before] : UInt32(position)
        }
        self.ranks = ranks
    }

    /// Appends the ids of a text whose spaces are already U+2581.
    func encode(_ word: ArraySlice<Unicode.Scalar>, into ids: inout [Int32]) {
        var bytes: [UInt8] = []
        var symbols: [Symbol] = []
        symbols.reserveCapacity(word.count)
        for scalar in word {
            let start = bytes.count
            bytes.append(contentsOf: UTF8.encode(scalar)!)
            let id = vocabulary.id(of: bytes[start...]) ?? -1
            symbols.append(Symbol(id: id, start: Int32(start), end: Int32(bytes.count)))
        }
        let merged = mergeSymbols(symbols) { left, right in
            vocabulary.id(of: bytes[Int(left.start)..<Int(right.end)]).map { Merge(rank: ranks[Int($0)], id: $0) }
        }
        for symbol in merged {
            let spelling = bytes[Int(symbol.start)..<Int(symbol.end)]
            if symbol.id >= 0 {
                ids.append(symbol.id)
            } else if spelling.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
                for byte in spelling { ids.append(byteTokens[Int(byte)]) }
            } else if ids.last != unknownToken {
                ids.append(unknownToken)
            }
        }
    }

    /// The merge list that gives the same ids in most texts: every way to cut a piece in two pieces, highest score first.
    /// Source: `SentencePieceExtractor` in huggingface/transformers `convert_slow_tokenizer.py`.
    var mergeList: [(left: Int32, right: Int32)] {
        var found: [(rank: UInt32, left: Int32, right: Int32)] = []
        for id in 0..<vocabulary.count {
            guard let piece = vocabulary.piece(id), piece.count > 1, vocabulary.id(of: piece) == Int32(id) else { continue }
            for cut in piece.indices.dropFirst() where piece[cut] & 0xC0 != 0x80 {
                guard let left = vocabulary.id(of: piece[..<cut]), let right = vocabulary.id(of: piece[cut...]) else { continue }
                found.append((ranks[id], left, right))
            }
        }
        return found.sorted { ($0.rank, $0.left, $0.right) < ($1.rank, $1.left, $1.right) }.map { ($0.left, $0.right) }
    }
}
