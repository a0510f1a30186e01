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

extension ModelFamily {
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
