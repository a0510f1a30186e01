import Architectures
import Foundation
import ModelFiles
import Tensors
import Testing
import Training

/// The parameters of the fixtures, in a segment of their own beside a small decoder. Steps go through the trainer, with gradients put in
/// their place.
struct OptimizerBench {
    let decoder: Transformer
    let tensors: SafetensorsFile
    private let names: [String]
    private let example = Example(promptTokens: [0], completionTokens: [1])
    private let probe = GradientProbe()

    /// - Parameters:
    ///   - prefix: of the initial values.
    ///   - names: of the parameters, each in front of its values' name.
    init(_ prefix: String = "param0.", names: [String] = ["w", "b", "c"], threads: Int = 1) throws {
        tensors = try SafetensorsFile(path: "\(Fixtures.optim)/tensors.safetensors")
        self.names = names
        let configuration = TransformerConfiguration(
            modelType: "llama", vocabularySize: 4, hiddenSize: 16, intermediateSize: 16, numHiddenLayers: 1, numAttentionHeads: 1, maxPositionEmbeddings: 16, tieWordEmbeddings: true)
        decoder = Transformer(configuration, on: try CPUBackend(threads: threads))
        decoder.initialize(RandomKey(seed: 1))
        let parameters = decoder.parameters, shapes = try names.map { try #require(tensors.info(prefix + $0)).shape }
        parameters.append(segment: "layer of the bench") {
            for (name, shape) in zip(names, shapes) {
                if shape.count == 1 {
                    _ = parameters.declare("bench.\(name)", shape[0])
                } else {
                    _ = parameters.declare("bench.\(name)", shape.dropLast().reduce(1, *), shape[shape.count - 1], fileShape: shape)
                }
            }
        }
        for name in names { decoder.set("bench.\(name)", try tensors.floats(prefix + name)) }
    }

    func trainer(_ options: OptimizerOptions) -> Trainer {
        var options = options
        options.groups = [ParameterGroup(patterns: ["bench."]), ParameterGroup(patterns: [], learningRateScale: 0)]
        let trainer = Trainer(decoder, objective: Silence(), options: TrainerOptions(optimizer: options), totalSteps: 10)
        trainer.plugins = [probe]
        return trainer
    }

    /// With the gradient of the one parameter there is.
    func step(_ trainer: Trainer, injecting values: [Float]) throws -> StepResult {
        probe.injected = [(parameter: try #require(decoder.parameters["bench.\(names[0])"]), values: values)]
        return try trainer.step([example])
    }

    func step(_ trainer: Trainer, gradients prefix: String) throws -> StepResult {
        probe.injected = try names.map { (parameter: try #require(decoder.parameters["bench.\($0)"]), values: try tensors.floats(prefix + $0)) }
        return try trainer.step([example])
    }

    /// How far the values are off, as a share of what is allowed; the absolute part is that of sums which cancel, of values near 1 in float32.
    func excess(_ values: (String) throws -> [Float], _ prefix: String, relative: Double = 1e-5, absolute: Double = 1e-7) throws -> Double {
        var worst = 0.0
        for name in names {
            let (ours, reference) = (try values("bench.\(name)"), try tensors.floats(prefix + name))
            if ours.count != reference.count { return .infinity }
            for (mine, theirs) in zip(ours, reference) {
                let share = Double(abs(mine - theirs)) / (relative * Double(abs(theirs)) + absolute)
                if !(share <= worst) { worst = share.isNaN ? .infinity : share }
            }
        }
        return worst
    }
}

@Suite("Optimizers Golden runs", .enabled(if: Fixtures.hasOptim, "no optimizer fixtures: set AUTODIDACT_FIXTURES"))
struct OptimizerGoldenTests {
    static let cases: [String: JSON] = {
        let list = (try? JSON.read(path: "\(Fixtures.optim)/cases.json"))?.array ?? []
        return Dictionary(list.compactMap { entry in entry["name"]?.string.map { ($0, entry) } }, uniquingKeysWith: { first, _ in first })
    }()

    /// The rule of a case, and what its settings, which name no more than what is unusual, say besides.
    static let rules: [String: OptimizerOptions] = {
        var rules: [String: OptimizerOptions] = [
            "adamw": OptimizerOptions(learningRate: 0), "adamw_b95": OptimizerOptions(learningRate: 0), "adamw_amsgrad": OptimizerOptions(.amsgrad, learningRate: 0),
            "adam_l2": OptimizerOptions(.adam, learningRate: 0), "sgd": OptimizerOptions(.sgd, learningRate: 0), "sgd_momentum": OptimizerOptions(.sgd, learningRate: 0),
            "sgd_nesterov": OptimizerOptions(.nesterov, learningRate: 0), "adagrad": OptimizerOptions(.adagrad, learningRate: 0), "rmsprop": OptimizerOptions(.rmsprop, learningRate: 0),
            "lion": OptimizerOptions(.lion, learningRate: 0), "adafactor_hf_fixed": OptimizerOptions(.adafactor, learningRate: 0),
            "adafactor_hf_momentum": OptimizerOptions(.adafactor, learningRate: 0.01, momentum: 0.9), "adafactor_hf_relative": OptimizerOptions(.relativeAdafactor, learningRate: 1),
            "adafactor_torch": OptimizerOptions(.torchAdafactor, learningRate: 0), "muon_def": OptimizerOptions(.muon, learningRate: 0, weightDecay: 0.1),
            "muon_torch": OptimizerOptions(.roundedMuon, learningRate: 0), "adam8bit": OptimizerOptions(.adamW8bit, learningRate: 0.01),
            "adamw8bit": OptimizerOptions(.adamW8bit, learningRate: 0.01, weightDecay: 0.1), "lion8bit": OptimizerOptions(.lion8bit, learningRate: 0.01, weightDecay: 0.1),
        ]
        for name in rules.keys {
            rules[name]?.decaysVectors = true
            rules[name]?.maxGradientNorm = 0
        }
        return rules
    }()

    /// Reads "lr=0.01 betas 0.9 0.999 eps 1e-8 momentum 0.9 wd 0.1" over a rule's own settings.
    static func options(_ name: String) throws -> OptimizerOptions {
        var options = try #require(rules[name])
        guard !name.hasSuffix("8bit") else { return options }
        let words = try #require(cases[name]?["settings"]?.string).split { " ,".contains($0) }.map(String.init)
        func after(_ word: String, _ offset: Int = 1) -> Double? {
            words.firstIndex(of: word).flatMap { $0 + offset < words.count ? Double(words[$0 + offset]) : nil }
        }
        options.learningRate = words.lazy.compactMap { $0.hasPrefix("lr=") ? Double($0.dropFirst(3).prefix { $0 != ";" }) : nil }.first ?? options.learningRate
        options.beta1 = after("betas") ?? options.beta1
        options.beta2 = after("betas", 2) ?? after("alpha") ?? options.beta2
        options.epsilon = after("eps") ?? options.epsilon
        options.momentum = after("momentum") ?? options.momentum
        options.weightDecay = after("wd") ?? options.weightDecay
        return options
    }

    @Test("ten steps of every optimizer", arguments: cases.keys.filter { rules[$0] != nil && !$0.hasSuffix("8bit") }.sorted())
    func steps(name: String) throws {
        let parameters = try #require(Self.cases[name]?["params"]?.array).compactMap(\.string)
        let bench = try OptimizerBench(names: parameters), trainer = bench.trainer(try Self.options(name)), isRounded = name == "muon_torch"
        var step = 0
        while bench.tensors.info("grad.\(step).w") != nil {
            _ = try bench.step(trainer, gradients: "grad.\(step).")
            let excess = try bench.excess({ bench.decoder.values($0) }, "\(name).\(step).", relative: isRounded ? 2e-2 : 1e-5, absolute: isRounded ? 1e-3 : 1e-7)
            #expect(excess <= 1, "step \(step)")
            step += 1
        }
        #expect(step > 0)
    }

    @Test("ten steps with moments of 8 bits, and the moments", arguments: cases.keys.filter { rules[$0] != nil && $0.hasSuffix("8bit") }.sorted())
    func eightBits(name: String) throws {
        let bench = try OptimizerBench("\(name).", names: ["param0"]), trainer = bench.trainer(try Self.options(name)), tensors = bench.tensors
        var step = 0
        while let info = tensors.info("\(name).grad.\(step)") {
            let gradients = try tensors.floats(info.name), reference = try tensors.floats("\(name).\(step)")
            _ = try bench.step(trainer, injecting: gradients)
            let off = zip(bench.decoder.values("bench.param0"), reference).map { abs($0 - $1) }.max() ?? .infinity
            #expect(off <= 1e-4, "step \(step)")
            for moment in 1...2 {
                guard let state = tensors.info("\(name).state.\(step).state\(moment)") else { continue }
                guard case .bytes(let codes)? = trainer.optimizer.state["codes\(moment).bench.param0"], case .floats(let scales)? = trainer.optimizer.state["scales\(moment).bench.param0"]
                else { throw FileError(file: name, problem: "no moment \(moment)", advice: "") }
                let theirs = Array(tensors.bytes(state))
                #expect(codes.count == theirs.count)
                #expect(zip(codes, theirs).allSatisfy { abs(Int($0) - Int($1)) <= 1 }, "moment \(moment), step \(step)")
                #expect(zip(codes, theirs).count { $0 != $1 } <= 5, "moment \(moment), step \(step)")
                let largest = try tensors.floats("\(name).state.\(step).absmax\(moment)")
                #expect(scales.count == largest.count && zip(scales, largest).allSatisfy { abs($0 - $1) <= 1e-5 * $1 }, "moment \(moment), step \(step)")
            }
            step += 1
        }
        #expect(step > 0)
    }

    @Test("five steps of Newton and Schulz")
    func newtonSchulz() throws {
        let tensors = try SafetensorsFile(path: "\(Fixtures.optim)/tensors.safetensors"), shape = try #require(tensors.info("newton_schulz.in")).shape
        let input = try tensors.floats("newton_schulz.in"), reference = try tensors.floats("newton_schulz.out")
        for isTall in [false, true] {
            let parameters = ParameterSet(on: try CPUBackend(threads: 1)), rows = isTall ? shape[1] : shape[0], columns = isTall ? shape[0] : shape[1]
            let parameter = parameters.declare("w", rows, columns)
            parameters.allocate()
            func turned(_ values: [Float]) -> [Float] { isTall ? (0..<shape[1]).flatMap { column in (0..<shape[0]).map { values[$0 * shape[1] + column] } } : values }
            turned(input).withUnsafeBufferPointer { parameters.write($0, to: parameter) }
            parameter.orthogonalise(parameters.flat(parameter), inBFloat16: false)
            #expect(zip(parameters.read(parameter), turned(reference)).allSatisfy { abs($0 - $1) <= 2e-6 })
        }
    }

    static let clips: [String] = {
        guard let tensors = try? SafetensorsFile(path: "\(Fixtures.optim)/tensors.safetensors") else { return [] }
        return tensors.tensors.map(\.name).filter { $0.hasPrefix("clip.") && $0.hasSuffix(".norm") }.map { String($0.dropFirst(5).dropLast(5)) }.sorted()
    }()

    @Test("gradients are scaled down to the largest norm allowed", arguments: clips)
    func clip(limit: String) throws {
        let bench = try OptimizerBench()
        // Without memory the first moment is the gradient that the update saw.
        let trainer = bench.trainer(OptimizerOptions(learningRate: 0, beta1: 0, maxGradientNorm: try #require(Double(limit))))
        let result = try bench.step(trainer, gradients: "grad.0.")
        let norm = Double(try bench.tensors.floats("clip.\(limit).norm")[0])
        #expect(abs(result.gradientNorm - norm) <= 1e-6 * norm)
        let moments = trainer.optimizer.moments[0]
        let excess = try bench.excess({ moments.read(moments.parameters[$0]!) }, "clip.\(limit).")
        #expect(excess <= 1)
    }

    @Test("the moving average of weights")
    func average() throws {
        let bench = try OptimizerBench(names: ["w"]), average = WeightAverage(decay: 0.99)
        average.afterUpdate(bench.decoder, step: 0)
        var step = 0
        while bench.tensors.info("ema.\(step)") != nil {
            bench.decoder.set("bench.w", try bench.tensors.floats("grad.\(step).w"))
            average.afterUpdate(bench.decoder, step: step + 1)
            let values = try #require(average.state["bench.w"]), reference = try bench.tensors.floats("ema.\(step)")
            #expect(zip(values, reference).allSatisfy { abs($0 - $1) <= 1e-5 * abs($1) + 1e-7 }, "step \(step)")
            step += 1
        }
        #expect(step > 0)
    }

    @Test("docs/unsupported.json lists every other optimizer of the cases")
    func unsupported() throws {
        let listed = try Fixtures.unsupported("optimizers")
        let unlisted = Set(Self.cases.keys).subtracting(Self.rules.keys).subtracting(listed).sorted()
        #expect(unlisted.isEmpty, "not supported, but not listed under 'optimizers' in docs/unsupported.json")
        let stale = listed.intersection(Self.rules.keys).sorted()
        #expect(stale.isEmpty, "listed under 'optimizers' as unsupported, but works: take it off docs/unsupported.json")
    }
}

@Suite("Schedules Golden values", .enabled(if: Fixtures.hasOptim, "no optimizer fixtures: set AUTODIDACT_FIXTURES"))
struct ScheduleGoldenTests {
    /// The schedule of a name, but for the warm-up.
    static let schedules: [String: Schedule] = [
        "constant_with_warmup": Schedule(.constant), "linear": Schedule(.linear), "cosine": Schedule(.cosine), "cosine_hard_restarts_3": Schedule(.cosine, cycles: 3),
        "cosine_min_lr_rate_0.1": Schedule(.cosine, floor: 0.1), "polynomial_2_end_0.01": Schedule(.polynomial, floor: 0.01, power: 2), "inverse_sqrt": Schedule(.inverseSqrt),
        "inverse_sqrt_timescale_50": Schedule(.inverseSqrt, timescale: 50), "slanted_triangular": Schedule(.slantedTriangular), "noam_512": Schedule(.noam),
        "wsd_linear": Schedule(.wsdLinear), "wsd_cosine": Schedule(.wsdCosine), "wsd_1-sqrt": Schedule(.wsdSqrt),
    ]
    static let names = ((try? JSON.read(path: "\(Fixtures.optim)/schedules.json"))?["values"]?.object?.keys ?? []).sorted()

    @Test("the multiplier at every step", arguments: names.filter { schedules[$0] != nil })
    func multipliers(name: String) throws {
        let file = try JSON.read(path: "\(Fixtures.optim)/schedules.json")
        let steps = try #require(file["num_training_steps"]?.int)
        var schedule = try #require(Self.schedules[name])
        schedule.warmupSteps = try #require(file["warmup"]?.int)
        if name.hasPrefix("wsd_") {
            schedule.decaySteps = try #require(file["wsd"]?["decay_steps"]?.int)
            schedule.floor = try #require(file["wsd"]?["min_lr_ratio"]?.double)
        }
        let values = (file["values"]?[name]?.array ?? []).compactMap(\.double)
        #expect(values.count > 1)
        for (step, value) in values.enumerated() { #expect(abs(schedule.multiplier(step: step, of: steps) - value) <= 1e-9, "step \(step)") }
    }

    @Test("docs/unsupported.json lists every other schedule")
    func unsupported() throws {
        let listed = try Fixtures.unsupported("schedules")
        let unlisted = Self.names.filter { Self.schedules[$0] == nil && !listed.contains($0) }
        #expect(unlisted.isEmpty, "not supported, but not listed under 'schedules' in docs/unsupported.json")
        let stale = listed.intersection(Self.schedules.keys).sorted()
        #expect(stale.isEmpty, "listed under 'schedules' as unsupported, but works: take it off docs/unsupported.json")
    }
}
