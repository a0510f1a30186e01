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

extension FieldNames {
    static var encoder: FieldNames {
        var n = FieldNames()
        (n.kvHeads, n.headDim, n.epsilon) = (nil, nil, "layer_norm_eps")
        return n
    }
}

extension ModelFamily {
    /// The blocks and embeddings of BERT under another prefix.
    /// - Parameter firstPosition: the row of the first token's position.
    func encoder(_ fields: ConfigFields, base: String, epsilon: Double = 1e-12, firstPosition: Int = 0) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: epsilon, isTied: true)
        if let kind = try fields.optionalString("position_embedding_type"), kind != "absolute" {
            throw fields.error("position_embedding_type", "is '\(kind)', which is not supported", advice: "absolute is.")
        }
        c.useLayerNormsAndBiases()
        if let name = fieldNames.activation, !fields.has(name) { c.activation = .gelu }
        c.isCausal = false
        c.learnedPositions = LearnedPositions(rows: c.maxPositionEmbeddings, offset: firstPosition)
        c.maxPositionEmbeddings -= firstPosition
        guard c.maxPositionEmbeddings > 0 else { throw fields.error("max_position_embeddings", "leaves no positions: the first \(firstPosition) are the padding's") }
        c.segmentCount = try fields.optionalInt("type_vocab_size", range: 0...1024) ?? 2
        c.headBias = true
        c.names.base = base
        c.names.embedding = "embeddings.word_embeddings"
        (c.names.positions, c.names.segments) = ("embeddings.position_embeddings", "embeddings.token_type_embeddings")
        c.names.embeddingNorm = "embeddings.LayerNorm"
        c.names.layer = "encoder.layer."
        (c.names.attentionPreNorm, c.names.attentionResidualNorm) = (nil, "attention.output.LayerNorm")
        (c.names.mlpPreNorm, c.names.mlpResidualNorm) = (nil, "output.LayerNorm")
        (c.names.query, c.names.key, c.names.value) = ("attention.self.query", "attention.self.key", "attention.self.value")
        c.names.output = "attention.output.dense"
        (c.names.up, c.names.down) = ("intermediate.dense", "output.dense")
        c.names.finalNorm = nil
        return c
    }

    /// The heads that masked families share: of a sequence after some layers on its first token, of tokens and of spans on their own states.
    func encoderHead(_ purpose: Purpose, labels: Int, before: [DenseChoices], pooling: HeadChoices.Pooling = .first, last: String = "classifier") -> HeadChoices? {
        switch purpose {
        case .languageModel, .pretraining, .base: nil
        case .sequenceClassification: HeadChoices(pooling: pooling, layers: before + [DenseChoices(name: last, outputs: labels)])
        case .tokenClassification: HeadChoices(pooling: .tokens, layers: [DenseChoices(name: "classifier", outputs: labels)])
        case .span: HeadChoices(pooling: .tokens, layers: [DenseChoices(name: "qa_outputs", outputs: 2)])
        }
    }
}
