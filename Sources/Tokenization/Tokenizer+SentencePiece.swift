import ModelFiles

extension Tokenizer {
    /// - Parameters:
    ///   - tokenizerConfig: the `tokenizer_config.json` beside the model, for its chat template and for BOS and EOS around a text.
    ///   - addedTokens: those that are recognised in the text when special tokens are parsed; the control pieces when nil.
    ///   - postProcessor: nil for BOS in front and EOS behind, as far as the model has them and `tokenizerConfig` does not say otherwise.
    /// - Throws: `TokenizerError`.
    convenience init(
        sentencePiece model: SentencePieceModel, tokenizerConfig: JSON? = nil, source: String, chatTemplate: String? = nil, roles: Roles? = nil,
        addedTokens: [AddedToken]? = nil, postProcessor: JSON? = nil
    ) throws {
        guard let unknown = roles?.unknown ?? model.pieces.firstIndex(where: { $0.kind == .unknown }).map({ Int32($0) }) else {
            throw TokenizerError.malformed(
                source: source, location: "the pieces", problem: "none of the \(model.pieces.count) is the unknown token",
                fix: "Download the file again, or convert the model again.")
        }
        let roles = roles ?? model.roles(unknown: unknown, configuration: tokenizerConfig)
        let kinds = model.pieces.indices.map { Int32($0) == unknown ? .unknown : model.pieces[$0].kind }
        let added = addedTokens ?? kinds.indices.filter { kinds[$0] == .control || kinds[$0] == .unknown }.map {
            AddedToken(id: Int32($0), content: Array(model.pieces[$0].text.utf8), isSpecial: true)
        }
        var descriptions = model.stageDescriptions
        descriptions.postProcessor = postProcessor ?? Tokenizer.template(
            bos: tokenizerConfig?["add_bos_token"]?.bool ?? true ? roles.bos : nil,
            eos: tokenizerConfig?["add_eos_token"]?.bool ?? SentencePieceModel.endsTexts(tokenizerConfig) ? roles.eos.first : nil
        ) { model.pieces[Int($0)].text }

        let (algorithm, userDefined) = try model.algorithm(kinds: kinds, unknown: unknown, source: source)
        var normalizer = model.normalizer
        normalizer.userDefined = userDefined
        var stages = try StageDescriptions(postProcessor: descriptions.postProcessor).stages(source: source)
        stages.normalizer = .sentencePiece(normalizer)
        stages.sentencePiece = SentencePieceDecoder(
            kinds: kinds, bytes: model.pieces.map { byteSpelled(Array($0.text.utf8)[...]) ?? 0 }, dropsDummyPrefix: normalizer.addsDummyPrefix,
            dropsLeadingSpaces: normalizer.removesExtraWhitespace, unknownSurface: Array(model.unknownSurface.utf8))
        self.init(
            model: algorithm, addedTokens: added, stages: stages, roles: roles,
            chatTemplate: chatTemplate ?? Tokenizer.chatTemplate(tokenizerConfig?["chat_template"]), origin: .described(descriptions))
    }

    /// The post-processor that puts BOS before a text and EOS after it; null where there is neither.
    /// - Parameter repeatsBOS: whether the second of two texts has a BOS of its own.
    static func template(bos: Int32?, eos: Int32?, repeatsBOS: Bool = true, text: (Int32) -> String) -> JSON {
        if bos == nil && eos == nil { return .null }
        func special(_ id: Int32?, type: Int64) -> [JSON] {
            id.map { [["SpecialToken": ["id": .string(text($0)), "type_id": .integer(type)]]] } ?? []
        }
        func sequence(_ name: String, type: Int64) -> [JSON] {
            [["Sequence": ["id": .string(name), "type_id": .integer(type)]]] + special(eos, type: type)
        }
        let single = special(bos, type: 0) + sequence("A", type: 0)
        var definitions = JSONObject()
        for id in [bos, eos].compactMap({ $0 }) {
            definitions[text(id)] = ["id": .string(text(id)), "ids": [.integer(Int64(id))], "tokens": [.string(text(id))]]
        }
        return [
            "type": "TemplateProcessing", "single": .array(single),
            "pair": .array(single + special(repeatsBOS ? bos : nil, type: 0) + sequence("B", type: 1)), "special_tokens": .object(definitions),
        ]
    }
}

extension SentencePieceModel {
    /// The algorithm, and the user-defined pieces as the normalizer looks for them; nil when there are none.
    fileprivate func algorithm(kinds: [PieceKind], unknown: Int32, source: String) throws -> (any TokenModel, userDefined: PieceTrie?) {
        var vocabulary = Vocabulary(count: pieces.count)
        var byteIDs = [Int32](repeating: -1, count: 256)
        for (id, piece) in pieces.enumerated() {
            let isFindable = kinds[id] == .normal || kinds[id] == .userDefined || kinds[id] == .unused
            vocabulary.insert(piece.text.utf8, id: id, isFindable: isFindable && !piece.text.isEmpty)
            guard kinds[id] == .byte else { continue }
            guard let byte = byteSpelled(Array(piece.text.utf8)[...]) else {
                throw TokenizerError.malformed(
                    source: source, location: "piece \(id)", problem: "'\(piece.text)' has the type of a byte, but is not written like <0x0A>",
                    fix: "Download the file again, or convert the model again.")
            }
            byteIDs[Int(byte)] = Int32(id)
        }
        let scores = pieces.map(\.score)
        let byteTokens = hasByteFallback ? ByteTokens(ids: byteIDs) : nil
        let userDefinedIDs = kinds.indices.filter { kinds[$0] == .userDefined }.map { Int32($0) }
        let userDefined = userDefinedIDs.isEmpty ? nil : PieceTrie(vocabulary, ids: userDefinedIDs)
        let model: any TokenModel
        switch algorithm {
        case .unigram:
            model = Unigram(
                vocabulary: vocabulary, scores: scores, kinds: kinds, unknownToken: unknown, byteTokens: byteTokens, dialect: .sentencePiece)
        case .bytePairs:
            model = ScoredPairEncoding(
                vocabulary: vocabulary, scores: scores, kinds: kinds, unknownToken: unknown, byteTokens: byteTokens, userDefined: userDefined)
        case .word, .character:
            model = WholeWords(
                unit: algorithm == .word ? .word : .character, vocabulary: vocabulary, unknownToken: unknown,
                treatsWhitespaceAsSuffix: normalizer.treatsWhitespaceAsSuffix, byteTokens: byteTokens, userDefined: userDefined)
        }
        return (model, userDefined)
    }

    /// The roles that the configuration names, else those of the model.
    fileprivate func roles(unknown: Int32, configuration: JSON?) -> Tokenizer.Roles {
        func configured(_ key: String) -> Int32? {
            let value = configuration?[key]
            guard let name = value?.string ?? value?["content"]?.string else { return nil }
            return pieces.firstIndex { $0.text.utf8.elementsEqual(name.utf8) }.map { Int32($0) }
        }
        return Tokenizer.Roles(
            bos: configured("bos_token") ?? bos, eos: configured("eos_token").map { [$0] } ?? eos, unknown: unknown,
            padding: configured("pad_token") ?? padding)
    }

    /// Whether EOS ends every text when the configuration does not say: a model alone puts it there, and so do the classes of encoders; the other
    /// classes are of language models that continue a text.
    fileprivate static func endsTexts(_ configuration: JSON?) -> Bool {
        guard let name = configuration?["tokenizer_class"]?.string else { return true }
        return ["T5", "MT5", "Albert", "XLNet", "XLMRoberta", "MBart", "Marian"].contains { name.hasPrefix("\($0)Tokenizer") }
    }

    /// The stages of a `tokenizer.json` that do the same, as far as that format can say it: its Precompiled stage rewrites whole graphemes by
    /// other rules, and a vocabulary of words cannot fuse unknown neighbours.
    fileprivate var stageDescriptions: StageDescriptions {
        let mark = "\u{2581}"
        func replace(_ pattern: JSON, _ content: String) -> JSON { ["type": "Replace", "pattern": pattern, "content": .string(content)] }
        func replace(_ pattern: SplitPattern, _ content: String) -> JSON { replace(["Regex": .string(pattern.regexText!)], content) }
        var normalizers: [JSON] = []
        if let map = normalizer.characterMap {
            // That stage may drop accents that stand apart; composing them first keeps it from it.
            if map.composes { normalizers.append(["type": "NFC"]) }
            normalizers.append(["type": "Precompiled", "precompiled_charsmap": .string(map.serialized.base64)])
        }
        if normalizer.removesExtraWhitespace { normalizers += [replace(.firstSpaces, ""), replace(.lastSpaces, ""), replace(.twoSpaces, " ")] }
        if normalizer.addsDummyPrefix {
            normalizers.append(normalizer.treatsWhitespaceAsSuffix ? replace(.textEnd, " ") : ["type": "Prepend", "prepend": .string(mark)])
        }
        if normalizer.escapesWhitespace { normalizers.append(replace(["String": " "], mark)) }
        var decoders: [JSON] = [replace(["String": .string(mark)], " "), ["type": "ByteFallback"], ["type": "Fuse"]]
        if normalizer.addsDummyPrefix || normalizer.removesExtraWhitespace { decoders.append(["type": "Strip", "content": " ", "start": 1, "stop": 0]) }
        return StageDescriptions(
            normalizer: ["type": "Sequence", "normalizers": .array(normalizers)],
            preTokenizer: algorithm == .word ? ["type": "Metaspace", "replacement": .string(mark), "prepend_scheme": "never", "split": true] : .null,
            decoder: ["type": "Sequence", "decoders": .array(decoders)])
    }
}
