import Architectures
import Tensors
import Testing
import Training

@Suite("Learning from pairs and from wrong answers")
struct PreferenceTests {
    /// Pairs of answers to common prompts, with the log-probabilities of the model as it is as reference.
    private func pairs(_ model: Transformer, count: Int = 4) -> [Example] {
        var examples = (0..<count).flatMap { index -> [Example] in
            let key = RandomKey(seed: 5).folding(index), prompt = Tiny.tokens(key.folding("prompt"), 12 + index)
            return ["chosen", "rejected"].map { Example(promptTokens: prompt, completionTokens: Tiny.tokens(key.folding($0), 3 + key.folding($0).index(below: 5))) }
        }
        for (index, laws) in model.score(examples).enumerated() { examples[index].referenceLogProbabilities = laws.map(\.logProbability) }
        return examples
    }

    private func sums(_ model: Transformer, _ examples: [Example]) -> [Double] { model.score(examples).map { $0.reduce(0) { $0 + Double($1.logProbability) } } }

    private static let losses: [PreferenceLoss] = [
        .dpo(beta: 0.1), .hinge(beta: 0.1), .ipo(beta: 0.1), .ipo(beta: 0.5, averaged: true), .conservativeDPO(beta: 0.1, noise: 0.1), .robustDPO(beta: 0.1, noise: 0.1), .exo(beta: 0.1, noise: 0.01),
        .nca(beta: 0.1), .bco(beta: 0.1), .sppo(beta: 0.1), .apoZero(beta: 0.1), .apoDown(beta: 0.1), .simpo(beta: 2, gamma: 0.5), .orpo(beta: 0.1), .cpo(beta: 0.1, alpha: 1), .slic(delta: 1, lambda: 0.1),
    ]

    @Test("every loss falls, and the gap between chosen and rejected answers grows; with the pairs turned round it shrinks", arguments: losses)
    func learns(loss: PreferenceLoss) throws {
        func gap(turned: Bool) throws -> (before: Double, after: Double, losses: [Double]) {
            let model = try Tiny.decoder()
            let all = pairs(model), trained = turned ? stride(from: 0, to: all.count, by: 2).flatMap { [all[$0 + 1], all[$0]] } : all
            let trainer = Trainer(model, objective: PreferenceObjective(loss), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.002)), totalSteps: 15)
            func mean() -> Double { sums(model, all).enumerated().reduce(0) { $0 + ($1.offset % 2 == 0 ? $1.element : -$1.element) } / Double(all.count / 2) }
            let before = mean(), losses = try (0..<15).map { _ in try trainer.step(trained).loss }
            return (before, mean(), losses)
        }
        let right = try gap(turned: false), wrong = try gap(turned: true)
        #expect(right.losses.last! < right.losses[0] && wrong.losses.last! < wrong.losses[0])
        #expect(right.after > right.before + 0.5 && wrong.after < wrong.before - 0.5, "\(right), \(wrong)")
    }

    @Test("at the reference DPO is ln 2, and its gradient is β/2 times that of the gap")
    func atReference() throws {
        let model = try Tiny.decoder()
        let examples = pairs(model)
        let trainer = Trainer(model, objective: PreferenceObjective(.dpo(beta: 0.3)), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0)), totalSteps: 1)
        let dpo = try trainer.step(examples)
        #expect(abs(dpo.loss - 0.6931471805599453) < 1e-6)
        // The gap's own gradient: chosen answers pushed up and rejected ones down by one each.
        let pushed = examples.enumerated().map { Example(promptTokens: $1.promptTokens, completionTokens: $1.completionTokens, advantage: $0 % 2 == 0 ? 1 : -1) }
        let gap = try Trainer(model, objective: PolicyGradient(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0)), totalSteps: 1).step(pushed)
        // Divided by examples there, by pairs here.
        #expect(abs(dpo.gradientNorm - 0.15 * 2 * gap.gradientNorm) < 1e-4 * dpo.gradientNorm)
    }

    @Test("pairs stay together in micro-batches of any size, which change neither the loss nor the weights beyond rounding")
    func microBatches() throws {
        func run(_ tokens: Int) throws -> (loss: Double, norm: Double) {
            let model = try Tiny.decoder()
            let options = TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01), microBatchTokens: tokens)
            let step = try Trainer(model, objective: PreferenceObjective(.dpo(beta: 0.1)), options: options, totalSteps: 1).step(pairs(model, count: 5))
            return (step.loss, step.gradientNorm)
        }
        let whole = try run(4096)
        for tokens in [1, 20, 33, 50, 71] {
            let part = try run(tokens)
            #expect(abs(part.loss - whole.loss) < 1e-9 && abs(part.norm - whole.norm) < 1e-5 * whole.norm, "\(tokens)")
        }
    }

    @Test("unlikelihood takes wrong answers' tokens down and right ones' up")
    func unlikelihood() throws {
        let model = try Tiny.decoder()
        let examples = pairs(model).enumerated().map { Example(promptTokens: $1.promptTokens, completionTokens: $1.completionTokens, advantage: $0 % 2 == 0 ? 1 : -1) }
        let before = sums(model, examples)
        let trainer = Trainer(model, objective: Unlikelihood(weight: 1), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.005)), totalSteps: 20)
        let losses = try (0..<20).map { _ in try trainer.step(examples).loss }
        #expect(losses.last! < losses[0])
        let change = zip(sums(model, examples), before).map { $0 - $1 }
        #expect(change.enumerated().allSatisfy { $0.offset % 2 == 1 || $0.element > 0 }, "\(change)")
        #expect(change.enumerated().filter { $0.offset % 2 == 1 }.reduce(0) { $0 + $1.element } < 0, "\(change)")
    }
}
