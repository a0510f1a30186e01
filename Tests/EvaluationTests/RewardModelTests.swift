import Architectures
import Evaluation
import Foundation
import ModelFiles
import Recipes
import Tasks
import Tensors
import Testing
import Training

@Suite("Reward models")
struct RewardModelTests {
    static let form = RewardModel.Form(isChat: false, maxTokens: 40)

    /// Runs `body` with a folder that holds a small decoder, and removes it afterwards.
    private func withDecoder<Result>(_ body: (_ decoder: String, _ folder: String) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("reward-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for name in ["decoder", "reward", "adapter"] { try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true) }
        var shape = FreshDecoder()
        (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 48, 2, 2, 64)
        try Model.forAddition(shape, key: RandomKey(seed: 3), on: CPUBackend(threads: 2)).save(to: "\(folder)/decoder")
        return try body("\(folder)/decoder", folder)
    }

    private let comparisons = (0..<12).map { RankedAnswers(line: $0, prompt: "Input:\n\($0 % 4) + \($0 % 3)\nTarget:", answers: ["\($0 % 7) \($0 % 5)", "\($0 % 3)"]) }

    private func open(_ path: String, seed: UInt64 = 0) throws -> Model { try Model(path: path, as: RewardModel.task(key: RandomKey(seed: seed)), on: CPUBackend(threads: 2)) }

    private func train(_ reward: RewardModel, groups: [ParameterGroup] = []) throws -> [Example] {
        let examples = try SupervisedData.comparisons(comparisons, reward)
        var optimizer = OptimizerOptions(learningRate: 5e-3)
        optimizer.groups = groups
        let trainer = Trainer(reward.model.transformer, objective: RewardObjective(), options: TrainerOptions(optimizer: optimizer), totalSteps: 4)
        for _ in 0..<4 { _ = try trainer.step(examples) }
        return examples
    }

    @Test("saved and opened again, whole or as an adapter with its head, rewards have the same bits; the mean over reference answers is 0")
    func saved() throws {
        try withDecoder { decoder, folder in
            let whole = try RewardModel(open(decoder), form: Self.form), examples = try train(whole), best = RewardObjective().groups(examples).map { examples[$0.lowerBound] }
            whole.centre(on: best)
            let rewards = whole.rewards(examples)
            #expect(abs(whole.rewards(best).reduce(0, +) / 12) < 1e-6 && Set(rewards).count > 10)
            try whole.model.save(to: "\(folder)/reward")
            try whole.form.write(to: "\(folder)/reward")
            let again = try RewardModel(path: "\(folder)/reward", on: CPUBackend(threads: 1))
            #expect(try again.form == whole.form && again.rewards(SupervisedData.comparisons(comparisons, again)) == rewards)
            // Alone as in a batch.
            #expect(again.rewards([examples[5]]) == [rewards[5]])
            let config = try JSON.read(path: "\(folder)/reward/config.json")
            #expect(config["architectures"]?.array?.first?.string == "LlamaForSequenceClassification" && config["id2label"]?["0"]?.string == "reward")

            var choices = AdapterChoices()
            let base = try open(decoder, seed: 9)
            choices.whole = base.transformer.headModules
            let adapted = try RewardModel(base.with(base.transformer.adapted(choices)), form: Self.form)
            let adaptedExamples = try train(adapted, groups: [ParameterGroup(patterns: adapted.model.transformer.adapterPatterns), ParameterGroup(patterns: [], learningRateScale: 0)])
            try adapted.model.saveAdapter(to: "\(folder)/adapter", base: decoder)
            try adapted.form.write(to: "\(folder)/adapter")
            #expect(try RewardModel(path: decoder, adapter: "\(folder)/adapter", on: CPUBackend(threads: 1)).rewards(adaptedExamples) == adapted.rewards(adaptedExamples))
        }
    }

    @Test("the head reads the token that ends the text; what is too long loses the beginning of its prompt")
    func reading() throws {
        try withDecoder { decoder, _ in
            let model = try open(decoder), reward = try RewardModel(model, form: Self.form), end = try #require(model.tokenizer.eosToken)
            #expect(reward.form.endToken == end)
            let plain = try reward.example(prompt: "Input:\n1 + 2", answer: " 3").promptTokens
            #expect(plain == model.tokenizer.encode("Input:\n1 + 2 3") + [end])
            let long = try reward.example(prompt: String(repeating: " 1", count: 60), answer: "2 3").promptTokens
            #expect(long.count == 40 && long.suffix(3) == model.tokenizer.encode(" 2 3") + [end])
            #expect(try reward.example(prompt: " 1", answer: String(repeating: " 2", count: 60)).promptTokens.last == end)
            #expect(throws: FileError.self) { try RewardModel(Model(path: decoder, on: CPUBackend(threads: 1))) }
            #expect(throws: FileError.self) { try reward.example(prompt: "1", answer: "ü") }
        }
    }

    private func rollout(_ question: String, _ text: String, isCut: Bool = false) -> Rollout {
        Rollout(
            key: RolloutKey(iteration: 0, phase: "test", index: 0), problem: Problem(id: "p", question: question), mode: .plain, promptTokens: [], completionTokens: [1, 2],
            finishReason: isCut ? .length : .stop, text: text, logProbabilities: [0, 0], behaviorLogProbabilities: [0, 0], temperatures: [0, 0], weightsHash: "")
    }

    @Test("as a verifier it gives its number as the reward; what was cut off gets a low one, and what it cannot read fails alone")
    func verifier() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("reward-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (example, other) = try withDecoder { decoder, _ in
            let reward = try RewardModel(open(decoder), form: Self.form), examples = try train(reward)
            reward.centre(on: examples)
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try reward.model.save(to: folder)
            try reward.form.write(to: folder)
            let rewards = reward.rewards(try [("1", " 2"), ("3", " 4 5")].map { try reward.example(prompt: $0.0, answer: $0.1) })
            return (rewards[0], rewards[1])
        }
        let verifier = try RewardVerifier(path: folder, threads: 1, threshold: (example + other) / 2)
        let judged = await verifier.judge([rollout("1", " 2"), rollout("3", "ü"), rollout("3", " 4 5"), rollout("1", " 2", isCut: true)])
        #expect(judged[0] == .judged(Verdict(example > other ? .right : .wrong, reward: example, evidence: "reward \(String(format: "%.2f", example))")))
        #expect(judged[2] == .judged(Verdict(other > example ? .right : .wrong, reward: other, evidence: "reward \(String(format: "%.2f", other))")))
        guard case .failed(let reason) = judged[1], case .judged(let cut) = judged[3] else {
            Issue.record("\(judged)")
            return
        }
        #expect(reason.contains("'ü'") && cut.outcome == .cutOff && cut.reward == -3)
        #expect(throws: FileError.self) { try RewardVerifier(path: "\(folder)-none") }
    }
}

@Suite("What rewards are worth")
struct RewardScoreTests {
    private func pair(_ line: Int, _ better: String, _ worse: String) -> RankedAnswers { RankedAnswers(line: line, prompt: "p\(line)", answers: [better, worse]) }

    @Test("accuracy, what length alone tells, and calibration are counted over pairs")
    func score() {
        let held = [pair(0, "long answer", "short"), pair(1, "no", "a long answer"), pair(2, "same", "size"), RankedAnswers(line: 3, prompt: "p", answers: ["a", "bb"], scores: [1, 1])]
        let log3 = fixedLog(3)
        let score = RewardScore(held, rewards: [[log3, 0], [0, log3], [1, 1], [5, 0]], prefersLonger: true)
        #expect(score.count == 3 && score.right == 1.5 && score.rightByLength == 1.5)
        // σ(ln 3) is 3/4: of two such pairs one is right; of the one at 1/2 a half.
        #expect(score.bins.map(\.count) == [1, 2] && score.bins.map(\.right) == [0.5, 0.5])
        #expect(abs(score.bins[1].predicted - 0.75) < 1e-12 && score.bins[1].range.contains(0.75) && abs(score.calibrationError - 2.0 / 3 * 0.25) < 1e-12)
        #expect(RewardScore.prefersLonger([held[0]]) && !RewardScore.prefersLonger([held[1]]))
        // Rankings are all of their pairs.
        let ranking = RankedAnswers(line: 0, prompt: "p", answers: ["a", "b", "c"], scores: [2, 1, 1])
        #expect(ranking.decided.map { [$0.better, $0.worse] } == [[0, 1], [0, 2]])
        let ranked = RewardScore([ranking, held[1]], rewards: [[2, 3, 1], [1, 0]], prefersLonger: true)
        #expect(RewardScore([ranking], rewards: [[3, 2, 1]], prefersLonger: true).right == 2 && ranked.right == 2)
        #expect(ranked.shares == [0.5, 1] && ranked.sharesByLength == [0.5, 0])
        // The same ranking as two lines.
        let lines = [RankedAnswers(line: 0, prompt: "p", answers: ["a", "b"]), RankedAnswers(line: 1, prompt: "p", answers: ["a", "c"]), held[1]]
        #expect(RewardScore(lines, rewards: [[2, 3], [2, 1], [1, 0]], prefersLonger: true).shares == ranked.shares)
    }

    @Test("correlations are 1 for what rises together, also of ranks, and 0 where nothing varies")
    func correlations() {
        #expect(abs(Correlation.linear([1, 2, 3], [2, 4, 6]) - 1) < 1e-12 && abs(Correlation.linear([1, 2, 3], [3, 2, 1]) + 1) < 1e-12)
        #expect(Correlation.linear([1, 2, 3], [5, 5, 5]) == 0 && Correlation.rank([], []) == 0)
        #expect(abs(Correlation.rank([1, 2, 3, 4], [1, 10, 100, 1e6]) - 1) < 1e-12 && Correlation.linear([1, 2, 3, 4], [1, 10, 100, 1e6]) < 0.9)
        // Equal numbers share their ranks: 1.5, 1.5, 3 beside 1, 2, 3.
        #expect(abs(Correlation.rank([4, 4, 9], [1, 2, 3]) - 0.75.squareRoot()) < 1e-12)
    }

    private func iteration(_ reward: Double, right: Int, of count: Int = 100, number: Int = 0) -> RewardWatch.Iteration {
        RewardWatch.Iteration(number: number, rewards: (0..<count).map { reward + Double($0 % 5) / 10 }, heldOut: (0..<count).map { $0 < right ? 1 : 0 })
    }

    @Test("a reward that rises while the other verdict falls is told, and nothing else is")
    func watch() throws {
        let watch = RewardWatch()
        let note = try #require(watch.note([iteration(0, right: 50), iteration(1, right: 70, number: 1), iteration(2, right: 60, number: 2), iteration(3, right: 30, number: 3)]))
        #expect(note.contains("from 1.2 to 3.2 since iteration 1") && note.contains("from 0.7 to 0.3"), "\(note)")
        #expect(watch.note([iteration(0, right: 50), iteration(1, right: 70)]) == nil)  // both rise
        #expect(watch.note([iteration(1, right: 70), iteration(0, right: 30)]) == nil)  // both fall
        #expect(watch.note([iteration(0, right: 50), iteration(1, right: 48)]) == nil)  // within chance
        #expect(watch.note([iteration(0, right: 50)]) == nil && watch.note([]) == nil)
        // It is over when the verdict is as good as it was.
        #expect(watch.note([iteration(0, right: 70), iteration(1, right: 20), iteration(2, right: 71)]) == nil)
    }

    @Test("iterations are called by their numbers, of which some may be left out")
    func watchNumbers() throws {
        let note = try #require(RewardWatch().note([iteration(0, right: 50, number: 0), iteration(1, right: 70, number: 10), iteration(3, right: 30, number: 20)]))
        #expect(note.contains("since iteration 10,") && note.contains("Stop at iteration 10,"), "\(note)")
    }

    @Test("an iteration's metrics are the other verifier's mean and how far the two agree")
    func metrics() {
        let metrics = RewardWatch.Iteration(number: 0, rewards: [0.1, 0.2, 3, 4], heldOut: [0, 0, 1, 1]).metrics
        #expect(metrics["heldOutReward"] == 0.5 && abs((metrics["rewardAgreement"] ?? 0) - 0.8.squareRoot()) < 1e-12)
    }
}
