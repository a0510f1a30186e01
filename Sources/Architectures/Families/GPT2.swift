import ModelFiles

/// GPT-2: learnt positions, layer norms, matrices that files keep transposed. Source: Radford et al. 2019.
struct GPT2: ModelFamily {
    let modelType = "gpt2", classPrefix = "GPT2", languageModelClass = "LMHeadModel"
    var gguf: GGUFLayout? { GGUFLayout("gpt2") }
    var fieldNames: FieldNames { .openAI }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1e-5, isTied: true, inner: 4)
        c.useLayerNormsAndBiases()
        if !fields.has("activation_function") { c.activation = .geluTanh }
        if try fields.optionalBool("scale_attn_weights") ?? true == false { c.attentionScale = 1 }
        c.scalesByLayer = try fields.optionalBool("scale_attn_by_inverse_layer_idx") ?? false
        c.learnedPositions = LearnedPositions(rows: c.maxPositionEmbeddings)
        c.projections = .fused
        c.names = .openAI
        c.names.positions = "wpe"
        (c.names.fused, c.names.output) = ("attn.c_attn", "attn.c_proj")
        (c.names.up, c.names.down) = ("mlp.c_fc", "mlp.c_proj")
        c.names.mlpPreNorm = "ln_2"
        c.names.isTransposed = true
        return c
    }

    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? {
        purpose == .tokenClassification
            ? HeadChoices(pooling: .tokens, layers: [DenseChoices(name: "classifier", outputs: labels)])
            : Llama().head(purpose, labels: labels, c)
    }
}

/// GPT-J: attention and MLP side by side after one norm, neighbouring entries of a part of each head turn. Source: Wang and Komatsuzaki 2021.
struct GPTJ: ModelFamily {
    let modelType = "gptj", classPrefix = "GPTJ"
    var fieldNames: FieldNames { .openAI }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1e-5, inner: 4)
        c.useLayerNormsAndBiases()
        if !fields.has("activation_function") { c.activation = .geluTanh }
        (c.attentionBias, c.attentionOutputBias) = (false, false)
        c.isParallel = true
        c.rope = RotaryScaling(base: 10_000)
        c.rotaryDim = try fields.optionalInt("rotary_dim", range: 2...(1 << 12)) ?? c.headDim
        guard c.rotaryDim % 2 == 0, c.rotaryDim <= c.headDim else { throw fields.error("rotary_dim", "is \(c.rotaryDim), which is no even part of heads of size \(c.headDim)") }
        c.interleavedRotary = true
        c.headBias = true
        c.names = .openAI
        c.names.mlpPreNorm = nil
        (c.names.query, c.names.key, c.names.value, c.names.output) = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj")
        (c.names.up, c.names.down) = ("mlp.fc_in", "mlp.fc_out")
        return c
    }
}
