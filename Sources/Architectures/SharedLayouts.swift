import ModelFiles

// Layouts that several families begin with. What only one family has stands in its own file.

extension TransformerConfiguration {
    /// Layer norms, and biases in all projections and in a plain MLP: how transformers were before Llama.
    mutating func useLayerNormsAndBiases() {
        norm = .layer
        (attentionBias, attentionOutputBias, mlpBias, isGated) = (true, true, true, false)
    }

    /// The names of Megatron's blocks, with queries, keys and values of each head together.
    mutating func useFusedHeads() {
        projections = .grouped
        (names.base, names.embedding, names.layer, names.finalNorm) = ("transformer.", "word_embeddings", "h.", "ln_f")
        (names.fused, names.output) = ("self_attention.query_key_value", "self_attention.dense")
        (names.up, names.down) = ("mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
    }
}

extension FieldNames {
    /// The names that OpenAI's files began with.
    static var openAI: FieldNames {
        var n = FieldNames()
        (n.hidden, n.layers, n.heads, n.positions) = ("n_embd", "n_layer", "n_head", "n_positions")
        (n.intermediate, n.kvHeads, n.headDim) = ("n_inner", nil, nil)
        (n.epsilon, n.activation) = ("layer_norm_epsilon", "activation_function")
        return n
    }

    /// Those of the masked models that came after BERT.
    static var encoder: FieldNames {
        var n = FieldNames()
        (n.kvHeads, n.headDim, n.epsilon) = (nil, nil, "layer_norm_eps")
        return n
    }
}

extension WeightNames {
    static var openAI: WeightNames {
        var names = WeightNames()
        (names.base, names.embedding, names.layer) = ("transformer.", "wte", "h.")
        (names.attentionPreNorm, names.finalNorm) = ("ln_1", "ln_f")
        return names
    }
}

extension GGUFLayout {
    static var llama: GGUFLayout {
        var layout = GGUFLayout("llama")
        layout.pairsRows = true
        (layout.hasRotaryTable, layout.hasRotaryTablesByLength) = (true, true)
        return layout
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

    /// The experts of a family whose names and sizes are given.
    /// - Parameter count: names of the field, the library's first.
    func experts(
        _ fields: ConfigFields, _ c: TransformerConfiguration, count names: [String], inner: Int, isNormalised: Bool, layers: Set<Int>, router: String, expert: String,
        gate: String, up: String, down: String
    ) throws -> ExpertChoices {
        let name = names.first { fields.has($0) } ?? names[0]
        let count = try fields.int(name, range: 1...4096)
        let perToken = try fields.int("num_experts_per_tok", range: 1...4096)
        guard perToken <= count else { throw fields.error("num_experts_per_tok", "is \(perToken), but '\(name)' is \(count)") }
        guard count * layers.count <= 1 << 16 else { throw fields.error(name, "is \(count), in \(layers.count) layers: more than 65536 experts are not supported") }
        let balance = try fields.optionalDouble("router_aux_loss_coef", range: .nonnegative) ?? 0.001
        let isBalanced = try fields.optionalBool("output_router_logits") ?? false
        return ExpertChoices(
            count: count, perToken: perToken, intermediateSize: inner, isNormalised: isNormalised, layers: layers, balance: isBalanced ? balance : 0, router: router,
            expert: expert, gate: gate, up: up, down: down)
    }
}
