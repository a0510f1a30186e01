import ModelFiles

/// BERT: norms after the sums, learnt positions, segments. Source: Devlin et al. 2018, arXiv:1810.04805.
struct BERT: ModelFamily {
    let modelType = "bert", classPrefix = "Bert", languageModelClass = "ForMaskedLM"
    var gguf: GGUFLayout? { GGUFLayout("bert") }
    var fieldNames: FieldNames { .encoder }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try encoder(fields, base: "bert.")
        c.headTransform = [DenseChoices(name: "cls.predictions.transform.dense", outputs: c.hiddenSize, activation: c.activation, norm: "cls.predictions.transform.LayerNorm")]
        (c.names.head, c.names.headBias) = ("cls.predictions.decoder", "cls.predictions.bias")
        return c
    }

    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? {
        let pooler = DenseChoices(name: "bert.pooler.dense", outputs: c.hiddenSize, activation: .tanh)
        switch purpose {
        case .base: return HeadChoices(pooling: .first, layers: [pooler])
        case .pretraining: return HeadChoices(pooling: .first, layers: [pooler, DenseChoices(name: "cls.seq_relationship", outputs: 2)])
        default: return encoderHead(purpose, labels: labels, before: [pooler])
        }
    }
}
