import ModelFiles

extension Tokenizer {
    /// Reads the tokenizer in the metadata of a GGUF file: `tokenizer.ggml.model` `gpt2` (byte-level BPE), `llama` (SentencePiece BPE), `t5`
    /// (SentencePiece Unigram) or `bert` (WordPiece).
    ///
    /// - Throws: `TokenizerError`.
    public convenience init(gguf: GGUFFile) throws {
        try self.init(metadata: GGUFTokenizerMetadata(source: gguf.path) { gguf[$0] })
    }

    fileprivate convenience init(metadata: GGUFTokenizerMetadata) throws {
        guard let name = metadata["model"]?.string else {
            throw metadata.malformed("model", "missing", "Convert the model again, together with its tokenizer.")
        }
        switch name {
        case "gpt2": try self.init(byteLevel: metadata)
        case "llama": try self.init(sentencePiece: metadata, .bytePairs)
        case "t5": try self.init(sentencePiece: metadata, .unigram)
        case "bert": try self.init(wordPiece: metadata)
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
            let parts = Array(entry.utf8).split(separator: UInt8(ascii: " "), maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw metadata.malformed("merges[\(rank)]", "'\(entry)' is not two pieces") }
            try merges.insert(Array(parts[0]), Array(parts[1]), rank: rank, vocabulary: vocabulary) {
                metadata.malformed("merges[\(rank)]", $0)
            }
        }
        let roles = try metadata.roles(count: tokens.count)
        let descriptions = StageDescriptions(
            normalizer: settings.normalizer, preTokenizer: settings.preTokenizer,
            postProcessor: metadata.postProcessor(roles, tokens: tokens, addsBOS: settings.addsBOS, repeatsBOS: settings.repeatsBOS)
                ?? byteLevelStage(addPrefixSpace: true),
            decoder: byteLevelStage(addPrefixSpace: true))
        self.init(
            model: BytePairEncoding(vocabulary: vocabulary, merges: merges, settings: .init(ignoresMerges: settings.ignoreMerges)),
            addedTokens: metadata.addedTokens(tokens, types), stages: try descriptions.stages(source: metadata.source), roles: roles,
            chatTemplate: metadata.chatTemplate, origin: .described(descriptions))
    }

    private convenience init(sentencePiece metadata: GGUFTokenizerMetadata, _ algorithm: SentencePieceModel.Algorithm) throws {
        let tokens = try metadata.tokens()
        let types = try metadata.tokenTypes(count: tokens.count)
        guard let scores = metadata["scores"]?.floats, scores.count == tokens.count else {
            throw metadata.malformed("scores", "missing, or not one number for every token")
        }
        if let place = scores.firstIndex(where: { !$0.isFinite }) { throw metadata.malformed("scores[\(place)]", "not a finite number") }
        let roles = try metadata.roles(count: tokens.count)
        guard roles.unknown != nil else { throw metadata.malformed("unknown_token_id", "missing") }

        var model = SentencePieceModel(algorithm: algorithm)
        model.pieces = tokens.indices.map { SentencePieceModel.Piece(text: tokens[$0], score: scores[$0], kind: types[$0].kind(tokens[$0])) }
        let added = metadata.addedTokens(tokens, types)
        for token in added where token.isSpecial && types[Int(token.id)] == .userDefined { model.pieces[Int(token.id)].kind = .control }
        model.hasByteFallback = types.contains(.byte) && algorithm == .bytePairs
        let isUnigram = algorithm == .unigram
        model.normalizer.addsDummyPrefix = metadata["add_space_prefix"]?.bool ?? true
        model.normalizer.removesExtraWhitespace = metadata["remove_extra_whitespaces"]?.bool ?? isUnigram
        model.normalizer.escapesWhitespace = metadata["escape_whitespaces"]?.bool ?? true
        model.normalizer.treatsWhitespaceAsSuffix = metadata["treat_whitespace_as_suffix"]?.bool ?? false
        if let map = metadata["precompiled_charsmap"] {
            guard let bytes = map.bytes ?? map.ints?.map({ UInt8(truncatingIfNeeded: $0) }) else {
                throw metadata.malformed("precompiled_charsmap", "not a list of bytes")
            }
            do throws(CharacterMapError) {
                model.normalizer.characterMap = try CharacterMap(bytes)
            } catch {
                throw metadata.malformed("precompiled_charsmap", error.problem)
            }
        }
        try self.init(
            sentencePiece: model, source: metadata.source, chatTemplate: metadata.chatTemplate, roles: roles, addedTokens: added,
            postProcessor: metadata.postProcessor(roles, tokens: tokens, addsBOS: !isUnigram, addsEOS: isUnigram) ?? .null)
    }

    /// In the file, a piece that starts a word is written with U+2581 before it, and one inside a word without a mark.
    private convenience init(wordPiece metadata: GGUFTokenizerMetadata) throws {
        let tokens = try metadata.tokens()
        let types = try metadata.tokenTypes(count: tokens.count)
        let roles = try metadata.roles(count: tokens.count)
        var vocabulary = Vocabulary(count: tokens.count)
        for (id, token) in tokens.enumerated() {
            let bytes = Array(token.utf8)
            let isBare = types[id] != .normal || bytes.first == UInt8(ascii: "[") && bytes.last == UInt8(ascii: "]")
            let startsWord = bytes.starts(with: metaspace)
            let spelling = isBare ? bytes : startsWord ? Array(bytes.dropFirst(metaspace.count)) : Array("##".utf8) + bytes
            vocabulary.insert(spelling, id: id)
        }
        guard let unknown = roles.unknown else { throw metadata.malformed("unknown_token_id", "missing") }
        let cls = try metadata.id("cls_token_id", count: tokens.count) ?? roles.bos
        let sep = try metadata.id("seperator_token_id", count: tokens.count) ?? roles.eos.first  // the format's spelling
        guard let cls, let sep else { throw metadata.malformed("cls_token_id", "this or seperator_token_id is missing") }
        // The file does not say whether text is lower-cased first; a vocabulary with capital letters is not made of such text.
        let isCased = tokens.indices.contains { id in
            types[id] == .normal && tokens[id].utf8.first != UInt8(ascii: "[") && tokens[id].utf8.contains { 0x41...0x5A ~= $0 }
        }
        func special(_ id: Int32, type: Int64) -> JSON { ["SpecialToken": ["id": .string(tokens[Int(id)]), "type_id": .integer(type)]] }
        func text(_ name: String, type: Int64) -> JSON { ["Sequence": ["id": .string(name), "type_id": .integer(type)]] }
        var definitions = JSONObject()
        for id in [cls, sep] {
            let name = tokens[Int(id)]
            definitions[name] = ["id": .string(name), "ids": [.integer(Int64(id))], "tokens": [.string(name)]]
        }
        let single = [special(cls, type: 0), text("A", type: 0), special(sep, type: 0)]
        let descriptions = StageDescriptions(
            normalizer: [
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": .null, "lowercase": .bool(!isCased),
            ],
            preTokenizer: ["type": "BertPreTokenizer"],
            postProcessor: [
                "type": "TemplateProcessing", "single": .array(single), "pair": .array(single + [text("B", type: 1), special(sep, type: 1)]),
                "special_tokens": .object(definitions),
            ],
            decoder: ["type": "WordPiece", "prefix": "##", "cleanup": true])
        self.init(
            model: WordPiece(vocabulary: vocabulary, unknownToken: unknown, continuingPrefix: Array("##".utf8), longestWord: 100),
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
    var repeatsBOS = false  // before the second of two texts

    init(pre: String, source: String) throws {
        let gpt2 = byteLevelStage(addPrefixSpace: false)
        let plain = byteLevelStage(addPrefixSpace: false, usesPattern: false)
        switch pre {
        case "gpt-2", "gpt2", "phi-2", "olmo", "mpt", "roberta-bpe", "jina-es", "jina-de", "default":
            preTokenizer = gpt2  // files without the key, such as GPT-NeoX, have GPT-2's split
        case "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone": preTokenizer = sequence([digits(individual: true), gpt2])
        case "llama-bpe", "llama3", "llama-v3":
            preTokenizer = sequence([split(.llama3), plain])
            ignoreMerges = true
            addsBOS = true
            repeatsBOS = true
        case "qwen2", "deepseek-r1-qwen", "stablelm2":
            normalizer = ["type": "NFC"]
            preTokenizer = sequence([split(.qwen2), plain])
        case "falcon":
            preTokenizer = sequence([["type": "Punctuation", "behavior": "Contiguous"], gpt2, digits(individual: false), split(.threeDigits)])
        case "deepseek-coder":
            preTokenizer = sequence([
                split(.lineEnd), split(.spacedLetters), split(.spacedPunctuation), run(deepseekIdeographs), digits(individual: true), plain,
            ])
        case "deepseek-llm":
            preTokenizer = sequence([
                split(.lineEnd), run(deepseekLetters), run(deepseekPunctuation), split(.trailingSpace), run(deepseekIdeographs),
                digits(individual: true), plain,
            ])
        case "deepseek-v3":
            preTokenizer = sequence([split(.deepseekV3Digits), split(.deepseekV3Ideographs), split(.deepseekV3Words), plain])
        case "gpt-4o", "llama4": preTokenizer = sequence([split(.o200k), plain])
        default: throw TokenizerError.unsupported(algorithm: "GGUF pre-tokenizer \(pre)", source: source)
        }

        func sequence(_ stages: [JSON]) -> JSON { ["type": "Sequence", "pretokenizers": .array(stages)] }
        func digits(individual: Bool) -> JSON { ["type": "Digits", "individual_digits": .bool(individual)] }
        func split(_ pattern: SplitPattern) -> JSON { run(pattern.regexText!) }
        func run(_ regex: String) -> JSON { ["type": "Split", "pattern": ["Regex": .string(regex)], "behavior": "Isolated", "invert": false] }
    }
}

private let deepseekIdeographs = #"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+"#
private let deepseekPunctuation = #"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+"#
/// The letters that DeepSeek's first tokenizer listed one by one: those with a case.
private let deepseekLetters =
    #"\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}"#
    + #"\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}"#
    + #"\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}"#
    + #"\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}"#
    + #"\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}"#
    + #"\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}"#
    + #"\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}"#
    + #"\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}"#
    + #"\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}"#
    + #"\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}"#
    + #"\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+"#

/// The stage `ByteLevel` as huggingface/tokenizers writes it, whether as pre-tokenizer, post-processor or decoder.
func byteLevelStage(addPrefixSpace: Bool, trimOffsets: Bool = true, usesPattern: Bool = true) -> JSON {
    [
        "type": "ByteLevel", "add_prefix_space": .bool(addPrefixSpace), "trim_offsets": .bool(trimOffsets),
        "use_regex": .bool(usesPattern),
    ]
}

/// The keys under `tokenizer.ggml.` (and `tokenizer.chat_template`).
private struct GGUFTokenizerMetadata {
    enum TokenType: Int64 {
        case normal = 1, unknown, control, userDefined, unused, byte

        func kind(_ token: String) -> PieceKind {
            switch self {
            case .normal: token.isEmpty ? .unused : .normal
            case .unknown: .control  // the unknown token itself is named by its id
            case .control: .control
            case .userDefined: .userDefined
            case .unused: .unused
            case .byte: .byte
            }
        }
    }

    let source: String
    let value: (String) -> GGUFValue?

    subscript(_ key: String) -> GGUFValue? { value("tokenizer.ggml.\(key)") }
    var chatTemplate: String? { value("tokenizer.chat_template")?.string }

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
        let isPhi3 = value("general.architecture")?.string == "phi3" && self["model"]?.string == "llama"
        return types.indices.compactMap { id in
            // Some files call the end of a sequence user-defined.
            let isSpecial = types[id] == .control || types[id] == .unknown && id == unknown || types[id] == .userDefined && tokens[id] == "</s>"
            guard isSpecial || types[id] == .userDefined, !tokens[id].isEmpty else { return nil }
            let content = Array(tokens[id].utf8)
            if !isSpecial || types[id] == .unknown, content == Array("[PAD\(id)]".utf8) { return nil }
            // The format has no place for it, but Phi-3's markers take the white space after them.
            let rstrip = isPhi3 && isSpecial && !["<unk>", "<s>", "<|endoftext|>"].contains(tokens[id])
            return AddedToken(id: Int32(id), content: content, isSpecial: isSpecial, rstrip: rstrip)
        }
    }

    func id(_ key: String, count: Int) throws -> Int32? {
        guard let value = self[key] else { return nil }
        guard let id = value.int, id >= 0, id < count else { throw malformed(key, "not the id of one of the \(count) tokens") }
        return Int32(id)
    }

    func roles(count: Int) throws -> Tokenizer.Roles {
        var roles = Tokenizer.Roles()
        roles.bos = try id("bos_token_id", count: count)
        for key in ["eos_token_id", "eot_token_id", "eom_token_id"] {
            if let id = try id(key, count: count), !roles.eos.contains(id) { roles.eos.append(id) }
        }
        roles.unknown = try id("unknown_token_id", count: count)
        roles.padding = try id("padding_token_id", count: count)
        return roles
    }

    /// A template with BOS and EOS, as far as the file asks for them; nil when it does not.
    /// - Parameters:
    ///   - addsBOS: what holds when the file does not say.
    ///   - addsEOS: likewise.
    ///   - repeatsBOS: whether the second of two texts has one of its own.
    func postProcessor(_ roles: Tokenizer.Roles, tokens: [String], addsBOS: Bool, addsEOS: Bool = false, repeatsBOS: Bool = true) -> JSON? {
        let bos = self["add_bos_token"]?.bool ?? addsBOS ? roles.bos : nil
        let eos = self["add_eos_token"]?.bool ?? addsEOS ? roles.eos.first : nil
        return bos == nil && eos == nil ? nil : Tokenizer.template(bos: bos, eos: eos, repeatsBOS: repeatsBOS) { tokens[Int($0)] }
    }
}

// MARK: Writing

extension Tokenizer {
    /// The tokenizer as metadata of a GGUF file, with the chat template.
    ///
    /// The format names the cut of a text into words instead of describing it. Each name that could be meant is tried: what would be read again must give
    /// this tokenizer's ids on texts of many kinds.
    /// - Parameters:
    ///   - rows: of the model's table; what is beyond the vocabulary is filled up.
    ///   - source: the file, for errors.
    /// - Throws: `TokenizerError` for a tokenizer that the format cannot hold.
    public func ggufMetadata(rows: Int, source: String) throws -> [(key: String, value: GGUFValue)] {
        let description = model.description { piece($0) ?? "" }
        var tokens: [String] = [], types: [Int64] = []
        for id in Int32(0)..<Int32(max(rows, vocabularySize)) {
            let added = addedTokens.tokens.first { $0.id == id }
            let text = piece(id)
            tokens.append(text ?? "[PAD\(id)]")
            types.append(text == nil ? 5 : added.map { $0.isSpecial ? 3 : 4 } ?? (id == roles.unknown ? 2 : 1))
        }
        var shared: [(key: String, value: GGUFValue)] = [("tokenizer.ggml.token_type", .ints(types))]
        for (key, id) in [("bos_token_id", roles.bos), ("eos_token_id", roles.eos.first), ("unknown_token_id", roles.unknown), ("padding_token_id", roles.padding)] {
            if let id { shared.append(("tokenizer.ggml.\(key)", .uint(UInt64(id)))) }
        }
        let around = encode("a", addSpecialTokens: true)
        if let bos = roles.bos { shared.append(("tokenizer.ggml.add_bos_token", .bool(around.first == bos))) }
        if let eos = roles.eos.first, description.type != "WordPiece" { shared.append(("tokenizer.ggml.add_eos_token", .bool(around.last == eos))) }
        if let chatTemplate { shared.append(("tokenizer.chat_template", .string(chatTemplate))) }

        for candidate in candidates(description, tokens, types) {
            let all = candidate + shared.filter { own in !candidate.contains { $0.key == own.key } }
            let values = Dictionary(all.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
            guard let again = try? Tokenizer(metadata: GGUFTokenizerMetadata(source: source) { values[$0] }) else { continue }
            let isSame = Self.probes.allSatisfy { encode($0) == again.encode($0) && encode($0, addSpecialTokens: true) == again.encode($0, addSpecialTokens: true) }
            if isSame { return all }
        }
        throw TokenizerError.unsupported(algorithm: "\(description.type) of this kind in a GGUF file", source: source)
    }

    /// What the vocabulary could be in a GGUF file, most likely first.
    private func candidates(_ description: ModelDescription, _ tokens: [String], _ types: [Int64]) -> [[(key: String, value: GGUFValue)]] {
        func name(_ model: String) -> (key: String, value: GGUFValue) { ("tokenizer.ggml.model", .string(model)) }
        let plain: (key: String, value: GGUFValue) = ("tokenizer.ggml.tokens", .strings(tokens))
        switch description.type {
        case "BPE":
            let merges = description.merges ?? []
            let lines = merges.map { "\(tokens[Int($0.left)]) \(tokens[Int($0.right)])" }
            let splits = ["smollm", "gpt-2", "llama-bpe", "qwen2", "gpt-4o", "deepseek-v3", "deepseek-llm", "deepseek-coder", "falcon"]
            let byteLevel: [[(key: String, value: GGUFValue)]] = splits.map {
                [name("gpt2"), ("tokenizer.ggml.pre", .string($0)), plain, ("tokenizer.ggml.merges", .strings(lines))]
            }
            // SentencePiece merges by scores: those of the merges' order.
            var scores = [Double](repeating: 0, count: tokens.count)
            for (rank, merge) in merges.enumerated() {
                if let id = model.vocabulary.id(of: Array((tokens[Int(merge.left)] + tokens[Int(merge.right)]).utf8)) { scores[Int(id)] = -Double(rank) }
            }
            let bytes = tokens.indices.map { types[$0] == 1 && byteSpelled(Array(tokens[$0].utf8)[...]) != nil ? 6 : types[$0] }
            let pieces = [true, false].map { prefix -> [(key: String, value: GGUFValue)] in
                [
                    name("llama"), ("tokenizer.ggml.pre", .string("default")), plain, ("tokenizer.ggml.scores", .floats(scores)), ("tokenizer.ggml.token_type", .ints(bytes)),
                    ("tokenizer.ggml.add_space_prefix", .bool(prefix)),
                ]
            }
            return byteLevel + pieces
        case "WordPiece":
            let spelled = tokens.indices.map { id -> String in
                let token = tokens[id], isBare = types[id] != 1 || token.hasPrefix("[") && token.hasSuffix("]")
                return isBare ? token : token.hasPrefix("##") ? String(token.dropFirst(2)) : "\u{2581}\(token)"
            }
            var values: [(key: String, value: GGUFValue)] = [name("bert"), ("tokenizer.ggml.pre", .string("default")), ("tokenizer.ggml.tokens", .strings(spelled))]
            let around = encode("a", addSpecialTokens: true)
            if around.count > 2 {
                values += [("tokenizer.ggml.cls_token_id", .uint(UInt64(around[0]))), ("tokenizer.ggml.seperator_token_id", .uint(UInt64(around[around.count - 1])))]
                values += [("tokenizer.ggml.bos_token_id", .uint(UInt64(around[0]))), ("tokenizer.ggml.eos_token_id", .uint(UInt64(around[around.count - 1])))]
            }
            return [values]
        case "Unigram":
            let bytes = tokens.indices.map { types[$0] == 1 && byteSpelled(Array(tokens[$0].utf8)[...]) != nil ? 6 : types[$0] }
            return [true, false].flatMap { prefix in
                [true, false].map { removes in
                    [
                        name("t5"), ("tokenizer.ggml.pre", .string("default")), plain, ("tokenizer.ggml.scores", .floats(description.scores ?? [])),
                        ("tokenizer.ggml.token_type", .ints(bytes)), ("tokenizer.ggml.add_space_prefix", .bool(prefix)), ("tokenizer.ggml.remove_extra_whitespaces", .bool(removes)),
                    ]
                }
            }
        default: return []
        }
    }

    /// Texts on which tokenizers differ: digits, contractions, spaces, line ends, marks, scripts.
    private static let probes = [
        "Hello, world!", " two  spaces   three", "line\nend\n\n  indented\r\n", "it's WE'LL don't I'Ve", "1234567890 12 3.14 1,000", "snake_case CamelCase x=1;y+=2",
        "naïve café Größe", "Привет мир", "你好，世界。日本語のテキスト", "한국어 문장", "😀👍🏽 emoji", "a\u{301}e\u{308} ﬁ ½", "''quotes'' \"x\"", "tab\there", "   ", "!!!???...", "http://example.com/a?b=c#d",
        "العربية", "हिन्दी", "<html>&amp;</html>", "\u{00A0}nbsp\u{2003}em", "x\u{200B}y",
    ]
}
