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

@Suite("Self-correction")
struct SelfCorrectionTests {
    private func rollout(_ sample: Int, _ turn: Int, isRight: Bool, completion: Int32 = 1) -> Rollout {
        Rollout(
            key: RolloutKey(iteration: 1, phase: "attempt", index: 0, sample: sample, turn: turn), problem: Problem(id: "", question: ""), mode: .plain, promptTokens: [Int32(turn + 1)],
            completionTokens: [completion], finishReason: .stop, text: "", logProbabilities: [-1], behaviorLogProbabilities: [-1], temperatures: [1], weightsHash: "",
            judgement: .judged(Verdict(isRight ? .right : .wrong, evidence: "")))
    }

    private func advantages(_ selector: TwoTurnRewards, _ outcomes: [(Bool, Bool)]) -> [[Float]] {
        let group = outcomes.enumerated().flatMap { [rollout($0, 0, isRight: $1.0), rollout($0, 1, isRight: $1.1)] }
        let examples = selector.examples(from: [group], using: RandomKey(seed: 0)) { rollout in
            var example = Example(promptTokens: rollout.promptTokens, completionTokens: rollout.completionTokens, rollouts: [rollout.key])
            (example.behaviorLogProbabilities, example.referenceLogProbabilities) = ([-1], [-1])
            return example
        }
        return [0, 1].map { turn in outcomes.indices.map { sample in examples.first { $0.rollouts[0].turn == turn && $0.rollouts[0].sample == sample }?.advantage ?? 0 } }
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
        #expect(advantages(selector, [(true, true), (false, false), (false, true)])[0] == advantages(selector, [(true, false), (false, true), (false, false)])[0])
    }

    @Test("a second prompt follows in the form of the first, and a third never")
    func turns() throws {
        let task = SelfCorrection(CopiedDigits(), instruction: "Again."), problem = try task.problems(in: .train)[0]
        #expect(try task.step(problem, after: ["1"]) == .text("\n\nAgain.\n"))
        #expect(try task.step(problem, after: ["1", "2"]) == nil)
    }

    private func run(_ recipe: SCoRe) async throws -> [String: [Double]] {
        try await withFolder { folder in
            let task = CopiedDigits(), journal = MemoryJournal()
            let options = LoopOptions(
                seed: 3, trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: 1e-3)), batchSize: 32, maxSequences: 64, saveEvery: 1000, warmUpSteps: 700)
            let loop = try LearningLoop(
                executor: EngineExecutor(), environments: [recipe.environment(task)], options: options, workedExamples: try task.worked(1200), folder: folder,
                makeModel: {
                    var shape = FreshDecoder()
                    (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (64, 128, 2, 4, 64)
                    return try Model.forAddition(shape, key: RandomKey(seed: 3), on: try CPUBackend(threads: 2))
                }, makeJournal: { journal }, report: { _ in })
            try await recipe.run(loop)
            var figures: [String: [Double]] = [:]
            for n in 1...recipe.loop.iterations {
                for name in ["firstTry", "lastTry", "wrongToRight", "rightToWrong"] {
                    figures[name, default: []].append(journal.metrics().first { $0.iteration == n && $0.phase == "attempt" && $0.name == name }?.value ?? .nan)
                }
            }
            return figures
        }
    }

    @Test("second answers become better than first ones, which the first stage leaves as they are; right ones are hardly ever broken")
    func learns() async throws {
        var recipe = SCoRe()
        (recipe.instruction, recipe.loop.iterations, recipe.loop.problemsPerIteration, recipe.loop.samplesPerProblem, recipe.loop.measureEvery) = (CopiedDigits.instruction, 60, 8, 8, 0)
        let figures = try await run(recipe)
        func mean(_ name: String, _ range: Range<Int>) -> Double { figures[name]![range].reduce(0, +) / Double(range.count) }
        #expect(abs(mean("firstTry", 15..<20) - mean("firstTry", 0..<3)) < 0.15)
        #expect(mean("lastTry", 15..<20) > mean("lastTry", 0..<3) + 0.1)
        #expect(mean("lastTry", 15..<20) > mean("firstTry", 15..<20) + 0.1)
        #expect(mean("lastTry", 55..<60) > 0.85 && mean("rightToWrong", 55..<60) < 0.05)
    }
}
