import Architectures
import ModelFiles
import Tasks
import Tensors
import Testing
import Training

@Suite("Rewards from comparisons by a head of one number")
struct RewardObjectiveTests {
    private func answer(_ comparison: Int, _ score: Double, margin: Double = 0, tokens: [Int32] = [1]) -> Example {
        var example = Example(tokens: tokens, labels: .init(targets: [0]))
        example.standing = .init(comparison: comparison, score: score, margin: margin)
        return example
    }

    @Test("a comparison that an epoch takes twice is two comparisons, also side by side")
    func copies() {
        let pair = [(1.0, 0), (0.0, 1)].map { score, place in
            var example = answer(3, score)
            example.rollouts = [RolloutKey(iteration: 0, phase: "line", index: 3, sample: place)]
            return example
        }
        #expect(RewardObjective().groups(pair + pair) == [0..<2, 2..<4])
        #expect(RewardObjective().groups(pair) == [0..<2])
    }

    private func terms(_ group: [Example], rewards: [Float], _ objective: RewardObjective = RewardObjective()) -> (loss: Double, slopes: [Double], shown: [String: Double]) {
        let sums = objective.sums(group[...], rewards.map { [RowLaw(logProbability: 0, logSumExp: $0, entropy: 0, value: $0)] })
        let trained = sums.flatMap { $0.filter { $0.weight != 0 } }
        let shown = Dictionary(uniqueKeysWithValues: sums.flatMap { $0 }.filter { $0.weight == 0 }.map { ($0.name, $0.sum) })
        return (trained.reduce(0) { $0 + $1.sum }, trained.map { Double($0.valueGradients?[0] ?? .nan) }, shown)
    }

    /// A model so small that it learns in seconds, with a head of one number.
    private func model(_ kind: String, seed: UInt64 = 1) throws -> Transformer {
        if kind == "llama" {
            let base = try Tiny.decoder(seed: seed)
            let rewarding = Transformer(try base.configuration.with(.sequenceClassification, labels: ["reward"], file: kind), on: base.backend)
            rewarding.initialize(RandomKey(seed: seed), deviation: 0.2)
            return rewarding
        }
        let config: JSON = [
            "model_type": "bert", "architectures": ["BertForSequenceClassification"], "vocab_size": .integer(Int64(Tiny.vocabulary)), "hidden_size": 24, "intermediate_size": 40,
            "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64, "id2label": ["0": "reward"],
        ]
        let rewarding = Transformer(try TransformerConfiguration(ConfigFields(try #require(config.object), file: kind)), on: try CPUBackend(threads: 2))
        rewarding.initialize(RandomKey(seed: seed), deviation: 0.2)
        return rewarding
    }

    /// Comparisons in which the better answer holds token 7.
    private func comparisons(_ count: Int, seed: UInt64) -> [[Example]] {
        (0..<count).map { index in
            let key = RandomKey(seed: seed).folding("comparison").folding(index), prompt = Tiny.tokens(key.folding("prompt"), 3)
            func tokens(_ name: String, holding isHeld: Bool) -> [Int32] {
                let k = key.folding(name)
                var tokens = Tiny.tokens(k, 3 + k.index(below: 5, 100)).map { $0 == 7 ? 8 : $0 }
                if isHeld { tokens[k.index(below: tokens.count, 101)] = 7 }
                return prompt + tokens + [0]
            }
            return [answer(index, 1, tokens: tokens("better", holding: true)), answer(index, 0, tokens: tokens("worse", holding: false))]
        }
    }

    private func accuracy(_ model: Transformer, _ held: [[Example]]) -> Double {
        let rewards = model.score(held.flatMap { $0 }).map { $0[0].value }
        return Double(held.indices.count { rewards[2 * $0] > rewards[2 * $0 + 1] }) / Double(held.count)
    }

    @Test("equal rewards pull by one half each way, a tie not at all, and a margin further")
    func pairs() {
        let equal = terms([answer(0, 1), answer(0, 0)], rewards: [3, 3])
        #expect(equal.slopes == [-0.5, 0.5] && abs(equal.loss - fixedLog(2)) < 1e-15 && equal.shown == ["accuracy": 0.5, "margin": 0])
        let tie = terms([answer(0, 1), answer(0, 1, margin: 2)], rewards: [3, 3])
        #expect(tie.slopes == [0, 0] && tie.shown.isEmpty)
        #expect(terms([answer(0, 1), answer(0, 1)], rewards: [2, -1]).slopes.map { $0 > 0 } == [true, false])
        let far = terms([answer(0, 1, margin: 2), answer(0, 0)], rewards: [3, 3])
        #expect(abs(far.loss - BradleyTerry()(chosen: 3, rejected: 3, margin: 2).value) < 1e-15 && far.slopes[0] < -0.5)
        // The worse one first: the standing decides, not the order.
        #expect(terms([answer(0, 0), answer(0, 1)], rewards: [3, 1]).slopes.map { $0 > 0 } == [true, false])
        #expect(terms([answer(0, 1), answer(0, 0)], rewards: [1, 1], RewardObjective(BradleyTerry(centring: 0.25))).slopes == [0.5, 1.5])
    }

    @Test("a ranking is the mean over all of its pairs, and counts as much as one pair")
    func rankings() {
        let ranking = (0..<4).map { answer(5, Double(-$0)) }, rewards: [Float] = [0.3, 1.1, -0.4, 0.2]
        var (loss, slopes, right, ahead) = (0.0, [0.0, 0, 0, 0], 0.0, 0.0)
        for (better, worse) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
            let pair = terms([answer(0, 1), answer(0, 0)], rewards: [rewards[better], rewards[worse]])
            loss += pair.loss / 6
            slopes[better] += pair.slopes[0] / 6
            slopes[worse] += pair.slopes[1] / 6
            right += (pair.shown["accuracy"] ?? .nan) / 6
            ahead += (pair.shown["margin"] ?? .nan) / 6
        }
        let all = terms(ranking, rewards: rewards)
        #expect(abs(all.loss - loss) < 1e-14 && zip(all.slopes, slopes).allSatisfy { abs($0 - $1) < 1e-7 })
        #expect(abs((all.shown["accuracy"] ?? .nan) - right) < 1e-14 && abs((all.shown["margin"] ?? .nan) - ahead) < 1e-14)
        let examples = [answer(0, 1), answer(0, 0)] + ranking + [answer(6, 1), answer(6, 1)]
        #expect(RewardObjective().groups(examples) == [0..<2, 2..<6, 6..<8])
        // A tie is trained, and shown neither as right nor as wrong.
        #expect(RewardObjective().counts(examples) == [TermCount("comparison", 3), TermCount("accuracy", 2), TermCount("margin", 2)])
    }

    @Test("gradients are those of central differences; order and cut of a batch do not change them", arguments: ["llama", "bert"])
    func gradients(kind: String) throws {
        let model = try model(kind)
        var groups = comparisons(5, seed: 3)
        groups[1].append(answer(1, -1, tokens: [4, 9, 2, 0]))
        let objective = RewardObjective(BradleyTerry(centring: 0.1)), whole = try gradient(of: model, objective, groups.flatMap { $0 })
        let cut = try gradient(of: model, objective, groups.flatMap { $0 }, microBatchTokens: 1)
        #expect(bits(whole.values) == bits(cut.values) && whole.loss == cut.loss)
        let turned = try gradient(of: model, objective, groups.reversed().flatMap { $0.reversed() })
        #expect(abs(turned.loss - whole.loss) < 1e-9 && deviation(turned.values, whole.values) < 1e-4)
        let (found, looked) = try mismatches(whole.values, of: model) { try gradient(of: $0, objective, groups.flatMap { $0 }).loss }
        #expect(found == [] && looked > 3)
    }

    @Test("what makes an answer better is learnt and holds for others, and learnt from pairs turned round it is what makes it worse", arguments: ["llama", "bert"], [false, true])
    func learns(kind: String, isTurned: Bool) throws {
        let model = try model(kind), held = comparisons(100, seed: 8)
        let train = comparisons(160, seed: 4).map { pair in
            var pair = pair
            if isTurned { (pair[0].standing, pair[1].standing) = (pair[1].standing, pair[0].standing) }
            return pair
        }
        let trainer = Trainer(model, objective: RewardObjective(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 5e-3)), totalSteps: 100)
        var last: StepResult?
        for step in 0..<100 { last = try trainer.step(train[step % 10 * 16..<step % 10 * 16 + 16].flatMap { $0 }) }
        #expect(try #require(last?.terms["accuracy"]) > 0.9 && #require(last?.terms["margin"]) > 1)
        let share = accuracy(model, held)
        #expect(isTurned ? share < 0.1 : share > 0.9, "\(share)")
    }
}
