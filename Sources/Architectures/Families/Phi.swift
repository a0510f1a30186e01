import ModelFiles

/// Phi-1, 1.5 and 2: attention and MLP read one layer norm side by side, and a part of each head turns. Source: Li et al. 2023, arXiv:2309.05463.
struct Phi: ModelFamily {
    let modelType = "phi", classPrefix = "Phi"
    var gguf: GGUFLayout? {
        var layout = GGUFLayout("phi2")
        layout.share = "partial_rotary_factor"
        return layout
    }
    var fieldNames: FieldNames {
        var n = FieldNames()
        (n.epsilon, n.headDim) = ("layer_norm_eps", nil)
        return n
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1e-5)
        c.useLayerNormsAndBiases()
        if !fields.has("hidden_act") { c.activation = .geluTanh }
        c.rope = try rotary(fields, &c, share: 0.5)
        c.isParallel = true
        c.headBias = true
        if try fields.optionalBool("qk_layernorm") ?? false { c.queryKeyNorm = QueryKeyNorm(kind: .layer) }
        c.names.output = "self_attn.dense"
        (c.names.queryNorm, c.names.keyNorm) = ("self_attn.q_layernorm", "self_attn.k_layernorm")
        c.names.mlpPreNorm = nil
        (c.names.up, c.names.down) = ("mlp.fc1", "mlp.fc2")
        c.names.finalNorm = "final_layernorm"
        return c
    }
}

/// Phi-3 and 3.5: Llama's blocks with fused matrices, and long contexts by two sets of rotary divisors. Source: Abdin et al. 2024, arXiv:2404.14219.
struct Phi3: ModelFamily {
    let modelType = "phi3", classPrefix = "Phi3"
    var gguf: GGUFLayout? {
        var layout = GGUFLayout("phi3")
        layout.hasRotaryTablesByLength = true
        layout.share = "partial_rotary_factor"
        return layout
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1e-5)
        c.rope = try rotary(fields, &c)
        _ = try fields.optionalInt("original_max_position_embeddings", range: 1...(1 << 27))
        c.slidingWindow = try fields.optionalInt("sliding_window", range: 1...(1 << 27))
        c.projections = .fused
        c.names.fused = "self_attn.qkv_proj"
        c.names.gateUp = "mlp.gate_up_proj"
        return c
    }
}
