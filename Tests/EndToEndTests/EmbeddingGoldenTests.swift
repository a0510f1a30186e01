import Autodidact
import Foundation
import Testing

/// MiniLM against what the reference library computes from the same folder.
@Suite(
    "Real model Golden: all-MiniLM-L6-v2",
    .enabled(if: Places.exists("\(Places.miniLM)/model.safetensors") && Places.exists("\(Places.fixtures)/real_models/all_minilm_l6_v2/embeddings.jsonl"),
             "no MiniLM (make test fetches it), or no fixtures"))
struct EmbeddingGoldenTests {
    private func cases() throws -> [JSONObject] { try JSONL.objects(path: "\(Places.fixtures)/real_models/all_minilm_l6_v2/embeddings.jsonl").map(\.object) }

    private func floats(_ value: JSON?) throws -> [Float] { try #require(value?.array).compactMap { $0.double.map { Float($0) } } }

    @Test("token ids, and embeddings as a sentence-transformers folder asks for them")
    func embeddings() throws {
        let model = try Model(path: Places.miniLM, on: try CPUBackend())
        let options = try #require(try TextEmbedder.options(of: Places.miniLM))
        #expect(options == TextEmbedder.Options(pooling: .mean, isNormalised: true, maxTokens: 256))
        let cases = try cases(), texts = try cases.map { try #require($0["text"]?.string) }
        for (text, golden) in zip(texts, cases) {
            #expect(try model.encode(text, limit: 256) == golden["ids"]?.array?.compactMap { $0.int.map { Int32($0) } }, "\(text.prefix(40))")
        }
        for (vector, golden) in zip(try TextEmbedder(model, options).embed(texts), cases) {
            let expected = try floats(golden["embedding"])
            try #require(vector.count == expected.count)
            #expect(zip(vector, expected).allSatisfy { abs($0 - $1) <= 1e-5 })
        }
    }

    @Test("a vector does not depend on what is embedded beside it")
    func company() throws {
        let model = try Model(path: Places.miniLM, on: try CPUBackend())
        let embedder = TextEmbedder(model, TextEmbedder.Options(pooling: .mean))
        let texts = ["A man is eating food.", "x", "The weather was fine, and so they went for a walk along the river until the sun had set."]
        let together = try embedder.embed(texts)
        for (text, vector) in zip(texts, together) { #expect(try embedder.embed([text])[0].map(\.bitPattern) == vector.map(\.bitPattern)) }
    }
}
