import Architectures
import Foundation
import ModelFiles
import Tensors
import Testing

/// Golden models as GGUF files and back.
@Suite("Conversion to GGUF", .enabled(if: !Fixtures.folders("models").isEmpty, "no model fixtures: set AUTODIDACT_FIXTURES"))
struct GGUFConversionTests {
    private func model(_ name: String) throws -> Transformer { try Fixtures.model(name) }

    private func bits(_ model: Transformer) -> [String: [UInt32]] {
        Dictionary(uniqueKeysWithValues: model.parameters.parameters.map { ($0.name, model.parameters.read($0).map(\.bitPattern)) })
    }

    /// What llama.cpp has no layout for.
    private static let refused: Set<String> = [
        "mistral", "mixtral_aux", "gpt2_options", "bloom_six_heads", "gemma2", "gemma3_text", "phi3", "qwen2_window", "qwen3_moe", "qwen3_moe_unnormalised", "phi_qk_norm", "gpt_neox_sequential", "falcon_alibi", "smollm3",
    ]

    @Test("every weight and the configuration come back bit for bit, also from the settings that llama.cpp reads", arguments: Fixtures.folders("models"))
    func roundTrip(name: String) throws {
        let object = try #require(try JSON.read(path: "\(Fixtures.root)/models/\(name)/config.json").object)
        let c = try TransformerConfiguration(ConfigFields(object, file: name))
        guard FamilySupport.all.contains(where: { $0.modelType == c.modelType && $0.gguf != nil }), c.purpose == .languageModel, c.isCausal else { return }
        try check(try model(name), name)
    }

    @Test("experts in all layers, where llama.cpp has a layout")
    func experts() throws {
        let file = "\(Fixtures.root)/models/qwen3_moe/config.json"
        var object = try #require(try JSON.read(path: file).object)
        object["mlp_only_layers"] = .array([])
        let model = Transformer(try TransformerConfiguration(ConfigFields(object, file: file)), on: try self.model("llama").backend)
        model.initialize(RandomKey(seed: 7))
        try check(model, "qwen3_moe_everywhere")
    }

    /// Writes a model, reads it with our configuration and with llama.cpp's settings, and compares bits.
    private func check(_ model: Transformer, _ name: String) throws {
        let c = model.configuration
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("gguf-\(UUID().uuidString).gguf").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        guard let metadata = try? c.ggufMetadata(file: path) else {
            #expect(Self.refused.contains(name), "\(name) is refused")
            return
        }
        let input = RaggedBatch([(0..<12).map { Int32(7 + 11 * $0) }])
        let expected = model.hiddenStates(input).read().map(\.bitPattern)
        for isForeign in [false, true] {
            try model.writeGGUF(to: path, as: .f32, metadata: metadata.filter { !isForeign || !$0.key.hasPrefix("autodidact.") })
            let file = try GGUFFile(path: path)
            let again = Transformer(try TransformerConfiguration(file), on: model.backend)
            try again.load(file)
            #expect(bits(again) == bits(model), "\(name)")
            if !isForeign { #expect(again.configuration.configJSON() == c.configJSON()) }
            #expect(again.hiddenStates(input).read().map(\.bitPattern) == expected, "\(name), \(isForeign ? "from llama.cpp's settings" : "whole")")
        }
        // For llama.cpp to be compared with the references: it takes a model without a vocabulary.
        if let folder = ProcessInfo.processInfo.environment["AUTODIDACT_GGUF_OUT"] {
            try model.writeGGUF(to: "\(folder)/\(name).gguf", as: .f32, metadata: metadata + [("tokenizer.ggml.model", .string("no_vocab"))])
            let report = JSON.object(JSONObject([
                ("ids", .array(input.tokens.map { .integer(Int64($0)) })), ("logits", .array(model.logits(model.hiddenStates(input)).read().map { .number(Double($0)) })),
            ]))
            try Data(report.text().utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name).json"))
        }
    }

    @Test("tables of rotary divisors: any one is read, and what does not fit is refused")
    func rotaryTables() throws {
        let model = try model("llama"), c = model.configuration, pairs = c.rotaryDim / 2
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gguf-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let metadata = try c.ggufMetadata(file: folder).filter { !$0.key.hasPrefix("autodidact.") }
        try model.writeGGUF(to: "\(folder)/plain.gguf", as: .f32, metadata: metadata)
        let plain = try GGUFFile(path: "\(folder)/plain.gguf")
        /// The same model with tables and settings beside it.
        func open(_ tables: [(String, [Float])], _ extra: [(key: String, value: GGUFValue)] = [], without key: String = "") throws -> Transformer {
            let path = "\(folder)/\(UUID().uuidString).gguf"
            let writer = try GGUFWriter(
                path: path, tensors: tables.map { ($0.0, .f32, [$0.1.count]) } + plain.tensors.map { ($0.name, $0.dtype, $0.shape) }, metadata: metadata.filter { $0.key != key } + extra)
            for table in tables { try writer.append(table.1) }
            for tensor in plain.tensors { try writer.append(try plain.floats(tensor.name)) }
            try writer.finish()
            let file = try GGUFFile(path: path), opened = Transformer(try TransformerConfiguration(file), on: model.backend)
            try opened.load(file)
            return opened
        }
        let odd = (0..<pairs).map { 1 + 0.37 * Float($0 * $0) }
        let opened = try open([("rope_freqs.weight", odd)])
        for (ours, (usual, divisor)) in zip(try #require(opened.configuration.rope).frequencies(rotated: 2 * pairs), zip(c.rope!.frequencies(rotated: 2 * pairs), odd)) {
            #expect(abs(ours - usual / divisor) < 1e-6 * usual)
        }
        let pair = [("rope_factors_short.weight", odd), ("rope_factors_long.weight", odd.map { 2 * $0 })]
        #expect(try open(pair, [("llama.rope.scaling.original_context_length", .uint(16))]).configuration.rope?.switchLength == 16)
        func refusal(_ body: () throws -> Transformer) -> String { do { _ = try body() } catch { return "\(error)" }; return "" }
        #expect(refusal { try open([("rope_freqs.weight", [1])]) }.contains("has 1 divisors, but \(pairs) pairs"))
        #expect(refusal { try open([("rope_freqs.weight", odd.map { _ in 0 })]) }.contains("not positive"))
        #expect(refusal { try open([pair[0]]) }.contains("do not belong together"))
        #expect(refusal { try open(pair + [("rope_freqs.weight", odd)]) }.contains("do not belong together"))
        #expect(refusal { try open(pair, [("llama.rope.scaling.type", .string("yarn")), ("llama.rope.scaling.factor", .float(2))]) }.contains("that rope scaling 'yarn' stretches"))
        #expect(refusal { try open([("rope_freqs.weight", odd)], without: "llama.context_length") }.contains("context_length"))
        // Architectures of which llama.cpp reads no table.
        let file = "\(Fixtures.root)/models/qwen2/config.json"
        var object = try #require(try JSON.read(path: file).object)
        object["rope_parameters"] = nil
        object["rope_scaling"] = .object(JSONObject([("rope_type", .string("llama3")), ("factor", .number(8)), ("low_freq_factor", .number(1)), ("high_freq_factor", .number(4)), ("original_max_position_embeddings", .integer(32))]))
        let divided = try TransformerConfiguration(ConfigFields(object, file: file))
        #expect(throws: FileError.self) { try divided.ggufMetadata(file: "a.gguf") }
    }

    @Test("16-bit weights come back as they were", arguments: [DType.f16, .bf16])
    func halves(dtype: DType) throws {
        let model = try model("llama")
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gguf-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func copy(_ file: any TensorFile) throws -> Transformer {
            let copy = Transformer(model.configuration, on: model.backend)
            try copy.load(file)
            return copy
        }
        let metadata = try model.configuration.ggufMetadata(file: folder)
        try model.writeGGUF(to: "\(folder)/a.gguf", as: dtype, metadata: metadata)
        let first = try copy(GGUFFile(path: "\(folder)/a.gguf"))
        try first.writeGGUF(to: "\(folder)/b.gguf", as: dtype, metadata: metadata)
        #expect(bits(try copy(GGUFFile(path: "\(folder)/b.gguf"))) == bits(first))
        #expect(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/a.gguf")) == Data(contentsOf: URL(fileURLWithPath: "\(folder)/b.gguf")))
    }
}
