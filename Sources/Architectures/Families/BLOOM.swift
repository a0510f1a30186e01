import ModelFiles

/// BLOOM: biases by distance in place of positions, and a norm on the embeddings. Source: BigScience Workshop 2022, arXiv:2211.05100.
struct BLOOM: ModelFamily {
    let modelType = "bloom", classPrefix = "Bloom"
    var gguf: GGUFLayout? {
        var layout = GGUFLayout("bloom")
        layout.hasAlibi = true
        return layout
    }
    var fieldNames: FieldNames {
        var n = FieldNames.openAI
        (n.hidden, n.positions, n.activation) = ("hidden_size", nil, nil)
        return n
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var names = fieldNames
        // Published files keep two names of the training system.
        if fields.has("n_embed") { names.hidden = "n_embed" }
        if fields.has("num_attention_heads") { names.heads = "num_attention_heads" }
        var c = try sizes(fields, names: names, epsilon: 1e-5, isTied: true, inner: 4)
        c.useLayerNormsAndBiases()
        c.activation = .geluTanh
        c.positionBias = .alibi(scale: 1)
        c.residualAfterNorm = try fields.optionalBool("apply_residual_connection_post_layernorm") ?? false
        // The order of sums of the training system; ours is the exact one.
        _ = try fields.optionalBool("slow_but_exact")
        c.useFusedHeads()
        c.names.embeddingNorm = "word_embeddings_layernorm"
        return c
    }
}
