import Architectures
import ModelFiles
import Sampling
import Tensors
import Testing
import Training

/// What generation must do for families that are not Llama.
@Suite("Generating with every kind of model")
struct FamilyGenerationTests {
    private func requests(_ tiny: Tiny, lengths: [Int], maxTokens: Int) -> [GenerationRequest] {
        lengths.enumerated().map { index, length in
            GenerationRequest(
                promptTokens: tiny.tokens(RandomKey(seed: UInt64(index)), length), samples: 2, options: SamplingOptions(temperature: 0.9), maxTokens: maxTokens, stopTokens: [],
                key: RandomKey(seed: 9).folding(index))
        }
    }

    private static let t5 = """
        "model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false
        """
    private static let longrope = """
        "model_type": "phi3", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 128, "original_max_position_embeddings": 24, "rope_theta": 10000.0,
        "rope_scaling": {"type": "longrope", "short_factor": [1, 1.1, 1.2, 1.3], "long_factor": [1, 2, 3, 4]}
        """
    private static let mixtral = """
        "model_type": "mixtral", "hidden_size": 32, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 6
        """
    private static let gemma3 = """
        "model_type": "gemma3_text", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 8,
        "sliding_window": 5, "sliding_window_pattern": 3, "rope_theta": 1000000.0
        """
    private static let bloom = #""model_type": "bloom", "hidden_size": 32, "n_layer": 2, "n_head": 4"#
    private static let bert = """
        "model_type": "bert", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64
        """

    @Test("the same bits in any company, and log-probabilities as scored in one pass", arguments: [t5, mixtral, gemma3, bloom])
    func company(config: String) throws {
        let tiny = try Tiny(config: config, seed: 3)
        let requests = requests(tiny, lengths: [3, 21, 9, 40], maxTokens: 24)
        let together = try Generator(tiny.model).run(requests)
        for (index, request) in requests.enumerated() {
            let alone = try Generator(tiny.model).run([request])
            #expect(alone.map { Trace($0) } == together.filter { $0.request == index }.map { Trace($0) })
        }
        let examples = together.map { Example(promptTokens: requests[$0.request].promptTokens, completionTokens: $0.tokens) }
        for (completion, laws) in zip(together, tiny.decoder.score(examples)) { #expect(bits(completion.logProbabilities) == bits(laws.map(\.logProbability))) }
    }

    @Test("a longrope sequence that grows beyond the original length is computed anew: as one pass of its final length")
    func longrope() throws {
        let tiny = try Tiny(config: Self.longrope, seed: 4)
        // The first crosses while it decodes, the second is beyond from the start, the third never is.
        let requests = requests(tiny, lengths: [10, 40, 3], maxTokens: 20)
        for completion in try Generator(tiny.model).run(requests) {
            let prompt = requests[completion.request].promptTokens
            for count in 1...completion.tokens.count {
                let example = Example(promptTokens: prompt, completionTokens: Array(completion.tokens.prefix(count)))
                let law = tiny.decoder.score([example])[0].last!
                #expect(completion.logProbabilities[count - 1].bitPattern == law.logProbability.bitPattern, "request \(completion.request), \(count) tokens")
            }
        }
    }

    @Test("a longrope completion that is to be trained ends where the whole sequence would be turned anew, with the bits of one pass over it")
    func longropeRoom() throws {
        let tiny = try Tiny(config: Self.longrope, seed: 4), c = tiny.decoder.configuration
        for length in [3, 10, 24, 40] {
            var request = requests(tiny, lengths: [length], maxTokens: 60)[0]
            request.maxTokens = c.room(60, after: length)
            request.stopTokens = []
            #expect(request.maxTokens == (length <= 24 ? 25 - length : 60))
            let completion = try Generator(tiny.model).run([request])[0]
            let laws = tiny.decoder.score([Example(promptTokens: request.promptTokens, completionTokens: completion.tokens)])[0]
            #expect(completion.tokens.count == request.maxTokens && bits(completion.logProbabilities) == bits(laws.map(\.logProbability)), "\(length)")
        }
    }

    @Test("a masked model says that it does not write")
    func masked() throws {
        let tiny = try Tiny(config: Self.bert)
        #expect(throws: SamplingError.notGenerative(modelType: "bert")) { try Generator(tiny.model).run(requests(tiny, lengths: [3], maxTokens: 2)) }
    }

    @Test("training an encoder–decoder and experts lowers the loss", arguments: [t5, mixtral.replacing("\"sliding_window\": 6", with: "\"output_router_logits\": true")])
    func trains(config: String) throws {
        let tiny = try Tiny(config: config, seed: 5)
        let trainer = Trainer(tiny.decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01), microBatchTokens: 30), totalSteps: 12)
        let examples = (0..<4).map { Example(promptTokens: tiny.tokens(RandomKey(seed: $0), 6), completionTokens: tiny.tokens(RandomKey(seed: $0 + 50), 5)) }
        let losses = try (0..<12).map { _ in try trainer.step(examples).loss }
        #expect(losses.last! < 0.5 * losses[0])
    }
}
