import ModelFiles

/// The likeliest way to cut a text into pieces, each of which has a log-probability.
///
/// Source: Kudo 2018, arXiv:1804.10959, section 3.2 (Viterbi); huggingface/tokenizers `models/unigram/model.rs` and google/sentencepiece
/// `src/unigram_model.cc`, which round differently and so break ties differently in long texts.
struct Unigram: TokenModel {
    /// What the two libraries do differently.
    enum Dialect: Sendable {
        case tokenizers  // Double; unknown neighbours are fused (`fuse_unk`) and, with byte fallback, written as bytes of the whole run
        case sentencePiece  // Float
    }

    /// The best way to reach a place.
    struct Node: Sendable {
        var score: Double
        var id: Int32  // of the last piece; −1 when nothing reaches the place
        var start: Int32  // of the last piece, counted from the last commitment
        static let unreached = Node(score: 0, id: -1, start: 0)
    }

    /// What the unknown piece costs more than the rarest one, in nats.
    static let unknownPenalty = 10.0

    /// More than any other piece has, so that user-defined pieces are always taken, the longest first. SentencePiece 0.2.3 counts so.
    static func userDefinedScore(byteCount: Int) -> Double { 0.1 * Double(byteCount - 1) }

    let vocabulary: Vocabulary
    let scores: [Double]  // [vocabulary], natural logarithms
    let unknownToken: Int32?
    let dialect: Dialect
    private let byteTokens: ByteTokens?
    private let kinds: [PieceKind]
    private let trie: PieceTrie
    private let unknownScore: Double

    /// - Parameter kinds: `[vocabulary]`; only normal, user-defined and unused pieces are found in text, and unused ones are never taken.
    init(vocabulary: Vocabulary, scores: [Double], kinds: [PieceKind], unknownToken: Int32?, byteTokens: ByteTokens?, dialect: Dialect) {
        self.vocabulary = vocabulary
        self.scores = scores
        self.kinds = kinds
        self.unknownToken = unknownToken
        self.byteTokens = byteTokens
        self.dialect = dialect
        trie = PieceTrie(vocabulary, ids: vocabulary.findableIDs)
        let counted = dialect == .tokenizers ? scores : zip(scores, kinds).filter { $0.1 == .normal }.map(\.0)
        let penalized = (counted.min() ?? 0) - Unigram.unknownPenalty
        unknownScore = dialect == .tokenizers ? penalized : Double(Float(penalized))
    }

    func encode(_ word: Span<UInt8>, into tokens: inout Tokens, using scratch: inout EncodingScratch) {
        switch dialect {
        case .tokenizers: tokens.appendCached(word, &scratch) { tokens, scratch in cut(word, &tokens, &scratch.lattice) }
        case .sentencePiece: cut(word, &tokens, &scratch.lattice)  // its rounding depends on what stands before
        }
    }

    /// Viterbi from left to right. Wherever no piece reaches over a place, everything before it is decided and written out, so that the lattice
    /// stays short even in a text without end.
    private func cut(_ word: Span<UInt8>, _ tokens: inout Tokens, _ lattice: inout [Node]) {
        var output = Output(byteTokens: byteTokens, unknownToken: unknownToken, dialect: dialect)
        lattice.removeAll(keepingCapacity: true)
        lattice.append(Node(score: 0, id: 0, start: 0))
        var (base, reach, place) = (0, 0, 0)
        while place < word.count {
            if place == reach, place > base {
                commit(base, place, word, lattice, &output, &tokens)
                let score = lattice[place - base].score
                lattice.removeAll(keepingCapacity: true)
                lattice.append(Node(score: score, id: 0, start: 0))
                base = place
            }
            let score = lattice[place - base].score
            let width = scalarWidth(word[place])
            var (node, end) = (PieceTrie.root, place)
            var isKnown = false
            while end < word.count, let next = trie.child(of: node, word[end]) {
                node = next
                end += 1
                let id = trie.id(at: node)
                guard id >= 0, kinds[Int(id)] != .unused else { continue }
                let isUserDefined = dialect == .sentencePiece && kinds[Int(id)] == .userDefined
                let gain = isUserDefined ? Unigram.userDefinedScore(byteCount: end - place) : scores[Int(id)]
                offer(Node(score: score + gain, id: id, start: Int32(place - base)), at: end - base, &lattice)
                reach = max(reach, end)
                if end == place + width { isKnown = true }
            }
            if !isKnown {
                offer(Node(score: score + unknownScore, id: unknownToken ?? -2, start: Int32(place - base)), at: place + width - base, &lattice)
                reach = max(reach, place + width)
            }
            place += width
        }
        commit(base, word.count, word, lattice, &output, &tokens)
        output.finish(word, &tokens)
    }

    @inline(__always)
    private func offer(_ node: Node, at place: Int, _ lattice: inout [Node]) {
        while lattice.count <= place { lattice.append(.unreached) }
        let score = dialect == .sentencePiece ? Double(Float(node.score)) : node.score
        guard lattice[place].id == -1 || score > lattice[place].score else { return }
        lattice[place] = node
        lattice[place].score = score
    }

    /// Writes out the best way from `base` to `end`.
    private func commit(_ base: Int, _ end: Int, _ word: Span<UInt8>, _ lattice: [Node], _ output: inout Output, _ tokens: inout Tokens) {
        // Backwards, remembering only the places: `ends` is short except in texts that never allow a commitment.
        var ends: [Int] = []
        var place = end - base
        while place > 0 {
            ends.append(place)
            place = Int(lattice[place].start)
        }
        for end in ends.reversed() {
            let node = lattice[end]
            output.append(node.id, base + Int(node.start), base + end, word, &tokens)
        }
    }

    func droppedRuns(in word: Span<UInt8>) -> [Range<Int>] {
        guard unknownToken == nil else { return [] }
        var (runs, place) = ([Range<Int>](), 0)
        while place < word.count {
            let end = place + scalarWidth(word[place])
            if trie.longest(word, from: place) == nil, byteTokens?.spells(word, place..<end) != true { runs.append(place..<end) }
            place = end
        }
        return runs
    }

    func description(_ text: (Int32) -> String) -> ModelDescription {
        ModelDescription(type: "Unigram", settings: [
            ("unk_id", unknownToken.map { .integer(Int64($0)) } ?? .null), ("byte_fallback", .bool(byteTokens != nil)),
        ], scores: dialect == .tokenizers ? scores : scores.indices.map(plainScore))
    }

    /// The score that gives a piece the same part in a Unigram model that knows no kinds of pieces.
    private func plainScore(_ id: Int) -> Double {
        switch kinds[id] {
        case .normal: scores[id]
        case .userDefined: Unigram.userDefinedScore(byteCount: vocabulary.piece(id)?.count ?? 1)
        case .unknown, .control, .unused, .byte: unknownScore - 100  // never the likeliest
        }
    }
}

extension Unigram {
    /// Writes pieces as tokens: unknown ones as bytes, or fused.
    fileprivate struct Output {
        let byteTokens: ByteTokens?
        let unknownToken: Int32?
        let dialect: Dialect
        private var unknown: Range<Int>?  // a run that is not written yet

        init(byteTokens: ByteTokens?, unknownToken: Int32?, dialect: Dialect) {
            (self.byteTokens, self.unknownToken, self.dialect) = (byteTokens, unknownToken, dialect)
        }

        @inline(__always)
        mutating func append(_ id: Int32, _ start: Int, _ end: Int, _ word: Span<UInt8>, _ tokens: inout Tokens) {
            if id == -2 || id == unknownToken {
                // SentencePiece turns every unknown character into bytes by itself.
                if dialect == .sentencePiece, byteTokens != nil { finish(word, &tokens) }
                unknown = (unknown?.lowerBound ?? start)..<end
            } else {
                finish(word, &tokens)
                tokens.append(id, start, end)
            }
        }

        mutating func finish(_ word: Span<UInt8>, _ tokens: inout Tokens) {
            guard let run = unknown else { return }
            unknown = nil
            if let byteTokens, byteTokens.spells(word, run) {
                for place in run {
                    // The last byte stands for the text in SentencePiece, every byte in tokenizers.
                    let isLast = place == run.upperBound - 1
                    let covers = dialect == .tokenizers || isLast
                    tokens.append(byteTokens[word[place]], run.lowerBound, covers ? run.upperBound : run.lowerBound)
                }
            } else if let unknownToken {
                tokens.append(unknownToken, run.lowerBound, run.upperBound)
            }
        }
    }
}
