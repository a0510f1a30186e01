import ModelFiles

/// ALBERT: few sets of weights for many layers, and a narrow embedding. Source: Lan et al. 2019, arXiv:1909.11942.
struct ALBERT: ModelFamily {
    let modelType = "albert", classPrefix = "Albert", languageModelClass = "ForMaskedLM"
    var fieldNames: FieldNames { .encoder }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try encoder(fields, base: "albert.")
        if !fields.has("hidden_act") { c.activation = .geluTanh }
        let width = try fields.optionalInt("embedding_size", range: 1...(1 << 17)) ?? 128
        (c.embeddingSize, c.embeddingProjectionBias) = (width, true)
        c.names.projectIn = "encoder.embedding_hidden_mapping_in"
        let groups = try fields.optionalInt("num_hidden_groups", range: 1...c.numHiddenLayers) ?? 1
        guard c.numHiddenLayers % groups == 0 else { throw fields.error("num_hidden_groups", "is \(groups), which does not divide num_hidden_layers \(c.numHiddenLayers)") }
        c.layerGroups = groups
        if let inner = try fields.optionalInt("inner_group_num", range: 1...1024), inner != 1 { throw fields.error("inner_group_num", "is \(inner); only 1 is supported") }
        for name in ["net_structure_type", "gap_size", "num_memory_blocks", "down_scale_factor"] { _ = fields.json(name) }
        c.headTransform = [DenseChoices(name: "predictions.dense", outputs: width, activation: c.activation, norm: "predictions.LayerNorm")]
        (c.names.head, c.names.headBias) = ("predictions.decoder", "predictions.bias")
        c.names.layer = "encoder.albert_layer_groups."
        let layer = "albert_layers.0."
        (c.names.attentionResidualNorm, c.names.mlpResidualNorm) = ("\(layer)attention.LayerNorm", "\(layer)full_layer_layer_norm")
        (c.names.query, c.names.key, c.names.value) = ("\(layer)attention.query", "\(layer)attention.key", "\(layer)attention.value")
        c.names.output = "\(layer)attention.dense"
        (c.names.up, c.names.down) = ("\(layer)ffn", "\(layer)ffn_output")
        return c
    }

    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? {
        let pooler = DenseChoices(name: "albert.pooler", outputs: c.hiddenSize, activation: .tanh)
        switch purpose {
        case .base: return HeadChoices(pooling: .first, layers: [pooler])
        case .pretraining: return HeadChoices(pooling: .first, layers: [pooler, DenseChoices(name: "sop_classifier.classifier", outputs: 2)])
        default: return encoderHead(purpose, labels: labels, before: [pooler])
        }
    }
}
