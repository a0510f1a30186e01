import Architectures
import Foundation
import ModelFiles
import Tensors

/// Vectors of whole texts.
///
/// Source of the folders with a pooling of their own: Reimers and Gurevych 2019, arXiv:1908.10084 (sentence-transformers).
public final class TextEmbedder {
    public struct Options: Sendable, Equatable {
        public var pooling: HeadChoices.Pooling
        /// Vectors get length 1.
        public var isNormalised: Bool
        /// Longer texts are cut; nil: at the model's context.
        public var maxTokens: Int?
        /// Texts are put into lower case first.
        public var isLowerCased = false

        public init(pooling: HeadChoices.Pooling, isNormalised: Bool = true, maxTokens: Int? = nil) {
            self.pooling = pooling
            self.isNormalised = isNormalised
            self.maxTokens = maxTokens
        }

        private static let normaliseKey = "autodidact.embedding.normalise", lengthKey = "autodidact.embedding.max_tokens", caseKey = "autodidact.embedding.lower_case"

        /// What GGUF files of llama.cpp have no setting for.
        public var ggufMetadata: [(key: String, value: GGUFValue)] {
            [(Self.normaliseKey, .bool(isNormalised)), (Self.caseKey, .bool(isLowerCased))] + (maxTokens.map { [(Self.lengthKey, .uint(UInt64($0)))] } ?? [])
        }

        init(pooling: HeadChoices.Pooling, _ gguf: GGUFFile) {
            self.init(pooling: pooling, isNormalised: gguf[Self.normaliseKey]?.bool ?? true, maxTokens: gguf[Self.lengthKey]?.int)
            isLowerCased = gguf[Self.caseKey]?.bool ?? false
        }
    }
    public let model: Model
    public let options: Options
    /// Tokens computed in one pass.
    public var batchTokens = 2048

    public init(_ model: Model, _ options: Options) {
        self.model = model
        self.options = options
    }

    /// What a sentence-transformers folder says of itself; nil for other models, where the last token of a generative model and the mean of a masked
    /// one are usual.
    /// - Throws: `FileError` for stages that are not supported.
    public static func options(of path: String) throws -> Options? {
        let folder = try ModelFolder(path)
        guard let file = folder.file("modules.json") else {
            guard case .gguf(let path)? = try? folder.weights() else { return nil }
            let gguf = try GGUFFile(path: path)
            let kind = gguf["\(gguf["general.architecture"]?.string ?? "").pooling_type"]?.int
            guard let pooling = TransformerConfiguration.ggufPoolings.first(where: { $0.value == kind })?.key else { return nil }
            return Options(pooling: pooling, gguf)
        }
        func refuse(_ problem: String) -> FileError { FileError(file: file, problem: problem, advice: "Pooling by mean, first or last token, and normalising are supported.") }
        guard let modules = try JSON.read(path: file).array else { throw refuse("is no list of modules") }
        var options = Options(pooling: .mean, isNormalised: false)
        for module in modules {
            let type = module["type"]?.string?.split(separator: ".").last ?? ""
            switch type {
            case "Transformer": break
            case "Normalize": options.isNormalised = true
            case "Pooling":
                let config = "\(folder.folder)/\(module["path"]?.string ?? "")/config.json"
                let fields = try JSON.read(path: config)
                let modes: [(String, HeadChoices.Pooling?)] = [
                    ("pooling_mode_cls_token", .first), ("pooling_mode_mean_tokens", .mean), ("pooling_mode_lasttoken", .last), ("pooling_mode_max_tokens", nil),
                    ("pooling_mode_mean_sqrt_len_tokens", nil), ("pooling_mode_weightedmean_tokens", nil),
                ]
                let chosen = modes.filter { fields[$0.0]?.bool == true }
                guard chosen.count == 1, let pooling = chosen[0].1 else { throw refuse("asks for the pooling \(chosen.map(\.0).joined(separator: " with "))") }
                options.pooling = pooling
            default: throw refuse("has a stage of type '\(type)'")
            }
        }
        if let path = folder.file("sentence_bert_config.json") {
            let limits = try JSON.read(path: path)
            options.maxTokens = limits["max_seq_length"]?.int
            options.isLowerCased = limits["do_lower_case"]?.bool ?? false
        }
        return options
    }

    /// Writes the files by which sentence-transformers, and `options(of:)`, know how a folder's vectors are made.
    /// - Throws: `FileError` where the folder cannot be written.
    public static func write(_ options: Options, width: Int, to folder: String) throws {
        func module(_ index: Int, _ path: String, _ type: String) -> JSON {
            .object(JSONObject([("idx", .integer(Int64(index))), ("name", .string("\(index)")), ("path", .string(path)), ("type", .string("sentence_transformers.models.\(type)"))]))
        }
        let modules = [module(0, "", "Transformer"), module(1, "1_Pooling", "Pooling")] + (options.isNormalised ? [module(2, "2_Normalize", "Normalize")] : [])
        let modes: [(String, HeadChoices.Pooling)] = [("cls_token", .first), ("mean_tokens", .mean), ("lasttoken", .last)]
        let pooling = JSONObject([("word_embedding_dimension", .integer(Int64(width)))] + modes.map { ("pooling_mode_\($0.0)", .bool($0.1 == options.pooling)) })
        try FileManager.default.createDirectory(atPath: "\(folder)/1_Pooling", withIntermediateDirectories: true)
        try writeDurably(JSON.array(modules).text(pretty: true) + "\n", to: "\(folder)/modules.json")
        try writeDurably(JSON.object(pooling).text(pretty: true) + "\n", to: "\(folder)/1_Pooling/config.json")
        let limits = JSONObject([("max_seq_length", options.maxTokens.map { .integer(Int64($0)) } ?? .null), ("do_lower_case", .bool(options.isLowerCased))])
        try writeDurably(JSON.object(limits).text(pretty: true) + "\n", to: "\(folder)/sentence_bert_config.json")
    }

    private var limit: Int { min(options.maxTokens ?? .max, model.transformer.configuration.maxPositionEmbeddings) }

    /// Whether a text is longer than what is read of it.
    public func exceeds(_ text: String) -> Bool {
        // A token is at least a byte.
        text.utf8.count > limit / 2 && model.tokenizer.encode(text, addSpecialTokens: true).count > limit
    }

    /// - Returns: one vector a text.
    public func embed(_ texts: [String]) throws -> [[Float]] {
        embed(try texts.map { try model.encode(options.isLowerCased ? $0.lowercased() : $0, limit: limit) })
    }

    /// - Parameter tokens: of each text at least one.
    public func embed(_ tokens: [[Int32]]) -> [[Float]] {
        var vectors: [[Float]] = []
        for range in batches(tokens.map(\.count), of: batchTokens) {
            let batch = RaggedBatch(Array(tokens[range]))
            let transformer = model.transformer
            let states = transformer.configuration.encoderLayers == nil ? transformer.hiddenStates(batch) : transformer.encode(batch)
            let rows = pooled(states, batch, options.pooling)
            let values = rows.read(), width = rows.shape[1]
            for row in 0..<range.count {
                var vector = Array(values[row * width..<(row + 1) * width])
                if options.isNormalised {
                    let length = vector.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
                    vector = vector.map { Float(Double($0) / max(length, 1e-12)) }
                }
                vectors.append(vector)
            }
        }
        return vectors
    }
}
