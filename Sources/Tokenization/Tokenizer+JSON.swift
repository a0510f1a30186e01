import Foundation
import ModelFiles

/// Where a tokenizer came from, kept for export.
enum Origin: Sendable {
    case files(tokenizerJSON: JSON, tokenizerConfig: JSON?)
    case described(StageDescriptions)
}

extension Tokenizer {
    /// Ids stay below this, so that a file cannot ask for any amount of memory.
    static let idLimit: Int64 = 1 << 24

    /// Reads a `tokenizer.json` as huggingface/tokenizers writes it.
    ///
    /// - Parameters:
    ///   - tokenizerJSON: the whole file; its model is BPE, Unigram, WordPiece or WordLevel.
    ///   - tokenizerConfig: the `tokenizer_config.json` beside it, which names BOS and EOS and may hold the chat template.
    ///   - source: the file, for error messages.
    /// - Throws: `TokenizerError`.
    public convenience init(tokenizerJSON: JSON, tokenizerConfig: JSON? = nil, source: String) throws {
        let reader = StageReader(source: source)
        guard let root = tokenizerJSON.object else { throw reader.malformed("the file", "not a JSON object") }
        guard let modelObject = root["model"]?.object else { throw reader.malformed("model", "missing, or not an object") }
        let model = try reader.model(modelObject)
        let tokens = try reader.addedTokens(root["added_tokens"], vocabulary: model.vocabulary)
        let stages = try StageDescriptions(
            normalizer: root["normalizer"] ?? .null, preTokenizer: root["pre_tokenizer"] ?? .null,
            postProcessor: root["post_processor"] ?? .null, decoder: root["decoder"] ?? .null
        ).stages(source: source)

        let config = tokenizerConfig?.object
        if tokenizerConfig != nil, config == nil { throw reader.malformed("tokenizer_config.json", "not a JSON object") }
        func role(_ key: String, isRequired: Bool) throws -> Int32? {
            guard let value = config?[key], let name = value.string ?? value["content"]?.string else { return nil }
            let bytes = Array(name.utf8)
            if let id = tokens.first(where: { $0.content == bytes })?.id ?? model.vocabulary.id(of: bytes) { return id }
            guard isRequired else { return nil }
            throw reader.malformed(
                "tokenizer_config.json: \(key)", "'\(name)' is not in the vocabulary",
                "Check that tokenizer.json and tokenizer_config.json come from the same model.")
        }
        let roles = try Roles(
            bos: role("bos_token", isRequired: true), eos: role("eos_token", isRequired: true).map { [$0] } ?? [],
            unknown: role("unk_token", isRequired: false) ?? model.unknownToken, padding: role("pad_token", isRequired: false))
        self.init(
            model: model, addedTokens: tokens, stages: stages, roles: roles,
            chatTemplate: Tokenizer.chatTemplate(config?["chat_template"]),
            origin: .files(tokenizerJSON: tokenizerJSON, tokenizerConfig: tokenizerConfig))
    }

    /// Reads a folder with `tokenizer.json` (and, where present, `tokenizer_config.json` and `chat_template.jinja`), or with a SentencePiece
    /// `tokenizer.model`; one of these files; or a GGUF file.
    ///
    /// - Throws: `TokenizerError`; for an unreadable GGUF file, what its reader throws.
    public convenience init(path: String) throws {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw TokenizerError.unreadable(path: path, reason: "no such file")
        }
        if path.lowercased().hasSuffix(".gguf") {
            try self.init(gguf: GGUFFile(path: path))
            return
        }
        let folder = isFolder.boolValue ? URL(fileURLWithPath: path) : URL(fileURLWithPath: path).deletingLastPathComponent()
        var file = isFolder.boolValue ? folder.appendingPathComponent("tokenizer.json").path : path
        if !FileManager.default.fileExists(atPath: file) {
            let names = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model"].map { folder.appendingPathComponent($0).path }
            guard let model = names.first(where: FileManager.default.fileExists) else {
                throw TokenizerError.unreadable(path: file, reason: "no such file")
            }
            file = model
        }
        let config = try Tokenizer.readConfiguration(in: folder)
        if file.hasSuffix(".model") {
            try self.init(sentencePiece: SentencePieceModel(path: file), tokenizerConfig: config, source: file)
        } else {
            try self.init(tokenizerJSON: Tokenizer.readJSON(file), tokenizerConfig: config, source: file)
        }
    }

    /// `tokenizer_config.json`, with the template of a `chat_template.jinja` beside it.
    private static func readConfiguration(in folder: URL) throws -> JSON? {
        let configFile = folder.appendingPathComponent("tokenizer_config.json").path
        let config = FileManager.default.fileExists(atPath: configFile) ? try readJSON(configFile) : nil
        let templateFile = folder.appendingPathComponent("chat_template.jinja").path
        guard let data = FileManager.default.contents(atPath: templateFile) else { return config }
        guard let template = String(validating: data, as: UTF8.self) else {
            throw TokenizerError.unreadable(path: templateFile, reason: "not UTF-8")
        }
        var object = config?.object ?? JSONObject()
        object["chat_template"] = .string(template)
        return .object(object)
    }

    private static func readJSON(_ path: String) throws -> JSON {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw TokenizerError.unreadable(path: path, reason: "the file cannot be read")
        }
        do {
            return try JSON.parse(data, source: path)
        } catch let error as JSONError {
            throw TokenizerError.malformed(
                source: path, location: "line \(error.line), column \(error.column)", problem: error.problem,
                fix: "Correct the file, or download it again.")
        }
    }

    /// A string, or a list of named templates of which `default` counts.
    static func chatTemplate(_ json: JSON?) -> String? {
        json?.string ?? json?.array?.first { $0["name"]?.string == "default" }?["template"]?.string
    }
}

extension StageReader {
    fileprivate func addedTokens(_ json: JSON?, vocabulary: Vocabulary) throws -> [AddedToken] {
        if json == nil || json!.isNull { return [] }
        guard let list = json?.array else { throw malformed("added_tokens", "not a list") }
        return try list.enumerated().map { index, entry in
            let path = "added_tokens[\(index)]"
            guard let object = entry.object else { throw malformed(path, "not an object") }
            guard let content = object["content"]?.string else { throw malformed("\(path).content", "missing, or not a string") }
            var token = AddedToken(id: try tokenID(object["id"], at: "\(path).id"), content: Array(content.utf8))
            let known = vocabulary.id(of: token.content)
            let piece = vocabulary.piece(Int(token.id))
            guard known == nil ? piece == nil : known == token.id else {
                throw malformed(
                    "\(path).id", "'\(content)' has id \(token.id), but model.vocab gives "
                        + (known.map { "it id \($0)" } ?? "that id to '\(String(decoding: piece!, as: UTF8.self))'"))
            }
            token.isSpecial = try flag(object, "special", default: false, at: path)
            token.singleWord = try flag(object, "single_word", default: false, at: path)
            token.lstrip = try flag(object, "lstrip", default: false, at: path)
            token.rstrip = try flag(object, "rstrip", default: false, at: path)
            token.normalized = try flag(object, "normalized", default: !token.isSpecial, at: path)
            return token
        }
    }
}
