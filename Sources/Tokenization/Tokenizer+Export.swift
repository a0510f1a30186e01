import ModelFiles

extension Tokenizer {
    /// The tokenizer as `tokenizer.json` and `tokenizer_config.json`, which `transformers.AutoTokenizer` loads with the same ids.
    ///
    /// A tokenizer that was read from these files gives them back unchanged.
    public func huggingFaceFiles() -> (tokenizerJSON: JSON, tokenizerConfig: JSON) {
        switch origin {
        case .files(let tokenizerJSON, let tokenizerConfig): (tokenizerJSON, tokenizerConfig ?? configuration)
        case .described(let stages): (description(stages), configuration)
        }
    }

    private var configuration: JSON {
        var object = JSONObject()
        func name(_ key: String, _ id: Int32?) {
            if let id, let piece = piece(id) { object[key] = .string(piece) }
        }
        name("bos_token", bosToken)
        if let chatTemplate { object["chat_template"] = .string(chatTemplate) }
        object["clean_up_tokenization_spaces"] = false
        name("eos_token", eosToken)
        name("pad_token", paddingToken)
        object["tokenizer_class"] = "PreTrainedTokenizerFast"
        name("unk_token", unknownToken)
        return .object(object)
    }

    private func description(_ stages: StageDescriptions) -> JSON {
        func text(_ id: Int32) -> JSON { .string(piece(id) ?? "") }
        let model = self.model.description { piece($0) ?? "" }
        var section = JSONObject([("type", .string(model.type))] + model.settings)
        if let scores = model.scores {
            section["vocab"] = .array(scores.indices.map { [text(Int32($0)), .number(scores[$0])] })
        } else {
            // Two ids with one piece keep only the id that encoding finds: a JSON object cannot hold both.
            var entries: [(key: String, value: JSON)] = []
            var seen: Set<[UInt8]> = []
            entries.reserveCapacity(vocabularySize)
            for id in Int32(0)..<Int32(vocabularySize) {
                guard let bytes = pieceBytes(id), let string = piece(id) else { continue }
                let found = self.model.vocabulary.id(of: bytes)
                if found == nil || found == id, seen.insert(Array(bytes)).inserted { entries.append((string, .integer(Int64(id)))) }
            }
            section["vocab"] = .object(JSONObject(entries))
        }
        if let merges = model.merges { section["merges"] = .array(merges.map { .array([text($0.left), text($0.right)]) }) }
        let added: [JSON] = addedTokens.tokens.sorted { $0.id < $1.id }.map { token in
            [
                "id": .integer(Int64(token.id)), "content": .string(String(decoding: token.content, as: UTF8.self)),
                "single_word": .bool(token.singleWord), "lstrip": .bool(token.lstrip), "rstrip": .bool(token.rstrip),
                "normalized": .bool(token.normalized), "special": .bool(token.isSpecial),
            ]
        }
        return [
            "version": "1.0", "truncation": .null, "padding": .null, "added_tokens": .array(added), "normalizer": stages.normalizer,
            "pre_tokenizer": stages.preTokenizer, "post_processor": stages.postProcessor, "decoder": stages.decoder, "model": .object(section),
        ]
    }
}
