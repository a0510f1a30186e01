import Tensors
import Testing
import Training

@Suite("Losses of rows")
struct RowLossTests {
    private let key = RandomKey(seed: 11)

    private func row(_ name: String, _ count: Int, deviation: Double = 2) -> [Double] {
        let key = key.folding(name)
        return (0..<count).map { deviation * key.normal(UInt64($0)) }
    }

    private func difference(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).map { abs($0 - $1) }.max() ?? .infinity }

    /// Central differences.
    private func slopes(_ x: [Double], _ loss: ([Double]) -> RowLoss) -> [Double] {
        x.indices.map { index in
            var (below, above) = (x, x)
            below[index] -= 1e-5
            above[index] += 1e-5
            return (loss(above).value - loss(below).value) / 2e-5
        }
    }

    private static let distillation: [DistillationLoss] = [
        .forwardKL, .reverseKL, .jensenShannon(beta: 0), .jensenShannon(beta: 0.3), .jensenShannon(beta: 1), .skewKL(alpha: 0), .skewKL(alpha: 0.4), .crossEntropy,
        .squaredError(centred: false), .squaredError(centred: true),
    ]

    @Test("gradients are those of central differences, at any temperature", arguments: distillation)
    func gradients(kind: DistillationLoss) {
        let (student, teacher) = (row("student", 9), row("teacher", 9))
        for temperature in [0.5, 1, 3] {
            let loss = kind(student: student, teacher: teacher, temperature: temperature)
            #expect(difference(loss.gradient, slopes(student) { kind(student: $0, teacher: teacher, temperature: temperature) }) < 1e-8)
        }
    }

    @Test("a student that is its teacher loses nothing and is not moved", arguments: distillation.filter { $0 != .crossEntropy })
    func identical(kind: DistillationLoss) {
        let loss = kind(student: row("same", 50), teacher: row("same", 50), temperature: 2)
        #expect(abs(loss.value) < 1e-14 && loss.gradient.allSatisfy { abs($0) < 1e-15 })
    }

    private static let ofLaws = distillation.filter { if case .squaredError = $0 { false } else { true } }

    @Test("tokens that both mask lose nothing; large logits neither overflow nor cancel", arguments: ofLaws)
    func extremes(kind: DistillationLoss) {
        let (student, teacher) = (row("student", 6), row("teacher", 6))
        let masked = kind(student: student + [-.infinity], teacher: teacher + [-.infinity]), plain = kind(student: student, teacher: teacher)
        #expect(masked.value == plain.value && masked.gradient == plain.gradient + [0])
        let shifted = kind(student: student.map { $0 + 5000 }, teacher: teacher.map { $0 - 5000 })
        #expect(abs(shifted.value - plain.value) < 1e-11 && difference(shifted.gradient, plain.gradient) < 1e-11)
        let far = kind(student: [0, 900], teacher: [900, 0])
        #expect(far.value.isFinite && far.gradient.allSatisfy(\.isFinite))
    }

    @Test("the softened gradient is T(q - p), and near (z - z')/V at T = 100")
    func softLabels() {
        let (student, teacher) = (row("student", 12), row("teacher", 12))
        let at2 = SoftLabels(temperature: 2, share: 1)(student: student, teacher: teacher, target: 0)
        let (q, p) = (SoftmaxRow(student, temperature: 2).probabilities, SoftmaxRow(teacher, temperature: 2).probabilities)
        #expect(difference(at2.gradient, zip(q, p).map { 2 * ($0 - $1) }) < 1e-15)
        let hot = SoftLabels(temperature: 100, share: 1)(student: student, teacher: teacher, target: 0)
        let gaps = zip(student, teacher).map { $0 - $1 }, middle = gaps.reduce(0, +) / 12, limit = gaps.map { ($0 - middle) / 12 }
        #expect(difference(hot.gradient, limit) < 0.02 * (limit.map(abs).max() ?? 0))
        #expect(SoftLabels()(student: student, teacher: teacher, target: -100) == .ignored(width: 12))
    }

    @Test("the Jensen–Shannon divergence is symmetric in its middle, bounded by ln 2, and tends to either KL")
    func jensenShannon() {
        let (a, b) = (row("student", 12, deviation: 0.7), row("teacher", 12, deviation: 0.7)), far: ([Double], [Double]) = ([60, 0, 0], [0, 60, 0])
        func value(_ kind: DistillationLoss, _ pair: ([Double], [Double])) -> Double { kind(student: pair.0, teacher: pair.1).value }
        #expect(abs(value(.jensenShannon(beta: 0.5), (a, b)) - value(.jensenShannon(beta: 0.5), (b, a))) < 1e-14)
        #expect(value(.jensenShannon(beta: 0.5), (a, b)) < fixedLog(2) && abs(value(.jensenShannon(beta: 0.5), far) - fixedLog(2)) < 1e-14)
        let (forward, reverse) = (value(.forwardKL, (a, b)), value(.reverseKL, (a, b)))
        #expect(abs(value(.jensenShannon(beta: 1e-3), (a, b)) / 1e-3 - forward) < 0.01 * forward)
        #expect(abs(value(.jensenShannon(beta: 1 - 1e-3), (a, b)) / 1e-3 - reverse) < 0.01 * reverse)
    }

    @Test("ignored rows leave numerator and denominator; a mean over none is refused, a sum is 0")
    func ignored() throws {
        let rows = (0..<3).map { row("logits \($0)", 5) }
        let some = zip(rows, [2, -100, 4]).map { CrossEntropy()($0, target: $1) }, none = rows.map { CrossEntropy()($0, target: -100) }
        let mean = try some.mean(), others = try [some[0], some[2]].mean()
        #expect(mean.value == others.value && mean.gradient == [others.gradient[0], [0, 0, 0, 0, 0], others.gradient[1]])
        #expect(throws: NothingCounted(rows: 3)) { try none.mean() }
        #expect(none.sum().value == 0 && none.sum().gradient.allSatisfy { $0.allSatisfy { $0 == 0 } })
        #expect(NothingCounted(rows: 3).description.hasPrefix("none of 3 rows counts"))
        // A class without weight counts for nothing either.
        #expect(throws: NothingCounted.self) { try [CrossEntropy(classWeights: [1, 0])([1, 2], target: 1)].mean() }
    }

    @Test("targets follow their tokens, and the last has none")
    func causal() {
        #expect(causalTargets([4, -100, 7]) == [-100, 7, -100] && causalTargets([]).isEmpty)
        #expect(Unlikelihood.earlierTokens([3, 1, 3, 0]) == [[], [3], [1], [1, 3]])
    }

    @Test("the loss of a wrong token moves its logit by its probability")
    func unlikelihood() {
        let logits = row("wrong", 7), p = SoftmaxRow(logits).probabilities
        let expected = p.indices.map { $0 == 3 ? p[3] : -p[3] * p[$0] / (1 - p[3]) }
        #expect(difference(Unlikelihood.row(logits, candidates: [3]).gradient, expected) < 1e-15)
    }

    @Test("vectors that point one way have no distance, and a vector of zeros is not moved")
    func cosine() {
        let vector = row("vector", 6)
        let same = cosineDistance(vector, to: vector.map { 3 * $0 })
        #expect(abs(same.value) < 1e-15 && same.gradient.allSatisfy { abs($0) < 1e-15 })
        #expect(cosineDistance([0, 0], to: [1, 2]) == RowLoss(1, gradient: [0, 0]))
        #expect(throws: NothingCounted(rows: 0)) { try InfoNCE()(anchors: [], positives: []) }
    }

    @Test("an even spread over experts costs as much as each token has choices, an uneven one more")
    func routing() throws {
        let even = (0..<8).map { index in (0..<4).map { $0 == index % 4 ? 1e-9 : 0 } }, uneven = Array(repeating: [9.0, 0, 0, 0], count: 8)
        #expect(abs(try loadBalancing(even, perToken: 1).mean().value - 1) < 1e-8)
        #expect(try loadBalancing(uneven, perToken: 1).mean().value > 3.9)
        #expect(throws: NothingCounted(rows: 8)) { try loadBalancing(even, perToken: 2, counts: even.map { _ in false }).mean() }
    }
}

@Suite("Rewards from comparisons")
struct ComparisonTests {
    @Test("utilities of 20 items come back from 5,000 comparisons")
    func fit() throws {
        let key = RandomKey(seed: 22), utilities = (0..<20).map { key.folding("utility").normal(UInt64($0)) }
        let comparisons: [(chosen: Int, rejected: Int)] = (0..<5000).map { round in
            let k = key.folding(round), first = k.index(below: 20, 0), second = (first + 1 + k.index(below: 19, 1)) % 20
            let wins = k.uniform(2) < 1 / (1 + fixedExp(utilities[second] - utilities[first]))
            return wins ? (first, second) : (second, first)
        }
        let loss = BradleyTerry()
        var rewards = [Double](repeating: 0, count: 20)
        for _ in 0..<120 {
            let gradient = try comparisons.map { loss(chosen: rewards[$0.chosen], rejected: rewards[$0.rejected]) }.mean().gradient
            for (pair, slopes) in zip(comparisons, gradient) {
                rewards[pair.chosen] -= 20 * slopes[0]
                rewards[pair.rejected] -= 20 * slopes[1]
            }
        }
        func centred(_ values: [Double]) -> [Double] { values.map { $0 - values.reduce(0, +) / 20 } }
        func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
        let (r, u) = (centred(rewards), centred(utilities))
        #expect(dot(r, u) / (dot(r, r) * dot(u, u)).squareRoot() > 0.98)
        // The scale of rewards is that of log-odds, not only their order.
        #expect(abs(dot(r, u) / dot(u, u) - 1) < 0.1)
    }

    @Test("equal rewards pull by one half each way, and a tie not at all; its minimum is equality")
    func gradients() {
        #expect(BradleyTerry()(chosen: 3, rejected: 3).gradient == [-0.5, 0.5])
        #expect(BradleyTerry()(chosen: 3, rejected: 3, label: 0.5).gradient == [0, 0])
        #expect(BradleyTerry()(chosen: 3, rejected: 3, margin: 1).value > BradleyTerry()(chosen: 3, rejected: 3).value)
        #expect(BradleyTerry()(chosen: 2, rejected: -1, label: 0.5).value == BradleyTerry()(chosen: -1, rejected: 2, label: 0.5).value)
        #expect(BradleyTerry(centring: 0.25)(chosen: 1, rejected: 1).gradient == [0.5, 1.5])
        let far = BradleyTerry()(chosen: -2000, rejected: 2000)
        #expect(far.value == 4000 && far.gradient == [-1, 1])
    }

    @Test("a ranking of two is a comparison")
    func ranking() {
        let (pair, ranking) = (BradleyTerry()(chosen: 0.3, rejected: 1.1), plackettLuce([0.3, 1.1]))
        #expect(abs(pair.value - ranking.value) < 1e-15 && zip(pair.gradient, ranking.gradient).allSatisfy { abs($0 - $1) < 1e-15 })
        #expect(plackettLuce([5]) == RowLoss(0, gradient: [0]))
    }
}

@Suite("Advantages")
struct AdvantageTests {
    private let key = RandomKey(seed: 33)

    @Test("the reward less the mean of the others is k/(k - 1) times that less the mean, and sums to 0")
    func leaveOneOut() {
        for size in 2...7 {
            let rewards = (0..<size).map { key.folding(size).normal(UInt64($0)) }, k = Double(size), mean = rewards.reduce(0, +) / k
            let ours = groupAdvantages([rewards], dividedBy: .leaveOneOut)[0]
            for (index, advantage) in ours.enumerated() {
                let others = (rewards[..<index] + rewards[(index + 1)...]).reduce(0, +) / (k - 1)
                #expect(abs(advantage - (rewards[index] - others)) < 1e-14 && abs(advantage - k / (k - 1) * (rewards[index] - mean)) < 1e-14)
            }
            #expect(abs(ours.reduce(0, +)) < 1e-14)
        }
    }

    @Test("groups of one mind give exactly 0", arguments: [AdvantageScale.group, .batch, .none, .leaveOneOut])
    func unanimous(scale: AdvantageScale) {
        let advantages = groupAdvantages([[0.1, 0.1, 0.1], [1, 0], [0.7], []], dividedBy: scale)
        #expect(advantages[0] == [0, 0, 0] && advantages[2] == [0] && advantages[3] == [] && advantages[1][0] == -advantages[1][1] && advantages[1][0] > 0)
    }

    @Test("three problems of four samples: filtered training weighs the easy one most, a group's mean as baseline weighs it not at all")
    func workedWeights() {
        let rewards: [[Double]] = [[1, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
        let advantages = groupAdvantages(rewards, dividedBy: .none).flatMap { $0 }
        /// What the loss's gradient by an answer's log-probability weighs.
        func weights(_ objective: some Objective, _ examples: [Example]) -> [Double] {
            let law = [RowLaw(logProbability: -1, logSumExp: 0, entropy: 0)], count = objective.counts(examples)[0].count
            return examples.map { -Double(objective.sums($0, law)[0].logProbabilityGradients[0]) / count }
        }
        let all = advantages.map { Example(promptTokens: [0], completionTokens: [1], advantage: Float($0)) }
        let accepted = rewards.flatMap { $0 }.filter { $0 == 1 }.map { _ in Example(promptTokens: [0], completionTokens: [1]) }
        let filtered = weights(NegativeLogLikelihood(), accepted)
        #expect(filtered == Array(repeating: 1.0 / 6, count: 6))
        #expect(abs(filtered[2...].reduce(0, +) - 2.0 / 3) < 1e-15)  // four of six are of the second problem
        #expect(weights(PolicyGradient(), all) == [0.5, -0.5, 0.5, -0.5, 0, 0, 0, 0, 0, 0, 0, 0].map { $0 / 12 })
    }

    @Test("with γ = λ = 1 they are returns less values, from one end to the next")
    func returns() {
        let rewards = (0..<10).map { key.normal(UInt64($0)) }, values = (0..<10).map { key.normal(UInt64(20 + $0)) }, ends = (0..<10).map { $0 == 3 || $0 == 9 }
        let ours = generalizedAdvantages(rewards: rewards, values: values, ends: ends, lastValue: 7, discount: 1, decay: 1)
        for step in 0..<10 {
            let sum = rewards[step...(step <= 3 ? 3 : 9)].reduce(0, +)
            #expect(abs(ours.advantages[step] - (sum - values[step])) < 1e-14 && abs(ours.returns[step] - sum) < 1e-14)
        }
        // A trajectory that was cut goes on from its last value.
        #expect(generalizedAdvantages(rewards: [1], values: [2], ends: [false], lastValue: 7, discount: 0.5).advantages == [2.5])
    }

    @Test("whitened values have mean 0 and variance 1 over what counts")
    func whitening() {
        let counts = (0..<50).map { $0 % 3 != 0 }, ours = whitened((0..<50).map { 5 + 3 * key.normal(UInt64($0)) }, counts: counts)
        let kept = zip(ours, counts).filter(\.1).map(\.0)
        #expect(abs(kept.reduce(0, +)) < 1e-12 && abs(kept.reduce(0) { $0 + $1 * $1 } / Double(kept.count) - 1) < 1e-8)
        #expect(zip(ours, counts).allSatisfy { $1 || $0 == 0 })
        #expect(whitened([2, 2], counts: [true, true]) == [0, 0] && whitened([2], counts: [false]) == [0])
    }

    @Test("estimates of the KL divergence from 20,000 draws agree with the sum over ten tokens, and the third is never negative and varies least")
    func estimators() {
        let logits = (0..<10).map { key.normal(UInt64(100 + $0)) }, anchor = logits.enumerated().map { $1 + 0.5 * key.normal(UInt64(200 + $0)) }
        let (policy, reference) = (SoftmaxRow(logits), SoftmaxRow(anchor)), exact = DistillationLoss.reverseKL(student: logits, teacher: anchor).value
        let draws = (0..<20_000).map { draw in
            var left = key.folding("draws").uniform(UInt64(draw))
            return policy.probabilities.firstIndex { p in
                left -= p
                return left < 0
            } ?? 9
        }
        func meanAndError(_ kind: KLEstimator) -> (mean: Double, error: Double) {
            let values = draws.map { kind(policy: policy.logProbabilities[$0], reference: reference.logProbabilities[$0]).value }
            let mean = values.reduce(0, +) / 20_000
            return (mean, (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20_000 / 20_000).squareRoot())
        }
        let (k1, k3) = (meanAndError(.k1), meanAndError(.k3))
        #expect(abs(k1.mean - exact) < 3 * k1.error && abs(k3.mean - exact) < 3 * k3.error, "\(k1), \(k3), \(exact)")
        #expect(exact > 0.01 && k3.error < k1.error)
    }

    @Test("the estimates' derivatives are those of central differences, and the third is 0 only where the two agree", arguments: [KLEstimator.k1, .k2, .k3])
    func derivatives(kind: KLEstimator) {
        for reference in [-3, -1, -0.2] {
            let slope = (kind(policy: -1 + 1e-5, reference: reference).value - kind(policy: -1 - 1e-5, reference: reference).value) / 2e-5
            #expect(abs(kind(policy: -1, reference: reference).gradient - slope) < 1e-8)
        }
        #expect(KLEstimator.k3(policy: -1, reference: -1).value == 0 && KLEstimator.k3(policy: -1, reference: -1 + 1e-9).value >= 0)
    }
}
