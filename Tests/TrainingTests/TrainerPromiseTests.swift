import Architectures
import Tensors
import Testing
import Training

/// The weights, losses and gradient norms of three steps.
private struct Training3: Equatable {
    var weights: [[UInt32]]
    var losses: [UInt64] = []
    var norms: [UInt64] = []

    init(_ decoder: Transformer, _ options: TrainerOptions, objective: any Objective = NegativeLogLikelihood(), plugins: [any StepPlugin] = []) throws {
        let trainer = Trainer(decoder, objective: objective, options: options, totalSteps: 3)
        trainer.plugins = plugins
        for step in 0..<3 {
            let result = try trainer.step(Tiny.examples(seed: UInt64(step)))
            losses.append(result.loss.bitPattern)
            norms.append(result.gradientNorm.bitPattern)
        }
        weights = decoder.weightBits
    }
}

private let adam = OptimizerOptions(learningRate: 1e-2, weightDecay: 0.1)

/// A plug-in that looks at everything and changes nothing.
private final class Onlooker: StepPlugin {
    let name = "onlooker"
}

@Suite("A step has the same bits")
struct TrainerPromiseTests {
    @Test("for any size of micro-batch, prefixes not shared", arguments: [true, false])
    func microBatches(tied: Bool) throws {
        func run(_ tokens: Int) throws -> Training3 {
            try Training3(Tiny.decoder(tied: tied), TrainerOptions(optimizer: adam, microBatchTokens: tokens, sharesPrefixes: false))
        }
        let whole = try run(100_000)
        for tokens in [1, 30, 47, 80] {
            let cut = try run(tokens)
            #expect(cut == whole, "\(tokens) tokens")
        }
    }

    @Test("in the forward pass, when activations are kept in bfloat16; gradients differ a little, and memory is saved", arguments: [BlockRunner.plain, .checkpointed])
    func roundedActivations(runner: BlockRunner) throws {
        func run(_ activations: ActivationFormat) throws -> (loss: Double, gradients: [Float], kept: Int) {
            let decoder = try Tiny.decoder(), allocator = decoder.backend.allocator
            let trainer = Trainer(
                decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0), runner: runner, activations: activations), totalSteps: 2)
            let batch = Tiny.examples(seed: 1)
            let gradients = Gradients(of: decoder.parameters), tape = Tape(into: gradients, activations: activations)
            let before = allocator.liveBytes
            let hidden = decoder.hiddenStates(RaggedBatch((0..<8).map { row in (0..<60).map { Int32(($0 * 7 + row) % 11) } }), Pass(tape: tape, runner: runner))
            let kept = allocator.liveBytes - before
            tape.backward([(hidden, decoder.backend.tensor([Float](repeating: 0.01, count: hidden.count), shape: hidden.shape))])
            return (try trainer.step(batch).loss, decoder.parameters.parameters.flatMap { gradients.read($0) }, kept)
        }
        let exact = try run(.float32), rounded = try run(.bfloat16)
        #expect(exact.loss.bitPattern == rounded.loss.bitPattern)
        #expect(exact.gradients != rounded.gradients)
        let size = exact.gradients.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(zip(exact.gradients, rounded.gradients).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot() < 0.02 * size)
        if runner == .plain { #expect(Double(rounded.kept) < 0.65 * Double(exact.kept)) }
    }

    @Test("for a policy gradient too")
    func policyGradientMicroBatches() throws {
        func run(_ tokens: Int) throws -> Training3 {
            try Training3(Tiny.decoder(), TrainerOptions(optimizer: adam, microBatchTokens: tokens, sharesPrefixes: false), objective: PolicyGradient())
        }
        let whole = try run(100_000), cut = try run(33)
        #expect(cut == whole)
    }

    @Test("with more rows than the head takes at once, in groups that fit and in one that does not")
    func manyRows() throws {
        let lengths = [90, 90, 90, VocabularyHead.rowsAtOnce + 40, 90, 90]
        func run(_ tokens: Int) throws -> [[UInt32]] {
            let decoder = try Tiny.decoder()
            let trainer = Trainer(
                decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: adam, microBatchTokens: tokens, sharesPrefixes: false), totalSteps: 1)
            _ = try trainer.step(lengths.enumerated().map { Example(promptTokens: [1], completionTokens: Tiny.tokens(RandomKey(seed: UInt64($0)), $1)) })
            return decoder.weightBits
        }
        let whole = try run(100_000)
        for tokens in [1, 200, 500] {
            let cut = try run(tokens)
            #expect(cut == whole, "\(tokens) tokens")
        }
    }

    @Test("a micro-batch counts a common prompt once")
    func cutsByWhatIsComputed() throws {
        let prompt = Tiny.tokens(RandomKey(seed: 9), 60)
        let examples = (0..<10).map { Example(promptTokens: prompt, completionTokens: Tiny.tokens(RandomKey(seed: UInt64($0)), 5)) }
        func computed(_ tokens: Int, sharing: Bool) throws -> Int {
            let trainer = Trainer(
                try Tiny.decoder(), objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: adam, microBatchTokens: tokens, sharesPrefixes: sharing), totalSteps: 1)
            return try trainer.step(examples).computedTokens
        }
        // The last token of a completion predicts nothing and is not computed.
        #expect(try computed(110, sharing: true) == 60 + 10 * 4)
        #expect(try computed(85, sharing: true) == 2 * 60 + 10 * 4)
        #expect(try computed(1, sharing: true) == 10 * 64)
        #expect(try computed(110, sharing: false) == 10 * 64)
    }

    @Test("whether blocks keep or remake what the backward pass needs", arguments: [true, false])
    func checkpointed(sharesPrefixes: Bool) throws {
        func run(_ runner: BlockRunner) throws -> Training3 {
            try Training3(Tiny.decoder(), TrainerOptions(optimizer: adam, microBatchTokens: 60, sharesPrefixes: sharesPrefixes, runner: runner))
        }
        let plain = try run(.plain), checkpointed = try run(.checkpointed)
        #expect(plain == checkpointed)
    }

    @Test("on any number of threads and with every kernel variant", arguments: [true, false])
    func threads(sharesPrefixes: Bool) throws {
        func run(_ threads: Int, _ kernels: String?) throws -> Training3 {
            try Training3(Tiny.decoder(threads: threads, kernels: kernels), TrainerOptions(optimizer: adam, microBatchTokens: 60, sharesPrefixes: sharesPrefixes))
        }
        let one = try run(1, nil)
        for threads in [2, 5] {
            let many = try run(threads, nil)
            #expect(many == one, "\(threads) threads")
        }
        let portable = try run(2, "portable")
        #expect(portable == one)
    }

    @Test("with plug-ins that change nothing")
    func onlookers() throws {
        let options = TrainerOptions(optimizer: adam, microBatchTokens: 60)
        let without = try Training3(Tiny.decoder(), options), with = try Training3(Tiny.decoder(), options, plugins: [Onlooker(), GradientProbe(), Onlooker()])
        #expect(with == without)
    }

    @Test("after a rest: weights, moments and the number of steps are all there is")
    func resumed() throws {
        let options = TrainerOptions(optimizer: adam, schedule: Schedule(.cosine, warmupSteps: 2))
        let straight = try Tiny.decoder()
        let first = Trainer(straight, objective: NegativeLogLikelihood(), options: options, totalSteps: 6)
        for step in 0..<3 { _ = try first.step(Tiny.examples(seed: UInt64(step))) }

        let resumed = straight.copy()
        let second = Trainer(resumed, objective: NegativeLogLikelihood(), options: options, totalSteps: 6)
        for (from, to) in zip(first.optimizer.moments, second.optimizer.moments) {
            for parameter in resumed.parameters.parameters {
                from.read(straight.parameters[parameter.name]!).withUnsafeBufferPointer { to.write($0, to: parameter) }
            }
        }
        second.optimizer.resume(at: first.optimizer.steps)
        for step in 3..<6 {
            let examples = Tiny.examples(seed: UInt64(step))
            let a = try first.step(examples), b = try second.step(examples)
            #expect(a == b && a.step == step + 1)
        }
        #expect(straight.weightBits == resumed.weightBits)
    }

    @Test("a copy is another model once one of the two is trained")
    func copies() throws {
        let decoder = try Tiny.decoder()
        let before = decoder.weightBits
        let copy = decoder.copy()
        let trainer = Trainer(copy, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: adam), totalSteps: 1)
        _ = try trainer.step(Tiny.examples())
        #expect(decoder.weightBits == before && copy.weightBits != before)
    }
}

@Suite("Shared prefixes")
struct SharedPrefixTrainingTests {
    @Test("gradient and loss are those of separate sequences, for fewer tokens", arguments: 0..<4)
    func gradients(seed: Int) throws {
        let decoder = try Tiny.decoder(seed: UInt64(seed), tied: seed % 2 == 0)
        let examples = Tiny.examples(seed: UInt64(seed))
        let shared = try gradient(of: decoder, NegativeLogLikelihood(), examples, sharesPrefixes: true)
        let apart = try gradient(of: decoder, NegativeLogLikelihood(), examples, sharesPrefixes: false)
        #expect(deviation(shared.values, apart.values) <= 1e-5)
        #expect(shared.loss == apart.loss, "the forward pass has the same bits")
        #expect(shared.result.computedTokens < apart.result.computedTokens)
        #expect(shared.result.trainedTokens == apart.result.trainedTokens)
    }

    @Test("so are the weights after three steps of gradient descent")
    func weights() throws {
        func run(_ sharesPrefixes: Bool) throws -> [Float] {
            let decoder = try Tiny.decoder()
            let trainer = Trainer(
                decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: .plain(0.1), sharesPrefixes: sharesPrefixes), totalSteps: 3)
            for step in 0..<3 { _ = try trainer.step(Tiny.examples(seed: UInt64(step))) }
            return decoder.parameters.parameters.flatMap { decoder.parameters.read($0) }
        }
        let shared = try run(true), apart = try run(false)
        #expect(deviation(shared, apart) <= 1e-5)
    }
}
