import Architectures
import Foundation
import ModelFiles
import Recipes
import Tensors
import Testing
import Training

@Suite("Mixtures of files")
struct MixtureTests {
    @Test("files have their shares in every epoch, and nothing comes twice before all of a file was there")
    func shares() {
        let mixture = Mixture(counts: [70, 10, 33], weights: [0.5, 0.3, 0.2], seed: 3)
        // The largest file once: 70 is one half.
        #expect(mixture.size == 140 && mixture.shares == [70, 42, 28])
        let epochs = (0..<5).map { mixture.order(epoch: $0) }, ranges = [0..<70, 70..<80, 80..<113]
        for epoch in epochs { #expect(ranges.map { range in epoch.count(where: range.contains) } == mixture.shares) }
        let counts = ranges.map { range in range.map { place in epochs.joined().count { $0 == place } } }
        // 5 · 70, 5 · 42 and 5 · 28 draws of 70, 10 and 33.
        #expect(Set(counts[0]) == [5] && Set(counts[1]) == [21] && Set(counts[2]) == [4, 5])
        #expect(epochs[0] != epochs[1] && mixture.order(epoch: 0) == epochs[0])
        #expect(Mixture(counts: [70, 10, 33], weights: [0.5, 0.3, 0.2], seed: 4).order(epoch: 0) != epochs[0])
    }

    @Test("shares add up to the epoch whatever is rounded, and without weights an epoch is all there is", arguments: [1, 7, 100, 1001])
    func sizes(size: Int) {
        let mixture = Mixture(counts: [3, 3, 3], weights: [1, 1, 1], size: size, seed: 0)
        #expect(mixture.size == size && mixture.order(epoch: 2).count == size && (mixture.shares.max() ?? 0) - (mixture.shares.min() ?? 0) <= 1)
        #expect(Mixture(counts: [4, 2], seed: 0).order(epoch: 1).sorted() == Array(0..<6))
        #expect(Mixture(counts: [40, 20], size: 6, seed: 0).shares == [4, 2])
    }
}

@Suite("Options in files")
struct OptionFileTests {
    private func file(_ text: String) throws -> OptionFile {
        try OptionFile(text, file: "a.yaml", options: ["model": .value, "epochs": .value, "input": .list, "chat": .flag, "labels": .value], ofStage: ["epochs", "input", "chat"])
    }

    @Test("stages add to the settings above them and replace them, and the command line replaces both")
    func arguments() throws {
        let text = "model: m\nepochs: 2\nlabels: [a, b]\nchat: false\nstages:\n  - name: instruct\n    input: [a.jsonl:0.7, b.jsonl:0.3]\n  - {input: c.jsonl, epochs: 5, chat: true}\n"
        let file = try file(text)
        #expect(file.names == ["instruct", "2"])
        #expect(file.arguments(stage: 0, given: []) == ["--model=m", "--epochs=2", "--labels=a,b", "--input=a.jsonl:0.7", "--input=b.jsonl:0.3"])
        #expect(file.arguments(stage: 1, given: ["--epochs", "9"]) == ["--model=m", "--labels=a,b", "--input=c.jsonl", "--chat", "--epochs", "9"])
        #expect(file.arguments(stage: 1, given: ["--input=d"]) == ["--model=m", "--labels=a,b", "--epochs=5", "--chat", "--input=d"])
    }

    @Test("what is no setting is refused with its line and the nearest name", arguments: [
        ("epoch: 3", "line 1: unknown setting 'epoch'; did you mean 'epochs'?"), ("model: m\nstages:\n  - inputs: a", "line 3: unknown setting 'stages.inputs'; did you mean 'input'?"),
        ("stages:\n  - model: m", "line 2: 'model' cannot change between stages"), ("chat: perhaps", "'chat' must be true or false"), ("epochs: {a: 1}", "'epochs' must be a value"),
        ("stages: 3", "'stages' must be a list"), ("- a", "holds no settings"), ("a: [", "is not YAML"),
    ])
    func refusals(text: String, message: String) {
        let error = #expect(throws: RecipeFileError.self) { try file(text) }
        #expect(error.map { "\($0)" }?.contains(message) == true, "\(String(describing: error))")
    }

    @Test("a command without stages has no setting of that name")
    func withoutStages() {
        let error = #expect(throws: RecipeFileError.self) { try OptionFile("stages:\n  - {limit: 3}\n", file: "a.yaml", options: ["limit": .value], ofStage: []) }
        #expect(error.map { "\($0)" }?.contains("line 1: unknown setting 'stages'") == true, "\(String(describing: error))")
    }
}

@Suite("Fine-tuning in stages")
struct FineTuningTests {
    private static let vocabulary = 23

    private func model() throws -> Transformer {
        let configuration = TransformerConfiguration(
            modelType: "llama", vocabularySize: Self.vocabulary, hiddenSize: 24, intermediateSize: 40, numHiddenLayers: 2, numAttentionHeads: 4, numKeyValueHeads: 2, maxPositionEmbeddings: 128, tieWordEmbeddings: true)
        let model = Transformer(configuration, on: try CPUBackend(threads: 2))
        model.initialize(RandomKey(seed: 1), deviation: 0.2)
        return model
    }

    private func examples(seed: UInt64, count: Int) -> [Example] {
        (0..<count).map { index in
            let key = RandomKey(seed: seed).folding(index)
            func tokens(_ count: Int, _ first: UInt64) -> [Int32] { (0..<count).map { Int32(key.index(below: Self.vocabulary, first + UInt64($0))) } }
            return Example(promptTokens: tokens(3 + index % 4, 0), completionTokens: tokens(2 + index % 5, 50))
        }
    }

    private func tuning(epochs: Int = 2, rate: Double = 3e-3, _ change: (inout FineTuning) -> Void = { _ in }) -> FineTuning {
        var tuning = FineTuning(trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: rate)))
        (tuning.epochs, tuning.batch, tuning.seed) = (epochs, 4, 5)
        change(&tuning)
        return tuning
    }

    @Test("what is said of examples is part of what a training goes on with")
    func digest() {
        func digest(_ change: (inout Example) -> Void) -> String {
            var all = examples(seed: 1, count: 3)
            all[1].standing = .init(comparison: 1, score: 1)
            all[1].advantage = 1
            change(&all[1])
            return FineTuningStage(tuning(), counts: [3], examples: { _ in all }).digest()
        }
        let changed = [
            digest { _ in }, digest { $0.standing?.margin = 0.5 }, digest { $0.standing?.score = 0.5 }, digest { $0.standing?.comparison = 2 }, digest { $0.weight = 2 }, digest { $0.advantage = -1 },
            digest { $0.advantage = nil },
        ]
        #expect(Set(changed).count == changed.count && changed[0] == digest { _ in })
    }

    /// Two stages: a mixture of two files measured every two updates, and a file without measurements.
    private func stages() -> [FineTuningStage] {
        let all = examples(seed: 1, count: 14), second = examples(seed: 2, count: 9)
        return [
            FineTuningStage(tuning { ($0.weights, $0.evalEvery, $0.patience) = ([0.7, 0.3], 2, 50) }, counts: [9, 5], examples: { _ in all }, held: examples(seed: 3, count: 5)),
            FineTuningStage(tuning(rate: 1e-3), counts: [9], examples: { _ in second }),
        ]
    }

    private func run(_ model: Transformer, _ stages: [FineTuningStage], _ folder: String, origin: [String: String] = [:], saveEvery: Int = 3) -> FineTuningRun {
        FineTuningRun(model, stages: stages, folder: folder, saveEvery: saveEvery, origin: origin)
    }

    @Test("stopped before any update and gone on with, a training ends in the bits of one that was not, with its measurements and the weights it kept")
    func resume() async throws {
        try await withFolder { folder in
            let whole = try model()
            let expected = try run(whole, stages(), "\(folder)/checkpoints").run()
            #expect(expected.stages.count == 2 && expected.stages[0].measurements.count > 3)
            let updates = expected.stages.map(\.losses.count).reduce(0, +)
            for cut in 0..<updates {
                let place = "\(folder)/\(cut)"
                try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
                var asked = 0
                #expect(throws: Interrupted.self) {
                    _ = try run(try model(), stages(), place).run(isCancelled: {
                        defer { asked += 1 }
                        return asked == cut
                    })
                }
                let resumed = try model()
                #expect(try run(resumed, stages(), place).run(isResuming: true) == expected, "cut before update \(cut + 1)")
                #expect(resumed.contentHash() == whole.contentHash(), "cut before update \(cut + 1)")
            }
        }
    }

    @Test("a training goes on with what it began with, and names what is not so")
    func origin() async throws {
        try await withFolder { folder in
            #expect(throws: Interrupted.self) { _ = try run(try model(), stages(), folder, origin: ["model": "a", "data": "b"]).run(isCancelled: { true }) }
            let error = #expect(throws: FileError.self) { _ = try run(try model(), stages(), folder, origin: ["model": "a", "data": "c"]).run(isResuming: true) }
            #expect(error?.problem == "was begun with other data")
        }
    }

    @Test("of options that changed, each is named with what it was and is")
    func changedOptions() async throws {
        try await withFolder { folder in
            func origin(_ change: (inout FineTuning) -> Void) throws -> [String: String] {
                ["options of stage 1": String(decoding: try JSONEncoder().encode(tuning(change)), as: UTF8.self), "data of stage 1": "123"]
            }
            #expect(throws: Interrupted.self) { _ = try run(try model(), stages(), folder, origin: origin { _ in }).run(isCancelled: { true }) }
            let error = #expect(throws: FileError.self) {
                _ = try run(try model(), stages(), folder, origin: origin { ($0.seed, $0.patience, $0.trainer.optimizer.learningRate) = (9, 4, 0.5) }).run(isResuming: true)
            }
            let seed = tuning { _ in }.seed, rate = tuning { _ in }.trainer.optimizer.learningRate
            let expected = "was begun with other options of stage 1 (learning-rate was \(rate) and is 0.5; patience was not given and is 4; seed was \(seed) and is 9)"
            #expect(error?.problem == expected, "\(String(describing: error))")
            let kind = #expect(throws: FileError.self) { _ = try run(try model(), stages(), folder, origin: origin { $0.trainer.optimizer.kind = .lion }).run(isResuming: true) }
            #expect(kind?.problem == "was begun with other options of stage 1 (optimizer was adamw and is lion)")
        }
    }

    @Test("the weights with the lowest held-out loss are kept, and without a lower one for long enough the stage ends", arguments: [true, false])
    func best(keepsBest: Bool) async throws {
        try await withFolder { folder in
            let all = examples(seed: 1, count: 8), held = examples(seed: 9, count: 6)
            let stage = FineTuningStage(tuning(epochs: 30, rate: 2e-2) { ($0.evalEvery, $0.patience, $0.keepsBest) = (1, 3, keepsBest) }, counts: [8], examples: { _ in all }, held: held)
            let model = try model(), result = try run(model, [stage], folder).run().stages[0]
            let best = try #require(result.measurements.min { $0.loss < $1.loss }), last = try #require(result.measurements.last)
            // Random answers cannot be learnt from others.
            #expect(result.losses.count == best.step + 3 && result.losses.count < stage.updates)
            #expect(result.kept == (keepsBest ? best.step : last.step))
            let loss = NegativeLogLikelihood().loss(held, under: model)
            #expect(loss == (keepsBest ? best : last).loss && best.loss < last.loss)
        }
    }

    @Test("the second stage begins with what the first gave")
    func second() async throws {
        try await withFolder { folder in
            let both = try model(), apart = try model()
            _ = try run(both, stages(), folder).run()
            for stage in stages() { _ = try run(apart, [stage], folder).run() }
            #expect(both.contentHash() == apart.contentHash())
        }
    }

    @Test("the loss is that of all trained tokens together: packed or alone, accumulated or at once")
    func loss() throws {
        let model = try model(), all = examples(seed: 4, count: 4), objective = NegativeLogLikelihood()
        let alone = all.map { (objective.loss([$0], under: model), Double($0.trainedCount)) }
        let expected = alone.reduce(0) { $0 + $1.0 * $1.1 } / alone.reduce(0) { $0 + $1.1 }
        #expect(Set(alone.map(\.1)).count > 1)
        #expect(abs(objective.loss(all, under: model) - expected) < 1e-5)
        func step(_ microBatchTokens: Int) throws -> (Double, [Float]) {
            let model = try self.model(), options = TrainerOptions(optimizer: OptimizerOptions(learningRate: 1e-2), microBatchTokens: microBatchTokens)
            let result = try Trainer(model, objective: objective, options: options, totalSteps: 1).step(all)
            return (result.loss, model.parameters.parameters.flatMap { model.parameters.read($0) })
        }
        let (accumulated, first) = try step(1), (whole, second) = try step(1000)
        #expect(abs(accumulated - expected) < 1e-5 && abs(whole - expected) < 1e-5)
        #expect(zip(first, second).allSatisfy { abs($0 - $1) < 1e-5 })
    }

    @Test("an estimate counts what would be trained")
    func estimate() throws {
        let estimate = try FineTuningEstimate(try model(), stages: stages())
        #expect(estimate.seconds > 0 && estimate.peakBytes > 0)
    }
}
