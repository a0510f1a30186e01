import Architectures
import Foundation
import Tensors
import Testing
import Training

/// Minus the sum of the entropies: nothing but the entropy's gradient.
private struct EntropyBonus: Objective {
    func counts(_ examples: [Example]) -> [TermCount] { [TermCount("entropy", Double(examples.reduce(0) { $0 + $1.trainedCount }))] }
    func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        [TermSum(
            "entropy", weight: 0.5, sum: laws.reduce(0) { $0 - Double($1.entropy) }, logProbabilityGradients: Array(repeating: 0, count: laws.count),
            entropyGradients: Array(repeating: -1, count: laws.count))]
    }
}

/// Minus the log-probability of every trained token, by a softmax of our own over the whole row.
private func losses(_ decoder: Transformer, _ example: Example) -> [Double] {
    let tokens = example.promptTokens + example.completionTokens
    let logits = decoder.logits(decoder.hiddenStates(RaggedBatch([tokens]))).read().map { Double($0) }
    return example.completionTokens.indices.filter { example.trained[$0] }.map { index in
        let row = example.promptTokens.count - 1 + index
        let law = logits[row * Tiny.vocabulary..<(row + 1) * Tiny.vocabulary]
        let top = law.max()!
        return top + Foundation.log(law.reduce(0) { $0 + Foundation.exp($1 - top) }) - law[law.startIndex + Int(example.completionTokens[index])]
    }
}

@Suite("The loss")
struct LossTests {
    @Test("is the mean over the trained tokens of minus their log-probability", arguments: [true, false])
    func negativeLogLikelihood(sharesPrefixes: Bool) throws {
        let decoder = try Tiny.decoder()
        let examples = Tiny.examples()
        let expected = examples.flatMap { losses(decoder, $0) }
        let scored = decoder.score(examples).joined().map { -Double($0.logProbability) }
        let result = try gradient(of: decoder, NegativeLogLikelihood(), examples, sharesPrefixes: sharesPrefixes).result
        #expect(zip(expected, scored).allSatisfy { abs($0 - $1) < 1e-5 } && expected.count == scored.count)
        #expect(result.trainedTokens == expected.count)
        #expect(abs(result.loss - scored.reduce(0, +) / Double(scored.count)) < 1e-9)
        #expect(result.terms["nll"] == result.loss)
    }

    @Test("is a mean over all tokens, not a mean of means, however the batch is cut", arguments: [1, 20, 2048])
    func accumulation(microBatchTokens: Int) throws {
        let decoder = try Tiny.decoder()
        let examples = [
            Example(promptTokens: [1, 2], completionTokens: [3]), Example(promptTokens: [4], completionTokens: Tiny.tokens(RandomKey(seed: 2), 14)),
            Example(promptTokens: [5, 6], completionTokens: [7, 8]),
        ]
        let each = examples.map { losses(decoder, $0) }
        let mean = each.joined().reduce(0, +) / 17
        let meanOfMeans = each.map { $0.reduce(0, +) / Double($0.count) }.reduce(0, +) / 3
        try #require(abs(mean - meanOfMeans) > 1e-3)
        let result = try gradient(of: decoder, NegativeLogLikelihood(), examples, microBatchTokens: microBatchTokens).result
        #expect(abs(result.loss - mean) < 1e-5)
    }

    @Test("reports entropy as the mean over trained tokens")
    func entropy() throws {
        let decoder = try Tiny.decoder()
        let examples = Tiny.examples()
        let laws = Array(decoder.score(examples).joined())
        let result = try gradient(of: decoder, NegativeLogLikelihood(), examples).result
        #expect(abs(result.entropy - laws.reduce(0) { $0 + Double($1.entropy) } / Double(laws.count)) < 1e-9)
    }

    @Test("has the gradient of differences along it", arguments: [true, false])
    func directional(tied: Bool) throws {
        let objectives: [any Objective] = [NegativeLogLikelihood(), PolicyGradient(), EntropyBonus()]
        for objective in objectives {
            let decoder = try Tiny.decoder(seed: 5, tied: tied)
            let examples = Tiny.examples(seed: 5)
            let (_, slope, result) = try gradient(of: decoder, objective, examples, sharesPrefixes: true)
            let step = 0.01 / result.gradientNorm
            func loss(_ sign: Double) throws -> Double {
                let moved = decoder.copy()
                var at = 0
                for parameter in decoder.parameters.parameters {
                    let values = decoder.parameters.read(parameter)
                    moved.set(parameter.name, values.enumerated().map { $1 + Float(sign * step * Double(slope[at + $0])) })
                    at += values.count
                }
                return try gradient(of: moved, objective, examples).loss
            }
            let above = try loss(1), below = try loss(-1)
            let expected = result.gradientNorm * result.gradientNorm
            #expect(abs((above - below) / (2 * step) - expected) < 0.01 * expected, "\(objective)")
        }
    }

    @Test("an example's weight multiplies its share")
    func weights() throws {
        let decoder = try Tiny.decoder()
        var examples = Tiny.examples()
        let once = try gradient(of: decoder, NegativeLogLikelihood(), examples)
        for index in examples.indices { examples[index].weight = 2 }
        let twice = try gradient(of: decoder, NegativeLogLikelihood(), examples)
        #expect(abs(twice.loss - 2 * once.loss) < 1e-12)
        #expect(twice.values == once.values.map { 2 * $0 })
        // Without weight an example still counts its tokens.
        for index in examples.indices { examples[index].weight = index == 0 ? 1 : 0 }
        let first = try gradient(of: decoder, NegativeLogLikelihood(), examples)
        let share = losses(decoder, examples[0]).reduce(0, +) / Double(first.result.trainedTokens)
        #expect(abs(first.loss - share) < 1e-5)
    }
}

@Suite("Masks")
struct MaskTests {
    @Test("a masked token is no target: what it is changes nothing where nothing trained follows", arguments: [true, false])
    func tail(sharesPrefixes: Bool) throws {
        func run(_ tail: [Int32]) throws -> [[UInt32]] {
            let decoder = try Tiny.decoder()
            let trained = [true, false, true] + tail.map { _ in false }
            let examples = [
                Example(promptTokens: [1, 2, 3], completionTokens: [4, 5, 6] + tail, trained: trained), Example(promptTokens: [9], completionTokens: [8, 7]),
            ]
            let trainer = Trainer(
                decoder, objective: NegativeLogLikelihood(),
                options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 1e-2), sharesPrefixes: sharesPrefixes), totalSteps: 2)
            for _ in 0..<2 { _ = try trainer.step(examples) }
            return decoder.weightBits
        }
        let one = try run([10, 11, 12]), other = try run([20, 21, 22])
        #expect(one == other)
    }

    @Test("a trained token is a target: what it is changes the loss")
    func target() throws {
        let decoder = try Tiny.decoder()
        func loss(_ last: Int32, trained: Bool) throws -> Double {
            try gradient(of: decoder, NegativeLogLikelihood(), [Example(promptTokens: [1, 2], completionTokens: [3, last], trained: [true, trained])]).loss
        }
        let one = try loss(4, trained: true), other = try loss(5, trained: true)
        let maskedOne = try loss(4, trained: false), maskedOther = try loss(5, trained: false)
        #expect(one != other && maskedOne == maskedOther)
    }

    @Test("the prompt is no target: its tokens are counted nowhere")
    func prompt() throws {
        let decoder = try Tiny.decoder()
        let tokens = Tiny.tokens(RandomKey(seed: 6), 12)
        let asPrompt = Example(promptTokens: Array(tokens[..<8]), completionTokens: Array(tokens[8...]))
        let asMask = Example(promptTokens: [tokens[0]], completionTokens: Array(tokens[1...]), trained: (1..<12).map { $0 >= 8 })
        let a = try gradient(of: decoder, NegativeLogLikelihood(), [asPrompt]), b = try gradient(of: decoder, NegativeLogLikelihood(), [asMask])
        #expect(a.result.trainedTokens == 4 && b.result.trainedTokens == 4)
        #expect(a.loss == b.loss && a.values == b.values)
    }

    @Test("an example without a trained token leaves the others as they are")
    func empty() throws {
        let decoder = try Tiny.decoder()
        let examples = Tiny.examples(count: 3)
        let silent = Example(promptTokens: [3], completionTokens: [1, 2], trained: [false, false])
        let without = try gradient(of: decoder, NegativeLogLikelihood(), examples)
        for microBatchTokens in [1, 2048] {
            let with = try gradient(of: decoder, NegativeLogLikelihood(), [silent] + examples + [silent], microBatchTokens: microBatchTokens)
            #expect(with.loss == without.loss && with.values == without.values)
        }
    }
}

@Suite("Policy gradients")
struct PolicyGradientTests {
    @Test("filtering is REINFORCE: reward 1 or 0 and no baseline give the likelihood gradient of the accepted", arguments: 0..<3, [true, false])
    func identity(seed: Int, sharesPrefixes: Bool) throws {
        let decoder = try Tiny.decoder(seed: UInt64(seed))
        var samples = Tiny.examples(seed: UInt64(10 + seed), count: 8)
        for index in samples.indices { samples[index].advantage = index % 3 == 0 ? 1 : 0 }
        let accepted = samples.filter { $0.advantage == 1 }
        let policy = try gradient(of: decoder, PolicyGradient(), samples, sharesPrefixes: sharesPrefixes)
        let likelihood = try gradient(of: decoder, NegativeLogLikelihood(), accepted, sharesPrefixes: sharesPrefixes)
        // Mean over samples times samples / accepted, and mean over tokens times tokens / accepted.
        let ratio = Float(samples.count) / Float(accepted.count), tokens = Float(likelihood.result.trainedTokens) / Float(accepted.count)
        #expect(deviation(policy.values.map { $0 * ratio }, likelihood.values.map { $0 * tokens }) <= 1e-5)
        #expect(abs(policy.loss * Double(samples.count) - likelihood.loss * Double(likelihood.result.trainedTokens)) < 1e-6)
    }

    @Test("one step makes good completions likelier and bad ones less likely")
    func direction() throws {
        let decoder = try Tiny.decoder()
        let examples = (0..<6).map { index in
            Example(
                promptTokens: [1, 2, 3], completionTokens: Tiny.tokens(RandomKey(seed: UInt64(index)), 6), advantage: index % 2 == 0 ? 1 : -1)
        }
        func mean(_ sign: Float) -> Double {
            let laws = decoder.score(examples.filter { $0.advantage == sign }).joined()
            return laws.reduce(0) { $0 + Double($1.logProbability) }
        }
        let (goodBefore, badBefore) = (mean(1), mean(-1))
        let trainer = Trainer(decoder, objective: PolicyGradient(), options: TrainerOptions(optimizer: .plain(0.02)), totalSteps: 1)
        _ = try trainer.step(examples)
        #expect(mean(1) > goodBefore && mean(-1) < badBefore)
    }

    @Test("an advantage of zero gives no gradient: not one bit changes")
    func zero() throws {
        let decoder = try Tiny.decoder()
        let before = decoder.weightBits
        var examples = Tiny.examples()
        for index in examples.indices { examples[index].advantage = 0 }
        let trainer = Trainer(decoder, objective: PolicyGradient(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.1)), totalSteps: 1)
        let result = try trainer.step(examples)
        #expect(result.gradientNorm == 0 && result.loss == 0)
        #expect(decoder.weightBits == before)
    }
}
