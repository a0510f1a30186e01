import Architectures
import Evaluation
import Foundation
import ModelFiles
import Recipes
import Tensors
import Testing
import Tokenization
import Training

@Suite("Adapters", .enabled(if: !Fixtures.folders("models").isEmpty, "no model fixtures: set AUTODIDACT_FIXTURES"))
struct AdapterTests {
    private func model(_ name: String) throws -> Transformer { try Fixtures.model(name) }

    private let examples: [Example] = [0, 1, 2].map { (row: Int32) in
        Example(promptTokens: [5, row + 7, 9], completionTokens: [20 + row, 25 + row, 30 + row, 35 + row, 40 + row])
    }

    private func labelled(_ model: Transformer) -> [Example] {
        model.configuration.isCausal ? examples : (0..<3).map { Example(tokens: [5, 7 + $0, 9, 11, 13], labels: .init(places: [2], targets: [40 + $0])) }
    }

    private func train(_ model: Transformer, steps: Int = 8) throws -> [Double] {
        var optimizer = OptimizerOptions(learningRate: 0.02)
        optimizer.groups = [ParameterGroup(patterns: model.adapterPatterns), ParameterGroup(patterns: [], learningRateScale: 0)]
        let trainer = Trainer(model, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: optimizer), totalSteps: steps)
        return try (0..<steps).map { _ in try trainer.step(labelled(model)).loss }
    }

    @Test("an adapter changes nothing at first, learns with the base as it is, and merges into what it computes", arguments: ["llama", "gpt2", "mixtral", "t5", "bert", "xlnet_plain", "falcon_grouped"])
    func learns(name: String) throws {
        let base = try model(name)
        let before = base.score(labelled(base)).flatMap { $0 }.map(\.logProbability.bitPattern), hash = base.contentHash()
        for kind in ["LoRA", "rank-stable", "DoRA"] {
            var choices = AdapterChoices()
            choices.rank = 4
            (choices.isRankStable, choices.learnsMagnitudes) = (kind == "rank-stable", kind == "DoRA")
            let adapted = try base.adapted(choices)
            let start = adapted.score(labelled(base)).flatMap { $0 }
            if kind == "DoRA" {
                // Lengths over themselves are 1 but for rounding.
                #expect(zip(start, base.score(labelled(base)).flatMap { $0 }).allSatisfy { abs($0.logProbability - $1.logProbability) < 1e-3 })
            } else {
                #expect(start.map(\.logProbability.bitPattern) == before, "\(kind)")
            }
            let losses = try train(adapted)
            #expect(losses.last! < 0.8 * losses[0], "\(kind): \(losses)")
            #expect(base.contentHash() == hash)
            let merged = try adapted.merged()
            let (a, b) = (adapted.score(labelled(base)).flatMap { $0 }, merged.score(labelled(base)).flatMap { $0 })
            #expect(zip(a, b).allSatisfy { abs($0.logProbability - $1.logProbability) < 1e-3 }, "\(kind)")
            #expect(a.map(\.logProbability.bitPattern) != before)
        }
    }

    @Test("trainable values are rank · (inputs + outputs) of each module, and only those named")
    func counts() throws {
        let base = try model("llama")
        var choices = AdapterChoices()
        choices.targets = ["q_proj", "down_proj"]
        let adapted = try base.adapted(choices)
        let c = base.configuration, q = c.numAttentionHeads * c.headDim
        #expect(adapted.parameterCount - base.parameterCount == c.numHiddenLayers * choices.rank * (c.hiddenSize + q + c.intermediateSize + c.hiddenSize))
        choices.targets = ["q_proj", "no_such"]
        #expect(throws: AdapterError.noTargets(["no_such"])) { try base.adapted(choices) }
    }

    @Test("two adapters over one base are two models that share its memory")
    func several() throws {
        let base = try model("llama")
        let first = try base.adapted(AdapterChoices()), second = try base.adapted(AdapterChoices(), key: RandomKey(seed: 1))
        _ = try train(first)
        let untouched = base.score(examples).flatMap { $0 }.map(\.logProbability.bitPattern)
        #expect(second.score(examples).flatMap { $0 }.map(\.logProbability.bitPattern) == untouched)
        #expect(first.score(examples).flatMap { $0 }.map(\.logProbability.bitPattern) != untouched)
    }

    @Test("heads of classes, of tokens and of spans learn from labels, in every family that has them")
    func heads() throws {
        for folder in ["bert", "roberta", "distilbert", "albert", "electra_generator", "xlnet_plain", "deberta_v2", "modernbert", "llama", "gpt2"] {
            let base = try model(folder)
            for (purpose, labels, make) in [
                (Purpose.sequenceClassification, ["a", "b", "c"], { (row: Int32) in Example.Labels(targets: [row]) }),
                (.tokenClassification, ["a", "b", "c"], { row in Example.Labels(places: [1, 3], targets: [row, 2 - row]) }),
                (.span, [], { row in Example.Labels(targets: [row, row + 2]) }),
            ] {
                let c = try base.configuration.with(purpose, labels: labels, file: folder)
                let tuned = Transformer(c, on: base.backend)
                try tuned.load(try SafetensorsFile(path: "\(Fixtures.root)/models/\(folder)/model.safetensors"), former: base.configuration)
                let examples = (0..<3).map { Example(tokens: [5, 7 + 3 * $0, 30 + $0, 11, 50 - $0], labels: make($0)) }
                let trainer = Trainer(tuned, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01)), totalSteps: 40)
                let losses = try (0..<40).map { _ in try trainer.step(examples).loss }
                #expect(losses.last! < 0.5 * losses[0], "\(folder), \(purpose): \(losses[0]) to \(losses.last!)")
            }
        }
    }

    @Test("bottlenecks change nothing at first, stack, and learn with the base as it is", arguments: ["llama", "phi", "albert", "t5"])
    func bottlenecks(name: String) throws {
        let base = try model(name), before = base.score(labelled(base)).flatMap { $0 }.map(\.logProbability.bitPattern), hash = base.contentHash()
        var choices = AdapterChoices()
        (choices.kind, choices.rank) = (.bottleneck, 6)
        let once = try base.adapted(choices)
        #expect(once.score(labelled(base)).flatMap { $0 }.map(\.logProbability.bitPattern) == before)
        let first = try train(once)
        #expect(first.last! < first[0])
        let twice = try once.adapted(choices)
        #expect(twice.score(labelled(base)).flatMap { $0 }.map(\.logProbability) == once.score(labelled(base)).flatMap { $0 }.map(\.logProbability))
        #expect(try train(twice).last! < first.last!)
        #expect(base.contentHash() == hash)
        #expect(throws: AdapterError.notMergeable(.bottleneck)) { try once.merged() }
    }

    @Test("a soft prompt of real words computes what the words do, and learns", arguments: ["llama", "gpt2"])
    func softPrompt(name: String) throws {
        let base = try model(name)
        var choices = AdapterChoices()
        (choices.kind, choices.rank) = (.softPrompt, 3)
        let adapted = try base.adapted(choices)
        let words: [Int32] = [17, 4, 200], table = base.parameters.parameters[0]
        let vectors = words.flatMap { base.parameters.read(table, rows: Int($0)..<Int($0) + 1) }
        let prompt = try #require(adapted.parameters["prompt_embeddings"])
        vectors.withUnsafeBufferPointer { adapted.parameters.write($0, to: prompt) }
        let rest: [Int32] = [5, 90, 7]
        #expect(adapted.softPromptTokens == [-1, -2, -3])
        #expect(adapted.hiddenStates(RaggedBatch([adapted.softPromptTokens + rest])).read() == base.hiddenStates(RaggedBatch([words + rest])).read())
        var optimizer = OptimizerOptions(learningRate: 0.1)
        optimizer.groups = [ParameterGroup(patterns: adapted.adapterPatterns), ParameterGroup(patterns: [], learningRateScale: 0)]
        let trainer = Trainer(adapted, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: optimizer), totalSteps: 20)
        let examples = examples.map { Example(promptTokens: adapted.softPromptTokens + $0.promptTokens, completionTokens: $0.completionTokens) }
        let losses = try (0..<20).map { _ in try trainer.step(examples).loss }
        #expect(losses.last! < 0.9 * losses[0])
    }

    @Test("an adapter that is saved computes the same when it is opened again, with its head, over the base it was trained on", arguments: ["llama", "gpt2", "bert", "roberta", "xlnet_plain", "mixtral"])
    func reload(name: String) throws {
        let base = try model(name), c = try base.configuration.with(.sequenceClassification, labels: ["no", "yes"], file: name)
        let headed = Transformer(c, on: base.backend)
        try headed.load(try SafetensorsFile(path: "\(Fixtures.root)/models/\(name)/model.safetensors"), former: base.configuration)
        let tokenizer = try Tokenizer.symbols(["a", "b"], special: ["<eos>"])
        for kind in AdapterChoices.Kind.allCases {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("adapter-\(UUID().uuidString)").path
            defer { try? FileManager.default.removeItem(atPath: folder) }
            var choices = AdapterChoices()
            (choices.kind, choices.rank, choices.whole) = (kind, 4, headed.headModules)
            let adapted = try headed.adapted(choices)
            var optimizer = OptimizerOptions(learningRate: 0.02)
            optimizer.groups = [ParameterGroup(patterns: adapted.adapterPatterns), ParameterGroup(patterns: [], learningRateScale: 0)]
            let trainer = Trainer(adapted, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: optimizer), totalSteps: 3)
            let examples = [0, 1].map { (row: Int32) in Example(tokens: adapted.softPromptTokens + [5, 9 + row, 30], labels: .init(targets: [row])) }
            for _ in 0..<3 { _ = try trainer.step(examples) }
            try Model(transformer: adapted, tokenizer: tokenizer, stopTokens: []).saveAdapter(to: folder, base: name)
            let task = try #require(try Model.task(ofAdapter: folder))
            #expect(task.purpose == .sequenceClassification && task.labels == ["no", "yes"])
            let again = try Model(transformer: headed, tokenizer: tokenizer, stopTokens: []).with(adapter: folder).transformer
            #expect(again.score(examples).map { $0[0].logProbability.bitPattern } == adapted.score(examples).map { $0[0].logProbability.bitPattern }, "\(kind)")
        }
    }

    @Test("tables and the vocabulary's head cannot be changed by LoRA, and say so")
    func tables() throws {
        var choices = AdapterChoices()
        choices.targets = ["lm_head"]
        #expect(throws: AdapterError.notAdaptable(module: "lm_head")) { try model("llama").adapted(choices) }
        choices.targets = ["embed_tokens"]
        #expect(throws: AdapterError.notAdaptable(module: "model.embed_tokens")) { try model("llama").adapted(choices) }
    }
}
