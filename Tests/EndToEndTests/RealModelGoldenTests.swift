import Autodidact
import Foundation
import Testing

private let golden = "\(Places.fixtures)/real_models/smollm2_135m_instruct_q4_1"

/// SmolLM2-135M-Instruct against what the reference library computes from the same quantised file.
@Suite(
    "Real model Golden: SmolLM2-135M-Instruct",
    .enabled(if: Places.exists(Places.smolLM), "no \(Places.smolLM): run scripts/setup.sh"), .enabled(if: Places.exists(golden), "no \(golden): set AUTODIDACT_FIXTURES"),
    .serialized)
struct RealModelGoldenTests {
    private let model: Model

    init() throws { model = try Model(path: Places.smolLM, on: try CPUBackend()) }

    private func cases(_ name: String) throws -> [JSONObject] { try JSONL.objects(path: "\(golden)/\(name).jsonl").map(\.object) }

    private func ids(_ object: JSONObject, _ key: String) throws -> [Int32] { try #require(object[key]?.array).compactMap { $0.int.map { Int32($0) } } }

    @Test("the ten highest logits of the last position, their log-sum-exp, mean and deviation")
    func lastLogits() throws {
        for object in try cases("last_logits") {
            let tokens = try ids(object, "ids")
            let hidden = model.transformer.hiddenStates(RaggedBatch([tokens]))
            let logits = model.transformer.logits(gatherRows(hidden, [Int32(tokens.count - 1)])).read()
            let expected = try #require(object["top_logits"]?.array).compactMap(\.double)
            let top = try ids(object, "top_ids")
            for (id, value) in zip(top, expected) { #expect(abs(Double(logits[Int(id)]) - value) <= 2e-3, "token \(id) after \(tokens)") }
            // Nothing else may come before them.
            let limit = Float(try #require(expected.last)) + 4e-3
            let others = logits.indices.filter { logits[$0] > limit && !top.contains(Int32($0)) }
            #expect(others.isEmpty)
            let normalizer = logits.withUnsafeBufferPointer { RowMath.logSumExp($0) }
            #expect(abs(Double(normalizer) - (object["logsumexp"]?.double ?? .nan)) <= 2e-3)
            let text = try #require(object["text"]?.string)
            #expect(model.tokenizer.encode(text) == tokens)
        }
    }

    @Test("log-likelihoods of whole texts, token by token")
    func logLikelihood() throws {
        for object in try cases("loglik") {
            let tokens = try ids(object, "ids")
            let text = try #require(object["text"]?.string)
            let result = TextLikelihood(of: tokens, bytes: text.utf8.count, under: model.transformer)
            let expected = try #require(object["token_logprobs"]?.array).compactMap(\.double)
            let worst = zip(result.tokenLogProbabilities, expected).map { abs(Double($0) - $1) }.max() ?? .infinity
            #expect(worst <= 2e-3)
            let total = try #require(object["total_logprob"]?.double)
            #expect(abs(result.logLikelihood - total) <= 2e-4 * abs(total) + 1e-2)
            let bits = try #require(object["bits_per_byte"]?.double)
            #expect(abs(try #require(result.bitsPerByte) - bits) <= 1e-3 * bits)
        }
    }

    @Test("greedy answers, and the prompts that the chat template makes")
    func greedy() throws {
        var requests: [GenerationRequest] = []
        var expected: [(ids: [Int32], margins: [Double], text: String)] = []
        for object in try cases("greedy") {
            let messages = try #require(object["messages"]?.array).map { (role: $0["role"]?.string ?? "", content: $0["content"]?.string ?? "") }
            let prompt = try ids(object, "prompt_ids")
            #expect(try model.encode(messages) == prompt)
            requests.append(GenerationRequest(promptTokens: prompt, options: .greedy, maxTokens: 40, stopTokens: [0, 2], key: RandomKey(seed: 0)))
            expected.append((try ids(object, "new_ids"), try #require(object["margins"]?.array).compactMap(\.double), object["new_text"]?.string ?? ""))
        }
        for (completion, reference) in zip(try Generator(model).run(requests), expected) {
            let sure = reference.margins.firstIndex { $0 <= 5e-3 } ?? reference.ids.count
            #expect(completion.tokens.prefix(sure) == reference.ids.prefix(sure))
            if sure == reference.ids.count { #expect(model.tokenizer.decode(completion.tokens, skipSpecialTokens: true) == reference.text) }
        }
    }

    private final class Recorder: Probe {
        var states: [Tensor] = []
        func visit(_ name: String, _ value: Tensor) -> Tensor {
            states.append(value)
            return value
        }
    }

    @Test("hidden states of every layer")
    func hiddenStates() throws {
        let object = try #require(try JSON.read(path: "\(golden)/hidden_states.json").object)
        let probe = Recorder()
        _ = model.transformer.hiddenStates(RaggedBatch([try ids(object, "ids")]), Pass(probe: probe))
        // The reference's last entry is after the final norm, so it has no state between the last block and that norm.
        let states = Array(probe.states.dropLast(2)) + probe.states.suffix(1)
        let layers = try #require(object["layers"]?.array)
        #expect(layers.count == states.count)
        for (layer, state) in zip(layers, states) {
            let values = state.read()
            let norm = values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            let expected = try #require(layer["l2"]?.double)
            #expect(abs(norm - expected) <= 1e-4 * expected + 1e-3)
            let first = try #require(layer["last_pos_first8"]?.array).compactMap(\.double)
            for (value, reference) in zip(values.suffix(state.shape[1]), first) { #expect(abs(Double(value) - reference) <= 2e-3 + 1e-4 * abs(reference)) }
        }
    }

    @Test("a conversation that grows by tokens is the one that the template renders whole")
    func conversation() throws {
        let answer = "I am well, thank you."
        let first = try model.encode([("user", "How are you?")]), next = [(role: "user", content: "And now?")]
        let whole = try model.encode([("user", "How are you?"), ("assistant", answer)] + next)
        let cut = try model.encode(answer, addSpecialTokens: false)
        let end = try #require(model.tokenizer.eosToken)
        // Whether the answer ended by itself or was cut off.
        for tokens in [cut + [end], cut] { #expect(try first + tokens + model.encode(next, after: tokens) == whole) }
    }

    @Test("blocks that stay codes in memory compute the bits of their float32 values")
    func codes() throws {
        let expanded = model.transformer.copy(expanding: true)
        #expect(model.transformer.parameters.byteCount * 4 < expanded.parameters.byteCount)
        for count in [1, 3, 5, 40] {
            let batch = RaggedBatch([(0..<Int32(count)).map { $0 * 1009 % 49_152 }])
            func logits(_ decoder: Transformer) -> [UInt32] { decoder.logits(decoder.hiddenStates(batch)).read().map(\.bitPattern) }
            #expect(logits(model.transformer) == logits(expanded))
        }
        #expect(model.transformer.contentHash() == expanded.contentHash())
    }
}
