import ModelFiles

/// Byte-pair encoding with a list of merges, as in `tokenizer.json` files of type `BPE` and GGUF files of model `gpt2`.
///
/// Source: Sennrich et al. 2016, arXiv:1508.07909; huggingface/tokenizers `tokenizers/src/models/bpe/`.
struct BytePairEncoding: TokenModel {
    /// What a `tokenizer.json` sets beside vocabulary and merges.
    struct Settings: Sendable {
        var unknownToken: Int32?
        var fusesUnknown = false
        var hasByteFallback = false
        var ignoresMerges = false  // a word that is in the vocabulary is taken whole
        var continuingPrefix: [UInt8] = []  // of every symbol but the first of a word
        var wordSuffix: [UInt8] = []  // of the last symbol of a word, `</w>`
    }

    let vocabulary: Vocabulary
    let merges: MergeTable
    let settings: Settings
    /// Words come as the bytes themselves, and the vocabulary spells them in the byte alphabet.
    let readsBytes: Bool
    private let byteTokens: ByteTokens?
    private let firstSymbols: [Int32]  // of the bytes (`readsBytes`) or the ASCII scalars inside a word, −1 where there is none
    private let wordStart: [UInt8]?  // no merge reaches over a place before this string: words can be cut there

    var unknownToken: Int32? { settings.unknownToken }

    init(vocabulary: Vocabulary, merges: MergeTable, settings: Settings = Settings(), readsBytes: Bool = false) {
        self.vocabulary = vocabulary
        self.merges = merges
        self.settings = settings
        self.readsBytes = readsBytes
        byteTokens = settings.hasByteFallback ? ByteTokens(vocabulary) : nil
        firstSymbols = (UInt8(0)...255).map { byte in
            if !readsBytes && byte >= 0x80 { return -1 }
            let spelling = readsBytes ? ByteAlphabet.spelled([byte]) : [byte]
            return vocabulary.id(of: settings.continuingPrefix + spelling) ?? -1
        }
        let canCut = !readsBytes && !settings.ignoresMerges && settings.wordSuffix.isEmpty && settings.continuingPrefix.isEmpty
        wordStart = canCut && vocabulary.id(of: metaspace) != nil && vocabulary.onlyStarts(with: metaspace) ? metaspace : nil
    }

    /// The same, for words that come as bytes.
    var readingBytes: BytePairEncoding {
        BytePairEncoding(vocabulary: vocabulary, merges: merges, settings: settings, readsBytes: true)
    }

    /// A character that is not in the vocabulary becomes its bytes (byte fallback), else the unknown token, else nothing.
    func encode(_ word: Span<UInt8>, into tokens: inout Tokens, using scratch: inout EncodingScratch) {
        guard let wordStart, word.count > WordCache.longestWordBytes else {
            encodeWhole(word, 0..<word.count, into: &tokens, using: &scratch)
            return
        }
        var start = 0
        while start < word.count {
            let end = word.nextCut(before: wordStart, after: start)
            encodeWhole(word, start..<end, into: &tokens, using: &scratch)
            start = end
        }
    }

    private func encodeWhole(_ text: Span<UInt8>, _ range: Range<Int>, into tokens: inout Tokens, using scratch: inout EncodingScratch) {
        let word = text.extracting(range)
        tokens.appendCached(word, &scratch) { tokens, scratch in
            if settings.ignoresMerges, let id = readsBytes ? vocabulary.id(of: ByteAlphabet.spelled(word)) : vocabulary.id(of: word) {
                tokens.append(id, range.lowerBound, range.upperBound)
                return
            }
            let isComplete = fillSymbols(word, &scratch.symbols)
            mergeSymbols(&scratch.symbols) { merges.merge(left: $0.id, right: $1.id) }
            if tokens.isTracked && !isComplete { shiftPlaces(word, &scratch.symbols) }
            for symbol in scratch.symbols { tokens.append(symbol.id, Int(symbol.start) + range.lowerBound, Int(symbol.end) + range.lowerBound) }
        }
    }

    /// What `encode` drops where there is no unknown token.
    func droppedRuns(in word: Span<UInt8>) -> [Range<Int>] {
        guard unknownToken == nil else { return [] }
        if settings.ignoresMerges, (readsBytes ? vocabulary.id(of: ByteAlphabet.spelled(word)) : vocabulary.id(of: word)) != nil { return [] }
        return characters(word).filter { !isKnown(word, $0) }.reduce(into: []) { runs, range in
            if let last = runs.last, last.upperBound == range.lowerBound {
                runs[runs.count - 1] = last.lowerBound..<range.upperBound
            } else {
                runs.append(range)
            }
        }
    }

    /// What the model starts from: bytes, or scalars.
    private func characters(_ word: Span<UInt8>) -> [Range<Int>] {
        var (ranges, place) = ([Range<Int>](), 0)
        while place < word.count {
            let end = place + (readsBytes ? 1 : scalarWidth(word[place]))
            ranges.append(place..<end)
            place = end
        }
        return ranges
    }

    private func isKnown(_ word: Span<UInt8>, _ range: Range<Int>) -> Bool {
        symbol(word, range) >= 0 || !readsBytes && byteTokens?.spells(word, range) == true
    }

    /// Moves tokens to where the reference sees them: it counts only characters that have a token, so that a dropped one shifts all that follow
    /// in its word. In words that come as bytes, it counts the bytes of their spelling in the byte alphabet.
    private func shiftPlaces(_ word: Span<UInt8>, _ symbols: inout [Symbol]) {
        var counted: [Int] = []  // [word + 1], before each byte
        var bytes: [Int] = []  // the byte of the word at every counted place, had nothing been dropped
        var sum = 0
        for range in characters(word) {
            let isKept = unknownToken != nil || isKnown(word, range)
            for place in range {
                let width = readsBytes && ByteAlphabet.scalars[Int(word[place])].value >= 0x80 ? 2 : 1
                counted.append(sum)
                if isKept { sum += width }
                for _ in 0..<width { bytes.append(place) }
            }
        }
        counted.append(sum)
        for index in symbols.indices {
            let (start, end) = (counted[Int(symbols[index].start)], counted[Int(symbols[index].end)])
            guard start < end else { continue }
            symbols[index].start = Int32(bytes[start])
            symbols[index].end = Int32(bytes[end - 1] + 1)
        }
    }

    /// - Returns: false when something has no symbol.
    private func fillSymbols(_ word: Span<UInt8>, _ symbols: inout [Symbol]) -> Bool {
        symbols.removeAll(keepingCapacity: true)
        var isComplete = true
        var unknown: Range<Int>?
        func flushUnknown() {
            guard let run = unknown, let token = unknownToken else { return }
            symbols.append(Symbol(id: token, start: Int32(run.lowerBound), end: Int32(run.upperBound)))
            unknown = nil
        }
        var place = 0
        while place < word.count {
            let end = place + (readsBytes ? 1 : scalarWidth(word[place]))
            let id = symbol(word, place..<end)
            if id >= 0 {
                flushUnknown()
                symbols.append(Symbol(id: id, start: Int32(place), end: Int32(end)))
            } else if let byteTokens, !readsBytes, byteTokens.spells(word, place..<end) {
                // As the reference, this leaves an unknown run open.
                for byte in place..<end { symbols.append(Symbol(id: byteTokens[word[byte]], start: Int32(byte), end: Int32(byte + 1))) }
            } else if unknownToken != nil {
                if !settings.fusesUnknown { flushUnknown() }
                unknown = (unknown?.lowerBound ?? place)..<end
            } else {
                isComplete = false
            }
            place = end
        }
        flushUnknown()
        return isComplete
    }

    /// The id of one character of a word, −1 when it has none.
    @inline(__always)
    private func symbol(_ word: Span<UInt8>, _ range: Range<Int>) -> Int32 {
        let isInside = (range.lowerBound > 0 || settings.continuingPrefix.isEmpty) && (range.upperBound < word.count || settings.wordSuffix.isEmpty)
        if isInside, readsBytes || word[range.lowerBound] < 0x80 { return firstSymbols[Int(word[range.lowerBound])] }
        if settings.wordSuffix.isEmpty && settings.continuingPrefix.isEmpty { return vocabulary.id(of: word.extracting(range)) ?? -1 }
        let character = readsBytes ? ByteAlphabet.spelled([word[range.lowerBound]]) : range.map { word[$0] }
        let prefix = range.lowerBound > 0 ? settings.continuingPrefix : []
        let suffix = range.upperBound == word.count ? settings.wordSuffix : []
        return vocabulary.id(of: prefix + character + suffix) ?? -1
    }

    func description(_ text: (Int32) -> String) -> ModelDescription {
        func optional(_ affix: [UInt8]) -> JSON { affix.isEmpty ? .null : .string(String(decoding: affix, as: UTF8.self)) }
        return ModelDescription(
            type: "BPE",
            settings: [
                ("dropout", .null), ("unk_token", unknownToken.map { .string(text($0)) } ?? .null),
                ("continuing_subword_prefix", optional(settings.continuingPrefix)), ("end_of_word_suffix", optional(settings.wordSuffix)),
                ("fuse_unk", .bool(settings.fusesUnknown)), ("byte_fallback", .bool(settings.hasByteFallback)),
                ("ignore_merges", .bool(settings.ignoresMerges)),
            ], merges: merges.inOrder)
    }
}

extension Vocabulary {
    /// Whether every piece that holds `mark` has it at its start only (where it may be repeated): a merge then never reaches over a place where
    /// `mark` follows something else.
    func onlyStarts(with mark: [UInt8]) -> Bool {
        for id in 0..<count {
            guard let piece = piece(id), piece.count > mark.count else { continue }
            var place = piece.startIndex
            while piece[place...].starts(with: mark) { place += mark.count }
            while place < piece.endIndex {
                if piece[place] == mark[0], piece[place...].starts(with: mark) { return false }
                place += 1
            }
        }
        return true
    }
}

extension Span<UInt8> {
    /// The next place after `start` where `mark` follows something else; the end when there is none.
    func nextCut(before mark: [UInt8], after start: Int) -> Int {
        var place = start
        while starts(with: mark, at: place) { place += mark.count }
        while place < count {
            if self[place] == mark[0], starts(with: mark, at: place) { return place }
            place += 1
        }
        return count
    }

    /// How many scalars start in the text.
    var scalarCount: Int {
        var found = 0
        for place in 0..<count where self[place] & 0xC0 != 0x80 { found += 1 }
        return found
    }
}
