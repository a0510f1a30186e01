import Architectures
import Tensors
import Testing
import Training

/// The tiny model's matrices are large enough for moments of 8 bits only where it is wide.
private func wideDecoder(threads: Int) throws -> Transformer {
    let configuration = TransformerConfiguration(
        modelType: "llama", vocabularySize: Tiny.vocabulary, hiddenSize: 48, intermediateSize: 300, numHiddenLayers: 1, numAttentionHeads: 4, maxPositionEmbeddings: 128)
    let decoder = Transformer(configuration, on: try CPUBackend(threads: threads))
    decoder.initialize(RandomKey(seed: 4), deviation: 0.2)
    return decoder
}

/// Settings under which every part of a rule counts.
private func options(_ kind: OptimizerOptions.Kind) -> OptimizerOptions {
    OptimizerOptions(
        kind, learningRate: kind == .relativeAdafactor ? 100 : 1e-2, momentum: kind.takesMomentum ? 0.9 : nil, weightDecay: 0.1, decaysVectors: true, maxGradientNorm: 0.5)
}

@Suite("Every optimizer")
struct OptimizerTests {
    private func trainer(_ decoder: Transformer, _ kind: OptimizerOptions.Kind) -> Trainer {
        Trainer(
            decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: options(kind), schedule: Schedule(.cosine, warmupSteps: 2), microBatchTokens: 60), totalSteps: 6)
    }

    @Test("gives the same bits on any number of threads", arguments: OptimizerOptions.Kind.allCases)
    func threads(kind: OptimizerOptions.Kind) throws {
        func run(_ threads: Int) throws -> [[UInt32]] {
            let decoder = try wideDecoder(threads: threads), trainer = trainer(decoder, kind)
            for step in 0..<3 { _ = try trainer.step(Tiny.examples(seed: UInt64(step))) }
            return decoder.weightBits
        }
        let one = try run(1), start = try wideDecoder(threads: 1).weightBits
        for threads in [3, 5] {
            let many = try run(threads)
            #expect(many == one, "\(threads) threads")
        }
        #expect(zip(one, start).allSatisfy { $0 != $1 }, "a parameter is not trained")
    }

    @Test("goes on after a rest with the same bits: weights, moments, state and the number of steps are all there is", arguments: OptimizerOptions.Kind.allCases)
    func resumed(kind: OptimizerOptions.Kind) throws {
        let straight = try wideDecoder(threads: 2), first = trainer(straight, kind)
        for step in 0..<3 { _ = try first.step(Tiny.examples(seed: UInt64(step))) }
        let resumed = straight.copy(), second = trainer(resumed, kind)
        for (from, to) in zip(first.optimizer.moments, second.optimizer.moments) {
            for parameter in resumed.parameters.parameters where to.trains(parameter) {
                from.read(straight.parameters[parameter.name]!).withUnsafeBufferPointer { to.write($0, to: parameter) }
            }
        }
        second.optimizer.state = first.optimizer.state
        second.optimizer.resume(at: 3)
        for step in 3..<6 {
            let examples = Tiny.examples(seed: UInt64(step))
            let a = try first.step(examples), b = try second.step(examples)
            #expect(a == b)
        }
        #expect(straight.weightBits == resumed.weightBits && first.optimizer.state == second.optimizer.state)
    }

    @Test("remembers as much as the plan says, and a little padding", arguments: OptimizerOptions.Kind.allCases)
    func memory(kind: OptimizerOptions.Kind) throws {
        let decoder = try wideDecoder(threads: 1), optimizer = options(kind).makeOptimizer(for: decoder.parameters), plan = MemoryPlan(decoder).optimizerBytes(options(kind))
        let bytes = optimizer.moments.reduce(0) { $0 + $1.byteCount } + optimizer.state.values.reduce(0) { sum, state in
            switch state {
            case .floats(let values): sum + values.count * 4
            case .bytes(let bytes): sum + bytes.count
            }
        }
        #expect(bytes >= plan && Double(bytes) <= 1.3 * Double(plan))
    }

    @Test("leaves weights without gradient as they are, but for decay", arguments: OptimizerOptions.Kind.allCases)
    func still(kind: OptimizerOptions.Kind) throws {
        let decoder = try wideDecoder(threads: 1), before = decoder.weightBits
        let trainer = Trainer(decoder, objective: Silence(), options: TrainerOptions(optimizer: OptimizerOptions(kind, learningRate: 0.1)), totalSteps: 2)
        for _ in 0..<2 { _ = try trainer.step(Tiny.examples()) }
        #expect(decoder.weightBits == before)
    }

    @Test("lowers the loss", arguments: OptimizerOptions.Kind.allCases)
    func learns(kind: OptimizerOptions.Kind) throws {
        let rates: [OptimizerOptions.Kind: Double] = [.sgd: 0.3, .nesterov: 0.05, .adagrad: 0.05, .relativeAdafactor: 3000, .lion: 0.003, .lion8bit: 0.003, .muon: 0.02, .roundedMuon: 0.02]
        let trainer = Trainer(
            try wideDecoder(threads: 2), objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(kind, learningRate: rates[kind] ?? 0.01)), totalSteps: 30)
        let examples = Tiny.examples(count: 4), losses = try (0..<30).map { _ in try trainer.step(examples).loss }
        #expect(losses[29] < 0.6 * losses[0])
    }

    @Test("another rule brings its own settings and keeps the learning rate")
    func with() {
        let adam = OptimizerOptions(learningRate: 0.003, beta2: 0.98, weightDecay: 1)
        #expect(adam.with(.adamW) == adam)
        #expect(adam.with(.lion) == OptimizerOptions(.lion, learningRate: 0.003, weightDecay: 1))
        #expect(adam.with(.lion).beta2 == 0.99 && adam.with(.muon).momentum == 0.95)
        #expect(adam.with(.relativeAdafactor).learningRate == 1)
    }

    @Test("a parameter frozen within a segment costs no memory, and the others keep apart")
    func compact() throws {
        let parameters = ParameterSet(on: try CPUBackend(threads: 1))
        let names = ["a", "b", "c"].map { parameters.declare($0, 20, 3) }
        parameters.allocate()
        let some = ParameterBuffers(of: parameters) { $0.name != "b" }
        #expect(some.byteCount == 2 * (ParameterBuffers(of: parameters).byteCount / 3) && !some.trains(names[1]))
        for (value, index) in [(Float(1), 0), (2, 2)] { [Float](repeating: value, count: 60).withUnsafeBufferPointer { some.write($0, to: names[index]) } }
        #expect(some.read(names[0]).allSatisfy { $0 == 1 } && some.read(names[2]).allSatisfy { $0 == 2 })
    }
}
