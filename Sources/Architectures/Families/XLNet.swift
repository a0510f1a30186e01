import ModelFiles

/// XLNet: predicts tokens in any order, with relative positions and two streams. Source: Yang et al. 2019, arXiv:1906.08237.
struct XLNet: ModelFamily {
    let modelType = "xlnet", classPrefix = "XLNet", languageModelClass = "LMHeadModel", kind = ModelKind.masked
    // The other class of spans searches beams.
    var spanClass: String { "ForQuestionAnsweringSimple" }
    var fieldNames: FieldNames {
        var n = FieldNames()
        (n.hidden, n.layers, n.heads, n.intermediate, n.kvHeads, n.headDim) = ("d_model", "n_layer", "n_head", "d_inner", nil, "d_head")
        (n.positions, n.epsilon, n.activation) = (nil, "layer_norm_eps", "ff_activation")
        return n
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1e-12, isTied: true)
        guard c.headDim * c.numAttentionHeads == c.hiddenSize else {
            throw fields.error("d_head", "is \(c.headDim), which times n_head \(c.numAttentionHeads) is not d_model \(c.hiddenSize)")
        }
        guard c.hiddenSize % 2 == 0 else { throw fields.error("d_model", "is \(c.hiddenSize); positions in sines need an even size") }
        c.norm = .layer
        (c.mlpBias, c.isGated, c.isCausal) = (true, false, false)
        if !fields.has("ff_activation") { c.activation = .gelu }
        _ = try fields.optionalString("attn_type", oneOf: ["bi"])
        for (name, value) in [("untie_r", true), ("bi_data", false), ("same_length", false)] where try fields.optionalBool(name) ?? value != value {
            throw fields.error(name, "is \(!value), which is not supported")
        }
        // How the head of sequences reads its row; other ways exist in the library.
        for (name, value) in [("summary_type", JSON.string("last")), ("summary_use_proj", true), ("summary_activation", "tanh")] {
            if let given = fields.json(name), given != value { throw fields.error(name, "is \(given.text()), which is not supported") }
        }
        // Memory of earlier segments is a caller's choice; the fields of question answering belong to beams that other classes search.
        for name in ["mem_len", "reuse_len", "use_mems_eval", "use_mems_train", "start_n_top", "end_n_top"] { _ = fields.json(name) }
        let clamp = try fields.optionalInt("clamp_len", range: -1...(1 << 27)) ?? -1
        c.mechanism = .twoStream(clamp: clamp > 0 ? clamp : nil)
        c.headBias = true
        (c.names.base, c.names.embedding, c.names.layer) = ("transformer.", "word_embedding", "layer.")
        (c.names.head, c.names.headBias) = ("lm_loss", "lm_loss.bias")
        (c.names.attentionPreNorm, c.names.attentionResidualNorm) = (nil, "rel_attn.layer_norm")
        (c.names.mlpPreNorm, c.names.mlpResidualNorm) = (nil, "ff.layer_norm")
        (c.names.up, c.names.down) = ("ff.layer_1", "ff.layer_2")
        c.names.finalNorm = nil
        return c
    }

    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? {
        encoderHead(
            purpose, labels: labels, before: [DenseChoices(name: "sequence_summary.summary", outputs: c.hiddenSize, activation: .tanh)], pooling: .last, last: "logits_proj")
    }
}
