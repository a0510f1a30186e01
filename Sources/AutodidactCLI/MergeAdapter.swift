import ArgumentParser
import Autodidact
import Foundation

struct MergeAdapter: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge-adapter",
        abstract: "Write a model whose weights are those that an adapter makes of them.",
        discussion: "The base should be the one that the adapter was trained over, also in its quantisation: that is not checked. The merged model is in float32; how far its logits are from those of base and adapter is reported.")

    @Option(help: "The base model: a folder or a GGUF file.")
    var model: String

    @Option(help: "The adapter: a PEFT folder.")
    var adapter: String

    @Option(help: "The folder to write.")
    var output: String

    @OptionGroup var engine: EngineOptions

    func run() async throws {
        let adapted = try openModel(model, adapter: adapter, on: try engine.backend())
        let merged = try writeFolder(output) { _ in
            let merged = try adapted.transformer.merged()
            try adapted.with(merged).save(to: output)
            try AskingForms.copy(from: adapter, to: output)
            return merged
        }
        // Tokens of all kinds, in an order of their own.
        let count = min(64, merged.configuration.maxPositionEmbeddings), key = RandomKey(seed: 0).folding("merge")
        let batch = RaggedBatch([(0..<count).map { Int32(key.index(below: merged.configuration.vocabularySize, UInt64($0))) }])
        func states(_ model: Transformer) -> [Float] { model.configuration.encoderLayers == nil ? model.hiddenStates(batch).read() : model.encode(batch).read() }
        let (before, after) = (states(adapted.transformer), states(merged))
        let largest = zip(before, after).map { abs($0 - $1) }.max() ?? 0, size = before.map(abs).max() ?? 0
        printLine("wrote \(output); its hidden states differ from those of base and adapter by \(largest) at most, where the largest is \(size)")
    }
}
