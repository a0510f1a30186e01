import ModelFiles

/// Llama 1–3 and what shares its layout (SmolLM2, TinyLlama). Source: Touvron et al. 2023, arXiv:2302.13971.
struct Llama: DecoderFamily {
    let modelType = "llama"
    let ggufArchitecture: String? = "llama"

    func configuration(_ fields: ConfigFields) throws -> DecoderConfiguration {
        let architecture = try fields.optionalStrings("architectures")?.first ?? "LlamaForCausalLM"
        var c = try decoderSizes(fields, modelType: modelType)
        c.attentionBias = try fields.optionalBool("attention_bias") ?? false
        c.mlpBias = try fields.optionalBool("mlp_bias") ?? false
        _ = try fields.optionalString("hidden_act", oneOf: ["silu", "swish"])
        if let parts = try fields.optionalInt("pretraining_tp", range: 1...1024), parts != 1 {
            throw fields.error("pretraining_tp", "is \(parts), which changes the order of sums", advice: "Set it to 1.")
        }
        switch architecture {
        case "LlamaForCausalLM", "LlamaModel": break
        case "LlamaForSequenceClassification": c.labelCount = try labelCount(fields)
        default: throw fields.error("architectures", "names \(architecture), which this family does not have", advice: "LlamaForCausalLM and LlamaForSequenceClassification are known.")
        }
        try fields.refuseUnread(except: harmlessFields)
        return c
    }
}
