import Architectures
import Foundation
import ModelFiles
import Sampling
import Tensors
import Tokenization

/// The golden data of other implementations; other sizes and counts under the same layout are as good.
enum Fixtures {
    private static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static let samplers = (ProcessInfo.processInfo.environment["AUTODIDACT_FIXTURES"]
        ?? package.appendingPathComponent("../shared/fixtures").standardizedFileURL.path) + "/samplers"

    static var hasSamplers: Bool { FileManager.default.fileExists(atPath: "\(samplers)/cases.jsonl") }

    /// What docs/unsupported.json lists under a key.
    static func unsupported(_ key: String) throws -> Set<String> {
        Set(try JSON.read(path: package.appendingPathComponent("docs/unsupported.json").path)[key]?.array?.compactMap(\.string) ?? [])
    }
}

extension SamplingOptions {
    func law(_ logits: [Float]) -> CandidateLaw { logits.withUnsafeBufferPointer { law($0) } }

    func draw(_ logits: [Float], uniform: Double) throws -> Draw { try logits.withUnsafeBufferPointer { try draw($0, uniform: uniform) } }
}

/// The softmax in Double.
func softmax(_ logits: [Float], temperature: Double = 1) -> [Double] {
    let top = Double(logits.max() ?? 0)
    let weights = logits.map { Foundation.exp((Double($0) - top) / temperature) }
    let total = weights.reduce(0, +)
    return weights.map { $0 / total }
}

/// The chi-square statistic that a right law exceeds once in a thousand times, by degrees of freedom (tables).
let chiSquareBound: [Int: Double] = [
    1: 10.828, 2: 13.816, 3: 16.266, 4: 18.467, 5: 20.515, 6: 22.458, 7: 24.322, 8: 26.124, 9: 27.877, 10: 29.588, 11: 31.264, 12: 32.909, 13: 34.528,
    14: 36.123, 15: 37.697, 16: 39.252, 17: 40.790, 18: 42.312, 19: 43.820, 20: 45.315,
]

func chiSquare(_ counts: [Int], _ law: [Double]) -> Double {
    let total = Double(counts.reduce(0, +))
    return zip(counts, law).reduce(0) { $0 + (Double($1.0) - total * $1.1) * (Double($1.0) - total * $1.1) / (total * $1.1) }
}

func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

/// A decoder with random weights over a made-up language in which some tokens are longer than a character.
struct Tiny {
    private(set) var model: Model
    static let symbols = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", " ", "\n", "the", "cat", "xyz", "bad", "hedge", "dab", " a", "abc", "jig"]

    var decoder: Transformer { model.transformer }
    var eos: Int32 { model.stopTokens[0] }
    var vocabulary: Int { decoder.configuration.vocabularySize }

    /// A model of any family, from the lines of its configuration.
    init(config: String, seed: UInt64 = 1) throws {
        let tokenizer = try Tokenizer.symbols(Self.symbols, special: ["<eos>"])
        let text = "{\(config), \"vocab_size\": \(tokenizer.vocabularySize)}"
        guard let object = try JSON.parse(text, source: "config.json").object else { preconditionFailure("no object: \(text)") }
        let decoder = Transformer(try TransformerConfiguration(ConfigFields(object, file: "config.json")), on: try CPUBackend(threads: 2))
        decoder.initialize(RandomKey(seed: seed), deviation: 0.3)
        model = Model(transformer: decoder, tokenizer: tokenizer, stopTokens: tokenizer.eosTokens)
    }

    init(seed: UInt64 = 1, context: Int = 128, window: Int? = nil, threads: Int = 2) throws {
        let tokenizer = try Tokenizer.symbols(Self.symbols, special: ["<eos>"])
        var configuration = TransformerConfiguration(
            modelType: "llama", vocabularySize: tokenizer.vocabularySize, hiddenSize: 32, intermediateSize: 48, numHiddenLayers: 2, numAttentionHeads: 4,
            numKeyValueHeads: 2, maxPositionEmbeddings: context, tieWordEmbeddings: true)
        configuration.slidingWindow = window
        configuration.eosTokenIDs = tokenizer.eosTokens
        let decoder = Transformer(configuration, on: try CPUBackend(threads: threads))
        // Wide enough that laws are far from uniform.
        decoder.initialize(RandomKey(seed: seed), deviation: 0.3)
        model = Model(transformer: decoder, tokenizer: tokenizer, stopTokens: tokenizer.eosTokens)
    }

    func at(_ precision: Precision) -> Tiny {
        var tiny = self
        tiny.model = model.at(precision)
        return tiny
    }

    func tokens(_ key: RandomKey, _ count: Int) -> [Int32] { (0..<count).map { Int32(key.index(below: vocabulary, UInt64($0))) } }

    /// The logits after every token, computed in one pass without a cache.
    func logits(_ tokens: [Int32]) -> [[Float]] {
        let flat = decoder.logits(decoder.hiddenStates(RaggedBatch([tokens]))).read()
        return tokens.indices.map { Array(flat[$0 * vocabulary..<($0 + 1) * vocabulary]) }
    }
}

/// Everything about a completion that must not depend on its company, with every bit.
struct Trace: Equatable {
    var tokens: [Int32]
    var reason: FinishReason
    var text: String
    var logProbabilities: [UInt32]
    var behavior: [UInt32]

    init(_ completion: Completion) {
        tokens = completion.tokens
        reason = completion.finishReason
        text = completion.text
        logProbabilities = bits(completion.logProbabilities)
        behavior = bits(completion.behaviorLogProbabilities)
    }
}
