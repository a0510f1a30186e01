import Architectures
import Foundation
import ModelFiles
import Tensors
import Testing
import Training

/// The three parameters of the fixtures in a decoder whose shapes they fit: `w` as the embedding, `b` as the final norm, and
/// `c`, flattened, as a bias. Steps go through the trainer, with gradients put in their place.
struct OptimizerBench {
    static let names = ["w": "model.embed_tokens.weight", "b": "model.norm.weight", "c": "model.layers.0.mlp.up_proj.bias"]

    let decoder: Transformer
    let tensors: SafetensorsFile
    private let example: Example
    private let probe = GradientProbe()

    init() throws {
        tensors = try SafetensorsFile(path: "\(Fixtures.optim)/tensors.safetensors")
        let w = try #require(tensors.info("param0.w")), b = try #require(tensors.info("param0.b")), c = try #require(tensors.info("param0.c"))
        let (rows, width) = (w.shape[0], w.shape[1])
        try #require(b.elementCount == width, "the bench needs b as long as a row of w")
        var configuration = TransformerConfiguration(
            modelType: "llama", vocabularySize: rows, hiddenSize: width, intermediateSize: c.elementCount, numHiddenLayers: 1, numAttentionHeads: 1,
            maxPositionEmbeddings: 16, tieWordEmbeddings: true)
        configuration.mlpBias = true
        decoder = Transformer(configuration, on: try CPUBackend(threads: 1))
        decoder.initialize(RandomKey(seed: 1))
        for (short, name) in Self.names { decoder.set(name, try tensors.floats("param0.\(short)")) }
        example = Example(promptTokens: [0], completionTokens: [1])
    }

    func trainer(_ options: AdamWOptions) -> Trainer {
        let trainer = Trainer(decoder, objective: Silence(), options: TrainerOptions(optimizer: options), totalSteps: 10)
        trainer.plugins = [probe]
        return trainer
    }

    func step(_ trainer: Trainer, gradients prefix: String) throws -> StepResult {
        probe.injected = try Self.names.map { (parameter: try #require(decoder.parameters[$0.value]), values: try tensors.floats("\(prefix).\($0.key)")) }
        return try trainer.step([example])
    }

    /// How far the values are off, as a share of what float32 runs may be: 1e-5 relative.
    func excess(_ values: (String) throws -> [Float], _ prefix: String) throws -> Double {
        var worst = 0.0
        for (short, name) in Self.names {
            let (ours, reference) = (try values(name), try tensors.floats("\(prefix).\(short)"))
            if ours.count != reference.count { return .infinity }
            for (mine, theirs) in zip(ours, reference) {
                let share = Double(abs(mine - theirs)) / (1e-5 * Double(abs(theirs)) + 1e-8)
                if !(share <= worst) { worst = share.isNaN ? .infinity : share }
            }
        }
        return worst
    }
}

@Suite("Optimizers Golden runs", .enabled(if: Fixtures.hasOptim, "no optimizer fixtures: set AUTODIDACT_FIXTURES"))
struct OptimizerGoldenTests {
    static let covered: Set<String> = ["adamw", "adamw_b95"]

    static let cases: [String: String] = {
        let list = (try? JSON.read(path: "\(Fixtures.optim)/cases.json"))?.array ?? []
        return Dictionary(list.compactMap { entry in entry["name"]?.string.map { ($0, entry["settings"]?.string ?? "") } }, uniquingKeysWith: { first, _ in first })
    }()

    /// Reads "lr=0.01 betas 0.9 0.999 eps 1e-8 wd 0.1".
    static func options(_ settings: String) throws -> AdamWOptions {
        let words = settings.split(separator: " ").map(String.init)
        func after(_ word: String, _ offset: Int = 1) throws -> Double {
            let index = try #require(words.firstIndex(of: word)) + offset
            return try #require(Double(words[index]))
        }
        let rate = try #require(words.first { $0.hasPrefix("lr=") }.flatMap { Double($0.dropFirst(3)) })
        return AdamWOptions(
            learningRate: rate, beta1: try after("betas"), beta2: try after("betas", 2), epsilon: try after("eps"), weightDecay: try after("wd"),
            decaysVectors: true, maxGradientNorm: 0)
    }

    @Test("ten steps of AdamW", arguments: cases.keys.filter { covered.contains($0) }.sorted())
    func adamW(name: String) throws {
        let bench = try OptimizerBench()
        let trainer = bench.trainer(try Self.options(try #require(Self.cases[name])))
        var step = 0
        while bench.tensors.info("grad.\(step).w") != nil {
            _ = try bench.step(trainer, gradients: "grad.\(step)")
            let excess = try bench.excess({ bench.decoder.values($0) }, "\(name).\(step)")
            #expect(excess <= 1, "step \(step)")
            step += 1
        }
        #expect(step > 0)
    }

    static let clips: [String] = {
        guard let tensors = try? SafetensorsFile(path: "\(Fixtures.optim)/tensors.safetensors") else { return [] }
        return tensors.tensors.map(\.name).filter { $0.hasPrefix("clip.") && $0.hasSuffix(".norm") }.map { String($0.dropFirst(5).dropLast(5)) }.sorted()
    }()

    @Test("gradients are scaled down to the largest norm allowed", arguments: clips)
    func clip(limit: String) throws {
        let bench = try OptimizerBench()
        // Without memory the first moment is the gradient that the update saw.
        let trainer = bench.trainer(AdamWOptions(learningRate: 0, beta1: 0, maxGradientNorm: try #require(Double(limit))))
        let result = try bench.step(trainer, gradients: "grad.0")
        let norm = Double(try bench.tensors.floats("clip.\(limit).norm")[0])
        #expect(abs(result.gradientNorm - norm) <= 1e-6 * norm)
        let moments = trainer.optimizer.moments[0]
        let excess = try bench.excess({ moments.read(moments.parameters[$0]!) }, "clip.\(limit)")
        #expect(excess <= 1)
    }

    @Test("docs/unsupported.json lists every other optimizer of the cases")
    func unsupported() throws {
        let listed = try Fixtures.unsupported("optimizers")
        let unlisted = Set(Self.cases.keys).subtracting(Self.covered).subtracting(listed).sorted()
        #expect(unlisted.isEmpty, "not supported, but not listed under 'optimizers' in docs/unsupported.json")
        let stale = listed.intersection(Self.covered).sorted()
        #expect(stale.isEmpty, "listed under 'optimizers' as unsupported, but works: take it off docs/unsupported.json")
    }
}

@Suite("Schedules Golden values", .enabled(if: Fixtures.hasOptim, "no optimizer fixtures: set AUTODIDACT_FIXTURES"))
struct ScheduleGoldenTests {
    static let shapes: [String: Schedule.Shape] = ["constant_with_warmup": .constant, "linear": .linear, "cosine": .cosine]
    static let names = ((try? JSON.read(path: "\(Fixtures.optim)/schedules.json"))?["values"]?.object?.keys ?? []).sorted()

    @Test("the multiplier at every step", arguments: names.filter { shapes[$0] != nil })
    func multipliers(name: String) throws {
        let file = try JSON.read(path: "\(Fixtures.optim)/schedules.json")
        let steps = try #require(file["num_training_steps"]?.int)
        let schedule = Schedule(try #require(Self.shapes[name]), warmupSteps: try #require(file["warmup"]?.int))
        let values = (file["values"]?[name]?.array ?? []).compactMap(\.double)
        #expect(values.count > 1)
        for (step, value) in values.enumerated() { #expect(abs(schedule.multiplier(step: step, of: steps) - value) <= 1e-9, "step \(step)") }
    }

    @Test("docs/unsupported.json lists every other schedule")
    func unsupported() throws {
        let listed = try Fixtures.unsupported("schedules")
        let unlisted = Self.names.filter { Self.shapes[$0] == nil && !listed.contains($0) }
        #expect(unlisted.isEmpty, "not supported, but not listed under 'schedules' in docs/unsupported.json")
        let stale = listed.intersection(Self.shapes.keys).sorted()
        #expect(stale.isEmpty, "listed under 'schedules' as unsupported, but works: take it off docs/unsupported.json")
    }
}
