import ModelFiles

/// GLM-4-9B: neighbouring entries of half of each head turn. Source: Zeng et al. 2024, arXiv:2406.12793.
struct GLM: ModelFamily {
    let modelType = "glm", classPrefix = "Glm"
    var gguf: GGUFLayout? { .glm("chatglm") }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration { try glm(fields) }
}

/// GLM-4-0414: the same with norms on what the sublayers give.
struct GLM4: ModelFamily {
    let modelType = "glm4", classPrefix = "Glm4"
    var gguf: GGUFLayout? { .glm("glm4") }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try glm(fields)
        c.names.attentionPostNorm = "post_self_attn_layernorm"
        c.names.mlpPostNorm = "post_mlp_layernorm"
        return c
    }
}

extension ModelFamily {
    fileprivate func glm(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1.5625e-7)
        c.rope = try rotary(fields, &c, share: 0.5)
        c.interleavedRotary = true
        c.attentionBias = try fields.optionalBool("attention_bias") ?? false
        c.names.gateUp = "mlp.gate_up_proj"
        return c
    }
}

extension GGUFLayout {
    fileprivate static func glm(_ architecture: String) -> GGUFLayout {
        var layout = GGUFLayout(architecture)
        layout.flags = [("blk.0.attn_q.bias", "attention_bias")]
        layout.share = "partial_rotary_factor"
        return layout
    }
}
