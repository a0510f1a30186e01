import Architectures
import Tasks
import Tensors
import Testing
import Training

@Suite("Steps")
struct StepTests {
    @Test("the loss of a fixed batch falls, and without a learning rate it stays", arguments: 1...3)
    func learns(seed: Int) throws {
        func run(_ rate: Double) throws -> [Double] {
            let trainer = Trainer(
                try Tiny.decoder(seed: UInt64(seed)), objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: rate)),
                totalSteps: 60)
            let examples = Tiny.examples(seed: UInt64(seed), count: 4)
            return try (0..<60).map { _ in try trainer.step(examples).loss }
        }
        let learning = try run(0.01), still = try run(0)
        #expect(learning[59] < 0.5 * learning[0])
        #expect(still.allSatisfy { $0 == learning[0] })
    }

    @Test("report their number, rate, counts and norm")
    func results() throws {
        let schedule = Schedule(.linear, warmupSteps: 2)
        let decoder = try Tiny.decoder()
        let trainer = Trainer(
            decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01), schedule: schedule, sharesPrefixes: false),
            totalSteps: 20)
        let examples = Tiny.examples()
        for step in 1...20 {
            let before = decoder.weightBits
            let result = try trainer.step(examples)
            let isChanged = decoder.weightBits != before
            #expect(isChanged, "step \(step) is without effect")
            #expect(result.step == step && trainer.optimizer.steps == step)
            #expect(result.learningRate == 0.01 * schedule.multiplier(step: step, of: 21))
            #expect(result.trainedTokens == examples.reduce(0) { $0 + $1.trainedCount })
            #expect(result.computedTokens == examples.reduce(0) { $0 + $1.tokenCount - 1 })
            #expect(result.gradientNorm > 0 && result.loss.isFinite)
        }
    }

    @Test("a training of one step learns, whatever the warm-up", arguments: Schedule.Shape.allCases.filter { $0 != .noam })
    func singleStep(shape: Schedule.Shape) throws {
        let trainer = Trainer(
            try Tiny.decoder(), objective: NegativeLogLikelihood(),
            options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01), schedule: Schedule(shape, warmupSteps: 20)), totalSteps: 1)
        #expect(try trainer.step(Tiny.examples()).learningRate >= 0.005)
    }

    @Test("clip the gradient to the norm allowed, and report it as it was")
    func clipping() throws {
        func change(_ clip: Double) throws -> (change: [Float], norm: Double) {
            let decoder = try Tiny.decoder()
            func values() -> [Float] { decoder.parameters.parameters.flatMap { decoder.parameters.read($0) } }
            let before = values()
            let trainer = Trainer(decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: .plain(1, clip: clip)), totalSteps: 1)
            let result = try trainer.step(Tiny.examples())
            return (zip(values(), before).map { $0 - $1 }, result.gradientNorm)
        }
        let free = try change(0)
        let limit = free.norm / 4
        let clipped = try change(limit), loose = try change(free.norm * 4)
        let factor = Float(limit / (free.norm + 1e-6))
        #expect(clipped.norm == free.norm && loose.norm == free.norm)
        #expect(loose.change == free.change)
        #expect(deviation(clipped.change, free.change.map { $0 * factor }) < 3e-4)
    }

    @Test("that train nothing are refused, and change nothing")
    func nothingTrained() throws {
        let decoder = try Tiny.decoder()
        let before = decoder.weightBits
        let trainer = Trainer(decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.1, weightDecay: 0.1)), totalSteps: 1)
        let silent = Example(promptTokens: [3], completionTokens: [1, 2], trained: [false, false])
        #expect(throws: TrainingError.nothingTrained(step: 1)) { try trainer.step([]) }
        #expect(throws: TrainingError.nothingTrained(step: 1)) { try trainer.step([silent, silent]) }
        #expect(throws: TrainingError.nothingTrained(step: 1)) { try trainer.step([Example(promptTokens: [3], completionTokens: [])]) }
        #expect(decoder.weightBits == before && trainer.optimizer.steps == 0)
    }
}

/// A finite loss whose gradient is not.
private struct Cliff: Objective {
    func counts(_ examples: [Example]) -> [TermCount] { [TermCount("cliff", 1)] }
    func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        [TermSum("cliff", sum: 1, logProbabilityGradients: Array(repeating: .infinity, count: laws.count))]
    }
}

@Suite("A step that is not finite")
struct NotFiniteTests {
    private func refusal(_ trainer: Trainer, _ examples: [Example]) throws -> (what: String, step: Int, rollouts: [RolloutKey], description: String) {
        let error = try #require(#expect(throws: TrainingError.self) { try trainer.step(examples) })
        guard case .notFinite(let what, let step, let rollouts) = error else {
            Issue.record("another error: \(error)")
            return ("", 0, [], "")
        }
        return (what, step, rollouts, error.description)
    }

    @Test("is refused by the names of its rollouts, changes no bit, and a repaired model goes on as if it had not been", arguments: [Float.nan, .infinity])
    func loss(bad: Float) throws {
        let options = TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01))
        let decoder = try Tiny.decoder(), undisturbed = try Tiny.decoder()
        let trainer = Trainer(decoder, objective: NegativeLogLikelihood(), options: options, totalSteps: 3)
        let other = Trainer(undisturbed, objective: NegativeLogLikelihood(), options: options, totalSteps: 3)
        let examples = Tiny.examples()
        _ = try trainer.step(examples)
        _ = try other.step(examples)

        let good = decoder.values("model.norm.weight")
        decoder.set("model.norm.weight", [bad] + good.dropFirst())
        let before = decoder.weightBits
        let refused = try refusal(trainer, examples)
        #expect(refused.what == "loss" && refused.step == 2)
        #expect(refused.rollouts == examples.flatMap(\.rollouts))
        #expect(refused.description.contains("attempt 1/0/0") && refused.description.contains("step 2"))
        #expect(decoder.weightBits == before && trainer.optimizer.steps == 1)

        decoder.set("model.norm.weight", good)
        let a = try trainer.step(examples), b = try other.step(examples)
        #expect(a == b)
        #expect(decoder.weightBits == undisturbed.weightBits)
    }

    @Test("is refused too where only the gradient is not")
    func gradient() throws {
        let decoder = try Tiny.decoder()
        let before = decoder.weightBits
        let trainer = Trainer(decoder, objective: Cliff(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01)), totalSteps: 1)
        let refused = try refusal(trainer, Tiny.examples(count: 2))
        #expect(refused.what == "gradient" && refused.rollouts.count == 2)
        #expect(decoder.weightBits == before && trainer.optimizer.steps == 0)
    }

    @Test("without rollouts says so")
    func anonymous() throws {
        let decoder = try Tiny.decoder()
        decoder.set("model.norm.weight", [Float](repeating: .nan, count: 24))
        let trainer = Trainer(decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01)), totalSteps: 1)
        let refused = try refusal(trainer, [Example(promptTokens: [1], completionTokens: [2])])
        #expect(refused.rollouts.isEmpty && refused.description.contains("without rollouts"))
    }
}

@Suite("Parameter groups and weight decay")
struct ParameterGroupTests {
    private func train(_ decoder: Transformer, _ options: OptimizerOptions, objective: any Objective = NegativeLogLikelihood()) throws -> GradientProbe {
        let trainer = Trainer(decoder, objective: objective, options: TrainerOptions(optimizer: options), totalSteps: 1)
        let probe = GradientProbe()
        trainer.plugins = [probe]
        _ = try trainer.step(Tiny.examples())
        return probe
    }

    @Test("a group with scale 0 keeps its bits and costs neither gradients nor moments; the rest trains as it would", arguments: ["embed_tokens", "layers.0.", "lm_head"])
    func frozen(pattern: String) throws {
        let decoder = try Tiny.decoder(tied: false), free = try Tiny.decoder(tied: false)
        let start = try Tiny.decoder(tied: false)
        var options = OptimizerOptions(learningRate: 0.01, weightDecay: 0.1, maxGradientNorm: 0)
        _ = try train(free, options)
        options.groups = [ParameterGroup(patterns: [pattern], learningRateScale: 0)]
        let probe = try train(decoder, options)
        for parameter in decoder.parameters.parameters {
            let name = parameter.name
            let isFrozen = name.contains(pattern)
            #expect(bits(decoder.values(name)) == bits((isFrozen ? start : free).values(name)), "\(name)")
            #expect((probe.seen[name] == nil) == isFrozen, "\(name)")
        }
        let optimizer = options.makeOptimizer(for: decoder.parameters)
        let trained = Gradients(of: decoder.parameters) { !$0.name.contains(pattern) }.byteCount
        #expect(probe.byteCount == trained && optimizer.moments.allSatisfy { $0.byteCount == trained })
        // A whole segment is frozen by the first two; the head lies beside the final norm.
        #expect(trained < Gradients(of: decoder.parameters).byteCount || pattern == "lm_head")
    }

    @Test("where all is frozen, a step changes nothing")
    func allFrozen() throws {
        let decoder = try Tiny.decoder()
        let before = decoder.weightBits
        let probe = try train(decoder, OptimizerOptions(learningRate: 0.1, weightDecay: 0.1, groups: [ParameterGroup(patterns: [], learningRateScale: 0)]))
        #expect(decoder.weightBits == before && probe.byteCount == 0)
    }

    @Test("the first group that matches decides, and its scale multiplies the rate")
    func scales() throws {
        func change(_ groups: [ParameterGroup]) throws -> [String: [Float]] {
            let decoder = try Tiny.decoder(), start = try Tiny.decoder()
            var options = OptimizerOptions.plain(1)
            options.groups = groups
            _ = try train(decoder, options)
            return Dictionary(uniqueKeysWithValues: decoder.parameters.parameters.map { parameter in
                (parameter.name, zip(decoder.values(parameter.name), start.values(parameter.name)).map { $0 - $1 })
            })
        }
        let whole = try change([])
        let scaled = try change([
            ParameterGroup(patterns: ["q_proj", "norm"], learningRateScale: 0.5), ParameterGroup(patterns: ["proj"], learningRateScale: 0.25),
        ])
        for (name, change) in whole {
            let factor: Float = name.contains("q_proj") || name.contains("norm") ? 0.5 : name.contains("proj") ? 0.25 : 1
            // The change is a difference of rounded weights.
            let off = zip(scaled[name]!, change).map { abs($0 - $1 * factor) }.max()!
            #expect(off < 3e-7, "\(name)")
        }
    }

    @Test("decay is on matrices alone, unless vectors are asked for; a group's own goes first")
    func decay() throws {
        func shrunk(_ options: OptimizerOptions) throws -> [String: Float] {
            let decoder = try Tiny.decoder(), start = try Tiny.decoder()
            _ = try train(decoder, options, objective: Silence())
            return Dictionary(uniqueKeysWithValues: decoder.parameters.parameters.map { parameter in
                let factors = [1, 1 - Float(0.1) * Float(0.5), 1 - Float(0.1) * Float(0.25)]
                let now = decoder.values(parameter.name), then = start.values(parameter.name)
                return (parameter.name, factors.first { factor in now == then.map { $0 * factor } } ?? -1)
            })
        }
        let half = 1 - Float(0.1) * Float(0.5), quarter = 1 - Float(0.1) * Float(0.25)
        var options = OptimizerOptions(learningRate: 0.1, weightDecay: 0.5)
        for (name, factor) in try shrunk(options) { #expect(factor == (name.contains("norm") ? 1 : half), "\(name)") }
        options.decaysVectors = true
        for (name, factor) in try shrunk(options) { #expect(factor == half, "\(name)") }
        options.decaysVectors = false
        options.groups = [ParameterGroup(patterns: ["layers.1.", "model.norm"], weightDecay: 0.25)]
        for (name, factor) in try shrunk(options) {
            #expect(factor == (name.contains("norm") ? 1 : name.contains("layers.1.") ? quarter : half), "\(name)")
        }
    }
}

/// Writes down which hook was called, and may change the rate or the loss.
private final class Recorder: StepPlugin {
    final class Log { var entries: [String] = [] }

    let name: String
    let log: Log
    var changesRate: (Double) -> Double = { $0 }
    var lossFactor: Float = 1
    var state: [String: [Float]] = [:]

    init(_ name: String, _ log: Log = Log()) {
        self.name = name
        self.log = log
    }

    private func note(_ hook: String) { log.entries.append("\(name) \(hook)") }

    func beforeBatch(_ examples: [Example], step: Int) -> [Example] {
        note("batch \(step)")
        return examples
    }

    func beforeForward(_ pass: Pass, step: Int) -> Pass {
        note("forward")
        return pass
    }

    func afterLoss(_ terms: [TermSum], step: Int) -> [TermSum] {
        note("loss")
        return terms.map {
            var term = $0
            term.sum *= Double(lossFactor)
            term.logProbabilityGradients = term.logProbabilityGradients.map { $0 * lossFactor }
            return term
        }
    }

    func beforeUpdate(_ gradients: Gradients, rate: Double, step: Int) -> Double {
        note("update")
        return changesRate(rate)
    }

    func afterUpdate(_ decoder: Transformer, step: Int) { note("done") }
}

/// Trains on the first example only.
private final class FirstOnly: StepPlugin {
    let name = "first only"
    func beforeBatch(_ examples: [Example], step: Int) -> [Example] { Array(examples.prefix(1)) }
}

@Suite("Plug-ins of a step")
struct StepPluginTests {
    private func step(_ plugins: [any StepPlugin], _ examples: [Example] = Tiny.examples()) throws -> (result: StepResult, weights: [[UInt32]]) {
        let decoder = try Tiny.decoder()
        let trainer = Trainer(
            decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01, maxGradientNorm: 0)), totalSteps: 1)
        trainer.plugins = plugins
        return (try trainer.step(examples), decoder.weightBits)
    }

    @Test("act in declared order at every point")
    func order() throws {
        let log = Recorder.Log()
        _ = try step([Recorder("a", log), Recorder("b", log)], Tiny.examples(count: 1))
        let expected = ["batch 1", "forward", "loss", "update", "done"].flatMap { ["a \($0)", "b \($0)"] }
        #expect(log.entries == expected)
    }

    @Test("hand their results on: order matters")
    func composition() throws {
        let double = Recorder("double"), more = Recorder("more")
        double.changesRate = { $0 * 2 }
        more.changesRate = { $0 + 1 }
        let doubleFirst = try step([double, more]), moreFirst = try step([more, double])
        #expect(doubleFirst.result.learningRate == 0.01 * 3)
        #expect(moreFirst.result.learningRate == 0.01 * 4)
        #expect(doubleFirst.weights != moreFirst.weights)
    }

    @Test("one that scales the terms scales loss and gradient")
    func scaledTerms() throws {
        let scaling = Recorder("scaling")
        scaling.lossFactor = 2
        let plain = try step([]), scaled = try step([scaling]), neutral = try step([Recorder("neutral")])
        #expect(scaled.result.loss == 2 * plain.result.loss)
        #expect(scaled.result.gradientNorm == 2 * plain.result.gradientNorm)
        #expect(neutral.result == plain.result && neutral.weights == plain.weights)
        #expect(scaled.weights != plain.weights, "epsilon alone keeps Adam from forgetting the scale")
    }

    @Test("one that changes the batch changes what is counted")
    func changedBatch() throws {
        let examples = Tiny.examples()
        let changed = try step([FirstOnly()], examples), first = try step([], [examples[0]])
        #expect(changed.result == first.result && changed.weights == first.weights)
    }

    @Test("keep state of their own, or none")
    func state() {
        let recorder = Recorder("r")
        recorder.state = ["x": [1, 2]]
        #expect(recorder.state == ["x": [1, 2]])
        let first = FirstOnly()
        first.state = ["x": [1]]
        #expect(first.state.isEmpty)
    }
}
