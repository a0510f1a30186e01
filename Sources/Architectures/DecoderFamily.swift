import ModelFiles

/// What a family file provides: data and exceptions, no mechanism.
public protocol DecoderFamily: Sendable {
    /// `model_type` of config.json.
    var modelType: String { get }
    /// `general.architecture` of GGUF files, where llama.cpp has the layout.
    var ggufArchitecture: String? { get }
    func configuration(_ fields: ConfigFields) throws -> DecoderConfiguration
}

/// Adding a family is one file and one line here.
let decoderFamilies: [any DecoderFamily] = [Llama()]

extension DecoderFamily {
    /// Settings of training, of the library and of generation, which do not change what the model computes.
    public var harmlessFields: Set<String> {
        [
            "architectures", "model_type", "transformers_version", "torch_dtype", "dtype", "use_cache", "initializer_range", "attention_dropout", "hidden_dropout",
            "pretraining_tp", "output_attentions", "output_hidden_states", "return_dict", "torchscript", "id2label", "label2id", "problem_type", "num_labels",
            "_name_or_path", "_model_name_or_path", "unk_token_id", "is_llama_config", "use_bfloat16", "chunk_size_feed_forward", "is_decoder", "unsloth_version",
            "unsloth_fixed", "quantization_config_was", "pruned_heads", "tokenizer_class", "sep_token_id", "transformers.js_config",
        ]
    }

    func labelCount(_ fields: ConfigFields) throws -> Int {
        if let labels = try fields.optionalFields("id2label") { return labels.unread.count }
        return try fields.optionalInt("num_labels", range: 1...1_000_000) ?? 2
    }

    /// The sizes that nearly every decoder names alike, with limits that keep a hostile file from asking for the moon.
    public func decoderSizes(_ fields: ConfigFields, modelType: String) throws -> DecoderConfiguration {
        for flag in ["rope_interleaved", "is_encoder_decoder"] where try fields.optionalBool(flag) == true { throw fields.error(flag, "is true, which is not supported") }
        if let types = fields.json("layer_types"), types.array?.allSatisfy({ $0.string == "full_attention" }) != true {
            throw fields.error("layer_types", "is not a list of 'full_attention', and no other kind of layer is supported")
        }
        let hidden = try fields.int("hidden_size", range: 1...(1 << 17))
        let heads = try fields.int("num_attention_heads", range: 1...(1 << 12))
        let kvHeads = try fields.optionalInt("num_key_value_heads", range: 1...(1 << 12)) ?? heads
        guard heads % kvHeads == 0 else {
            throw fields.error("num_key_value_heads", "is \(kvHeads), which does not divide num_attention_heads \(heads)")
        }
        let headDim = try fields.optionalInt("head_dim", range: 1...(1 << 12))
        if headDim == nil, hidden % heads != 0 {
            throw fields.error("num_attention_heads", "is \(heads), which does not divide hidden_size \(hidden), and there is no head_dim")
        }
        let size = headDim ?? hidden / heads
        guard size % 2 == 0 else {
            throw fields.error(headDim == nil ? "hidden_size" : "head_dim", "gives heads of size \(size); rotary positions need an even size")
        }
        var c = DecoderConfiguration(
            modelType: modelType,
            vocabularySize: try fields.int("vocab_size", range: 1...(1 << 24)),
            hiddenSize: hidden,
            intermediateSize: try fields.int("intermediate_size", range: 1...(1 << 20)),
            numHiddenLayers: try fields.int("num_hidden_layers", range: 1...1024),
            numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim: size,
            maxPositionEmbeddings: try fields.optionalInt("max_position_embeddings", range: 1...(1 << 27)) ?? 2048,
            rmsNormEpsilon: Float(try fields.optionalDouble("rms_norm_eps", range: 0...1) ?? 1e-6),
            rope: try ropeScaling(fields),
            tieWordEmbeddings: try fields.optionalBool("tie_word_embeddings") ?? false)
        c.padTokenID = try fields.optionalInt("pad_token_id", range: -1...Int(Int32.max)).flatMap { $0 < 0 ? nil : Int32($0) }
        c.bosTokenID = try fields.optionalInt("bos_token_id", range: 0...Int(Int32.max)).map { Int32($0) }
        if let eos = fields.json("eos_token_id") {
            c.eosTokenIDs = try (eos.array ?? [eos]).map { value in
                guard let id = value.int.flatMap({ Int32(exactly: $0) }), id >= 0 else {
                    throw fields.error("eos_token_id", "holds \(value.text().prefix(40)), which is no token id")
                }
                return id
            }
        }
        return c
    }

    /// Both spellings: `rope_parameters` of today's library, `rope_theta` and `rope_scaling` of most published files.
    func ropeScaling(_ fields: ConfigFields) throws -> RotaryScaling {
        let legacyBase = try fields.optionalDouble("rope_theta", range: 1e-3...1e12)
        let legacy = try fields.optionalFields("rope_scaling")
        let current = try fields.optionalFields("rope_parameters")
        guard let scaling = current ?? legacy else { return RotaryScaling(base: legacyBase ?? 10_000) }
        let base = try scaling.optionalDouble("rope_theta", range: 1e-3...1e12) ?? legacyBase ?? 10_000
        let kind = try scaling.optionalString("rope_type") ?? scaling.optionalString("type") ?? "default"
        _ = try scaling.optionalString("type")
        if let partial = try scaling.optionalDouble("partial_rotary_factor"), partial != 1 {
            throw scaling.error("partial_rotary_factor", "is \(partial); this family rotates whole heads")
        }
        let length = try scaling.optionalInt("original_max_position_embeddings", range: 1...(1 << 27))
            ?? fields.optionalInt("max_position_embeddings", range: 1...(1 << 27)) ?? 2048
        func factor() throws -> Double { try scaling.double("factor", range: 1e-3...1e6) }
        let variant: RotaryScaling.Variant
        switch kind {
        case "default":
            variant = .none
        case "linear":
            variant = .linear(factor: try factor())
        case "llama3":
            variant = .llama3(
                factor: try factor(), lowFrequencyFactor: try scaling.double("low_freq_factor", range: .positive),
                highFrequencyFactor: try scaling.double("high_freq_factor", range: .positive), originalLength: length)
        case "yarn":
            variant = .yarn(
                factor: try factor(), betaFast: try scaling.optionalDouble("beta_fast", range: .positive) ?? 32,
                betaSlow: try scaling.optionalDouble("beta_slow", range: .positive) ?? 1, originalLength: length,
                attentionFactor: try scaling.optionalDouble("attention_factor", range: .positive))
        default:
            throw scaling.error("rope_type", "is '\(kind)', which is not supported", advice: "default, linear, llama3 and yarn are.")
        }
        try scaling.refuseUnread()
        return RotaryScaling(base: base, variant: variant)
    }
}
