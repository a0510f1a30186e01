import ModelFiles

/// OPT: GPT-2's blocks under other names, positions from row 2; the 350M model has its norms after the sums. Source: Zhang et al. 2022, arXiv:2205.01068.
struct OPT: ModelFamily {
    let modelType = "opt", classPrefix = "OPT"
    var fieldNames: FieldNames {
        var n = FieldNames()
        (n.intermediate, n.kvHeads, n.headDim, n.epsilon, n.activation) = ("ffn_dim", nil, nil, "layer_norm_eps", "activation_function")
        return n
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1e-5, isTied: true)
        c.useLayerNormsAndBiases()
        if !fields.has("activation_function") { c.activation = .relu }
        for name in ["enable_bias", "layer_norm_elementwise_affine"] where try fields.optionalBool(name) == false { throw fields.error(name, "is false, which is not supported") }
        c.learnedPositions = LearnedPositions(rows: c.maxPositionEmbeddings + 2, offset: 2)
        c.names.base = "model.decoder."
        c.names.positions = "embed_positions"
        let isBefore = try fields.optionalBool("do_layer_norm_before") ?? true
        (c.names.attentionPreNorm, c.names.attentionResidualNorm) = isBefore ? ("self_attn_layer_norm", nil) : (nil, "self_attn_layer_norm")
        (c.names.mlpPreNorm, c.names.mlpResidualNorm) = isBefore ? ("final_layer_norm", nil) : (nil, "final_layer_norm")
        let isRemoved = try fields.optionalBool("_remove_final_layer_norm") ?? false
        c.names.finalNorm = isBefore && !isRemoved ? "final_layer_norm" : nil
        if let width = try fields.optionalInt("word_embed_proj_dim", range: 1...(1 << 17)), width != c.hiddenSize {
            (c.embeddingSize, c.projectsWords) = (width, true)
            (c.names.projectIn, c.names.projectOut) = ("project_in", "project_out")
        }
        c.names.output = "self_attn.out_proj"
        (c.names.up, c.names.down) = ("fc1", "fc2")
        return c
    }
}
