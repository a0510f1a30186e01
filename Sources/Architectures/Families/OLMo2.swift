import ModelFiles

/// OLMo 2: norms on what the sublayers give, and on all queries and keys together. Source: OLMo Team 2025, arXiv:2501.00656.
struct OLMo2: ModelFamily {
    let modelType = "olmo2", classPrefix = "Olmo2"
    var gguf: GGUFLayout? {
        var layout = GGUFLayout("olmo2")
        layout.normsQueries = true
        return layout
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1e-5)
        c.rope = try rotary(fields, &c)
        try readAttentionBias(fields, &c)
        c.queryKeyNorm = QueryKeyNorm(kind: .rms, isWhole: true)
        (c.names.attentionPreNorm, c.names.attentionPostNorm) = (nil, "post_attention_layernorm")
        (c.names.mlpPreNorm, c.names.mlpPostNorm) = (nil, "post_feedforward_layernorm")
        return c
    }
}
