import ModelFiles

/// RoBERTa: BERT's blocks, positions from the row after the padding's. Source: Liu et al. 2019, arXiv:1907.11692.
struct RoBERTa: ModelFamily {
    let modelType = "roberta", classPrefix = "Roberta", languageModelClass = "ForMaskedLM"
    var fieldNames: FieldNames { .encoder }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        let padding = try fields.optionalInt("pad_token_id", range: 0...(1 << 24)) ?? 1
        var c = try encoder(fields, base: "roberta.", firstPosition: padding + 1)
        c.headTransform = [DenseChoices(name: "lm_head.dense", outputs: c.hiddenSize, activation: .gelu, norm: "lm_head.layer_norm")]
        (c.names.head, c.names.headBias) = ("lm_head.decoder", "lm_head.bias")
        return c
    }

    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? {
        if purpose == .base { return HeadChoices(pooling: .first, layers: [DenseChoices(name: "roberta.pooler.dense", outputs: c.hiddenSize, activation: .tanh)]) }
        return encoderHead(
            purpose, labels: labels, before: [DenseChoices(name: "classifier.dense", outputs: c.hiddenSize, activation: .tanh)], last: "classifier.out_proj")
    }
}
