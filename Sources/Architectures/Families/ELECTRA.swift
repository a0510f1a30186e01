import ModelFiles

/// ELECTRA: a discriminator that tells replaced tokens, or the generator that replaces them. Source: Clark et al. 2020, arXiv:2003.10555.
struct ELECTRA: ModelFamily {
    let modelType = "electra", classPrefix = "Electra", languageModelClass = "ForMaskedLM"
    var fieldNames: FieldNames { .encoder }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try encoder(fields, base: "electra.")
        let width = try fields.optionalInt("embedding_size", range: 1...(1 << 17)) ?? 128
        if width != c.hiddenSize {
            (c.embeddingSize, c.embeddingProjectionBias) = (width, true)
            c.names.projectIn = "embeddings_project"
        }
        c.headTransform = [DenseChoices(name: "generator_predictions.dense", outputs: width, activation: .gelu, norm: "generator_predictions.LayerNorm")]
        (c.names.head, c.names.headBias) = ("generator_lm_head", "generator_lm_head.bias")
        return c
    }

    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? {
        if purpose == .pretraining {
            return HeadChoices(pooling: .tokens, layers: [
                DenseChoices(name: "discriminator_predictions.dense", outputs: c.hiddenSize, activation: c.activation),
                DenseChoices(name: "discriminator_predictions.dense_prediction", outputs: 1),
            ])
        }
        return encoderHead(
            purpose, labels: labels, before: [DenseChoices(name: "classifier.dense", outputs: c.hiddenSize, activation: .gelu)], last: "classifier.out_proj")
    }
}
