import ModelFiles

/// DistilBERT: BERT's blocks under other names, without segments. Source: Sanh et al. 2019, arXiv:1910.01108.
struct DistilBERT: ModelFamily {
    let modelType = "distilbert", classPrefix = "DistilBert", languageModelClass = "ForMaskedLM"
    var fieldNames: FieldNames {
        var n = FieldNames.encoder
        (n.hidden, n.layers, n.heads, n.intermediate, n.activation) = ("dim", "n_layers", "n_heads", "hidden_dim", "activation")
        return n
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try encoder(fields, base: "distilbert.")
        c.segmentCount = 0
        // How positions were initialised; files hold them either way.
        for name in ["sinusoidal_pos_embds", "tie_weights_"] { _ = try fields.optionalBool(name) }
        c.headTransform = [DenseChoices(name: "vocab_transform", outputs: c.hiddenSize, activation: c.activation, norm: "vocab_layer_norm")]
        (c.names.head, c.names.headBias) = ("vocab_projector", "vocab_projector.bias")
        c.names.layer = "transformer.layer."
        (c.names.attentionResidualNorm, c.names.mlpResidualNorm) = ("sa_layer_norm", "output_layer_norm")
        (c.names.query, c.names.key, c.names.value, c.names.output) = ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin")
        (c.names.up, c.names.down) = ("ffn.lin1", "ffn.lin2")
        return c
    }

    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? {
        encoderHead(purpose, labels: labels, before: [DenseChoices(name: "pre_classifier", outputs: c.hiddenSize, activation: .relu)])
    }
}
