import Architectures
import Evaluation
import Foundation
import ModelFiles
import Tensors
import Testing

/// The golden data of other implementations; other sizes and counts under the same layout are as good.
enum Fixtures {
    static let root = ProcessInfo.processInfo.environment["AUTODIDACT_FIXTURES"]
        ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("../shared/fixtures").standardizedFileURL.path

    static func folders(_ name: String) -> [String] {
        let path = "\(root)/\(name)"
        return ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted().filter {
            FileManager.default.fileExists(atPath: "\(path)/\($0)/io.safetensors")
        }
    }

    /// A golden model with its weights.
    static func model(_ name: String) throws -> Transformer {
        let path = "\(root)/models/\(name)"
        let object = try #require(try JSON.read(path: "\(path)/config.json").object)
        let model = Transformer(try TransformerConfiguration(ConfigFields(object, file: path)), on: try CPUBackend(threads: 2))
        try model.load(try SafetensorsFile(path: "\(path)/model.safetensors"))
        return model
    }

    /// What docs/unsupported.json lists under a key.
    static func unsupported(_ key: String) throws -> Set<String> {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("docs/unsupported.json").path
        return Set(try JSON.read(path: path)[key]?.array?.compactMap(\.string) ?? [])
    }
}

@Suite("Conformance Golden models", .enabled(if: !Fixtures.folders("models").isEmpty, "no model fixtures: set AUTODIDACT_FIXTURES"))
struct ConformanceGoldenTests {
    @Test("every model folder conforms, under both spellings of its configuration, or its family is refused by name", arguments: Fixtures.folders("models"))
    func conforms(folder: String) throws {
        let path = "\(Fixtures.root)/models/\(folder)"
        let backend = try CPUBackend(threads: 2)
        let type = try #require(try JSON.read(path: "\(path)/config.json")["model_type"]?.string)
        let isListed = try Fixtures.unsupported("families").contains(type)
        for config in ["config.json", "config_legacy.json"] where FileManager.default.fileExists(atPath: "\(path)/\(config)") {
            do {
                let conformance = try Conformance(folder: path, configFile: config, on: backend)
                #expect(!isListed, "'\(type)' is listed as unsupported, but works: take it off docs/unsupported.json")
                for deviation in conformance.deviations where deviation.share > 1 {
                    Issue.record("\(folder) (\(config)): \(deviation.quantity) deviates by \(deviation.absolute), \(deviation.share) of what is allowed")
                }
            } catch let refusal as UnsupportedFamily {
                #expect(isListed, "'\(type)' is refused, but not listed in docs/unsupported.json")
                #expect(refusal.name == type && refusal.description.contains("'\(type)'"))
            }
        }
    }

    /// The first Llama's folder, and a new one with some of its files, for a test to spoil the rest.
    private func llamaCopy(of files: [String]) throws -> (source: String, copy: String) {
        let folder = try #require(Fixtures.folders("models").first { name in
            (try? JSON.read(path: "\(Fixtures.root)/models/\(name)/config.json")["model_type"]?.string) == "llama"
        })
        let source = "\(Fixtures.root)/models/\(folder)"
        let copy = FileManager.default.temporaryDirectory.appendingPathComponent("conform-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
        for file in files { try FileManager.default.copyItem(atPath: "\(source)/\(file)", toPath: "\(copy)/\(file)") }
        return (source, copy)
    }

    @Test("a wrong weight is noticed")
    func sabotage() throws {
        let (source, copy) = try llamaCopy(of: ["config.json", "io.safetensors"])
        defer { try? FileManager.default.removeItem(atPath: copy) }
        let weights = try SafetensorsFile(path: "\(source)/model.safetensors")
        let writer = try SafetensorsWriter(path: "\(copy)/model.safetensors", tensors: weights.tensors.map { ($0.name, $0.dtype, $0.shape) })
        for (index, tensor) in weights.tensors.enumerated() {
            var values = try weights.floats(tensor.name)
            if index == weights.tensors.count / 2 { values[0] += 0.05 }
            try writer.append(values)
        }
        try writer.finish()
        #expect(try !Conformance(folder: copy, on: CPUBackend(threads: 1)).conforms)
    }

    @Test("a reference that does not fit the model is an error that names the tensor", arguments: ["logits", "hidden", "grad.", "loss", "attention_mask", "greedy.ids"])
    func misfit(prefix: String) throws {
        let (source, copy) = try llamaCopy(of: ["config.json", "model.safetensors"])
        defer { try? FileManager.default.removeItem(atPath: copy) }
        let io = try SafetensorsFile(path: "\(source)/io.safetensors")
        let chosen = try #require(io.tensors.first { $0.name.hasPrefix(prefix) }).name
        let count = { (shape: [Int]) in shape.reduce(1, *) }
        // The chosen tensor has one value too many.
        let writer = try SafetensorsWriter(
            path: "\(copy)/io.safetensors", tensors: io.tensors.map { ($0.name, $0.dtype, $0.name == chosen ? [count($0.shape) + 1] : $0.shape) })
        for tensor in io.tensors {
            let isChosen = tensor.name == chosen
            if let floats = try? io.floats(tensor.name) {
                try writer.append(floats + (isChosen ? [0] : []))
            } else {
                let integers = try io.integers(tensor.name) + (isChosen ? [0] : [])
                if "\(tensor.dtype)".hasSuffix("32") {
                    try integers.map { Int32($0) }.withUnsafeBytes { try writer.append($0) }
                } else {
                    try integers.withUnsafeBytes { try writer.append($0) }
                }
            }
        }
        try writer.finish()
        let error = #expect(throws: FileError.self) { try Conformance(folder: copy, on: CPUBackend(threads: 1)) }
        #expect("\(try #require(error))".contains("io.safetensors") && "\(error!)".contains(prefix == "attention_mask" ? "mask" : chosen))
    }
}

@Suite("Malformed Golden configurations", .enabled(if: FileManager.default.fileExists(atPath: "\(Fixtures.root)/quant/malformed"), "no malformed fixtures: set AUTODIDACT_FIXTURES"))
struct MalformedConfigurationGoldenTests {
    static let files = ((try? FileManager.default.contentsOfDirectory(atPath: "\(Fixtures.root)/quant/malformed")) ?? []).filter { $0.hasPrefix("config_") }.sorted()

    @Test("every broken configuration is refused with an error that names the file", arguments: files)
    func refused(file: String) throws {
        let path = "\(Fixtures.root)/quant/malformed/\(file)"
        let error = #expect(throws: (any Error).self) {
            guard let object = try JSON.read(path: path).object else { throw FileError(file: path, problem: "is no object", advice: "") }
            _ = try TransformerConfiguration(ConfigFields(object, file: path))
        }
        #expect("\(try #require(error))".contains(file))
    }
}
