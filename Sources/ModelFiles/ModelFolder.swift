import Foundation

/// Where the pieces of a model lie: a folder as the Hugging Face hub lays it out, or one GGUF file.
///
/// Making one only looks which files there are; each accessor says what is wrong with the piece it is asked for, so a
/// folder that holds nothing but a tokenizer is good enough for tokenizing.
public struct ModelFolder: Sendable {
    public enum Weights: Sendable, Equatable {
        /// One safetensors file.
        case safetensors(path: String)
        /// The index of several.
        case sharded(indexPath: String)
        case gguf(path: String)
    }

    /// As given.
    public let path: String
    /// The folder itself, or the one in which the GGUF file lies.
    public let folder: String
    private let givenGGUF: Bool

    /// - Parameter path: a folder, or a `.gguf` file.
    /// - Throws: `FileError` when it is neither.
    public init(_ path: String) throws {
        self.path = path
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw FileError(
                file: path, problem: "does not exist",
                advice: "Give the path of a model folder or a .gguf file; 'autodidact pull ORG/NAME' fetches one from a model hub.")
        }
        if isFolder.boolValue {
            folder = path
            givenGGUF = false
        } else if path.lowercased().hasSuffix(".gguf") {
            let parent = (path as NSString).deletingLastPathComponent
            folder = parent.isEmpty ? "." : parent
            givenGGUF = true
        } else {
            throw FileError(
                file: path, problem: "is neither a folder nor a .gguf file",
                advice: "Give the folder that holds config.json and model.safetensors.")
        }
    }

    /// The path of a file of that name in the folder; `nil` when there is none, or a lone GGUF file was given.
    public func file(_ name: String) -> String? {
        guard !givenGGUF else { return nil }
        let path = (folder as NSString).appendingPathComponent(name)
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue else { return nil }
        return path
    }

    public var tokenizerPath: String? { file("tokenizer.json") }
    public var chatTemplatePath: String? { file("chat_template.jinja") }

    // MARK: Weights

    /// Which file holds the weights: `model.safetensors`, else its index, else the only GGUF file.
    /// - Throws: `FileError` when there is none, or more than one could be meant.
    public func weights() throws -> Weights {
        if givenGGUF { return .gguf(path: path) }
        if let path = file("model.safetensors") { return .safetensors(path: path) }
        if let path = file("model.safetensors.index.json") { return .sharded(indexPath: path) }
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch {
            throw FileError(
                file: folder, problem: "cannot be listed: \(error.localizedDescription)", advice: "Check its permissions.")
        }
        let ggufs = names.filter { $0.lowercased().hasSuffix(".gguf") }
        if ggufs.count == 1 { return .gguf(path: (folder as NSString).appendingPathComponent(ggufs[0])) }
        if ggufs.count > 1 {
            throw FileError(
                file: folder, problem: "holds several GGUF files: \(ggufs.joined(separator: ", "))",
                advice: "Give the path of the one to use.")
        }
        if let pickle = names.first(where: ModelFolder.isPickle) {
            throw FileError(
                file: folder, problem: "holds its weights only as '\(pickle)', a pickle, which can run code when it is read",
                advice: "Use the model's safetensors files, or convert it with safetensors' convert.py in a sandbox.")
        }
        if names.contains("adapter_config.json") {
            throw FileError(
                file: folder, problem: "holds an adapter and no model", advice: "Give the model it was made for with --model, and this folder with --adapter; 'autodidact merge-adapter' makes one model of both.")
        }
        let other = names.first { $0.hasSuffix(".safetensors") }
        throw FileError(
            file: folder,
            problem: "holds no weights: neither model.safetensors, model.safetensors.index.json nor a .gguf file"
                + (other.map { "; there is '\($0)'" } ?? ""),
            advice: other == nil ? "Fetch the weights into the folder." : "If that is the whole model, name it model.safetensors.")
    }

    private static func isPickle(_ name: String) -> Bool {
        [".bin", ".pt", ".pth", ".ckpt", ".pkl"].contains { name.hasSuffix($0) }
            && (name.hasPrefix("pytorch_model") || name.hasPrefix("model") || name.hasPrefix("consolidated"))
    }

    /// Opens the weights.
    /// - Throws: `FileError` or `JSONError`.
    public func openWeights() throws -> any TensorFile {
        switch try weights() {
        case .safetensors(let path): return try SafetensorsFile(path: path)
        case .sharded(let indexPath): return try ShardedSafetensors(indexPath: indexPath)
        case .gguf(let path):
            let file = try GGUFFile(path: path)
            if let parts = file["split.count"]?.int, parts > 1 {
                throw FileError(
                    file: path, problem: "is one of \(parts) parts of a model",
                    advice: "Merge them into one file with llama-gguf-split --merge.")
            }
            return file
        }
    }

    // MARK: Configuration

    /// The members of `config.json`.
    /// - Throws: `FileError` when it is missing or no object, `JSONError` when it is not JSON.
    public func config() throws -> JSONObject { try required("config.json") }

    /// The fields of `config.json`.
    public func configFields() throws -> ConfigFields {
        ConfigFields(try config(), file: (folder as NSString).appendingPathComponent("config.json"))
    }

    /// The members of `tokenizer.json`.
    public func tokenizer() throws -> JSONObject { try required("tokenizer.json") }

    /// The members of `tokenizer_config.json`, `nil` when there is none.
    public func tokenizerConfig() throws -> JSONObject? { try optional("tokenizer_config.json") }

    /// The members of `generation_config.json`, `nil` when there is none.
    public func generationConfig() throws -> JSONObject? { try optional("generation_config.json") }

    /// The Jinja source of the chat template: `chat_template.jinja`, else the one in `tokenizer_config.json` (of several,
    /// the one named `default`), else, for a GGUF file, `tokenizer.chat_template`. `nil` when there is none.
    public func chatTemplate() throws -> String? {
        if let path = chatTemplatePath {
            let file = try MappedFile(path: path)
            guard let text = withExtendedLifetime(file, { String(validating: file.bytes, as: UTF8.self) }) else {
                throw FileError(file: path, problem: "is not UTF-8", advice: "Fetch it again.")
            }
            return text
        }
        if let value = try tokenizerConfig()?["chat_template"], !value.isNull {
            if let template = value.string { return template }
            let named = value.array?.first { $0["name"]?.string == "default" }
            if let template = named?["template"]?.string { return template }
            throw FileError(
                file: (folder as NSString).appendingPathComponent("tokenizer_config.json"),
                problem: "'chat_template' is \(value.kind), and holds no template named 'default'",
                advice: "Put the template to use into chat_template.jinja.")
        }
        if case .gguf(let path)? = try? weights() { return try GGUFFile(path: path)["tokenizer.chat_template"]?.string }
        return nil
    }

    private func required(_ name: String) throws -> JSONObject {
        if let object = try optional(name) { return object }
        throw FileError(
            file: path, problem: givenGGUF ? "is a GGUF file and comes without \(name)" : "holds no \(name)",
            advice: givenGGUF ? "Read its metadata instead." : "Fetch the file into the folder.")
    }

    private func optional(_ name: String) throws -> JSONObject? {
        guard let path = file(name) else { return nil }
        let value = try JSON.read(path: path)
        guard let object = value.object else {
            throw FileError(file: path, problem: "is \(value.kind), not an object", advice: "Fetch it again.")
        }
        return object
    }
}
