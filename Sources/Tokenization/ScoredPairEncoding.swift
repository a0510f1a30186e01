import ModelFiles

/// Byte-pair encoding as SentencePiece does it: no merge list; of all neighbours that form a piece, the piece with the highest score merges first.
///
/// Source: google/sentencepiece `src/bpe_model.cc`.
struct ScoredPairEncoding: TokenModel {
    let vocabulary: Vocabulary  // only normal, user-defined and unused pieces can be found
    let unknownToken: Int32?
    private let ranks: [UInt32]  // [vocabulary], 0 for the highest score; equal scores share a rank
    private let kinds: [PieceKind]
    private let byteTokens: ByteTokens?
    private let userDefined: PieceTrie?  // these never merge
    private let hasUnused: Bool
    private let wordStart: [UInt8]?  // no merge reaches over a place before this string

    init(vocabulary: Vocabulary, scores: [Double], kinds: [PieceKind], unknownToken: Int32, byteTokens: ByteTokens?, userDefined: PieceTrie?) {
        self.vocabulary = vocabulary
        self.unknownToken = unknownToken
        self.kinds = kinds
        self.byteTokens = byteTokens
        self.userDefined = userDefined
        hasUnused = kinds.contains(.unused)
        wordStart = userDefined == nil && vocabulary.id(of: metaspace) != nil && vocabulary.onlyStarts(with: metaspace) ? metaspace : nil
        let order = scores.indices.sorted { scores[$0] > scores[$1] }
        var ranks = [UInt32](repeating: 0, count: scores.count)
        for (position, id) in order.enumerated() where position > 0 {
            let before = order[position - 1]
            ranks[id] = scores[id] == scores[before] ? ranks[before] : UInt32(position)
        }
        self.ranks = ranks
    }

    func encode(_ word: Span<UInt8>, into tokens: inout Tokens, using scratch: inout EncodingScratch) {
        let firstToken = tokens.ids.count
        var start = 0
        while start < word.count {
            let end = wordStart.map { word.nextCut(before: $0, after: start) } ?? word.count
            encode(word, start..<end, firstToken, into: &tokens, using: &scratch)
            start = end
        }
    }

    /// - Parameter firstToken: where the tokens of the whole word begin; unknown neighbours in it are one token.
    private func encode(
        _ word: Span<UInt8>, _ range: Range<Int>, _ firstToken: Int, into tokens: inout Tokens, using scratch: inout EncodingScratch
    ) {
        let part = word.extracting(range)
        tokens.appendCached(part, &scratch) { tokens, scratch in
            fillSymbols(part, &scratch.symbols)
            mergeSymbols(&scratch.symbols) { left, right in
                // A symbol that must not merge has the id −2.
                guard left.id != -2, right.id != -2 else { return nil }
                return vocabulary.id(of: part.extracting(Int(left.start)..<Int(right.end))).map { Merge(rank: ranks[Int($0)], id: $0) }
            }
            for symbol in scratch.symbols { write(symbol, part, range.lowerBound, firstToken, &tokens) }
        }
    }

    private func fillSymbols(_ word: Span<UInt8>, _ symbols: inout [Symbol]) {
        symbols.removeAll(keepingCapacity: true)
        var place = 0
        while place < word.count {
            if let end = userDefined?.longest(word, from: place)?.end {
                symbols.append(Symbol(id: -2, start: Int32(place), end: Int32(end)))
                place = end
                continue
            }
            let end = place + scalarWidth(word[place])
            symbols.append(Symbol(id: vocabulary.id(of: word.extracting(place..<end)) ?? -1, start: Int32(place), end: Int32(end)))
            place = end
        }
    }

    private func write(_ symbol: Symbol, _ word: Span<UInt8>, _ offset: Int, _ firstToken: Int, _ tokens: inout Tokens) {
        let range = Int(symbol.start)..<Int(symbol.end)
        guard let id = vocabulary.id(of: word.extracting(range)) else {
            tokens.appendUnknown(word, range, offset, firstToken, unknownToken: unknownToken!, byteTokens: byteTokens)
            return
        }
        guard hasUnused, kinds[Int(id)] == .unused else {
            tokens.append(id, offset + range.lowerBound, offset + range.upperBound)
            return
        }
        // An unused piece falls apart again into what it was merged from: the two parts with the best merge, and so on.
        var open = [range]
        while let range = open.popLast() {
            let id = vocabulary.id(of: word.extracting(range))
            if let id, kinds[Int(id)] == .unused, let cut = lastMerge(word, range) {
                open.append(cut..<range.upperBound)
                open.append(range.lowerBound..<cut)
            } else if let id {
                tokens.append(id, offset + range.lowerBound, offset + range.upperBound)
            } else {
                tokens.appendUnknown(word, range, offset, firstToken, unknownToken: unknownToken!, byteTokens: byteTokens)
            }
        }
    }

    /// Where the two parts meet that merge last into the piece in `range`; nil for a single character.
    private func lastMerge(_ word: Span<UInt8>, _ range: Range<Int>) -> Int? {
        var symbols: [Symbol] = []
        fillSymbols(word.extracting(range), &symbols)
        let part = word.extracting(range)
        mergeSymbols(&symbols) { left, right in
            guard right.end - left.start < Int32(range.count) else { return nil }
            return vocabulary.id(of: part.extracting(Int(left.start)..<Int(right.end))).map { Merge(rank: ranks[Int($0)], id: $0) }
        }
        return symbols.count > 1 ? range.lowerBound + Int(symbols[0].end) : nil
    }

    func description(_ text: (Int32) -> String) -> ModelDescription {
        ModelDescription(
            type: "BPE",
            settings: [
                ("dropout", .null), ("unk_token", .string(text(unknownToken!))), ("continuing_subword_prefix", .null), ("end_of_word_suffix", .null),
                ("fuse_unk", .bool(true)), ("byte_fallback", .bool(byteTokens != nil)), ("ignore_merges", .bool(false)),
            ], merges: mergeList)
    }

    /// The merge list that gives the same ids in most texts: every way to cut a piece in two pieces, highest score first.
    /// Source: `SentencePieceExtractor` in huggingface/transformers `convert_slow_tokenizer.py`.
    private var mergeList: [(left: Int32, right: Int32)] {
        var found: [(rank: UInt32, left: Int32, right: Int32)] = []
        for id in 0..<vocabulary.count {
            guard let piece = vocabulary.piece(id), piece.count > 1, kinds[id] == .normal || kinds[id] == .unused, vocabulary.id(of: piece) == Int32(id)
            else { continue }
            for cut in piece.indices.dropFirst() where piece[cut] & 0xC0 != 0x80 {
                guard let left = vocabulary.id(of: piece[..<cut]), let right = vocabulary.id(of: piece[cut...]) else { continue }
                found.append((ranks[id], left, right))
            }
        }
        return found.sorted { ($0.rank, $0.left, $0.right) < ($1.rank, $1.left, $1.right) }.map { ($0.left, $0.right) }
    }
}

extension Tokens {
    /// Writes what a SentencePiece vocabulary does not know: as bytes, of which the last stands for the text; else as the unknown token, one for
    /// neighbours.
    /// - Parameters:
    ///   - offset: of `word` in the text that the model was given.
    ///   - firstToken: where the tokens of that text begin.
    mutating func appendUnknown(
        _ word: Span<UInt8>, _ range: Range<Int>, _ offset: Int, _ firstToken: Int, unknownToken: Int32, byteTokens: ByteTokens?
    ) {
        let (start, end) = (offset + range.lowerBound, offset + range.upperBound)
        if let byteTokens, byteTokens.spells(word, range) {
            for place in range { append(byteTokens[word[place]], start, place == range.upperBound - 1 ? end : start) }
        } else if ids.count > firstToken, ids.last == unknownToken {
            extendLast(to: end)
        } else {
            append(unknownToken, start, end)
        }
    }
}
