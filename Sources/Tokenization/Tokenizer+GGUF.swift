import ModelFiles

extension Tokenizer {
    /// Reads the tokenizer in the metadata of a GGUF file: `tokenizer.ggml.model` `gpt2` (byte-level BPE) or `llama` (SentencePiece BPE).
    ///
    /// - Throws: `TokenizerError`.
    public convenience init(gguf: GGUFFile) throws {
        try self.init(metadata: GGUFTokenizerMetadata(file: gguf))
    }

    private convenience init(metadata: GGUFTokenizerMetadata) throws {
        guard let name = metadata["model"]?.string else {
            throw metadata.malformed("model", "missing", "Convert the model again, together with its tokenizer.")
        }
        switch name {
        case "gpt2": try self.init(byteLevel: metadata)
        case "llama": try self.init(sentencePiece: metadata)
        case "bert": throw TokenizerError.unsupported(algorithm: "WordPiece", source: metadata.source)
        case "t5": throw TokenizerError.unsupported(algorithm: "Unigram", source: metadata.source)
        default: throw TokenizerError.unsupported(algorithm: "GGUF tokenizer model \(name)", source: metadata.source)
        }
    }

    private convenience init(byteLevel metadata: GGUFTokenizerMetadata) throws {
        let settings = try ByteLevelSettings(pre: metadata["pre"]?.string ?? "default", source: metadata.source)
        let tokens = try metadata.tokens()
        let types = try metadata.tokenTypes(count: tokens.count)
        var vocabulary = Vocabulary(count: tokens.count)
        for (id, token) in tokens.enumerated() { vocabulary.insert(token.utf8, id: id) }

        guard let list = metadata["merges"]?.strings else { throw metadata.malformed("merges", "missing, or not a list of strings") }
        var merges = MergeTable(count: list.count)
        for (rank, entry) in list.enumerated() {
            let utf8 = entry.utf8
            guard let space = utf8.firstIndex(of: UInt8(ascii: " ")) else { throw metadata.malformed("merges[\(rank)]", "'\(entry)' is not two pieces") }
            try merges.insert(utf8[..<space], utf8[utf8.index(after: space)...], rank: rank, vocabulary: vocabulary) {
                metadata.malformed("merges[\(rank)]", $0)
            }
        }
        let roles = try metadata.roles(count: tokens.count)
        let descriptions = StageDescriptions(
            normalizer: settings.normalizer, preTokenizer: settings.preTokenizer,
            postProcessor: try metadata.postProcessor(roles, tokens: tokens, addsBOS: settings.addsBOS) ?? byteLevelStage(addPrefixSpace: true, trimOffsets: false),
            decoder: byteLevelStage(addPrefixSpace: true))
        self.init(
            model: .bytePairs(BytePairEncoding(vocabulary: vocabulary, merges: merges, ignoreMerges: settings.ignoreMerges)),
            addedTokens: metadata.addedTokens(tokens, types), stages: try descriptions.stages(source: metadata.source), roles: roles,
            chatTemplate: metadata.chatTemplate, origin: .described(descriptions))
    }

    private convenience init(sentencePiece metadata: GGUFTokenizerMetadata) throws {
        for key in ["remove_extra_whitespaces", "escape_whitespaces", "treat_whitespace_as_suffix"] {
            if let value = metadata[key]?.bool, value != (key == "escape_whitespaces") {
                throw TokenizerError.unsupported(algorithm: "SentencePiece BPE with \(key) = \(value)", source: metadata.source)
            }
        }
        if metadata["precompiled_charsmap"] != nil {
            throw TokenizerError.unsupported(algorithm: "normalizer Precompiled", source: metadata.source)
        }
        let tokens = try metadata.tokens()
        let types = try metadata.tokenTypes(count: tokens.count)
        guard let scores = metadata["scores"]?.floats, scores.count == tokens.count else {
            throw metadata.malformed("scores", "missing, or not one number for every token")
        }
        if let place = scores.firstIndex(where: { !$0.isFinite }) { throw metadata.malformed("scores[\(place)]", "not a finite number") }
        let roles = try metadata.roles(count: tokens.count)
        guard let unknown = roles.unknown else { throw metadata.malformed("unknown_token_id", "missing") }

        var vocabulary = Vocabulary(count: tokens.count)
        var byteTokens = [Int32](repeating: -1, count: 256)
        var kinds: [ScoredPairDecoder.Kind] = []
        kinds.reserveCapacity(tokens.count)
        for (id, token) in tokens.enumerated() {
            let type = types[id]
            vocabulary.insert(token.utf8, id: id, isFindable: type == .normal || type == .userDefined)
            if type == .byte {
                guard let byte = byteSpelled(Array(token.utf8)[...]) else {
                    throw metadata.malformed("tokens[\(id)]", "'\(token)' has the type of a byte, but is not written like <0x0A>")
                }
                byteTokens[Int(byte)] = Int32(id)
                kinds.append(.byte(byte))
            } else {
                kinds.append(Int32(id) == unknown ? .unknown : type == .control ? .control : .text)
            }
        }
        let addsSpace = metadata["add_space_prefix"]?.bool ?? true
        let replace: JSON = ["type": "Replace", "pattern": ["String": " "], "content": "\u{2581}"]
        let prepend: JSON = ["type": "Prepend", "prepend": "\u{2581}"]
        let strip: JSON = ["type": "Strip", "content": " ", "start": 1, "stop": 0]
        let decoders: [JSON] = [
            ["type": "Replace", "pattern": ["String": "\u{2581}"], "content": " "], ["type": "ByteFallback"], ["type": "Fuse"],
        ]
        let descriptions = StageDescriptions(
            normalizer: ["type": "Sequence", "normalizers": .array(addsSpace ? [prepend, replace] : [replace])],
            postProcessor: try metadata.postProcessor(roles, tokens: tokens, addsBOS: true) ?? .null,
            decoder: ["type": "Sequence", "decoders": .array(addsSpace ? decoders + [strip] : decoders)])
        self.init(
            model: .scoredPairs(
                ScoredPairEncoding(vocabulary: vocabulary, scores: scores, byteTokens: byteTokens, unknownToken: unknown),
                ScoredPairDecoder(kinds: kinds, dropsDummyPrefix: addsSpace)),
            addedTokens: metadata.addedTokens(tokens, types), stages: try descriptions.stages(source: metadata.source), roles: roles,
            chatTemplate: metadata.chatTemplate, origin: .described(descriptions))
    }
}

/// What `tokenizer.ggml.pre` stands for. Source: ggml-org/llama.cpp `src/llama-vocab.cpp`, checked against the models' own tokenizers.
private struct ByteLevelSettings {
    var normalizer: JSON = .null
    var preTokenizer: JSON
    var ignoreMerges = false
    var addsBOS = false

    init(pre: String, source: String) throws {
        let gpt2 = byteLevelStage(addPrefixSpace: false)
        let plain = byteLevelStage(addPrefixSpace: false, usesPattern: false)
        switch pre {
        case "gpt-2", "gpt2", "default": preTokenizer = gpt2  // files without the key, such as GPT-NeoX, have GPT-2's split
        case "smollm", "starcoder": preTokenizer = sequence([digits(individual: true), gpt2])
        case "llama-bpe", "llama3", "llama-v3":
            preTokenizer = sequence([split(.llama3), plain])
            ignoreMerges = true
            addsBOS = true
        case "qwen2", "deepseek-r1-qwen":
            normalizer = ["type": "NFC"]
            preTokenizer = sequence([split(.qwen2), plain])
        case "falcon":
            preTokenizer = sequence([["type": "Punctuation", "behavior": "Contiguous"], gpt2, digits(individual: false), split(.threeDigits)])
        case "deepseek-coder":
            preTokenizer = sequence([
                split(.lineEnd), split(.spacedLetters), split(.spacedPunctuation), split(.deepseekIdeographs), digits(individual: true), plain,
            ])
        case "deepseek-v3":
            preTokenizer = sequence([split(.deepseekV3Digits), split(.deepseekV3Ideographs), split(.deepseekV3Words), plain])
        case "gpt-4o": preTokenizer = sequence([split(.o200k), plain])
        default: throw TokenizerError.unsupported(algorithm: "GGUF pre-tokenizer \(pre)", source: source)
        }

        func sequence(_ stages: [JSON]) -> JSON { ["type": "Sequence", "pretokenizers": .array(stages)] }
        func digits(individual: Bool) -> JSON { ["type": "Digits", "individual_digits": .bool(individual)] }
        func split(_ pattern: SplitPattern) -> JSON {
            ["type": "Split", "pattern": ["Regex": .string(pattern.regexText!)], "behavior": "Isolated", "invert": false]
        }
    }
}

/// The stage `ByteLevel` as huggingface/tokenizers writes it, whether as pre-tokenizer, post-processor or decoder.
func byteLevelStage(addPrefixSpace: Bool, trimOffsets: Bool = true, usesPattern: Bool = true) -> JSON {
    [
        "type": "ByteLevel", "add_prefix_space": .bool(addPrefixSpace), "trim_offsets": .bool(trimOffsets),
        "use_regex": .bool(usesPattern),
    ]
}

/// The keys under `tokenizer.ggml.` (and `tokenizer.chat_template`).
private struct GGUFTokenizerMetadata {
    enum TokenType: Int64 { case normal = 1, unknown, control, userDefined, unused, byte }

    let file: GGUFFile
    var source: String { file.path }

    subscript(_ key: String) -> GGUFValue? { file["tokenizer.ggml.\(key)"] }
    var chatTemplate: String? { file["tokenizer.chat_template"]?.string }

    func malformed(_ key: String, _ problem: String, _ fix: String = "Download the file again, or convert the model again.") -> TokenizerError {
        .malformed(source: source, location: "tokenizer.ggml.\(key)", problem: problem, fix: fix)
    }

    func tokens() throws -> [String] {
        guard let tokens = self["tokens"]?.strings, !tokens.isEmpty else { throw malformed("tokens", "missing, or not a list of strings") }
        guard tokens.count <= Tokenizer.idLimit else { throw malformed("tokens", "\(tokens.count) tokens are more than \(Tokenizer.idLimit)") }
        return tokens
    }

    func tokenTypes(count: Int) throws -> [TokenType] {
        guard let value = self["token_type"] else { return Array(repeating: .normal, count: count) }
        guard let numbers = value.ints, numbers.count == count else { throw malformed("token_type", "not one number for every token") }
        return try numbers.enumerated().map { id, number in
            guard let type = TokenType(rawValue: Int64(number)) else { throw malformed("token_type[\(id)]", "\(number) is not a token type") }
            return type
        }
    }

    /// Control and user-defined tokens; without the `[PAD7]` that converters write where a model has more rows than tokens.
    func addedTokens(_ tokens: [String], _ types: [TokenType]) -> [AddedToken] {
        let unknown = self["unknown_token_id"]?.int.map { Int($0) }
        return types.indices.compactMap { id in
            let isSpecial = types[id] == .control || types[id] == .unknown && id == unknown
            guard isSpecial || types[id] == .userDefined, !tokens[id].isEmpty else { return nil }
            let content = Array(tokens[id].utf8)
            if !isSpecial || types[id] == .unknown, content == Array("[PAD\(id)]".utf8) { return nil }
            return AddedToken(id: Int32(id), content: content, isSpecial: isSpecial)
        }
    }

    func roles(count: Int) throws -> Tokenizer.Roles {
        func id(_ key: String) throws -> Int32? {
            guard let value = self[key] else { return nil }
            guard let id = value.int, id >= 0, id < count else { throw malformed(key, "not the id of one of the \(count) tokens") }
            return Int32(id)
        }
        var roles = Tokenizer.Roles()
        roles.bos = try id("bos_token_id")
        for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
            if let id = try id(key), !roles.eos.contains(id) { roles.eos.append(id) }
        }
        roles.unknown = try id("unknown_token_id")
        roles.padding = try id("padding_token_id")
        return roles
    }

    /// A template with BOS and EOS, as far as the file asks for them; nil when it does not.
    /// - Parameter addsBOS: what holds when the file does not say.
    func postProcessor(_ roles: Tokenizer.Roles, tokens: [String], addsBOS: Bool) throws -> JSON? {
        let bos = self["add_bos_token"]?.bool ?? addsBOS ? roles.bos : nil
        let eos = self["add_eos_token"]?.bool ?? false ? roles.eos.first : nil
        if bos == nil && eos == nil { return nil }
        func special(_ id: Int32?, type: Int64) -> [JSON] {
            id.map { [["SpecialToken": ["id": .string(tokens[Int($0)]), "type_id": .integer(type)]]] } ?? []
        }
        func text(_ name: String, type: Int64) -> [JSON] {
            special(bos, type: type) + [["Sequence": ["id": .string(name), "type_id": .integer(type)]]] + special(eos, type: type)
        }
        var definitions = JSONObject()
        for id in [bos, eos].compactMap({ $0 }) {
            let name = tokens[Int(id)]
            definitions[name] = ["id": .string(name), "ids": [.integer(Int64(id))], "tokens": [.string(name)]]
        }
        return [
            "type": "TemplateProcessing", "single": .array(text("A", type: 0)), "pair": .array(text("A", type: 0) + text("B", type: 1)),
            "special_tokens": .object(definitions),
        ]
    }
}
