import ModelFiles

/// ModernBERT: rotary positions, norms before sublayers, a gated MLP, and a window in two of three layers. Source: Warner et al. 2024, arXiv:2412.13663.
struct ModernBERT: ModelFamily {
    let modelType = "modernbert", classPrefix = "ModernBert", languageModelClass = "ForMaskedLM"
    var fieldNames: FieldNames {
        var n = FieldNames.encoder
        (n.epsilon, n.activation) = ("norm_eps", "hidden_activation")
        return n
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1e-5, isTied: true)
        if !fields.has("hidden_activation") { c.activation = .gelu }
        c.norm = try fields.optionalBool("norm_bias") ?? false ? .layer : .layerWithoutBias
        c.isCausal = false
        try readAttentionBias(fields, &c)
        c.mlpBias = try fields.optionalBool("mlp_bias") ?? false
        c.skipsFirstNorm = true
        let every = try fields.optionalInt("global_attn_every_n_layers", range: 1...1024) ?? 3
        c.slidingWindow = (try fields.optionalInt("local_attention", range: 1...(1 << 20)) ?? 128) / 2
        c.localLayers = try localLayers(fields, c) { $0 % every != 0 }
        c.rope = try rotary(fields, &c, base: 160_000, kind: "full_attention", legacyBase: "global_rope_theta", hasLegacyScaling: false)
        c.localRope = try rotary(fields, &c, base: 10_000, kind: "sliding_attention", legacyBase: "local_rope_theta", hasLegacyScaling: false)
        c.projections = .fused
        c.names.embedding = "embeddings.tok_embeddings"
        c.names.embeddingNorm = "embeddings.norm"
        (c.names.attentionPreNorm, c.names.mlpPreNorm, c.names.finalNorm) = ("attn_norm", "mlp_norm", "final_norm")
        (c.names.fused, c.names.output) = ("attn.Wqkv", "attn.Wo")
        (c.names.gateUp, c.names.down) = ("mlp.Wi", "mlp.Wo")
        c.headTransform = [DenseChoices(
            name: "head.dense", outputs: c.hiddenSize, bias: try fields.optionalBool("classifier_bias") ?? false,
            activation: try activation(fields, "classifier_activation") ?? .gelu, norm: "head.norm")]
        c.headBias = try fields.optionalBool("decoder_bias") ?? true
        (c.names.head, c.names.headBias) = ("decoder", "decoder.bias")
        // How training and faster kernels are set up, and what pools in classification, which `head` asks for.
        for name in ["deterministic_flash_attn", "initializer_cutoff_factor", "sparse_pred_ignore_index", "sparse_prediction", "reference_compile", "repad_logits_with_grad"] {
            _ = fields.json(name)
        }
        _ = try fields.optionalString("classifier_pooling", oneOf: ["cls", "mean"])
        return c
    }

    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? {
        let pooling: HeadChoices.Pooling = c.source?["classifier_pooling"]?.string == "mean" ? .mean : .first
        switch purpose {
        case .languageModel, .pretraining, .base: return nil
        case .sequenceClassification, .tokenClassification, .span:
            return HeadChoices(
                pooling: purpose == .sequenceClassification ? pooling : .tokens,
                layers: c.headTransform + [DenseChoices(name: "classifier", outputs: purpose == .span ? 2 : labels)])
        }
    }
}
