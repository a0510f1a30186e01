import Autodidact
import Testing

@Suite("Guide: a model family")
struct MistralTests {
    private func configuration(_ more: String) throws -> TransformerConfiguration {
        let text = """
            {"model_type": "mistral", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, \(more)}
            """
        return try TransformerConfiguration(ConfigFields(#require(try JSON.parse(text, source: "config.json").object), file: "config.json"))
    }

    @Test("the sliding window is read; null means none")
    func window() throws {
        #expect(try configuration(#""sliding_window": 8"#).slidingWindow == 8)
        #expect(try configuration(#""sliding_window": null"#).slidingWindow == nil)
    }

    @Test(
        "what changes the mathematics is refused by name",
        arguments: [("attn_logit_softcapping", "50"), ("attention_bias", "true"), ("hidden_act", "\"mish\""), ("architectures", "[\"MistralForMaskedLM\"]")])
    func refused(field: String, value: String) throws {
        let error = #expect(throws: FileError.self) { _ = try configuration("\"\(field)\": \(value)") }
        #expect(try #require(error).description.contains("'\(field)'"))
    }

    @Test(
        "the golden folder conforms, and does not without the window",
        .enabled(if: Places.exists("\(Places.fixtures)/models/mistral/io.safetensors"), "no model fixtures: set AUTODIDACT_FIXTURES"))
    func golden() throws {
        let path = "\(Places.fixtures)/models/mistral"
        let backend = try CPUBackend(threads: 1)
        #expect(try Conformance(folder: path, on: backend).conforms)

        let object = try #require(try JSON.read(path: "\(path)/config.json").object)
        var c = try TransformerConfiguration(ConfigFields(object, file: path))
        func states() throws -> [Float] {
            let model = Transformer(c, on: backend)
            try model.load(try SafetensorsFile(path: "\(path)/model.safetensors"))
            return model.hiddenStates(RaggedBatch([Array(5..<25)])).read()
        }
        let windowed = try states()
        c.slidingWindow = nil
        #expect(try states() != windowed)
    }
}
