import ModelFiles

extension TransformerConfiguration {
    /// Reads a `config.json`.
    /// - Throws: `FileError` that names the field which is missing, out of range or not understood; `UnsupportedFamily`.
    public init(_ fields: ConfigFields) throws {
        let type = try fields.string("model_type")
        guard let family = modelFamily(type) else {
            throw UnsupportedFamily(name: type, file: fields.file)
        }
        self = try family.read(fields)
    }

    /// Reads the metadata of a GGUF file.
    public init(_ gguf: GGUFFile) throws {
        guard let architecture = gguf["general.architecture"]?.string else {
            throw FileError(file: gguf.path, problem: "there is no 'general.architecture' in the metadata", advice: "The file holds no model, or was cut: convert it again.")
        }
        let known = modelFamilies.filter { $0.gguf?.architecture == architecture }
        let hasExperts = (gguf["\(architecture).expert_count"]?.int ?? 0) > 0
        guard let family = known.first(where: { ($0.gguf!.fields.contains { $0.key == "expert_count" }) == hasExperts }), let layout = family.gguf else {
            throw UnsupportedFamily(name: known.isEmpty ? architecture : "\(architecture)\(hasExperts ? " with experts" : "")", file: gguf.path)
        }
        try self.init(ConfigFields(Self.configJSON(gguf, architecture, family, layout), file: gguf.path))
    }

    /// The configuration as `config.json`: the file that was read with what has changed since, or one for the library's Llama classes.
    public func configJSON() -> JSONObject {
        var json = source ?? plainLlama
        let family = family ?? Llama()
        json["architectures"] = .array([.string(family.className(purpose))])
        json["model_type"] = .string(modelType)
        json[family.fieldNames.vocabulary] = .integer(Int64(vocabularySize))
        json["tie_word_embeddings"] = .bool(tieWordEmbeddings)
        for name in ["torch_dtype", "dtype"] { json[name] = "float32" }
        if let first = eosTokenIDs.first {
            json["eos_token_id"] = eosTokenIDs.count == 1 ? .integer(Int64(first)) : .array(eosTokenIDs.map { .integer(Int64($0)) })
        }
        if let id = bosTokenID { json["bos_token_id"] = .integer(Int64(id)) }
        if let id = padTokenID { json["pad_token_id"] = .integer(Int64(id)) }
        if !labels.isEmpty {
            json["id2label"] = .object(JSONObject(labels.enumerated().map { ("\($0)", .string($1)) }))
            // Published files may name two classes alike.
            json["label2id"] = .object(JSONObject(labels.enumerated().filter { labels.firstIndex(of: $1) == $0 }.map { ($1, .integer(Int64($0))) }))
            json["num_labels"] = .integer(Int64(labels.count))
        }
        return JSONObject(json.members.sorted { $0.key < $1.key })
    }

    private var plainLlama: JSONObject {
        var members: [(key: String, value: JSON)] = [
            ("attention_bias", .bool(attentionBias)), ("attention_dropout", .number(0)), ("head_dim", .integer(Int64(headDim))),
            ("hidden_act", .string("silu")), ("hidden_size", .integer(Int64(hiddenSize))), ("initializer_range", .number(0.02)),
            ("intermediate_size", .integer(Int64(intermediateSize))), ("max_position_embeddings", .integer(Int64(maxPositionEmbeddings))), ("mlp_bias", .bool(mlpBias)),
            ("num_attention_heads", .integer(Int64(numAttentionHeads))), ("num_hidden_layers", .integer(Int64(numHiddenLayers))),
            ("num_key_value_heads", .integer(Int64(numKeyValueHeads))), ("rms_norm_eps", .number(Double(String(normEpsilon)) ?? Double(normEpsilon))),
            ("use_cache", .bool(true)),
        ]
        if let rope {
            members.append(("rope_theta", .number(rope.base)))
            if let scaling = rope.json { members.append(("rope_scaling", scaling)) }
        }
        return JSONObject(members)
    }
}

extension RotaryScaling {
    /// As `rope_scaling` of config.json.
    var json: JSON? {
        switch variant {
        case .none: return nil
        case .longrope(let short, let long, let length, let attention):
            return [
                "rope_type": "longrope", "short_factor": .array(short.map { .number($0) }), "long_factor": .array(long.map { .number($0) }),
                "original_max_position_embeddings": .integer(Int64(length)), "attention_factor": .number(attention),
            ]
        case .linear(let factor): return ["rope_type": "linear", "factor": .number(factor)]
        case .llama3(let factor, let low, let high, let length):
            return [
                "rope_type": "llama3", "factor": .number(factor), "low_freq_factor": .number(low), "high_freq_factor": .number(high),
                "original_max_position_embeddings": .integer(Int64(length)),
            ]
        case .yarn(let factor, let fast, let slow, let length, let attention):
            var members: [(key: String, value: JSON)] = [
                ("rope_type", "yarn"), ("factor", .number(factor)), ("beta_fast", .number(fast)), ("beta_slow", .number(slow)),
                ("original_max_position_embeddings", .integer(Int64(length))),
            ]
            if let attention { members.append(("attention_factor", .number(attention))) }
            return .object(JSONObject(members))
        }
    }
}

/// A model whose family, or kind of model within it, is not supported yet.
public struct UnsupportedFamily: Error, Equatable, CustomStringConvertible {
    public let name: String
    public let file: String

    public var description: String {
        "\(file): models of type '\(name)' are not supported yet. Supported: \(modelFamilies.map(\.modelType).joined(separator: ", ")); docs/unsupported.json lists families that are planned."
    }
}
