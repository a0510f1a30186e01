import ModelFiles

/// DeBERTa v2 and v3: contents and positions meet in separate products. Source: He et al. 2021, arXiv:2006.03654 and arXiv:2111.09543.
struct DeBERTaV2: ModelFamily {
    let modelType = "deberta-v2", classPrefix = "DebertaV2", languageModelClass = "ForMaskedLM"
    var fieldNames: FieldNames { .encoder }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try encoder(fields, base: "deberta.", epsilon: 1e-7)
        for name in ["relative_attention", "legacy"] where try fields.optionalBool(name) == false { throw fields.error(name, "is false, which is not supported") }
        if try fields.optionalBool("position_biased_input") ?? true == false { c.learnedPositions = nil }
        let longest = try fields.optionalInt("max_relative_positions", range: -1...(1 << 20)) ?? -1
        let maxDistance = longest < 1 ? c.maxPositionEmbeddings : longest
        let buckets = try fields.optionalInt("position_buckets", range: -1...(1 << 20)) ?? -1
        guard buckets < 1 || buckets > 1 && maxDistance - 1 > buckets / 2 else {
            throw fields.error("position_buckets", "is \(buckets), which leaves no distances up to \(maxDistance) to group")
        }
        // Published files write the kinds as a list or as "p2c|c2p".
        let kinds = try fields.json("pos_att_type")?.string?.split(separator: "|").map { String($0) } ?? fields.optionalStrings("pos_att_type", oneOf: ["c2p", "p2c"]) ?? []
        c.mechanism = .disentangled(DisentangledChoices(
            span: buckets > 0 ? buckets : maxDistance, isBucketed: buckets > 0, maxDistance: maxDistance, contentToPosition: kinds.contains("c2p"),
            positionToContent: kinds.contains("p2c"), sharesProjections: try fields.optionalBool("share_att_key") ?? false,
            normalisesTable: try fields.optionalString("norm_rel_ebd", oneOf: ["layer_norm", "none"]) == "layer_norm"))
        c.headTransform = [DenseChoices(name: "cls.predictions.transform.dense", outputs: c.hiddenSize, activation: c.activation, norm: "cls.predictions.transform.LayerNorm")]
        (c.names.head, c.names.headBias) = ("cls.predictions.decoder", "cls.predictions.bias")
        c.names.bias = "encoder.rel_embeddings"
        (c.names.query, c.names.key, c.names.value) = ("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj")
        if let act = try activation(fields, "pooler_hidden_act"), act != .gelu { throw fields.error("pooler_hidden_act", "is \(act); only gelu is supported") }
        if let width = try fields.optionalInt("pooler_hidden_size", range: 1...(1 << 17)), width != c.hiddenSize {
            throw fields.error("pooler_hidden_size", "is \(width), but hidden_size is \(c.hiddenSize)")
        }
        return c
    }

    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? {
        encoderHead(purpose, labels: labels, before: [DenseChoices(name: "pooler.dense", outputs: c.hiddenSize, activation: .gelu)])
    }
}
