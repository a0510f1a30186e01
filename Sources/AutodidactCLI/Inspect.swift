import ArgumentParser
import Autodidact
import Foundation

struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "What a model folder or a GGUF file holds, and what it takes to run and to train it.")

    @Argument(help: "A model folder or a GGUF file.")
    var model: String

    @Flag(help: "One JSON object instead of text.")
    var json = false

    func run() async throws {
        let folder = try ModelFolder(model)
        let weights = try folder.openWeights()
        let configuration = try (weights as? GGUFFile).map { try TransformerConfiguration($0) } ?? TransformerConfiguration(try folder.configFields())
        // A folder may hold weights alone.
        let tokenizer: Tokenizer? =
            if let gguf = weights as? GGUFFile { try Tokenizer(gguf: gguf) } else { try folder.tokenizerPath.map { _ in try Tokenizer(path: folder.folder) } }
        // Every name and shape is checked, without reading a value.
        let decoder = Transformer(configuration, on: try CPUBackend(threads: 1))
        try decoder.check(weights)
        var dtypes: [String: Int] = [:]
        for tensor in weights.tensors { dtypes[tensor.dtype.name, default: 0] += 1 }
        let plan = MemoryPlan(decoder)
        let template: String =
            if let source = tokenizer?.chatTemplate {
                (try? ChatTemplate(source)) != nil ? "understood" : "present, but uses constructs that are not supported"
            } else { "none" }
        if json {
            printLine(jsonLine([
                ("family", .string(configuration.modelType)), ("parameters", .integer(Int64(decoder.parameterCount))),
                ("dtypes", .object(JSONObject(dtypes.sorted { $0.key < $1.key }.map { ($0.key, .integer(Int64($0.value))) }))),
                ("vocabulary", tokenizer.map { .integer(Int64($0.vocabularySize)) } ?? .null), ("context", .integer(Int64(configuration.maxPositionEmbeddings))),
                ("template", .string(template)), ("bytesToRun", .integer(Int64(plan.bytesToRun(tokens: configuration.maxPositionEmbeddings)))),
                ("bytesToTrain", .integer(Int64(plan.bytesToTrain(microBatchTokens: TrainerOptions.defaultMicroBatchTokens)))),
            ]))
            return
        }
        func gigabytes(_ bytes: Int) -> String { String(format: "%.2f GB", Double(bytes) / 1e9) }
        let c = configuration
        printLine("""
            family      \(c.modelType)\(c.labels.isEmpty ? "" : ", classifies into \(c.labels.joined(separator: ", "))")
            parameters  \(decoder.parameterCount) (\(dtypes.sorted { $0.key < $1.key }.map { "\($0.value) tensors \($0.key)" }.joined(separator: ", ")))
            shape       \(c.numHiddenLayers) layers, hidden \(c.hiddenSize), MLP \(c.intermediateSize), \(c.numAttentionHeads) heads on \(c.numKeyValueHeads) key/value heads of \(c.headDim)
            context     \(c.maxPositionEmbeddings) tokens
            vocabulary  \(tokenizer.map { "\($0.vocabularySize) tokens" } ?? "no tokenizer"), \(c.vocabularySize) rows\(c.tieWordEmbeddings ? ", head tied to the embedding" : "")
            template    \(template)
            to run      \(gigabytes(plan.bytesToRun(tokens: c.maxPositionEmbeddings))) with one full context
            to train    \(gigabytes(plan.bytesToTrain(microBatchTokens: TrainerOptions.defaultMicroBatchTokens))) for all weights with AdamW, \(TrainerOptions.defaultMicroBatchTokens) tokens at once
            """)
    }
}
