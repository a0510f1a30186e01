import ModelFiles

/// GPT-NeoX and Pythia: attention and MLP side by side after two norms. Source: Black et al. 2022, arXiv:2204.06745.
struct GPTNeoX: ModelFamily {
    let modelType = "gpt_neox", classPrefix = "GPTNeoX"
    var gguf: GGUFLayout? {
        var layout = GGUFLayout("gptneox")
        layout.fields = [("use_parallel_residual", "use_parallel_residual")]
        (layout.share, layout.ropeBase) = ("rotary_pct", "rotary_emb_base")
        layout.needsBiases = true
        return layout
    }
    var fieldNames: FieldNames {
        var n = FieldNames()
        (n.epsilon, n.kvHeads, n.headDim) = ("layer_norm_eps", nil, nil)
        return n
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1e-5)
        c.useLayerNormsAndBiases()
        if !fields.has("hidden_act") { c.activation = .gelu }
        try readAttentionBias(fields, &c, default: true)
        c.rope = try rotary(fields, &c, share: 0.25, legacyBase: "rotary_emb_base", legacyShare: "rotary_pct")
        c.isParallel = try fields.optionalBool("use_parallel_residual") ?? true
        c.projections = .grouped
        (c.names.base, c.names.embedding, c.names.head) = ("gpt_neox.", "embed_in", "embed_out")
        (c.names.fused, c.names.output) = ("attention.query_key_value", "attention.dense")
        (c.names.up, c.names.down) = ("mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
        c.names.finalNorm = "final_layer_norm"
        return c
    }

    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? {
        purpose == .tokenClassification ? GPT2().head(purpose, labels: labels, c) : Llama().head(purpose, labels: labels, c)
    }
}
