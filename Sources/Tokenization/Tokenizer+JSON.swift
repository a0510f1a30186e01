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
    ///   - tokenizerJSON: the whole file; its model must be byte-pair encoding.
    ///   - tokenizerConfig: the `tokenizer_config.json` beside it, which names BOS and EOS and may hold the chat template.
    ///   - source: the file, for error messages.
    /// - Throws: `TokenizerError`.
    public convenience init(tokenizerJSON: JSON, tokenizerConfig: JSON? = nil, source: String) throws {
        let reader = StageReader(source: source)
        guard let root = tokenizerJSON.object else { throw reader.malformed("the file", "not a JSON object") }
        guard let modelObject = root["model"]?.object else { throw reader.malformed("model", "missing, or not an object") }
        let bytePairs = try BytePairEncoding(modelObject, reader: reader)
        let tokens = try reader.addedTokens(root["added_tokens"], vocabulary: bytePairs.vocabulary)
        let stages = try StageDescriptions(
            normalizer: root["normalizer"] ?? .null, preTokenizer: root["pre_tokenizer"] ?? .null,
            postProcessor: root["post_processor"] ?? .null, decoder: root["decoder"] ?? .null
        ).stages(source: source)

        let config = tokenizerConfig?.object
        if tokenizerConfig != nil, config == nil { throw reader.malformed("tokenizer_config.json", "not a JSON object") }
        func role(_ key: String, isRequired: Bool) throws -> Int32? {
            guard let value = config?[key], let name = value.string ?? value["content"]?.string else { return nil }
            let bytes = Array(name.utf8)
            if let id = tokens.first(where: { $0.content == bytes })?.id ?? bytePairs.vocabulary.id(of: bytes) { return id }
            guard isRequired else { return nil }
            throw reader.malformed(
                "tokenizer_config.json: \(key)", "'\(name)' is not in the vocabulary",
                "Check that tokenizer.json and tokenizer_config.json come from the same model.")
        }
        let roles = try Roles(
            bos: role("bos_token", isRequired: true), eos: role("eos_token", isRequired: true).map { [$0] } ?? [],
            unknown: role("unk_token", isRequired: false) ?? bytePairs.unknownToken, padding: role("pad_token", isRequired: false))
        self.init(
            model: .bytePairs(bytePairs), addedTokens: tokens, stages: stages, roles: roles,
            chatTemplate: Tokenizer.chatTemplate(config?["chat_template"]),
            origin: .files(tokenizerJSON: tokenizerJSON, tokenizerConfig: tokenizerConfig))
    }

    /// Reads a folder with `tokenizer.json` (and, where present, `tokenizer_config.json` and `chat_template.jinja`),
    /// a `tokenizer.json` in such a folder, or a GGUF file.
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
        if path.hasSuffix(".model") { throw TokenizerError.unsupported(algorithm: "SentencePiece model file", source: path) }
        let folder = isFolder.boolValue ? URL(fileURLWithPath: path) : URL(fileURLWithPath: path).deletingLastPathComponent()
        let file = isFolder.boolValue ? folder.appendingPathComponent("tokenizer.json").path : path
        guard FileManager.default.fileExists(atPath: file) else {
            let model = folder.appendingPathComponent("tokenizer.model").path
            if FileManager.default.fileExists(atPath: model) {
                throw TokenizerError.unsupported(algorithm: "SentencePiece model file", source: model)
            }
            throw TokenizerError.unreadable(path: file, reason: "no such file")
        }
        let configFile = folder.appendingPathComponent("tokenizer_config.json").path
        var config = FileManager.default.fileExists(atPath: configFile) ? try Tokenizer.readJSON(configFile) : nil
        let templateFile = folder.appendingPathComponent("chat_template.jinja").path
        if let data = FileManager.default.contents(atPath: templateFile) {
            guard let template = String(validating: data, as: UTF8.self) else {
                throw TokenizerError.unreadable(path: templateFile, reason: "not UTF-8")
            }
            var object = config?.object ?? JSONObject()
            object["chat_template"] = .string(template)
            config = .object(object)
        }
        try self.init(tokenizerJSON: Tokenizer.readJSON(file), tokenizerConfig: config, source: file)
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
    private static func chatTemplate(_ json: JSON?) -> String? {
        json?.string ?? json?.array?.first { $0["name"]?.string == "default" }?["template"]?.string
    }
}

extension BytePairEncoding {
    /// - Parameter object: the section `model` of a `tokenizer.json`.
    fileprivate init(_ object: JSONObject, reader: StageReader) throws {
        let type = object["type"]?.string ?? (object["merges"] == nil ? "" : "BPE")
        switch type {
        case "BPE": break
        case "WordPiece", "Unigram", "WordLevel": throw TokenizerError.unsupported(algorithm: type, source: reader.source)
        default: throw reader.malformed("model.type", "'\(type)' is not a known model", "The supported model is BPE.")
        }
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] where object[key]?.string?.isEmpty == false {
            throw TokenizerError.unsupported(algorithm: "BPE with \(key)", source: reader.source)
        }
        if let dropout = object["dropout"]?.double, dropout != 0 {
            throw TokenizerError.unsupported(algorithm: "BPE with dropout", source: reader.source)
        }
        guard let entries = object["vocab"]?.object else { throw reader.malformed("model.vocab", "missing, or not an object") }
        guard let list = object["merges"]?.array else { throw reader.malformed("model.merges", "missing, or not a list") }

        var largest = -1
        for (key, value) in entries.members { largest = max(largest, Int(try reader.tokenID(value, at: "model.vocab['\(key)']"))) }
        guard largest < 16 * entries.count + 65_536 else {
            throw reader.malformed("model.vocab", "id \(largest) is far above the number of pieces, \(entries.count)")
        }
        var vocabulary = Vocabulary(count: largest + 1, pieces: entries.count)
        for (key, value) in entries.members { vocabulary.insert(key.utf8, id: value.int!) }

        var merges = MergeTable(count: list.count)
        for (rank, entry) in list.enumerated() {
            let parts: [String]
            if let text = entry.string {
                if text.hasPrefix("#version") { continue }
                parts = text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false).map { String(Substring($0)) }
            } else {
                parts = entry.array?.compactMap(\.string) ?? []
            }
            guard parts.count == 2, entry.array.map({ $0.count == 2 }) ?? true else {
                throw reader.malformed("model.merges[\(rank)]", "not two pieces")
            }
            try merges.insert(parts[0].utf8, parts[1].utf8, rank: rank, vocabulary: vocabulary) { problem in
                reader.malformed("model.merges[\(rank)]", problem)
            }
        }

        var unknown: Int32?
        if let name = object["unk_token"]?.string {
            unknown = vocabulary.id(of: name.utf8)
            if unknown == nil { throw reader.malformed("model.unk_token", "'\(name)' is not in the vocabulary") }
        }
        self.init(
            vocabulary: vocabulary, merges: merges, unknownToken: unknown,
            fuseUnknown: try reader.flag(object, "fuse_unk", default: false, at: "model"),
            byteFallback: try reader.flag(object, "byte_fallback", default: false, at: "model"),
            ignoreMerges: try reader.flag(object, "ignore_merges", default: false, at: "model"))
    }
}

extension MergeTable {
    /// Enters the merge of two pieces; all three pieces must be in the vocabulary.
    mutating func insert(
        _ left: some Collection<UInt8>, _ right: some Collection<UInt8>, rank: Int, vocabulary: Vocabulary, error: (String) -> TokenizerError
    ) throws {
        func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
        guard let leftID = vocabulary.id(of: left) else { throw error("'\(text(left))' is not in the vocabulary") }
        guard let rightID = vocabulary.id(of: right) else { throw error("'\(text(right))' is not in the vocabulary") }
        var whole: [UInt8] = []
        whole.reserveCapacity(left.count + right.count)
        whole.append(contentsOf: left)
        whole.append(contentsOf: right)
        guard let id = vocabulary.id(of: whole) else { throw error("the merged piece '\(text(whole))' is not in the vocabulary") }
        insert(left: leftID, right: rightID, rank: rank, id: id)
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
