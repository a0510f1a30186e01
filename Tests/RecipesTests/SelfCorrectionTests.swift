import Architectures
import Foundation
import Recipes
import Sampling
import Tasks
import Tensors
import Testing
import Training

/// Three digits have to be repeated; the decoder was warmed up on answers of which half have one digit wrong, and on second answers of which half repeat the first.
struct CopiedDigits: Tasks.Environment {
    let name = "repeating"
    let stops: [String] = []
    let maxTokens = 6
    var verifier: any Verifier { AnswerVerifier(extraction: AnswerExtraction([.whole]), comparison: .exact) }

    static let instruction = "<scratch>"

    private static func digits(_ key: RandomKey) -> [Int] { (0..<3).map { key.index(below: 10, UInt64($0)) } }
    private static func text(_ digits: [Int]) -> String { digits.map { " \($0)" }.joined() }
    private static func prompt(_ question: String) -> String { "Input:\(question)\nTarget:" }

    func problems(in split: Split) throws -> [Problem] {
        (0..<(split == .train ? 200 : 40)).map { index in
            let text = Self.text(Self.digits(RandomKey(seed: 7).folding(split.rawValue).folding(index)))
            return Problem(id: "\(split.rawValue) \(index)", question: text, answer: text.trimmingCharacters(in: .whitespaces))
        }
    }

    func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt { .text(Self.prompt(problem.question)) }

    func worked(_ count: Int) throws -> [WorkedExample] {
        (0..<count).flatMap { index -> [WorkedExample] in
            let key = RandomKey(seed: 11).folding(index), right = Self.digits(key.folding("digits"))
            var wrong = right
            wrong[key.index(below: 3, 1)] = key.index(below: 10, 2)
            let first = key.uniform(3) < 0.5 ? right : wrong, second = key.uniform(4) < 0.5 ? right : first
            let problem = Problem(id: "\(index)", question: Self.text(right)), prompt = Self.prompt(problem.question)
            return [
                WorkedExample(problem: problem, mode: .plain, prompt: prompt, completion: Self.text(first)),
                WorkedExample(problem: problem, mode: .plain, prompt: "\(prompt)\(Self.text(first))<eos>\n\n\(Self.instruction)\n", completion: Self.text(second)),
            ]
        }
    }
}

/// SCoRe's first stage alone, twice from the same start: with first answers held to it, and without.
private struct FirstStages: Recipe {
    static let name = "first stages"
    var iterations = 20

    func environment(_ base: any Tasks.Environment) -> any Tasks.Environment { SelfCorrection(base, instruction: CopiedDigits.instruction) }
    func sampling(of phase: String) -> SamplingOptions { phase == "attempt" ? SamplingOptions(temperature: 1) : .greedy }
    func workload(problems: Int) -> Workload { Workload(iterations: 2 * iterations, problems: 16, samples: 16, cap: 16, training: .steps(Array(repeating: 1, count: 2 * iterations))) }
    func validate(_ check: (Bool, String, String) throws -> Void) {}

    func run(_ loop: isolated LearningLoop) async throws {
        let base = try await loop.start(), problems = try loop.environment.problems(in: .train)
        for (phase, first, weight) in [("held", 1, 0.5), ("free", iterations + 1, 0)] {
            var training = OnlineTraining(phase, from: base, ClippedPolicyGradient(.length(1)), iterations: first...first + iterations - 1)
            training.reference = base
            var policy = base
            for n in training.iterations {
                let chosen = (0..<16).map { problems[((n - first) * 16 + $0) % problems.count] }
                let rollouts = try await loop.sample(chosen, samples: 8, from: policy, iteration: n, phase: "attempt", sampling(of: "attempt"))
                policy = try loop.advance(training, iteration: n, on: rollouts, TwoTurnRewards(firstAnswerWeight: weight, klWeight: 0.01))
            }
            _ = try loop.conclude(policy)
        }
    }
}

@Suite("Self-correction")
struct SelfCorrectionTests {
    private func rollout(_ sample: Int, _ turn: Int, isRight: Bool, completion: Int32 = 1) -> Rollout {
        Rollout(
            key: RolloutKey(iteration: 1, phase: "attempt", index: 0, sample: sample, turn: turn), problem: Problem(id: "", question: ""), mode: .plain, promptTokens: [Int32(turn + 1)],
            completionTokens: [completion], finishReason: .stop, text: "", logProbabilities: [-1], behaviorLogProbabilities: [-1], temperatures: [1], weightsHash: "",
            judgement: .judged(Verdict(isRight ? .right : .wrong, evidence: "")))
    }

    private func examples(_ selector: TwoTurnRewards, _ outcomes: [(Bool, Bool)]) -> [Example] {
        let group = outcomes.enumerated().flatMap { [rollout($0, 0, isRight: $1.0), rollout($0, 1, isRight: $1.1)] }
        return selector.examples(from: [group], using: RandomKey(seed: 0)) { rollout in
            var example = Example(promptTokens: rollout.promptTokens, completionTokens: rollout.completionTokens, rollouts: [rollout.key])
            (example.behaviorLogProbabilities, example.referenceLogProbabilities) = ([-1], [-1])
            return example
        }
    }

    /// As the loss weighs them, which is a mean over what is left of the turns.
    private func advantages(_ selector: TwoTurnRewards, _ outcomes: [(Bool, Bool)]) -> [[Float]] {
        let examples = examples(selector, outcomes), turns = Float(2 * outcomes.count), left = Float(examples.count)
        return [0, 1].map { turn in
            outcomes.indices.map { sample in examples.first { $0.rollouts[0].turn == turn && $0.rollouts[0].sample == sample }.map { $0.advantage! * turns / left } ?? 0 }
        }
    }

    @Test("a first answer that was cut off takes no part, or is compared with other first ones at a reward of 0; it counts as both tries")
    func cutOffFirst() throws {
        var lone = rollout(2, 0, isRight: false)
        lone.finishReason = .length
        let group = [rollout(0, 0, isRight: true), rollout(0, 1, isRight: true), rollout(1, 0, isRight: false), rollout(1, 1, isRight: true), lone]
        func advantages(_ truncation: Truncation) -> [[Float]] {
            let examples = TwoTurnRewards(klWeight: 0, truncation: truncation).examples(from: [group], using: RandomKey(seed: 0)) { rollout in
                var example = Example(promptTokens: rollout.promptTokens, completionTokens: rollout.completionTokens, rollouts: [rollout.key])
                (example.behaviorLogProbabilities, example.referenceLogProbabilities) = ([-1], [-1])
                return example
            }
            return [0, 1].map { turn in examples.filter { $0.rollouts[0].turn == turn }.map { $0.advantage! } }
        }
        // Second answers are right both times, and tell nothing; shares are of all that were compared.
        #expect(advantages(.mask) == [[0.5, -0.5], []])
        #expect(advantages(.penalise) == [[0.6, -0.3, -0.3], []])

        let found = Dictionary(uniqueKeysWithValues: MetricRecord.summary(of: group, iteration: 1, phase: "test").map { ($0.name + $0.category, $0) })
        #expect(["firstTry", "lastTry", "wrongToRight", "rightToWrong"].map { found[$0]?.value } == [1.0 / 3, 2.0 / 3, 1.0 / 3, 0] && found["firstTry"]?.count == 3)
    }

    @Test("what an answer earns: making a wrong one right 1 + α, keeping a right one 1, breaking one -α, and nothing for wrong twice")
    func rewards() {
        // Compared with a sample that is wrong twice, the advantage is the reward itself.
        let second = TwoTurnRewards(progressBonus: 10, klWeight: 0)
        func earned(_ selector: TwoTurnRewards, _ outcome: (Bool, Bool)) -> [Float] { advantages(selector, [outcome, (false, false)]).map { $0[0] } }
        #expect(earned(second, (false, true)) == [0, 11])
        #expect(earned(second, (true, true)) == [1, 1])
        #expect(earned(second, (true, false)) == [1, -10])
        // The first stage rewards second answers alone.
        let first = TwoTurnRewards(firstAnswerWeight: 0.1, klWeight: 0)
        #expect(earned(first, (true, true)) == [0, 1] && earned(first, (true, false)) == [0, 0])
    }

    @Test("first answers are trained for their own reward alone, whatever the second ones are")
    func discount() {
        let selector = TwoTurnRewards(progressBonus: 10, klWeight: 0)
        let some = [(true, true), (false, false), (false, true)], others = [(true, false), (false, true), (false, false)]
        #expect(advantages(selector, some)[0] == advantages(selector, others)[0])
        /// The loss's gradient at the tokens of a turn.
        func gradients(_ turn: Int, _ outcomes: [(Bool, Bool)]) -> [[Float]] {
            let law = RowLaw(logProbability: -0.9, logSumExp: 0, entropy: 0)
            return examples(selector, outcomes).filter { $0.rollouts[0].turn == turn }.map { ClippedPolicyGradient(.length(1)).sums($0, [law])[0].logProbabilityGradients }
        }
        #expect(gradients(0, some) == gradients(0, others) && gradients(0, some).count == 3)
        #expect(gradients(1, some) != gradients(1, others))
    }

    @Test("a second prompt follows in the form of the first, and a third never")
    func turns() throws {
        let task = SelfCorrection(CopiedDigits(), instruction: "Again."), problem = try task.problems(in: .train)[0]
        #expect(try task.step(problem, after: ["1"]) == .text("\n\nAgain.\n"))
        #expect(try task.step(problem, after: ["1", "2"]) == nil)
        #expect(try SelfCorrection(CopiedDigits(), instruction: "Again: {question} =").step(problem, after: ["1"]) == .text("\n\nAgain: \(problem.question) ="))
    }

    private func run(_ recipe: some Recipe, rate: Double = 1e-3, warmUpSteps: Int = 700, tokenBudget: Int = 0) async throws -> MemoryJournal {
        try await withFolder { folder in
            let task = CopiedDigits(), journal = MemoryJournal()
            let options = LoopOptions(
                seed: 3, trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: rate)), batchSize: 32, maxSequences: 64, saveEvery: 1000, warmUpSteps: warmUpSteps, tokenBudget: tokenBudget)
            let loop = try LearningLoop(
                executor: EngineExecutor(), environments: [recipe.environment(task)], options: options, workedExamples: try task.worked(1200), folder: folder,
                makeModel: {
                    var shape = FreshDecoder()
                    (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (64, 128, 2, 4, 64)
                    return try Model.forAddition(shape, key: RandomKey(seed: 3), on: try CPUBackend(threads: 2))
                }, makeJournal: { journal }, report: { _ in })
            try await recipe.run(loop)
            return journal
        }
    }

    /// Of some iterations' attempts.
    private func mean(_ name: String, _ iterations: ClosedRange<Int>, _ journal: MemoryJournal) -> Double {
        let figures = journal.metrics().filter { iterations.contains($0.iteration) && $0.phase == "attempt" && $0.name == name }.map(\.value)
        return figures.count == iterations.count ? figures.reduce(0, +) / Double(figures.count) : .nan
    }

    @Test("a budget that the first stage spends ends the run there, and what it ends with is tested")
    func budget() async throws {
        var recipe = SCoRe()
        (recipe.instruction, recipe.loop.iterations, recipe.loop.problemsPerIteration, recipe.loop.samplesPerProblem) = (CopiedDigits.instruction, 60, 4, 4)
        let journal = try await run(recipe, warmUpSteps: 30, tokenBudget: 300)
        let last = try #require((1...60).last { !journal.rollouts(iteration: $0, phase: "attempt").isEmpty })
        #expect(last < 20)
        #expect((1...60).allSatisfy { journal.steps(TrainingKey(iteration: $0, phase: "improve")).isEmpty })
        #expect(journal.metrics().last { $0.phase == "test" && $0.name == "accuracy" }?.iteration == last)
    }

    @Test("second answers become better than first ones, which the first stage leaves as they are; right ones are hardly ever broken")
    func learns() async throws {
        var recipe = SCoRe()
        (recipe.instruction, recipe.loop.iterations, recipe.loop.problemsPerIteration, recipe.loop.samplesPerProblem, recipe.loop.measureEvery) = (CopiedDigits.instruction, 60, 8, 8, 0)
        let journal = try await run(recipe)
        func mean(_ name: String, _ iterations: ClosedRange<Int>) -> Double { self.mean(name, iterations, journal) }
        #expect(abs(mean("firstTry", 16...20) - mean("firstTry", 1...3)) < 0.15)
        #expect(mean("lastTry", 16...20) > mean("lastTry", 1...3) + 0.1)
        #expect(mean("lastTry", 16...20) > mean("firstTry", 16...20) + 0.1)
        #expect(mean("lastTry", 56...60) > 0.85 && mean("rightToWrong", 56...60) < 0.05)
    }

    @Test("in the first stage second answers become better while first ones stay within 0.05 nats a token of the start; without their weight they drift further")
    func firstStage() async throws {
        let journal = try await run(FirstStages(), rate: 7e-4)
        /// Of first answers, a token, over a training's iterations.
        func divergence(_ phase: String, _ iterations: ClosedRange<Int>) throws -> Double {
            let tokens = try iterations.flatMap { n in
                try #require(journal.examples(TrainingKey(iteration: n, phase: phase))).filter { $0.rollouts[0].turn == 0 }.flatMap { example in
                    try zip(#require(example.behaviorLogProbabilities), #require(example.referenceLogProbabilities)).map { KLEstimator.k1(policy: Double($0), reference: Double($1)).value }
                }
            }
            return tokens.reduce(0, +) / Double(tokens.count)
        }
        let (held, free) = (try divergence("held", 1...20), try divergence("free", 21...40))
        #expect(held < 0.05 && free > 1.3 * held, "\(held) and \(free)")
        #expect(mean("lastTry", 16...20, journal) > mean("lastTry", 1...3, journal) + 0.05)
    }
}
