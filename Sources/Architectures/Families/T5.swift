import ModelFiles

/// T5, v1.1, Flan and UL2: an encoder and a decoder with learnt biases by distance. Source: Raffel et al. 2019, arXiv:1910.10683.
struct T5: ModelFamily {
    let modelType = "t5", classPrefix = "T5", languageModelClass = "ForConditionalGeneration"
    var fieldNames: FieldNames { .t5 }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration { try t5(fields, everyLayer: false, mlp: "relu") }
    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? { nil }
}

/// UMT5: a table of biases in every layer. Source: Chung et al. 2023, arXiv:2304.09151.
struct UMT5: ModelFamily {
    let modelType = "umt5", classPrefix = "UMT5", languageModelClass = "ForConditionalGeneration"
    var fieldNames: FieldNames { .t5 }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration { try t5(fields, everyLayer: true, mlp: "gated-gelu") }
    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? { nil }
}

extension FieldNames {
    fileprivate static var t5: FieldNames {
        var n = FieldNames()
        (n.hidden, n.heads, n.intermediate, n.kvHeads, n.headDim) = ("d_model", "num_heads", "d_ff", nil, "d_kv")
        (n.layers, n.positions, n.epsilon, n.activation) = ("num_layers", nil, "layer_norm_epsilon", nil)
        return n
    }
}

extension ModelFamily {
    fileprivate func t5(_ fields: ConfigFields, everyLayer: Bool, mlp: String) throws -> TransformerConfiguration {
        var c = try sizes(fields, isTied: true)
        // Biases by distance know no longest text; the field is how long those of pre-training were.
        _ = fields.json("n_positions")
        c.encoderLayers = c.numHiddenLayers
        c.numHiddenLayers = try fields.optionalInt("num_decoder_layers", range: 1...1024) ?? c.numHiddenLayers
        let count = try fields.optionalInt("relative_attention_num_buckets", range: 4...(1 << 16)) ?? 32
        let maxDistance = try fields.optionalInt("relative_attention_max_distance", range: 1...(1 << 20)) ?? 128
        guard maxDistance > count / 2 else { throw fields.error("relative_attention_max_distance", "is \(maxDistance), which \(count) buckets reach without growing") }
        c.positionBias = .buckets(count: count, maxDistance: maxDistance, everyLayer: everyLayer)
        c.attentionScale = 1
        let kind = try fields.optionalString("feed_forward_proj", oneOf: ["relu", "gelu", "gated-gelu", "gated-silu", "gated-relu"]) ?? mlp
        c.isGated = kind.hasPrefix("gated-")
        c.activation = kind.hasSuffix("silu") ? .silu : kind.hasSuffix("relu") ? .relu : kind == "gelu" ? .gelu : .geluTanh
        // What the library works out from the field above.
        if let gated = try fields.optionalBool("is_gated_act"), gated != c.isGated { throw fields.error("is_gated_act", "is \(gated), but 'feed_forward_proj' is '\(kind)'") }
        if let act = try activation(fields, "dense_act_fn"), act != c.activation { throw fields.error("dense_act_fn", "is \(act), but 'feed_forward_proj' is '\(kind)'") }
        if try fields.optionalBool("scale_decoder_outputs") ?? c.tieWordEmbeddings { c.headScale = 1 / Float(c.hiddenSize).squareRoot() }
        c.decoderStartTokenID = c.decoderStartTokenID ?? 0
        func names(_ stack: String, mlpLayer: Int) -> WeightNames {
            var n = WeightNames()
            (n.base, n.embedding, n.layer, n.finalNorm) = ("", "shared", "\(stack).block.", "\(stack).final_layer_norm")
            (n.attentionPreNorm, n.mlpPreNorm) = ("layer.0.layer_norm", "layer.\(mlpLayer).layer_norm")
            let attention = "layer.0.SelfAttention", inner = "layer.\(mlpLayer).DenseReluDense"
            (n.query, n.key, n.value, n.output) = ("\(attention).q", "\(attention).k", "\(attention).v", "\(attention).o")
            n.bias = "\(attention).relative_attention_bias"
            (n.gate, n.up, n.down) = ("\(inner).wi_0", c.isGated ? "\(inner).wi_1" : "\(inner).wi", "\(inner).wo")
            return n
        }
        c.names = names("decoder", mlpLayer: 2)
        c.encoderNames = names("encoder", mlpLayer: 1)
        let cross = "layer.1.EncDecAttention"
        c.names.crossNorm = "layer.1.layer_norm"
        (c.names.crossQuery, c.names.crossKey, c.names.crossValue, c.names.crossOutput) = ("\(cross).q", "\(cross).k", "\(cross).v", "\(cross).o")
        return c
    }
}
