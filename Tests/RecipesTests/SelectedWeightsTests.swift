import Architectures
import Recipes
import Tasks
import Tensors
import Testing
import Training

@Suite("What selectors and losses make of the same verdicts")
struct SelectedWeightsTests {
    /// Three problems of four samples each: half right, all right, all wrong.
    private let groups = [[1, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]].enumerated().map { index, rewards in
        rewards.enumerated().map { judgedRollout(index, $0, tokens: [Int32($0)], $1 == 1 ? .right : .wrong) }
    }

    /// What the gradient by each sample's log-probability weighs in one step on all that is selected; 0 for what is not.
    private func weights(_ selector: some Selector, _ objective: some Objective) -> [Double] {
        let examples = selector.examples(from: groups, using: RandomKey(seed: 1)) { Example($0) }
        let law = [RowLaw(logProbability: -1, logSumExp: 0, entropy: 0)], count = objective.counts(examples)[0].count
        let slopes = examples.map { ($0.rollouts[0], -Double(objective.sums($0, law)[0].logProbabilityGradients[0]) / count) }
        let byKey = Dictionary(uniqueKeysWithValues: slopes)
        return groups.joined().map { byKey[$0.key] ?? 0 }
    }

    private let none = [0.0, 0, 0, 0]

    @Test("filtered, every right sample weighs a sixth, and two thirds of the weight are the easy problem's; compared within a problem, only the problem that is half right weighs")
    func worked() {
        let sixth = 1.0 / 6
        #expect(weights(RightCompletions(), NegativeLogLikelihood()) == [sixth, 0, sixth, 0, sixth, sixth, sixth, sixth] + none)
        // What tells nothing is left out, and the mean is over all twelve samples nevertheless.
        let half = [0.5, -0.5, 0.5, -0.5].map { $0 / 12 } + none + none
        func equal(_ found: [Double], _ expected: [Double]) -> Bool { zip(found, expected).allSatisfy { abs($0 - $1) < 1e-8 } && found.suffix(8) == none + none }
        #expect(equal(weights(RelativeRewards(.group(.none)), PolicyGradient()), half))
        #expect(equal(weights(RelativeRewards(.group(.none)), ClippedPolicyGradient(.length(1))), half))
        #expect(equal(weights(RelativeRewards(.group(.none)), ClippedPolicyGradient(.sequences)), half))
        #expect(equal(weights(RelativeRewards(.group(.leaveOneOut)), ClippedPolicyGradient(.length(1))), half.map { $0 * 4 / 3 }))
        // Where groups without a signal are sampled again, over what is left.
        #expect(equal(weights(RelativeRewards(.group(.none), countsEqualGroups: false), PolicyGradient()), half.map { $0 * 3 }))
    }

    @Test("compared with all samples, or with nothing, the easy problem and the hard one weigh too, each sample a twelfth of its distance")
    func unlikeGroups() {
        #expect(weights(RelativeRewards(.batch), ClippedPolicyGradient(.length(1))) == ([0.5, -0.5, 0.5, -0.5] + [0.5, 0.5, 0.5, 0.5] + [-0.5, -0.5, -0.5, -0.5]).map { $0 / 12 })
        #expect(weights(RelativeRewards(.none), ClippedPolicyGradient(.length(1))) == ([1, 0, 1, 0] + [1, 1, 1, 1] + none).map { $0 / 12 })
    }

    enum Way: CaseIterable { case filtered, unlikelihood, pairs, othersAsBaseline, group }

    @Test(
        "one small step makes right samples likelier, and wrong ones less likely where they are learnt from; with the verdicts turned round it does the opposite",
        arguments: Way.allCases, [false, true])
    func direction(way: Way, isTurned: Bool) throws {
        var shape = FreshDecoder()
        (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 64, 2, 2, 32)
        let decoder = try Model.forAddition(shape, key: RandomKey(seed: 2), on: CPUBackend(threads: 2)).transformer
        // Samples of one problem take turns at being right; the two kinds have no token in common.
        let groups = (0..<3).map { index in
            (0..<4).map { sample in
                let key = RandomKey(seed: 3).folding(index).folding(sample), isFirstKind = sample % 2 == 0
                let tokens = (0..<4).map { Int32((isFirstKind ? 8 : 20) + key.index(below: 12, UInt64($0))) }
                return judgedRollout(index, sample, prompt: [1, 2, Int32(3 + index)], tokens: tokens, isFirstKind != isTurned ? .right : .wrong)
            }
        }
        let samples = groups.flatMap { $0 }.map { Example($0) }
        // So that it could have sampled them.
        let before = Trainer(decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 4e-3)), totalSteps: 40)
        for _ in 0..<40 { _ = try before.step(samples) }

        func make(_ rollout: Rollout) -> Example? {
            var example = Example(rollout)
            example.behaviorLogProbabilities = decoder.score([example])[0].map(\.logProbability)
            example.referenceLogProbabilities = example.behaviorLogProbabilities
            return example
        }
        let (selector, objective): (any Selector, any Objective) =
            switch way {
            case .filtered: (RightCompletions(), NegativeLogLikelihood())
            case .unlikelihood: (RightAndWrong(), Unlikelihood())
            case .pairs: (VerdictPairs(), PreferenceObjective(.dpo(beta: 0.1)))
            case .othersAsBaseline: (RelativeRewards(.group(.leaveOneOut), klWeight: 0.05), ClippedPolicyGradient(.length(1)))
            case .group: (RelativeRewards(.group(.group)), ClippedPolicyGradient(.sequences))
            }
        let selected = selector.examples(from: groups, using: RandomKey(seed: 4), make)
        #expect(selected.count == (way == .filtered ? 6 : 12))

        func mean(ofFirstKind isFirstKind: Bool) -> Double {
            let some = decoder.score(samples.filter { ($0.rollouts[0].sample % 2 == 0) == isFirstKind }).joined()
            return some.reduce(0) { $0 + Double($1.logProbability) } / Double(some.count)
        }
        let (first, second) = (mean(ofFirstKind: true), mean(ofFirstKind: false))
        _ = try Trainer(decoder, objective: objective, options: TrainerOptions(optimizer: OptimizerOptions(.sgd, learningRate: 0.01)), totalSteps: 1).step(selected)
        let changes = (first: mean(ofFirstKind: true) - first, second: mean(ofFirstKind: false) - second)
        let (right, wrong) = isTurned ? (changes.second, changes.first) : changes
        #expect(right > 0, "\(changes)")
        if way != .filtered { #expect(wrong < 0, "\(changes)") }
    }
}
