import ModelFiles

/// Qwen 2 and 2.5: Llama's layout with biases on queries, keys and values, and a window in late layers where it is switched on.
/// Source: Yang et al. 2024, arXiv:2407.10671.
struct Qwen2: ModelFamily {
    let modelType = "qwen2", classPrefix = "Qwen2"
    var gguf: GGUFLayout? { GGUFLayout("qwen2") }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields)
        c.rope = try rotary(fields, &c)
        c.attentionBias = true
        try qwenWindow(fields, &c)
        return c
    }
}

/// Qwen 3: no biases, each head of queries and keys normalised. Source: Yang et al. 2025, arXiv:2505.09388.
struct Qwen3: ModelFamily {
    let modelType = "qwen3", classPrefix = "Qwen3"
    var gguf: GGUFLayout? {
        var layout = GGUFLayout("qwen3")
        layout.normsQueries = true
        return layout
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration { try qwen3(fields) }
}

/// Qwen 3 with experts in some layers.
struct Qwen3MoE: ModelFamily {
    let modelType = "qwen3_moe", classPrefix = "Qwen3Moe"
    var gguf: GGUFLayout? {
        var layout = GGUFLayout("qwen3moe")
        layout.normsQueries = true
        layout.fields = [("expert_count", "num_experts"), ("expert_used_count", "num_experts_per_tok"), ("expert_feed_forward_length", "moe_intermediate_size")]
        layout.constants = [("norm_topk_prob", .bool(true))]
        return layout
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try qwen3(fields)
        let dense = Set(fields.has("mlp_only_layers") ? try fields.ints("mlp_only_layers", range: 0...1024) : [])
        let step = try fields.optionalInt("decoder_sparse_step", range: 1...1024) ?? 1
        c.experts = try experts(
            fields, c, count: ["num_experts", "num_local_experts"], inner: fields.int("moe_intermediate_size", range: 1...(1 << 20)),
            isNormalised: fields.optionalBool("norm_topk_prob") ?? false, layers: Set((0..<c.numHiddenLayers).filter { !dense.contains($0) && ($0 + 1) % step == 0 }),
            router: "mlp.gate", expert: "mlp.experts", gate: "gate_proj", up: "up_proj", down: "down_proj")
        return c
    }
}

extension ModelFamily {
    fileprivate func qwen3(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields)
        c.rope = try rotary(fields, &c)
        try readAttentionBias(fields, &c)
        c.queryKeyNorm = QueryKeyNorm(kind: .rms)
        try qwenWindow(fields, &c)
        return c
    }

    /// A window in the layers from `max_window_layers` on, or where `layer_types` says so.
    fileprivate func qwenWindow(_ fields: ConfigFields, _ c: inout TransformerConfiguration) throws {
        let window = try fields.optionalInt("sliding_window", range: 1...(1 << 27))
        let first = try fields.optionalInt("max_window_layers", range: 0...1024) ?? 28
        let isUsed = try fields.optionalBool("use_sliding_window") ?? false
        c.slidingWindow = isUsed ? window : nil
        let local = try localLayers(fields, c) { isUsed && window != nil && $0 >= first }
        guard local.isEmpty || c.slidingWindow != nil else { throw fields.error("layer_types", "asks for a window, but 'use_sliding_window' or 'sliding_window' does not") }
        c.localLayers = local
    }
}
