import ModelFiles

extension TransformerConfiguration {
    /// Reads a `config.json`.
    /// - Throws: `FileError` that names the field which is missing, out of range or not understood; `UnsupportedFamily`.
    public init(_ fields: ConfigFields) throws {
        let type = try fields.string("model_type")
        guard let family = modelFamilies.first(where: { $0.modelType == type }) else {
            throw UnsupportedFamily(name: type, file: fields.file)
        }
        self = try family.read(fields)
    }

    /// Reads the metadata of a GGUF file.
    public init(_ gguf: GGUFFile) throws {
        guard let architecture = gguf["general.architecture"]?.string else {
            throw FileError(file: gguf.path, problem: "there is no 'general.architecture' in the metadata", advice: "The file holds no model, or was cut: convert it again.")
        }
        guard let family = modelFamilies.first(where: { $0.ggufArchitecture == architecture }) else {
            throw UnsupportedFamily(name: architecture, file: gguf.path)
        }
        self = try family.read(ConfigFields(Self.configJSON(gguf, architecture, modelType: family.modelType), file: gguf.path))
    }

    /// GGUF metadata under the names of `config.json`, so that one reader checks both.
    private static func configJSON(_ gguf: GGUFFile, _ architecture: String, modelType: String) throws -> JSONObject {
        func key(_ name: String) -> GGUFValue? { gguf["\(architecture).\(name)"] }
        var members: [(key: String, value: JSON)] = [("model_type", .string(modelType))]
        func copy(_ name: String, as field: String) {
            if let value = key(name)?.int { members.append((field, .integer(Int64(value)))) }
        }
        copy("embedding_length", as: "hidden_size")
        copy("feed_forward_length", as: "intermediate_size")
        copy("block_count", as: "num_hidden_layers")
        copy("attention.head_count", as: "num_attention_heads")
        copy("attention.head_count_kv", as: "num_key_value_heads")
        copy("attention.key_length", as: "head_dim")
        copy("context_length", as: "max_position_embeddings")
        if let epsilon = key("attention.layer_norm_rms_epsilon")?.double { members.append(("rms_norm_eps", .number(Double(String(Float(epsilon))) ?? epsilon))) }
        if let base = key("rope.freq_base")?.double { members.append(("rope_theta", .number(base))) }
        for name in ["rope_freqs.weight", "rope_factors_long.weight"] where gguf.info(name) != nil {
            throw FileError(file: gguf.path, problem: "'\(name)' stretches the rotary frequencies, which is not supported from GGUF", advice: "Use the Hugging Face folder of the model.")
        }
        if let kind = key("rope.scaling.type")?.string, kind != "none" {
            guard kind == "linear", let factor = key("rope.scaling.factor")?.double else {
                throw FileError(file: gguf.path, problem: "rope scaling '\(kind)' is not supported from GGUF", advice: "Use the Hugging Face folder of the model.")
            }
            members.append(("rope_scaling", .object(JSONObject([("rope_type", .string("linear")), ("factor", .number(factor))]))))
        }
        if let hidden = key("embedding_length")?.int, let heads = key("attention.head_count")?.int, heads > 0 {
            let size = key("attention.key_length")?.int ?? hidden / heads
            for name in ["rope.dimension_count", "attention.value_length"] {
                if let value = key(name)?.int, value != size {
                    throw FileError(
                        file: gguf.path, problem: "'\(architecture).\(name)' is \(value), but heads have size \(size)", advice: "Use the Hugging Face folder of the model.")
                }
            }
        }
        for name in ["attention.sliding_window", "attention.scale", "logit_scale", "residual_scale", "embedding_scale", "attention.clamp_kqv"] where key(name) != nil {
            throw FileError(file: gguf.path, problem: "'\(architecture).\(name)' changes what the model computes and is not supported", advice: "Use the Hugging Face folder of the model.")
        }
        if let experts = key("expert_count")?.int, experts > 0 {
            throw UnsupportedFamily(name: "\(architecture) with experts", file: gguf.path)
        }
        guard let table = gguf.info("token_embd.weight"), table.shape.count == 2 else {
            throw FileError(file: gguf.path, problem: "holds no matrix 'token_embd.weight'", advice: "The file is no language model, or was cut: convert it again.")
        }
        members.append(("vocab_size", .integer(Int64(table.shape[0]))))
        members.append(("tie_word_embeddings", .bool(gguf.info("output.weight") == nil)))
        for (name, field) in [("bos_token_id", "bos_token_id"), ("eos_token_id", "eos_token_id"), ("padding_token_id", "pad_token_id")] {
            if let id = gguf["tokenizer.ggml.\(name)"]?.int { members.append((field, .integer(Int64(id)))) }
        }
        return JSONObject(members)
    }

    /// The configuration as `config.json`: the file that was read with what has changed since, or one for the library's Llama classes.
    public func configJSON() -> JSONObject {
        var json = source ?? plainLlama
        let family = modelFamilies.first { $0.modelType == modelType } ?? Llama()
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
            json["label2id"] = .object(JSONObject(labels.enumerated().map { ($1, .integer(Int64($0))) }))
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
