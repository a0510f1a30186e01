import ModelFiles

/// Gemma: norms that store their weight minus one, scaled embeddings. Source: Gemma Team 2024, arXiv:2403.08295.
struct Gemma: ModelFamily {
    let modelType = "gemma", classPrefix = "Gemma"
    var gguf: GGUFLayout? { .gemma("gemma") }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration { try gemma(fields) }
}

/// Gemma 2: norms around both sublayers, caps on scores and logits, a window in every other layer. Source: Gemma Team 2024, arXiv:2408.00118.
struct Gemma2: ModelFamily {
    let modelType = "gemma2", classPrefix = "Gemma2"
    var gguf: GGUFLayout? { .gemma("gemma2", period: 2, widelyScaledLayers: 46) }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        try gemmaWithWindow(fields, window: 4096) { $0 % 2 == 0 }
    }
}

/// The text part of Gemma 3: norms on queries and keys, five local layers for each global one, whose positions turn slower.
/// Source: Gemma Team 2025, arXiv:2503.19786.
struct Gemma3: ModelFamily {
    let modelType = "gemma3_text", classPrefix = "Gemma3"
    var gguf: GGUFLayout? { .gemma("gemma3", period: 6, widelyScaledLayers: 62) }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        // Today's files have `layer_types`, and the pattern as a leftover under the other name.
        _ = fields.json("_sliding_window_pattern")
        let pattern = try fields.optionalInt("sliding_window_pattern", range: 1...1024) ?? 6
        var c = try gemmaWithWindow(fields, window: 4096) { ($0 + 1) % pattern != 0 }
        c.queryKeyNorm = QueryKeyNorm(kind: .rmsPlusOne)
        c.rope = try rotary(fields, &c, base: 1e6, kind: "full_attention")
        c.localRope = try rotary(fields, &c, kind: "sliding_attention", legacyBase: "rope_local_base_freq", hasLegacyScaling: false)
        return c
    }
}

extension ModelFamily {
    fileprivate func gemma(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, isTied: true)
        // Early files name an activation in `hidden_act` that the models were not trained with.
        c.activation = try activation(fields, "hidden_activation") ?? .geluTanh
        c.norm = .rmsPlusOne
        c.embeddingScale = Float(c.hiddenSize).squareRoot()
        try readAttentionBias(fields, &c)
        if try !fields.has("rope_parameters") || fields.fields("rope_parameters").has("rope_theta") { c.rope = try rotary(fields, &c) }
        return c
    }

    fileprivate func gemmaWithWindow(_ fields: ConfigFields, window: Int, rule: (Int) -> Bool) throws -> TransformerConfiguration {
        var c = try gemma(fields)
        c.attentionScale = Float(1 / (try fields.optionalDouble("query_pre_attn_scalar", range: .positive) ?? Double(c.headDim)).squareRoot())
        c.attentionSoftcap = try fields.optionalDouble("attn_logit_softcapping", range: 1e-6...1e6).map { Float($0) }
        c.logitSoftcap = try fields.optionalDouble("final_logit_softcapping", range: 1e-6...1e6).map { Float($0) }
        c.slidingWindow = try fields.optionalInt("sliding_window", range: 1...(1 << 27)) ?? window
        c.localLayers = try localLayers(fields, c, rule: rule)
        c.names.attentionPostNorm = "post_attention_layernorm"
        c.names.mlpPreNorm = "pre_feedforward_layernorm"
        c.names.mlpPostNorm = "post_feedforward_layernorm"
        return c
    }
}

extension GGUFLayout {
    fileprivate static func gemma(_ architecture: String, period: Int? = nil, widelyScaledLayers: Int? = nil) -> GGUFLayout {
        var layout = GGUFLayout(architecture)
        layout.shiftsNorms = true
        (layout.period, layout.widelyScaledLayers) = (period, widelyScaledLayers)
        layout.normsQueries = architecture == "gemma3"
        if period != nil {
            layout.fields = [
                ("attention.sliding_window", "sliding_window"), ("attn_logit_softcapping", "attn_logit_softcapping"), ("final_logit_softcapping", "final_logit_softcapping"),
            ]
        }
        return layout
    }
}
