import Autodidact
import Testing

/// Mistral 7B and its successors: Llama's layout, with a sliding window in some releases. Source: Jiang et al. 2023, arXiv:2310.06825.
struct Mistral: DecoderFamily {
    let modelType = "mistral"
    /// llama.cpp stores these models as "llama".
    let ggufArchitecture: String? = nil

    func configuration(_ fields: ConfigFields) throws -> DecoderConfiguration {
        let architecture = try fields.optionalStrings("architectures")?.first ?? "MistralForCausalLM"
        guard ["MistralForCausalLM", "MistralModel"].contains(architecture) else {
            throw fields.error("architectures", "names \(architecture), which this family does not have", advice: "MistralForCausalLM is known.")
        }
        var c = try decoderSizes(fields, modelType: modelType)
        _ = try fields.optionalString("hidden_act", oneOf: ["silu", "swish"])
        // null means no window. A file that leaves the field out would mean the library's 4096; published files have it.
        c.slidingWindow = try fields.optionalInt("sliding_window", range: 1...(1 << 27))
        for name in ["attention_bias", "mlp_bias"] {
            if try fields.optionalBool(name) ?? false { throw fields.error(name, "is true, but models of this family have no biases") }
        }
        try fields.refuseUnread(except: harmlessFields)
        return c
    }
}

@Suite("Guide: a model family")
struct MistralTests {
    private func configuration(_ more: String) throws -> DecoderConfiguration {
        let text = """
            {"model_type": "mistral", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, \(more)}
            """
        let object = try #require(try JSON.parse(text, source: "config.json").object)
        return try Mistral().configuration(ConfigFields(object, file: "config.json"))
    }

    @Test("the sliding window is read; null means none")
    func window() throws {
        #expect(try configuration(#""sliding_window": 8"#).slidingWindow == 8)
        #expect(try configuration(#""sliding_window": null"#).slidingWindow == nil)
    }

    @Test(
        "what changes the mathematics is refused by name",
        arguments: [("attn_logit_softcapping", "50"), ("attention_bias", "true"), ("hidden_act", "\"gelu\""), ("architectures", "[\"MistralForTokenClassification\"]")])
    func refused(field: String, value: String) throws {
        let error = #expect(throws: FileError.self) { _ = try configuration("\"\(field)\": \(value)") }
        #expect(try #require(error).description.contains("'\(field)'"))
    }

    /// The largest difference from the reference's logits, as a share of what is allowed.
    private func deviation(_ folder: String, _ config: String = "config.json", change: (inout DecoderConfiguration) -> Void = { _ in }) throws -> Double {
        let path = "\(Places.fixtures)/models/\(folder)"
        let object = try #require(try JSON.read(path: "\(path)/\(config)").object)
        var configuration = try Mistral().configuration(ConfigFields(object, file: config))
        change(&configuration)
        let decoder = Decoder(configuration, on: try CPUBackend(threads: 1))
        try decoder.load(try SafetensorsFile(path: "\(path)/model.safetensors"))

        let io = try SafetensorsFile(path: "\(path)/io.safetensors")
        let (ids, mask, reference) = (try io.integers("input_ids"), try io.integers("attention_mask"), try io.floats("logits"))
        let (width, vocabulary) = (try #require(io.info("input_ids")).shape[1], configuration.vocabularySize)
        var worst = 0.0
        for start in stride(from: 0, to: ids.count, by: width) {
            let places = (start..<start + width).filter { mask[$0] == 1 }
            let logits = decoder.head.logits(decoder.hiddenStates(RaggedBatch([places.map { Int32(ids[$0]) }]))).read()
            let expected = places.flatMap { reference[$0 * vocabulary..<($0 + 1) * vocabulary] }
            try #require(logits.count == expected.count)
            for (value, other) in zip(logits, expected) {
                let share = Double(abs(value - other)) / (1e-4 + 1e-4 * Double(abs(other)))
                worst = max(worst, share.isNaN ? .infinity : share)
            }
        }
        return worst
    }

    @Test(
        "the logits are those of another implementation, under both spellings of the configuration, and are others without the window",
        .enabled(if: Places.exists("\(Places.fixtures)/models/mistral/io.safetensors"), "no model fixtures: set AUTODIDACT_FIXTURES"))
    func golden() throws {
        for folder in ["mistral", "mistral_full"] {
            for config in ["config.json", "config_legacy.json"] { #expect(try deviation(folder, config) <= 1, "\(folder)/\(config)") }
        }
        #expect(try deviation("mistral") { $0.slidingWindow = nil } > 1)
    }
}
