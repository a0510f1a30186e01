import Crypto
import Foundation
import ModelFiles
import Tensors
import Tokenization

/// A decoder with its tokenizer and template: what a model folder or a GGUF file holds.
public final class Model {
    public let transformer: Transformer
    public let tokenizer: Tokenizer
    /// Where it came from, for messages; nil for one made from a configuration.
    public let source: String?
    /// Tokens that end a completion.
    public let stopTokens: [Int32]

    public init(transformer: Transformer, tokenizer: Tokenizer, stopTokens: [Int32], source: String? = nil) {
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.stopTokens = stopTokens
        self.source = source
    }

    /// What a model is opened for, where that is not what its file says.
    public struct Task: Sendable {
        public var purpose: Purpose
        /// Names of the classes; those of the file where nil.
        public var labels: [String]?
        /// Of the random values of a head that the file does not hold.
        public var key: RandomKey

        public init(_ purpose: Purpose, labels: [String]? = nil, key: RandomKey = RandomKey(seed: 0)) {
            self.purpose = purpose
            self.labels = labels
            self.key = key
        }
    }

    /// Opens a Hugging Face folder or a GGUF file.
    /// - Parameters:
    ///   - path: of the folder or the file.
    ///   - task: gives the model another head.
    ///   - backend: holds the weights and computes.
    public convenience init(path: String, as task: Task? = nil, on backend: any Backend) throws {
        let folder = try ModelFolder(path)
        let weights = try folder.openWeights()
        let gguf = weights as? GGUFFile
        var former = try gguf.map { try TransformerConfiguration($0) } ?? TransformerConfiguration(folder.configFields())
        // Bare models are published with their pooler or without.
        if former.purpose == .base, let first = former.taskHead?.layers.first, !former.spellings(first.name + ".weight").contains(where: { weights.info($0) != nil }) {
            former.taskHead = nil
        }
        let configuration = try task.map { try former.with($0.purpose, labels: $0.labels, file: path) } ?? former
        let decoder = Transformer(configuration, on: backend)
        let tokenizer = try gguf.map { try Tokenizer(gguf: $0) } ?? Tokenizer(path: folder.folder)
        let (rows, tokens) = (decoder.configuration.vocabularySize, tokenizer.vocabularySize)
        guard tokens <= rows else {
            throw FileError(file: path, problem: "the tokenizer has \(tokens) tokens, but the model only \(rows) rows", advice: "Check that tokenizer and weights come from the same model.")
        }
        try decoder.load(weights, former: configuration == former ? nil : former, key: task?.key ?? RandomKey(seed: 0))
        let stops = Self.stops(decoder.configuration.eosTokenIDs, tokenizer, gguf == nil ? try folder.generationConfig() : nil)
        self.init(transformer: decoder, tokenizer: tokenizer, stopTokens: stops, source: path)
    }

    /// What ends a completion: the configuration's end tokens, the generation configuration's, the tokenizer's own.
    static func stops(_ configured: [Int32], _ tokenizer: Tokenizer, _ generation: JSONObject?) -> [Int32] {
        var stops = configured + tokenizer.eosTokens
        if let eos = generation?["eos_token_id"] { stops += (eos.array ?? [eos]).compactMap { $0.int.flatMap { Int32(exactly: $0) } } }
        // ChatML models end a turn with <|im_end|> and a text with <|endoftext|>.
        for name in ["<|im_end|>", "<|endoftext|>", "<|eot_id|>"] { if let id = tokenizer.id(of: name), tokenizer.isSpecial(id) { stops.append(id) } }
        return Array(Set(stops)).sorted()
    }

    /// The token that ends a text, and an answer; empty where the model names none.
    public var endTokens: [Int32] { (tokenizer.eosToken ?? stopTokens.first).map { [$0] } ?? [] }

    /// The tokens of a text, after those of a soft prompt where the model has one.
    /// - Throws: `FileError` for what the vocabulary has no token for: the model would not see it.
    public func encode(_ text: String, addSpecialTokens: Bool = true) throws -> [Int32] {
        try transformer.softPromptTokens + part(text, addSpecialTokens: addSpecialTokens)
    }

    private func part(_ text: String, addSpecialTokens: Bool) throws -> [Int32] {
        try refuseUnknown(text)
        return tokenizer.encode(text, addSpecialTokens: addSpecialTokens)
    }

    private func refuseUnknown(_ text: String) throws {
        let missing = tokenizer.partsWithoutToken(of: text)
        guard missing.isEmpty else {
            throw FileError(
                file: source ?? "the model",
                problem: "has no token for \(missing.map { "'\($0)'" }.joined(separator: ", "))", advice: "Write the text without it, or choose a model that knows these characters.")
        }
    }

    /// The tokens of a text with the special tokens around it, the text itself cut where it would be longer than `limit`.
    /// - Throws: `FileError` for a text without tokens, or a limit that leaves no room for any.
    public func encode(_ text: String, limit: Int) throws -> [Int32] {
        let soft = transformer.softPromptTokens, whole = try part(text, addSpecialTokens: true), room = try room(limit)
        guard !whole.isEmpty else { throw FileError(file: source ?? "the model", problem: "got a text without tokens", advice: "Leave out empty texts.") }
        guard whole.count > room else { return soft + whole }
        let own = tokenizer.encode(text)
        // What stands around the text stays: [CLS] before it, [SEP] after it.
        let start = whole.firstRange(of: own)?.lowerBound ?? 0, around = whole.count - own.count
        return soft + whole[..<start] + own.prefix(max(0, room - around)) + whole[(start + own.count)...]
    }

    /// What a soft prompt leaves of a limit.
    public func room(_ limit: Int) throws -> Int {
        let soft = transformer.softPromptTokens.count
        guard limit > soft + 2 else {
            throw FileError(file: source ?? "the model", problem: "has room for \(limit) tokens of a text\(soft > 0 ? ", of which a soft prompt takes \(soft)" : ""): too few", advice: "Allow more with --max-tokens.")
        }
        return limit - soft
    }

    /// One or two texts for a masked model, with the segment of each token where there are two.
    ///
    /// What is too long loses the end of its longer text.
    public func encode(_ text: String, pair: String?, limit: Int) throws -> (tokens: [Int32], segments: [Int32]?) {
        if case .twoStream = transformer.configuration.mechanism {} else if pair == nil { return (try encode(text, limit: limit), nil) }
        try refuseUnknown(text + (pair ?? ""))
        let (encoding, segments) = encodeWithOffsets(text, pair: pair, limit: try room(limit))
        let soft = transformer.softPromptTokens
        return (soft + encoding.ids, segments.map { soft.map { _ in 0 } + $0 })
    }

    /// The token that stands for a word to be filled in.
    public var maskToken: Int32? { ["[MASK]", "<mask>"].lazy.compactMap { self.tokenizer.id(of: $0) }.first }

    /// The tokens of a conversation, which the model's template renders with the generation prompt.
    public func encode(_ messages: [(role: String, content: String)]) throws -> [Int32] { try encode(rendered(messages), addSpecialTokens: false) }

    /// The tokens that follow an answer in a conversation: the end of its turn where the answer does not hold it, further messages, and the
    /// generation prompt. The answer itself keeps the tokens that were sampled; rendered again they could become others.
    public func encode(_ messages: [(role: String, content: String)], after answer: [Int32]) throws -> [Int32] {
        // What the template writes after an answer, seen on one that it does not change.
        let mark = "(the answer)"
        let text = try rendered([("user", "?"), ("assistant", mark)] + messages)
        guard let place = text.firstRange(of: mark) else {
            throw FileError(file: source ?? "the model", problem: "its chat template leaves out answers that were given before", advice: "It can take one question only: begin anew for each.")
        }
        let tokens = try part(String(text[place.upperBound...]), addSpecialTokens: false)
        guard let last = answer.last, stopTokens.contains(last), let end = tokens.firstIndex(where: stopTokens.contains),
            tokenizer.decode(Array(tokens[..<end])).allSatisfy(\.isWhitespace)
        else { return tokens }
        return Array(tokens[(end + 1)...])
    }

    private func rendered(_ messages: [(role: String, content: String)]) throws -> String {
        try conversations.text(messages.map { ["role": .string($0.role), "content": .string($0.content)] })
    }

    /// The same model at a precision.
    public func at(_ precision: Precision) -> Model { transformer.parameters.changes(at: precision) ? with(transformer.copy(at: precision)) : self }

    /// The same tokenizer around other values.
    public func with(_ transformer: Transformer) -> Model { Model(transformer: transformer, tokenizer: tokenizer, stopTokens: stopTokens, source: source) }
}

/// SHA-256 in hexadecimal.
public func sha256(_ data: Data) -> String { hexadecimal(SHA256.hash(data: data)) }

private func hexadecimal(_ digest: SHA256.Digest) -> String { digest.map { String(format: "%02x", $0) }.joined() }

extension Transformer {
    /// SHA-256 over every parameter's name, shape and row-major float32 values.
    public func contentHash() -> String {
        var hash = SHA256()
        for parameter in parameters.parameters {
            hash.update(data: Data("\(parameter.name) \(parameter.shape)\n".utf8))
            forRows(of: parameter) { hash.update(bufferPointer: UnsafeRawBufferPointer($0)) }
        }
        return hexadecimal(hash.finalize())
    }

    /// Row-major values, some rows at a time, so that no second copy of a large table is made.
    func forRows(of parameter: Parameter, _ body: (UnsafeBufferPointer<Float>) throws -> Void) rethrows {
        let rows = parameter.shape[0], step = max(1, (1 << 20) / (parameter.isMatrix ? parameter.shape[1] : 1))
        for start in stride(from: 0, to: rows, by: step) {
            try parameters.read(parameter, rows: start..<min(rows, start + step)).withUnsafeBufferPointer(body)
        }
    }
}

extension Model {
    /// SHA-256 over all that decides what the model says: the weights, the configuration, adapters, the tokenizer with its template, and the tokens that end an answer.
    public func identityHash() -> String {
        let files = tokenizer.huggingFaceFiles(), adapters = transformer.adapters.map { "\($0)" }
        let parts = [transformer.contentHash(), JSON.object(transformer.configuration.configJSON()).text(), files.tokenizerJSON.text(), files.tokenizerConfig.text(), "\(stopTokens.sorted())"] + adapters
        var hash = SHA256()
        for part in parts { hash.update(data: Data("\(part.utf8.count)\n\(part)".utf8)) }
        return hexadecimal(hash.finalize())
    }
}

extension Model {
    /// Writes config.json, model.safetensors, the tokenizer's files and generation_config.json: a folder that transformers
    /// and llama.cpp's converter load.
    /// - Returns: the content hash of the weights.
    @discardableResult
    public func save(to folder: String) throws -> String {
        if !transformer.adapters.isEmpty { return try with(try transformer.merged()).save(to: folder) }
        let decoder = transformer
        let writer = try SafetensorsWriter(
            path: "\(folder)/model.safetensors", tensors: decoder.parameters.parameters.map { ($0.name, .f32, $0.fileShape) }, metadata: ["format": "pt"])
        var hash = SHA256()
        for parameter in decoder.parameters.parameters {
            hash.update(data: Data("\(parameter.name) \(parameter.shape)\n".utf8))
            try decoder.forRows(of: parameter) { values in
                hash.update(bufferPointer: UnsafeRawBufferPointer(values))
                if !parameter.isTransposed { try writer.append(values) }
            }
            if parameter.isTransposed { try writer.append(decoder.parameters.readFileOrder(parameter)) }
        }
        try writer.finish()
        var configuration = decoder.configuration
        if configuration.eosTokenIDs.isEmpty { configuration.eosTokenIDs = tokenizer.eosTokens }
        try writeDurably(JSON.object(configuration.configJSON()).text(pretty: true) + "\n", to: "\(folder)/config.json")
        let files = tokenizer.huggingFaceFiles()
        try writeDurably(files.tokenizerJSON.text() + "\n", to: "\(folder)/tokenizer.json")
        try writeDurably(files.tokenizerConfig.text(pretty: true) + "\n", to: "\(folder)/tokenizer_config.json")
        var generation: [(key: String, value: JSON)] = [("eos_token_id", .array(stopTokens.map { .integer(Int64($0)) }))]
        if let bos = configuration.bosTokenID { generation.append(("bos_token_id", .integer(Int64(bos)))) }
        if let pad = configuration.padTokenID { generation.append(("pad_token_id", .integer(Int64(pad)))) }
        try writeDurably(JSON.object(JSONObject(generation)).text(pretty: true) + "\n", to: "\(folder)/generation_config.json")
        return hexadecimal(hash.finalize())
    }
}
