import ModelFiles

/// SmolLM3: Llama's layout, in which every fourth layer knows no positions. Source: Bakouch et al. 2025.
struct SmolLM3: ModelFamily {
    let modelType = "smollm3", classPrefix = "SmolLM3"
    var gguf: GGUFLayout? {
        var layout = GGUFLayout.llama
        layout.architecture = "smollm3"
        (layout.hasRotaryTable, layout.hasRotaryTablesByLength) = (false, false)
        layout.unrotatedPeriod = 4
        return layout
    }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields, isTied: true)
        c.rope = try rotary(fields, &c, base: 2e6)
        try readAttentionBias(fields, &c)
        c.mlpBias = try fields.optionalBool("mlp_bias") ?? false
        let interval = try fields.optionalInt("no_rope_layer_interval", range: 1...1024) ?? 4
        if fields.has("no_rope_layers") {
            let rotated = try fields.ints("no_rope_layers", range: 0...1)
            guard rotated.count == c.numHiddenLayers else { throw fields.error("no_rope_layers", "has \(rotated.count) entries for \(c.numHiddenLayers) layers") }
            c.unrotatedLayers = Set(rotated.indices.filter { rotated[$0] == 0 })
        } else {
            c.unrotatedLayers = Set((0..<c.numHiddenLayers).filter { ($0 + 1) % interval == 0 })
        }
        let window = try fields.optionalInt("sliding_window", range: 1...(1 << 27))
        c.slidingWindow = try fields.optionalBool("use_sliding_window") ?? false ? window : nil
        c.localLayers = try localLayers(fields, c) { [c] in c.slidingWindow != nil && c.unrotatedLayers.contains($0) }
        return c
    }
}
