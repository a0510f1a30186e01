import Autodidact
import Synchronization
import Testing

/// Expert iteration without gold answers: the answer that most completions of a problem give is taken for right, and completions that give it are trained, from the
/// previous policy. Sources: Anthony et al. 2017, arXiv:1705.08439 (expert iteration); Huang et al. 2022, arXiv:2210.11610 (majority votes as labels).
public struct PseudoLabels: Recipe {
    public static let name = "pseudo-labels"
    public var iterations = 2
    public var samplesPerProblem = 8
    /// Share of a problem's completions that must agree.
    public var agreement = 0.5
    public var sampling = SamplingOptions(temperature: 0.7)
    public var epochs = 2

    public init() {}

    public func run(_ loop: isolated LearningLoop) async throws {
        let base = try await loop.start()
        let problems = try loop.environment.problems(in: .train)
        guard let reader = loop.environment.verifier as? any AnswerReader else {
            throw RecipeFileError(file: loop.environment.name, problem: "has answers that cannot vote: its verifier reads none. Use a task whose answers are compared.")
        }
        var policy = base, last = max(1, iterations)
        for n in 1...last {
            let rollouts = try await loop.sample(problems, samples: samplesPerProblem, from: policy, iteration: n, phase: "attempt", sampling).lastTurns()
            let examples = try loop.examples(from: rollouts, MajorityCompletions(reader, agreement: agreement), iteration: n)
            policy = try await loop.train(on: examples, NegativeLogLikelihood(), from: policy, iteration: n, epochs: epochs)
            try await loop.evaluate(policy, iteration: n)
            last = n
            if loop.isSpent { break }
        }
        try await loop.finish(base, policy, iteration: last)
    }

    public func sampling(of phase: String) -> SamplingOptions { phase == "attempt" ? sampling : .greedy }

    public func workload(problems: Int) -> Workload {
        Workload(iterations: iterations, problems: problems, samples: samplesPerProblem, cap: samplesPerProblem, training: .epochs(epochs))
    }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try check(iterations >= 1 && samplesPerProblem >= 1 && epochs >= 1, "iterations, samplesPerProblem and epochs", "1 or more")
        try check(agreement > 0 && agreement <= 1, "agreement", "above 0, at most 1")
        try sampling.validate("sampling", check)
    }
}

/// Completions that give the answer which most of their problem's completions give, where enough agree. No verdict is looked at.
public struct MajorityCompletions: Selector {
    private let reader: any AnswerReader
    private let agreement: Double

    public init(_ reader: any AnswerReader, agreement: Double) { (self.reader, self.agreement) = (reader, agreement) }

    public func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example] {
        groups.flatMap { group -> [Example] in
            let answers = group.map { $0.finishReason == .stop ? reader.answer(in: $0) : nil }
            guard let place = MajorityVote.winner(of: answers.map { MajorityVote.Vote($0) }, areEqual: reader.areEqual), let winner = answers[place] else { return [] }
            let agreed = zip(group, answers).filter { $0.1.map { reader.areEqual($0, winner) } ?? false }.map(\.0)
            return Double(agreed.count) >= agreement * Double(group.count) ? agreed.compactMap(make) : []
        }
    }
}

@Suite("Guide: a recipe")
struct PseudoLabelsTests {
    private func rollout(_ index: Int, _ sample: Int, _ text: String, finish: FinishReason = .stop) -> Rollout {
        Rollout(
            key: RolloutKey(iteration: 1, phase: "attempt", index: index, sample: sample), problem: Problem(id: "\(index)", question: "?"), mode: .plain,
            promptTokens: [1], completionTokens: [Int32(sample)], finishReason: finish, text: text, logProbabilities: [0], behaviorLogProbabilities: [0],
            temperatures: [1], weightsHash: "")
    }

    @Test("the answer that most give is trained, where enough give it; what was cut off does not vote")
    func selection() {
        let rollouts = [
            rollout(0, 0, "7"), rollout(0, 1, "8"), rollout(0, 2, "7.0"), rollout(1, 0, "1"), rollout(1, 1, "2"), rollout(1, 2, "3"), rollout(2, 0, "5", finish: .length), rollout(2, 1, "6"),
        ]
        let kept = MajorityCompletions(AnswerVerifier(), agreement: 0.5).examples(from: rollouts.grouped(), using: RandomKey(seed: 0)) {
            Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens, rollouts: [$0.key])
        }
        #expect(kept.flatMap(\.rollouts).map { [$0.index, $0.sample] } == [[0, 0], [0, 2], [2, 1]])
    }

    /// What a loop did, in order.
    private final class Log: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }

        func add(_ event: LoopEvent) {
            switch event {
            case .phaseStarted(let iteration, let phase, _): add("\(phase) \(iteration)")
            case .stepped(let step, _): add("\(step.training.phase) \(step.training.iteration)")
            default: break
            }
        }

        private func add(_ line: String) { lines.withLock { if $0.last != line { $0.append(line) } } }
    }

    private var small: PseudoLabels {
        var recipe = PseudoLabels()
        (recipe.samplesPerProblem, recipe.epochs) = (3, 1)
        return recipe
    }

    /// A loop over two-digit sums with a decoder so small that it trains in a second.
    private func loop(_ folder: String, _ journal: MemoryJournal, _ log: Log = Log(), isCancelled: @escaping @Sendable () -> Bool = { false }) throws -> LearningLoop {
        let addition = try Addition(digits: 1...2, seed: 1, trainCount: 20, devPerLength: 4, testPerLength: 4)
        let options = LoopOptions(
            seed: 3, trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: 4e-3)), batchSize: 8, maxSequences: 16, saveEvery: 1000, warmUpSteps: 150)
        return try LearningLoop(
            executor: EngineExecutor(), environments: [addition], options: options, workedExamples: try addition.warmUp(count: 40), folder: folder,
            makeModel: {
                var shape = FreshDecoder()
                (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 64, 2, 2, 128)
                return try Model.forAddition(shape, key: RandomKey(seed: 3), on: try CPUBackend(threads: 2))
            }, makeJournal: { journal }, report: { log.add($0) }, isCancelled: isCancelled)
    }

    private let order = ["warm-up 0", "dev 0", "attempt 1", "improve 1", "dev 1", "attempt 2", "improve 2", "dev 2", "test 0", "test 2"]

    @Test("what most completions say is trained from the previous policy; test is opened at the end")
    func learns() async throws {
        try await withFolder { folder in
            let (journal, log) = (MemoryJournal(), Log())
            try await small.run(try loop(folder, journal, log))
            #expect(log.all == order)
            var previous = try #require(journal.checkpoints(TrainingKey(iteration: 0, phase: "warm-up")).last)
            for n in 1...2 {
                let training = TrainingKey(iteration: n, phase: "improve"), attempts = journal.rollouts(iteration: n, phase: "attempt"), reader = AdditionVerifier(form: .scratchpad)
                // The warm-up's worked examples are mixed in; they come from no rollout.
                for keys in Dictionary(grouping: try #require(journal.examples(training)).flatMap(\.rollouts), by: \.index).values {
                    let answers = Set(attempts.filter { keys.contains($0.key) }.map { reader.answer(in: $0) })
                    #expect(answers.count == 1 && keys.count >= 2)
                }
                let checkpoint = try #require(journal.checkpoints(training).last)
                #expect(checkpoint.parents == [previous.weightsHash])
                previous = checkpoint
            }
        }
    }

    @Test("a run that was stopped goes on to the same weights, and does nothing twice")
    func resumes() async throws {
        let last = TrainingKey(iteration: 2, phase: "improve")
        let whole = MemoryJournal()
        try await withFolder { folder in try await small.run(try loop(folder, whole)) }
        try await withFolder { folder in
            let (journal, first, second) = (MemoryJournal(), Log(), Log())
            await #expect(throws: Interrupted.self) {
                // Stopped in the first step of the second training.
                try await small.run(try loop(folder, journal, first, isCancelled: { first.all.contains("improve 2") }))
            }
            #expect(journal.steps(last).count == 1)
            try await small.run(try loop(folder, journal, second))
            #expect(first.all + second.all.dropFirst() == order)
            #expect(journal.checkpoints(last) == whole.checkpoints(last))
        }
    }
}
