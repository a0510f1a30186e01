import Foundation
import ModelFiles

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Which files of a repository are wanted: what a model needs, unless patterns say otherwise.
public struct FileSelection: Sendable {
    /// Shell patterns; a file that one of them fits is wanted. `*` also stands for `/`, as in huggingface_hub. Empty: what a model needs.
    public var include: [String]
    /// Shell patterns; a file that one of them fits is not.
    public var exclude: [String]

    public init(include: [String] = [], exclude: [String] = []) { (self.include, self.exclude) = (include, exclude) }

    /// Everything beside the weights that opening a model, a tokenizer or a sentence encoder takes. Here `*` does not stand for `/`.
    private static let ofModel = [
        "config*.json", "generation_config.json", "adapter_config.json", "preprocessor_config.json", "processor_config.json",
        "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.tiktoken", "spiece.model", "sentencepiece*.model",
        "chat_template*", "additional_chat_templates/*.jinja",
        "modules.json", "sentence_*_config.json", "[0-9]_*/config.json", "[0-9]_*/*.safetensors", "*.safetensors.index.json",
    ]
    /// Formats that run code when they are opened, or may.
    private static let pickles = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy"]

    /// - Returns: the wanted files, in the order of the listing.
    /// - Throws: `HubError` when a person has to choose: among GGUF files, whether to take pickles, or because nothing fits.
    func files(of listing: RepositoryListing, repository: String) throws(HubError) -> [RepositoryFile] {
        let names = listing.files.map(\.name)
        let wanted: Set<String>
        if include.isEmpty {
            let weights = Self.weights(among: names)
            if weights.isEmpty {
                let gguf = listing.files.filter { $0.name.lowercased().hasSuffix(".gguf") }
                guard gguf.isEmpty else { throw .nameOneGGUF(repository: repository, files: gguf.map { $0.name + ($0.size.map { "  \(byteCount($0))" } ?? "") }) }
                let pickled = names.filter { Self.isPickle($0) && !$0.contains("/") }
                guard pickled.isEmpty else { throw .onlyPickles(repository: repository, files: pickled) }
            }
            wanted = Set(weights + names.filter { name in !Self.isPickle(name) && Self.ofModel.contains { fits(name, $0, FNM_PATHNAME) } })
        } else {
            wanted = Set(names.filter { name in include.contains { fits(name, $0) && (!Self.isPickle(name) || Self.namesPickle($0)) } })
        }
        let selected = listing.files.filter { file in wanted.contains(file.name) && !exclude.contains { fits(file.name, $0) } }
        guard !selected.isEmpty else { throw .nothingSelected(repository: repository, files: names) }
        return selected
    }

    /// The safetensors files that are opened: `model.safetensors`, else the shards of an index, else all; not the same weights once more in another layout.
    private static func weights(among names: [String]) -> [String] {
        let all = names.filter { $0.hasSuffix(".safetensors") && !$0.contains("/") }
        let adapter = all.filter { $0 == "adapter_model.safetensors" }
        if all.contains("model.safetensors") { return ["model.safetensors"] + adapter }
        let shards = names.contains("model.safetensors.index.json") ? all.filter { $0.hasPrefix("model-") } : []
        return shards.isEmpty ? all : shards + adapter
    }

    private static func isPickle(_ name: String) -> Bool { pickles.contains { name.lowercased().hasSuffix($0) } }

    /// `*.bin` asks for pickles; `*` does not.
    private static func namesPickle(_ pattern: String) -> Bool { isPickle(pattern) }
}

/// Whether a shell pattern fits the whole name.
private func fits(_ name: String, _ pattern: String, _ flags: Int32 = 0) -> Bool { fnmatch(pattern, name, flags) == 0 }

/// Files that a misspelt name could have meant: those that contain it, the nearest name, or else the first few.
func candidates(for name: String, among names: [String]) -> [String] {
    let containing = names.filter { $0.lowercased().contains(name.lowercased()) }
    if !containing.isEmpty { return containing }
    if let nearest = nearestName(to: name, in: names) { return [nearest] }
    let sameKind = names.filter { name.contains(".") && $0.split(separator: ".").last == name.split(separator: ".").last }
    return sameKind.isEmpty ? names : sameKind
}
