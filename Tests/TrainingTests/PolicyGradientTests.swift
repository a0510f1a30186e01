import Architectures
import Foundation
import Tasks
import Tensors
import Testing
import Training

/// Completions of one token, all of which can be listed: expectations are sums, and estimators are compared with the gradient itself.
@Suite("Policy gradients against the exact one")
struct ExactGradientTests {
    private let decoder: Transformer
    private let prompt: [Int32] = [3, 1, 4, 1, 5]
    private let tokens = (0..<Int32(Tiny.vocabulary)).map { $0 }
    /// Natural log-probabilities of every token.
    private let laws: [Double]
    private let rewards: [Double]

    init() throws {
        decoder = try Tiny.decoder(seed: 4)
        laws = decoder.score(tokens.map { [prompt] in Example(promptTokens: prompt, completionTokens: [$0]) }).map { Double($0[0].logProbability) }
        rewards = tokens.map { RandomKey(seed: 9).normal(UInt64($0)) }
    }

    private func example(_ token: Int, _ advantage: Double) -> Example {
        Example(promptTokens: prompt, completionTokens: [Int32(token)], advantage: Float(advantage))
    }

    /// Of `Σ slopes · log-probability`, by way of REINFORCE, which divides by the number of examples.
    private func weighted(_ slopes: [Double]) throws -> [Float] {
        try gradient(of: decoder, PolicyGradient(), slopes.enumerated().map { example($0.offset, $0.element * Double(slopes.count)) }, sharesPrefixes: true).values
    }

    /// The gradient of the mean reward: each token by its probability.
    private func exact() throws -> [Float] { try weighted(zip(laws, rewards).map { exp($0) * $1 }) }

    @Test("leaving one out is without bias; the mean of the group, itself included, shortens the gradient by (k - 1) / k", arguments: [(AdvantageScale.leaveOneOut, 1.0), (.none, 0.5)])
    func pairs(scale: AdvantageScale, share: Double) throws {
        var examples: [Example] = []
        for i in tokens.indices {
            for j in tokens.indices {
                let chance = exp(laws[i] + laws[j]), advantages = groupAdvantages([[rewards[i], rewards[j]]], dividedBy: scale)[0]
                examples += [example(i, chance * advantages[0]), example(j, chance * advantages[1])]
            }
        }
        // A mean over the two of each pair, summed over all pairs.
        for index in examples.indices { examples[index].advantage! *= Float(tokens.count * tokens.count) }
        let estimate = try gradient(of: decoder, ClippedPolicyGradient(.length(1)), examples, sharesPrefixes: true).values
        #expect(deviation(estimate, try exact().map { Float(share) * $0 }) < 1e-4)
    }

    @Test("with the divergence in the reward the gradient is that of reward less divergence")
    func divergence() throws {
        let reference = try Tiny.decoder(seed: 8).score(tokens.map { Example(promptTokens: prompt, completionTokens: [$0]) }).map { Double($0[0].logProbability) }
        let beta = 0.3
        func value(_ model: Transformer) -> Double {
            let own = model.score(tokens.map { Example(promptTokens: prompt, completionTokens: [$0]) }).map { Double($0[0].logProbability) }
            return own.indices.reduce(0) { $0 + exp(own[$1]) * (rewards[$1] - beta * (own[$1] - reference[$1])) }
        }
        let slope = try weighted(tokens.indices.map { exp(laws[$0]) * (rewards[$0] - beta * KLEstimator.k1(policy: laws[$0], reference: reference[$0]).value) })
        // Uphill by a small step: the objective falls by the negative reward.
        let norm = slope.reduce(0) { $0 + Double($1 * $1) }.squareRoot(), step = 0.01 / norm
        func moved(_ sign: Double) -> Transformer {
            let copy = decoder.copy()
            var at = 0
            for parameter in decoder.parameters.parameters {
                let values = decoder.parameters.read(parameter)
                copy.set(parameter.name, values.enumerated().map { $1 - Float(sign * step * Double(slope[at + $0])) })
                at += values.count
            }
            return copy
        }
        #expect(abs((value(moved(1)) - value(moved(-1))) / (2 * step) - norm * norm) < 0.01 * norm * norm)
    }

    @Test("k3 in the loss has, in expectation, the gradient of the divergence of the reference from the policy")
    func reverse() throws {
        let reference = try Tiny.decoder(seed: 8).score(tokens.map { Example(promptTokens: prompt, completionTokens: [$0]) }).map { $0[0].logProbability }
        var objective = ClippedPolicyGradient(.length(1))
        objective.klWeight = 1
        // A token drawn with its probability: its weight in the mean, as its share of copies would be.
        let slopes = try tokens.indices.map { index -> [Float] in
            var example = example(index, 0)
            example.referenceLogProbabilities = [reference[index]]
            return try gradient(of: decoder, objective, [example]).values.map { $0 * Float(exp(laws[index])) }
        }
        let sum = slopes.dropFirst().reduce(slopes[0]) { zip($0, $1).map { $0 + $1 } }
        #expect(deviation(sum, try weighted(reference.map { exp(Double($0)) })) < 1e-3)
    }

    @Test("a policy of five arms that is held to a reference ends at π* ∝ π_ref exp(r / β); without it, at the best arm; with a strong one, at the reference")
    func optimum() {
        let reference = [0.1, 0.3, 0.2, 0.25, 0.15], rewards = [1.0, 0.2, -0.5, 0.7, 0.9]
        func trained(beta: Double, steps: Int) -> [Double] {
            var logits = reference.map { log($0) }
            for _ in 0..<steps {
                let law = SoftmaxRow(logits), values = rewards.indices.map { rewards[$0] - beta * KLEstimator.k1(policy: law.logProbabilities[$0], reference: log(reference[$0])).value }
                let mean = zip(law.probabilities, values).reduce(0) { $0 + $1.0 * $1.1 }
                for arm in logits.indices { logits[arm] += 0.5 * law.probabilities[arm] * (values[arm] - mean) / max(1, beta) }
            }
            return SoftmaxRow(logits).probabilities
        }
        func optimal(_ beta: Double) -> [Double] { SoftmaxRow(rewards.indices.map { log(reference[$0]) + rewards[$0] / beta }).probabilities }
        func divergence(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * log($1.0 / $1.1) } }
        #expect(divergence(trained(beta: 0.5, steps: 2000), optimal(0.5)) < 1e-3)
        #expect(divergence(trained(beta: 0.5, steps: 5), optimal(0.5)) > 1e-3)
        #expect(trained(beta: 0, steps: 20_000)[0] > 0.95)
        #expect(divergence(trained(beta: 1000, steps: 2000), reference) < 1e-3)
    }

    @Test("an exact step of expectation and maximization multiplies odds by the chance of success, and ends at the best arm")
    func expectationMaximization() {
        let success = (0..<10).map { 0.05 + 0.09 * Double(($0 * 7) % 10) }
        var law = Array(repeating: 0.1, count: 10)
        for round in 0..<60 {
            // The accepted samples' law is what likelihood is highest under.
            let accepted = zip(law, success).map { $0 * $1 }, sum = accepted.reduce(0, +)
            var logits = law.map { log($0) }
            for _ in 0..<30_000 {
                let probabilities = SoftmaxRow(logits).probabilities
                let slopes = logits.indices.map { accepted[$0] / sum - probabilities[$0] }
                for arm in logits.indices { logits[arm] += 2 * slopes[arm] }
                if slopes.allSatisfy({ abs($0) < 1e-8 }) { break }
            }
            let next = SoftmaxRow(logits).probabilities
            if round == 0 { #expect(zip(next, accepted).allSatisfy { abs($0 - $1 / sum) < 1e-6 }) }
            law = next
        }
        #expect(law.firstIndex(of: law.max()!) == success.firstIndex(of: success.max()!) && law.max()! > 0.99)
    }
}

@Suite("Actor and critic")
struct ActorCriticTests {
    private func examples(_ decoder: Transformer) -> [Example] {
        var examples = Tiny.examples()
        for index in examples.indices {
            let count = examples[index].completionTokens.count
            examples[index].tokenAdvantages = Array(repeating: 0, count: count)
            examples[index].values = Array(repeating: 0, count: count)
            examples[index].returns = (0..<count).map { Float(RandomKey(seed: 2).folding(index).normal(UInt64($0))) }
        }
        return examples
    }

    @Test("the critic learns what came; with values that may not move it learns nothing")
    func learns() throws {
        func losses(clip: Double?) throws -> [Double] {
            let decoder = try Tiny.decoder(), examples = examples(decoder)
            let trainer = Trainer(decoder, objective: ActorCritic(valueWeight: 1, valueClip: clip, criticRate: 0.01), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01)), totalSteps: 60)
            return try (0..<60).map { _ in try #require(try trainer.step(examples).terms["value"]) }
        }
        let free = try losses(clip: nil)
        #expect(free.last! < 0.2 * free[0], "\(free[0]) \(free.last!)")
    }

    @Test("values have the gradient of differences, in the critic and in the policy's weights below it")
    func gradients() throws {
        let decoder = try Tiny.decoder(seed: 5), examples = examples(decoder)
        func trainer(_ model: Transformer, rate: Double = 0) throws -> (Trainer, GradientProbe) {
            let trainer = Trainer(model, objective: ActorCritic(valueWeight: 1, valueClip: nil, criticRate: 1e-12), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: rate)), totalSteps: 1)
            let critic = try #require(trainer.critic), probe = GradientProbe()
            let width = try #require(critic.state["critic.weight"]).count
            critic.state["critic.weight"] = (0..<width).map { Float(0.3 * RandomKey(seed: 6).normal(UInt64($0))) }
            trainer.plugins = [probe]
            return (trainer, probe)
        }
        let (first, probe) = try trainer(decoder)
        let norm = try first.step(examples).gradientNorm
        try #require(norm > 1e-3)
        func loss(_ sign: Double) throws -> Double {
            let moved = decoder.copy()
            for parameter in decoder.parameters.parameters {
                moved.set(parameter.name, zip(decoder.parameters.read(parameter), try #require(probe.seen[parameter.name])).map { $0 + Float(sign * 0.01 / norm * Double($1)) })
            }
            return try trainer(moved).0.step(examples).loss
        }
        #expect(abs((try loss(1) - loss(-1)) / (0.02 / norm) - norm * norm) < 0.01 * norm * norm)
    }

    @Test("the first update after sampling finds every weight 1: nothing is clipped, whatever the advantages")
    func onPolicy() throws {
        let decoder = try Tiny.decoder()
        var examples = Tiny.examples()
        for (index, laws) in decoder.score(examples.map { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) }).enumerated() {
            examples[index].behaviorLogProbabilities = laws.map(\.logProbability)
        }
        let trainer = Trainer(decoder, objective: ClippedPolicyGradient(.tokens, clipLow: 1e-4, clipHigh: 1e-4), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.05)), totalSteps: 2)
        let first = try trainer.step(examples), second = try trainer.step(examples)
        #expect(first.terms["clipped"] == 0 && second.terms["clipped"]! > 0.5)
    }
}

@Suite("Verdicts by themselves")
struct VerdictLossTests {
    @Test("KTO is 1/2 at the reference; its divergence is that of answers to other prompts, and counts for all")
    func kto() throws {
        let decoder = try Tiny.decoder()
        var examples = Tiny.examples()
        for index in examples.indices { examples[index].advantage = index % 2 == 0 ? 1 : -1 }
        func reference(_ model: Transformer) {
            for (index, laws) in model.score(examples.map { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) }).enumerated() {
                examples[index].referenceLogProbabilities = laws.map(\.logProbability)
            }
        }
        reference(decoder)
        func step() throws -> StepResult { try gradient(of: decoder, KTO(), examples).result }
        let plain = try step()
        #expect(abs(plain.loss - 0.5) < 1e-6 && plain.terms["divergence"] == 0)
        // Answers that the reference finds e² times less likely than the policy does.
        for index in examples.indices {
            let other = examples[(index + 1) % examples.count].completionTokens
            let laws = decoder.score([Example(promptTokens: examples[index].promptTokens, completionTokens: other)])[0].map(\.logProbability)
            examples[index].mismatch = .init(promptTokens: examples[index].promptTokens, completionTokens: other, referenceLogProbabilities: [laws[0] - 2] + laws.dropFirst())
        }
        let diverged = try step()
        #expect(abs(diverged.terms["divergence"]! - 2) < 1e-4)
        let (right, wrong) = (examples.count(where: { $0.advantage == 1 }), examples.count(where: { $0.advantage == -1 }))
        func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
        let expected = (Double(right) * (1 - sigmoid(-0.2)) + Double(wrong) * (1 - sigmoid(0.2))) / Double(right + wrong)
        #expect(abs(diverged.loss - expected) < 1e-5)
    }

    @Test("RRHF compares the answers of one comparison, whatever their prompts; another one, or the same again, is a group of its own")
    func comparisons() {
        func example(_ prompt: Int32, _ comparison: Int?, _ sample: Int) -> Example {
            var example = Example(promptTokens: [prompt], completionTokens: [Int32(sample)], advantage: Float(sample), rollouts: [RolloutKey(iteration: 0, phase: "line", index: comparison ?? 0, sample: sample)])
            example.standing = comparison.map { Example.Standing(comparison: $0, score: Double(sample)) }
            return example
        }
        let once = [example(1, 4, 0), example(2, 4, 1), example(2, 5, 0), example(2, 5, 1), example(2, 5, 2)]
        #expect(RRHF().groups(once + once.suffix(3)) == [0..<2, 2..<5, 5..<8])
        // Without, those of one prompt.
        #expect(RRHF().groups([example(1, nil, 0), example(1, nil, 1), example(2, nil, 0)]) == [0..<2, 2..<3])
    }

    @Test("one small step makes right answers likelier and wrong ones less likely", arguments: 0..<4)
    func direction(index: Int) throws {
        let objective: any Objective = [KTO(), RRHF(), Unlikelihood(), PreferenceObjective(.dpo(beta: 0.1))][index]
        let decoder = try Tiny.decoder()
        var examples = (0..<6).map { index in
            Example(promptTokens: [1, 2, 3], completionTokens: Tiny.tokens(RandomKey(seed: UInt64(index)), 6), advantage: index % 2 == 0 ? 1 : -1)
        }
        for (index, laws) in decoder.score(examples).enumerated() { examples[index].referenceLogProbabilities = laws.map(\.logProbability) }
        func mean(_ sign: Float) -> Double { decoder.score(examples.filter { $0.advantage == sign }).joined().reduce(0) { $0 + Double($1.logProbability) } }
        let (right, wrong) = (mean(1), mean(-1))
        let trainer = Trainer(decoder, objective: objective, options: TrainerOptions(optimizer: .plain(0.002)), totalSteps: 1)
        _ = try trainer.step(examples)
        #expect(mean(1) > right && mean(-1) < wrong)
    }
}
