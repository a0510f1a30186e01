import Architectures
import ModelFiles
import Testing

@Suite("Configurations of the Llama family")
struct ConfigurationTests {
    private func configuration(_ more: String) throws -> TransformerConfiguration {
        let text = """
            {"model_type": "llama", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, \(more)}
            """
        return try TransformerConfiguration(ConfigFields(#require(try JSON.parse(text, source: "config.json").object), file: "config.json"))
    }

    @Test(
        "what libraries write beside the mathematics is passed over",
        arguments: [#""rope_interleaved": false"#, #""is_encoder_decoder": false"#, #""layer_types": ["full_attention", "full_attention"]"#, #""torch_dtype": "bfloat16""#])
    func harmless(field: String) throws {
        #expect(try configuration(field).numHiddenLayers == 2)
    }

    @Test(
        "what changes the mathematics is refused by name",
        arguments: [
            ("rope_interleaved", "true"), ("is_encoder_decoder", "true"), ("layer_types", #"["full_attention", "sliding_attention"]"#), ("layer_types", "3"),
            ("attn_logit_softcapping", "50"),
        ])
    func refused(field: String, value: String) throws {
        let error = #expect(throws: FileError.self) { _ = try configuration("\"\(field)\": \(value)") }
        #expect(try #require(error).description.contains("'\(field)'"))
    }
}
