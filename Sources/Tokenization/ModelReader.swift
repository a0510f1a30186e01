import ModelFiles

extension StageReader {
    /// Reads the section `model` of a `tokenizer.json`.
    func model(_ object: JSONObject) throws -> any TokenModel {
        let type = object["type"]?.string ?? (object["merges"] == nil ? "" : "BPE")
        switch type {
        case "BPE": return try bytePairs(object)
        case "WordPiece":
            let vocabulary = try vocabulary(object)
            let longest = object["max_input_chars_per_word"] ?? 100
            guard case .integer(let longest) = longest, longest > 0, longest <= Tokenizer.idLimit else {
                throw malformed("model.max_input_chars_per_word", "not a number from 1 to \(Tokenizer.idLimit)")
            }
            return WordPiece(
                vocabulary: vocabulary, unknownToken: try unknownToken(object, vocabulary),
                continuingPrefix: Array((object["continuing_subword_prefix"]?.string ?? "##").utf8), longestWord: Int(longest))
        case "WordLevel":
            let vocabulary = try vocabulary(object)
            return WordLevel(vocabulary: vocabulary, unknownToken: try unknownToken(object, vocabulary))
        case "Unigram": return try unigram(object)
        default: throw malformed("model.type", "'\(type)' is not a known model", "The known models are BPE, Unigram, WordPiece and WordLevel.")
        }
    }

    private func bytePairs(_ object: JSONObject) throws -> BytePairEncoding {
        if let dropout = object["dropout"]?.double, dropout != 0 {
            throw TokenizerError.unsupported(algorithm: "BPE with dropout", source: source)
        }
        let vocabulary = try vocabulary(object)
        guard let list = object["merges"]?.array else { throw malformed("model.merges", "missing, or not a list") }
        let settings = BytePairEncoding.Settings(
            unknownToken: object["unk_token"]?.string == nil ? nil : try unknownToken(object, vocabulary),
            fusesUnknown: try flag(object, "fuse_unk", default: false, at: "model"),
            hasByteFallback: try flag(object, "byte_fallback", default: false, at: "model"),
            ignoresMerges: try flag(object, "ignore_merges", default: false, at: "model"),
            continuingPrefix: Array((object["continuing_subword_prefix"]?.string ?? "").utf8),
            wordSuffix: Array((object["end_of_word_suffix"]?.string ?? "").utf8))
        var merges = MergeTable(count: list.count)
        for (rank, entry) in list.enumerated() {
            let parts: [String]
            if let text = entry.string {
                if text.hasPrefix("#version") { continue }
                parts = text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false).map { String(Substring($0)) }
            } else {
                parts = entry.array?.compactMap(\.string) ?? []
            }
            guard parts.count == 2, entry.array.map({ $0.count == 2 }) ?? true else { throw malformed("model.merges[\(rank)]", "not two pieces") }
            try merges.insert(
                Array(parts[0].utf8), Array(parts[1].utf8), rank: rank, vocabulary: vocabulary, continuingPrefix: settings.continuingPrefix
            ) { malformed("model.merges[\(rank)]", $0) }
        }
        return BytePairEncoding(vocabulary: vocabulary, merges: merges, settings: settings)
    }

    private func unigram(_ object: JSONObject) throws -> Unigram {
        guard let list = object["vocab"]?.array else { throw malformed("model.vocab", "missing, or not a list of pieces with their scores") }
        guard !list.isEmpty else { throw malformed("model.vocab", "empty") }
        guard list.count <= Tokenizer.idLimit else { throw malformed("model.vocab", "\(list.count) pieces are more than \(Tokenizer.idLimit)") }
        var vocabulary = Vocabulary(count: list.count)
        var scores: [Double] = []
        scores.reserveCapacity(list.count)
        for (id, entry) in list.enumerated() {
            guard let pair = entry.array, pair.count == 2, let piece = pair[0].string, let score = pair[1].double, score.isFinite else {
                throw malformed("model.vocab[\(id)]", "not a piece with its score")
            }
            vocabulary.insert(piece.utf8, id: id)
            scores.append(StageReader.asReference(score))
        }
        var unknown: Int32?
        if let id = object["unk_id"], !id.isNull {
            unknown = try tokenID(id, at: "model.unk_id")
            guard Int(unknown!) < list.count else { throw malformed("model.unk_id", "\(unknown!) is not one of the \(list.count) pieces") }
        }
        return Unigram(
            vocabulary: vocabulary, scores: scores, kinds: Array(repeating: .normal, count: list.count), unknownToken: unknown,
            byteTokens: try flag(object, "byte_fallback", default: false, at: "model") ? ByteTokens(vocabulary) : nil, dialect: .tokenizers)
    }

    /// A score as huggingface/tokenizers has it, whose JSON reader rounds twice: the digits to a Double, and that over the power of ten. The last
    /// bit decides between equally likely ways to cut a text.
    private static func asReference(_ score: Double) -> Double {
        let parts = "\(score.magnitude)".split(separator: "e")
        let digits = parts[0].split(separator: ".")
        guard digits.count == 2, let mantissa = UInt64(digits.joined()), mantissa >= 1 << 53 else { return score }
        let exponent = (parts.count > 1 ? Int(parts[1]) ?? 0 : 0) - digits[1].count
        guard abs(exponent) <= 22 else { return score }
        var scale = 1.0
        for _ in 0..<abs(exponent) { scale *= 10 }
        let magnitude = exponent < 0 ? Double(mantissa) / scale : Double(mantissa) * scale
        return score < 0 ? -magnitude : magnitude
    }

    /// `{"piece": id, …}`
    private func vocabulary(_ object: JSONObject) throws -> Vocabulary {
        guard let entries = object["vocab"]?.object else { throw malformed("model.vocab", "missing, or not an object") }
        var largest = -1
        for (key, value) in entries.members { largest = max(largest, Int(try tokenID(value, at: "model.vocab['\(key)']"))) }
        guard largest < 16 * entries.count + 65_536 else {
            throw malformed("model.vocab", "id \(largest) is far above the number of pieces, \(entries.count)")
        }
        var vocabulary = Vocabulary(count: largest + 1, pieces: entries.count)
        for (key, value) in entries.members { vocabulary.insert(key.utf8, id: value.int!) }
        return vocabulary
    }

    private func unknownToken(_ object: JSONObject, _ vocabulary: Vocabulary) throws -> Int32 {
        let name = try string(object, "unk_token", at: "model")
        guard let id = vocabulary.id(of: name.utf8) else { throw malformed("model.unk_token", "'\(name)' is not in the vocabulary") }
        return id
    }
}

extension MergeTable {
    /// Enters the merge of two pieces; all three pieces must be in the vocabulary.
    /// - Parameter continuingPrefix: what the second piece loses when it is merged.
    mutating func insert(
        _ left: [UInt8], _ right: [UInt8], rank: Int, vocabulary: Vocabulary, continuingPrefix: [UInt8] = [], error: (String) -> TokenizerError
    ) throws {
        func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
        guard let leftID = vocabulary.id(of: left.span) else { throw error("'\(text(left))' is not in the vocabulary") }
        guard let rightID = vocabulary.id(of: right.span) else { throw error("'\(text(right))' is not in the vocabulary") }
        let whole = left + (right.starts(with: continuingPrefix) ? right.dropFirst(continuingPrefix.count) : right[...])
        guard let id = vocabulary.id(of: whole.span) else { throw error("the merged piece '\(text(whole))' is not in the vocabulary") }
        insert(left: leftID, right: rightID, rank: rank, id: id)
    }
}
