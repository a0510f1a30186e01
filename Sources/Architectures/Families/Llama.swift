import ModelFiles

/// Llama 1–3 and what shares its layout (SmolLM2, TinyLlama). Source: Touvron et al. 2023, arXiv:2302.13971.
struct Llama: ModelFamily {
    let modelType = "llama", classPrefix = "Llama"
    var gguf: GGUFLayout? {
        var layout = GGUFLayout.llama
        layout.flags = [("blk.0.attn_q.bias", "attention_bias"), ("blk.0.ffn_gate.bias", "mlp_bias")]
        return layout
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields)
        c.rope = try rotary(fields, &c)
        try readAttentionBias(fields, &c)
        c.mlpBias = try fields.optionalBool("mlp_bias") ?? false
        try refuseWindows(fields, c)
        if let parts = try fields.optionalInt("pretraining_tp", range: 1...1024), parts != 1 {
            throw fields.error("pretraining_tp", "is \(parts), which changes the order of sums", advice: "Set it to 1.")
        }
        return c
    }
}
