import Foundation
import Recipes
import Tasks
import Tensors
import Testing
import Training

/// A law over a few completions of one token each, whose logits are all that is trained.
private struct TabularPolicy {
    var logits: [Double]
    var law: SoftmaxRow { SoftmaxRow(logits) }

    /// One step of gradient descent on what an objective says of examples, each term divided by its count.
    mutating func step(_ objective: some Objective, _ examples: [Example], rate: Double) {
        let law = law, counts = Dictionary(uniqueKeysWithValues: objective.counts(examples).map { ($0.name, $0.count) })
        for group in objective.groups(examples) {
            let arms = group.map { Int(examples[$0].completionTokens[0]) }
            let laws = arms.map { [RowLaw(logProbability: Float(law.logProbabilities[$0]), logSumExp: 0, entropy: 0)] }
            for (arm, terms) in zip(arms, objective.sums(examples[group], laws)) {
                for term in terms where term.weight != 0 {
                    let slope = term.weight * Double(term.logProbabilityGradients[0]) / counts[term.name]!
                    for other in logits.indices { logits[other] -= rate * slope * ((other == arm ? 1 : 0) - law.probabilities[other]) }
                }
            }
        }
    }
}

@Suite("Laws of a few completions, trained on expectations")
struct TabularPolicyTests {
    private let reference = [0.1, 0.3, 0.05, 0.25, 0.2, 0.1], rewards = [1, 0.2, -0.5, 0.7, 0.9, 0]

    /// π* ∝ reference · exp(sign · reward / β).
    private func optimum(_ beta: Double, sign: Double = 1) -> [Double] { SoftmaxRow(reference.indices.map { log(reference[$0]) + sign * rewards[$0] / beta }).probabilities }

    /// Total variation.
    private func distance(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) } / 2 }

    private func example(_ arm: Int, weight: Double = 1) -> Example {
        var example = Example(promptTokens: [0], completionTokens: [Int32(arm)], weight: Float(weight))
        example.referenceLogProbabilities = [Float(log(reference[arm]))]
        return example
    }

    /// DPO on all pairs in both orders, each with the probability that a judge of Bradley and Terry's law gives it.
    private func preferred(beta: Double, steps: Int, isSwapped: Bool = false) -> [Double] {
        var policy = TabularPolicy(logits: reference.map { log($0) })
        let arms = rewards.indices, pairs = arms.flatMap { chosen in
            arms.filter { $0 != chosen }.flatMap { rejected in
                let chance = 1 / (1 + exp(rewards[rejected] - rewards[chosen]))
                return isSwapped ? [example(rejected, weight: chance), example(chosen)] : [example(chosen, weight: chance), example(rejected)]
            }
        }
        for _ in 0..<steps { policy.step(PreferenceObjective(.dpo(beta: beta)), pairs, rate: 5 / (beta * beta)) }
        return policy.law.probabilities
    }

    @Test("DPO on exact comparisons ends at π* ∝ reference · exp(r / β); with the labels swapped, at the opposite")
    func preferences() {
        let found = preferred(beta: 0.5, steps: 200), swapped = preferred(beta: 0.5, steps: 200, isSwapped: true)
        #expect(distance(found, optimum(0.5)) < 1e-3)
        #expect(distance(reference, optimum(0.5)) > 0.2 && distance(swapped, optimum(0.5)) > 0.5)
        #expect(distance(swapped, optimum(0.5, sign: -1)) < 1e-3)
        // How far it may go from the reference is what β says.
        #expect(distance(preferred(beta: 2, steps: 200), optimum(2)) < 1e-3 && distance(optimum(2), optimum(0.5)) > 0.1)
    }

    /// Policy gradients on every completion with its probability, as the recipes weigh rewards and divergence.
    private func reinforced(klWeight: Double, rate: Double, steps: Int) -> [Double] {
        var policy = TabularPolicy(logits: reference.map { log($0) })
        let group = rewards.indices.map { judgedRollout(0, $0, tokens: [Int32($0)], .right, reward: rewards[$0]) }
        for _ in 0..<steps {
            let law = policy.law
            let examples = RelativeRewards(.none, klWeight: klWeight).examples(from: [group], using: RandomKey(seed: 1)) { rollout in
                let arm = Int(rollout.completionTokens[0])
                // The step divides by the number of completions.
                var example = example(arm, weight: law.probabilities[arm] * Double(rewards.count))
                example.behaviorLogProbabilities = [Float(law.logProbabilities[arm])]
                return example
            }
            policy.step(ClippedPolicyGradient(.length(1)), examples, rate: rate)
        }
        return policy.law.probabilities
    }

    @Test("with β times the divergence in the reward, policy gradients end at the same π*; with a large β at the reference, with none at the best completion")
    func rewardsLessDivergence() {
        #expect(distance(reinforced(klWeight: 0.5, rate: 2, steps: 500), optimum(0.5)) < 1e-3)
        #expect(distance(reinforced(klWeight: 0.5, rate: 2, steps: 3), optimum(0.5)) > 1e-2)
        #expect(distance(reinforced(klWeight: 100, rate: 0.02, steps: 500), reference) < 1e-2)
        #expect(reinforced(klWeight: 0, rate: 20, steps: 2000)[0] > 0.99)
    }
}

@Suite("The best of n")
struct BestOfNTests {
    /// KL(law of what is selected || law that sampled) over 40 bins of a thousand completions, which are all as likely and each have a reward of their own.
    private func divergence(of n: Int, groups: Int, reward: (Int) -> Double) -> Double {
        let arms = (0..<1000).map { judgedRollout(0, 0, tokens: [Int32($0)], .right, reward: reward($0)) }, key = RandomKey(seed: 17)
        var counts = [Double](repeating: 0, count: 40)
        for group in 0..<groups {
            let drawn = (0..<n).map { arms[key.index(below: 1000, UInt64(group * n + $0))] }
            for example in HighestReward().examples(from: [drawn], using: key, { Example($0) }) { counts[Int(example.completionTokens[0]) * 40 / 1000] += 1 }
        }
        let total = counts.reduce(0, +)
        return counts.reduce(0) { $0 + ($1 > 0 ? $1 / total * log($1 / total * 40) : 0) }
    }

    @Test("is ln n - (n - 1)/n nats away from what was sampled", arguments: [2, 4, 8])
    func divergence(n: Int) {
        let expected = log(Double(n)) - Double(n - 1) / Double(n)
        // Three standard errors of 100,000 draws, and what the bins hide.
        #expect(abs(divergence(of: n, groups: 100_000) { Double($0 + 1) / 1000 } - expected) < 0.01, "\(expected)")
    }

    @Test("is the least bad where rewards are below 0 and differ, and was finished")
    func belowZero() {
        func best(_ rewards: [Double]) -> [[Int32]] {
            var group = rewards.enumerated().map { judgedRollout(0, $0.offset, tokens: [Int32($0.offset)], .wrong, reward: $0.element) }
            group.append(judgedRollout(0, rewards.count, tokens: [99], .cutOff, reward: 5))
            group[rewards.count].finishReason = .length
            return HighestReward().examples(from: [group], using: RandomKey(seed: 1)) { Example($0) }.map(\.completionTokens)
        }
        #expect(best([-3, -1, -2]) == [[1]] && best([-3, -3]) == [] && best([-3]) == [] && best([0, -0.2]) == [] && best([0, 0.2]) == [[1]])
    }

    @Test("is what was sampled where all rewards are equal, and nothing where none is above 0")
    func withoutSignal() {
        #expect(divergence(of: 4, groups: 20_000) { _ in 1 } < 0.005)
        #expect(HighestReward().examples(from: [[judgedRollout(0, 0, tokens: [1], .wrong), judgedRollout(0, 1, tokens: [2], .wrong)]], using: RandomKey(seed: 1)) { Example($0) }.isEmpty)
    }
}
