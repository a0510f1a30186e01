import ModelFiles

/// Mistral's attention, with eight experts in place of the MLP. Source: Jiang et al. 2024, arXiv:2401.04088.
struct Mixtral: ModelFamily {
    let modelType = "mixtral", classPrefix = "Mixtral"
    var gguf: GGUFLayout? {
        var layout = GGUFLayout.llama
        layout.fields = [("expert_count", "num_local_experts"), ("expert_used_count", "num_experts_per_tok")]
        return layout
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, epsilon: 1e-5)
        c.rope = try rotary(fields, &c, base: 1e6)
        c.slidingWindow = try fields.optionalInt("sliding_window", range: 1...(1 << 27))
        c.experts = try experts(
            fields, c, count: ["num_local_experts"], inner: c.intermediateSize, isNormalised: true, layers: Set(0..<c.numHiddenLayers), router: "block_sparse_moe.gate",
            expert: "block_sparse_moe.experts", gate: "w1", up: "w3", down: "w2")
        // Noise on what the router reads is for training from nothing.
        _ = try fields.optionalDouble("router_jitter_noise")
        return c
    }
}
