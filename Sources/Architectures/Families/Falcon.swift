import ModelFiles

/// Falcon in its three layouts: 7B (one key/value head, one norm), 40B (groups, two norms), RW (biases by distance). Source: Almazrouei et al. 2023, arXiv:2311.16867.
struct Falcon: ModelFamily {
    let modelType = "falcon", classPrefix = "Falcon"
    var gguf: GGUFLayout? {
        var layout = GGUFLayout("falcon")
        layout.fields = [("attention.head_count_kv", "num_kv_heads")]
        layout.flags = [("blk.0.attn_norm_2.weight", "new_decoder_architecture")]
        layout.names = ["ln_attn": "attn_norm_2", "ln_mlp": "attn_norm"]
        return layout
    }
    var fieldNames: FieldNames {
        var n = FieldNames()
        (n.intermediate, n.kvHeads, n.headDim, n.epsilon, n.activation) = ("ffn_hidden_size", nil, nil, "layer_norm_epsilon", "activation")
        return n
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1e-5, isTied: true, inner: 4)
        c.useLayerNormsAndBiases()
        if !fields.has("activation") { c.activation = .gelu }
        let hasBias = try fields.optionalBool("bias") ?? false
        (c.attentionBias, c.attentionOutputBias, c.mlpBias) = (hasBias, hasBias, hasBias)
        let isNew = try fields.optionalBool("new_decoder_architecture") ?? false
        let groups = try fields.optionalInt("num_kv_heads", range: 1...(1 << 12)) ?? c.numAttentionHeads
        let isMultiQuery = try fields.optionalBool("multi_query") ?? true
        c.numKeyValueHeads = isNew ? groups : isMultiQuery ? 1 : c.numAttentionHeads
        guard c.numAttentionHeads % c.numKeyValueHeads == 0 else {
            throw fields.error("num_kv_heads", "is \(c.numKeyValueHeads), which does not divide num_attention_heads \(c.numAttentionHeads)")
        }
        c.residualAfterNorm = try fields.optionalBool("apply_residual_connection_post_layernorm") ?? false
        let rope = try rotary(fields, &c)
        // The bias is divided with the scores.
        if try fields.optionalBool("alibi") ?? false { c.positionBias = .alibi(scale: 1 / Float(c.headDim).squareRoot()) } else { c.rope = rope }
        let isParallel = try fields.optionalBool("parallel_attn") ?? true
        c.isParallel = isParallel || isNew
        c.useFusedHeads()
        let norms = try fields.optionalInt("num_ln_in_parallel_attn", range: 1...2) ?? (isNew ? 2 : 1)
        if isNew, norms == 2 {
            (c.names.attentionPreNorm, c.names.mlpPreNorm) = ("ln_attn", "ln_mlp")
        } else if c.isParallel {
            c.names.mlpPreNorm = nil
        }
        return c
    }
}
