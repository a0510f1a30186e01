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

@Suite("Configurations of other families")
struct FamilyConfigurationTests {
    private func configuration(_ text: String) throws -> TransformerConfiguration {
        try TransformerConfiguration(ConfigFields(#require(try JSON.parse("{\(text)}", source: "config.json").object), file: "config.json"))
    }

    static let gptj = #""model_type": "gptj", "vocab_size": 64, "n_embd": 32, "n_head": 4, "n_layer": 2"#
    static let bert = #""model_type": "bert", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4"#
    static let deberta = #""model_type": "deberta-v2", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "relative_attention": true"#
    static let roberta = #""model_type": "roberta", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4"#
    static let xlnet = #""model_type": "xlnet", "vocab_size": 64, "d_model": 32, "n_head": 4, "n_layer": 2, "d_inner": 64"#
    static let mixtral = #""model_type": "mixtral", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_experts_per_tok": 2"#
    static let phi3 = #""model_type": "phi3", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4"#
    static let t5 = #""model_type": "t5", "vocab_size": 64, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4"#

    @Test(
        "what does not fit, or changes the mathematics, is refused by name",
        arguments: [
            (gptj, "rotary_dim", "7"), (gptj, "rotary_dim", "64"), (bert, "is_decoder", "true"), (bert, "position_embedding_type", "\"relative_key\""), (bert, "hidden_act", "\"mish\""),
            (deberta, "position_buckets", "1"), (deberta, "conv_kernel_size", "3"), (deberta, "pos_att_type", "[\"p2p\"]"), (roberta, "max_position_embeddings", "2"), (xlnet, "untie_r", "false"),
            (mixtral, "num_local_experts", "1"), (mixtral, "num_local_experts", "40000"), (phi3, "layer_types", "[\"full_attention\"]"),
            (phi3, "rope_scaling", "{\"type\": \"longrope\", \"short_factor\": [1], \"long_factor\": [1, 1, 1, 1]}"), (t5, "feed_forward_proj", "\"gated-mish\""), (t5, "relative_attention_max_distance", "8"),
        ])
    func refused(base: String, field: String, value: String) throws {
        let kept = base.components(separatedBy: ", ").filter { !$0.contains("\"\(field)\"") }.joined(separator: ", ")
        let error = #expect(throws: FileError.self) { _ = try configuration("\(kept), \"\(field)\": \(value)") }
        let word = field == "rope_scaling" ? "short_factor" : field == "num_local_experts" && value == "1" ? "num_experts_per_tok" : field
        #expect(try #require(error).description.contains(word), "\(error!)")
    }

    @Test("a class that the family does not have is refused, and those that it has are named")
    func classes() throws {
        let error = #expect(throws: FileError.self) { _ = try configuration("\(Self.bert), \"architectures\": [\"BertForMultipleChoice\"]") }
        #expect(try #require(error).description.contains("BertForSequenceClassification"))
    }
}
