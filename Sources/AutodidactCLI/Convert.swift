import ArgumentParser
import Autodidact
import Foundation

struct Convert: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a model as a Hugging Face folder or as a GGUF file, in another type.",
        discussion: "An --output that ends in .gguf is a GGUF file, another one a folder. What was written is opened again, and what it says after some prompts is compared.")

    @Option(help: "A model folder or a GGUF file.")
    var model: String

    @Option(help: "The folder or the .gguf file to write.")
    var output: String

    @Option(help: "f32, f16, bf16; in GGUF files also q8_0, q4_0, q4_1, q4_k or q6_k. When left out the type that most values of the model have, or f32 where that cannot be written.")
    var type: String?

    @Option(parsing: .unconditionalSingleValue, help: "A prompt to compare after; may be given several times.")
    var prompt: [String] = []

    @Option(help: "Tokens that are compared after each prompt.")
    var tokens: Int = 16

    @OptionGroup var engine: EngineOptions

    func validate() throws {
        if tokens < 1 { throw ValidationError("--tokens \(tokens): must be 1 or more.") }
    }

    private static let prompts = ["The capital of France is", "1 + 1 =", "Once upon a time", "def main():", "Dear Sir or Madam,", "In 1969"]

    func run() async throws {
        try refuseExisting(output)
        let isGGUF = output.lowercased().hasSuffix(".gguf")
        let source = try Model(path: model, on: try engine.backend())
        let dtype = try chosen(isGGUF), embedding = embeddingOptions()
        if isGGUF {
            let stop = StopSignal(atOnce: true), left = try source.saveGGUF(to: output, as: dtype, pooling: embedding?.pooling, extra: embedding?.ggufMetadata ?? []) + AskingForms.files(in: model)
            if !left.isEmpty { printError("left out, because GGUF files have no place for it: \(left.joined(separator: ", "))") }
            stop.finish()
        } else {
            try writeFolder(output) { _ in
                try source.save(to: output, as: dtype)
                try AskingForms.copy(from: model, to: output)
                if let embedding { try TextEmbedder.write(embedding, width: source.transformer.configuration.hiddenSize, to: output) }
            }
        }
        let written = try Model(path: output, on: try engine.backend())
        let bytes = try size(of: output)
        printLine("wrote \(output): \(dtype.name), \(String(format: "%.1f", Double(bytes) / 1e6)) MB")
        let comparison = try ConversionCheck(source, written, prompts: prompt.isEmpty ? Self.prompts : prompt, tokens: tokens)
        printLine(comparison.description)
    }

    /// How the model makes vectors; nil where it says nothing, or has stages that are not supported and are left out.
    private func embeddingOptions() -> TextEmbedder.Options? {
        do { return try TextEmbedder.options(of: model) } catch {
            printError("warning: how vectors of texts are made is left out: \(error)")
            return nil
        }
    }

    private func chosen(_ isGGUF: Bool) throws -> DType {
        let names = Model.writableTypes.map { ($0.name.lowercased(), $0) }
        if let type {
            guard let found = names.first(where: { $0.0 == type.lowercased() })?.1 else { throw ValidationError("--type \(type): must be \(names.map(\.0).joined(separator: ", ")).") }
            guard isGGUF || found.blockSize == 1 else { throw ValidationError("--type \(type): only GGUF files hold blocks. Let --output end in .gguf.") }
            return found
        }
        let weights = try ModelFolder(model).openWeights()
        // The type of the most values.
        var counts: [(dtype: DType, values: Int)] = []
        for tensor in weights.tensors where tensor.shape.count > 1 {
            if let index = counts.firstIndex(where: { $0.dtype == tensor.dtype }) { counts[index].values += tensor.elementCount } else { counts.append((tensor.dtype, tensor.elementCount)) }
        }
        let largest = counts.max { $0.values < $1.values }?.dtype ?? .f32
        if counts.count > 1 { printError("warning: the model holds \(counts.map(\.dtype.name).joined(separator: ", ")); without --type all matrices are written as the type of the most values") }
        return Model.writableTypes.contains { $0 == largest } && (isGGUF || largest.blockSize == 1) ? largest : .f32
    }

    private func size(of path: String) throws -> Int {
        var isFolder: ObjCBool = false
        _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
        let files = isFolder.boolValue ? try FileManager.default.contentsOfDirectory(atPath: path).map { "\(path)/\($0)" } : [path]
        return try files.reduce(0) { $0 + ((try FileManager.default.attributesOfItem(atPath: $1)[.size] as? Int) ?? 0) }
    }
}
