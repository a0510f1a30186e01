import Autodidact
import Synchronization
import Testing

/// Of n completions of each problem the one with the highest reward is kept, and training goes on from the previous policy.
/// Source: Dong et al. 2023 (RAFT), arXiv:2304.06767.
public struct BestOfN: Recipe {
    public static let name = "best-of-n"
    public var iterations = 2
    public var samplesPerProblem = 8
    public var sampling = SamplingOptions(temperature: 0.8)
    public var epochs = 2

    public init() {}

    public func run(_ loop: isolated LearningLoop) async throws {
        let base = try await loop.start()
        let problems = try loop.environment.problems(in: .train)
        var policy = base
        for n in 1...max(1, iterations) {
            let rollouts = try await loop.sample(problems, samples: samplesPerProblem, from: policy, iteration: n, phase: "attempt", sampling)
            let examples = try loop.examples(from: rollouts, HighestReward(), iteration: n)
            policy = try await loop.train(on: examples, NegativeLogLikelihood(), from: policy, iteration: n, epochs: epochs)
            try await loop.evaluate(policy, iteration: n)
        }
        try await loop.finish(base, policy, iteration: max(1, iterations))
    }

    public func sampling(of phase: String) -> SamplingOptions { phase == "attempt" ? sampling : .greedy }

    public func workload(problems: Int) -> Workload {
        Workload(iterations: iterations, problems: problems, samples: samplesPerProblem, cap: 1, training: .epochs(epochs))
    }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try check(iterations >= 1 && samplesPerProblem >= 1 && epochs >= 1, "iterations, samplesPerProblem and epochs", "1 or more")
        try sampling.validate("sampling", check)
    }
}

/// Of each problem the completion with the highest reward above 0, the first of them where several have it.
public struct HighestReward: Selector {
    public init() {}

    public func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example] {
        groups.compactMap { group in best(of: group).flatMap(make) }
    }

    private func best(of group: [Rollout]) -> Rollout? {
        var best: (rollout: Rollout, reward: Double)?
        // What was cut off makes no example, so it must not win.
        for rollout in group where rollout.finishReason == .stop {
            guard let reward = rollout.verdict?.reward, reward > (best?.reward ?? 0) else { continue }
            best = (rollout, reward)
        }
        return best?.rollout
    }
}

@Suite("Guide: a recipe")
struct BestOfNTests {
    private func rollout(_ index: Int, _ sample: Int, reward: Double, finish: FinishReason = .stop) -> Rollout {
        Rollout(
            key: RolloutKey(iteration: 1, phase: "attempt", index: index, sample: sample), problem: Problem(id: "\(index)", question: "?"), mode: .plain,
            promptTokens: [1], completionTokens: [Int32(sample)], finishReason: finish, text: "", logProbabilities: [0], behaviorLogProbabilities: [0],
            temperatures: [1], weightsHash: "", judgement: .judged(Verdict(reward > 0 ? .right : .wrong, reward: reward, evidence: "")))
    }

    @Test("the highest reward is kept, the first among equals, and nothing where no reward is above 0")
    func selection() {
        let rollouts = [
            rollout(0, 0, reward: 0.5), rollout(0, 1, reward: 1), rollout(0, 2, reward: 1), rollout(1, 0, reward: 1, finish: .length), rollout(1, 1, reward: 0.5),
            rollout(2, 0, reward: 0),
        ]
        let kept = HighestReward().examples(from: rollouts.grouped(), using: RandomKey(seed: 0)) {
            Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens, rollouts: [$0.key])
        }
        #expect(kept.flatMap(\.rollouts).map { [$0.index, $0.sample] } == [[0, 1], [1, 1]])
    }

    /// Rewards what is short, so that a group has a best one.
    private struct Shortness: Verifier {
        let name = "shortness"

        func judge(_ rollouts: [Rollout]) async -> [Judgement] {
            rollouts.map { rollout in
                let count = rollout.completionTokens.count
                return .judged(rollout.finishReason == .length ? Verdict(.cutOff, evidence: "") : Verdict(.right, reward: 1 / Double(count), evidence: "\(count) tokens"))
            }
        }
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

    private var small: BestOfN {
        var recipe = BestOfN()
        (recipe.samplesPerProblem, recipe.epochs) = (3, 1)
        return recipe
    }

    /// A loop over two-digit sums with a decoder so small that it trains in a second.
    private func loop(_ folder: String, _ journal: MemoryJournal, _ log: Log = Log(), isCancelled: @escaping @Sendable () -> Bool = { false }) throws -> LearningLoop {
        let addition = try Addition(digits: 1...2, seed: 1, trainCount: 20, devPerLength: 4, testPerLength: 4)
        let options = LoopOptions(
            seed: 3, trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: 4e-3)), batchSize: 8, maxSequences: 16, saveEvery: 1000, warmUpSteps: 150)
        return try LearningLoop(
            executor: EngineExecutor(), environments: [addition], verifier: Shortness(), options: options, workedExamples: try addition.warmUp(count: 40), folder: folder,
            makeModel: {
                var shape = FreshDecoder()
                (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 64, 2, 2, 128)
                return try Model.forAddition(shape, key: RandomKey(seed: 3), on: try CPUBackend(threads: 2))
            }, makeJournal: { journal }, report: { log.add($0) }, isCancelled: isCancelled)
    }

    private let order = ["warm-up 0", "dev 0", "attempt 1", "improve 1", "dev 1", "attempt 2", "improve 2", "dev 2", "test 0", "test 2"]

    @Test("the best of each group is trained from the previous policy; test is opened at the end")
    func learns() async throws {
        try await withFolder { folder in
            let (journal, log) = (MemoryJournal(), Log())
            try await small.run(try loop(folder, journal, log))
            #expect(log.all == order)
            var previous = try #require(journal.checkpoints(TrainingKey(iteration: 0, phase: "warm-up")).last)
            for n in 1...2 {
                let training = TrainingKey(iteration: n, phase: "improve")
                let ended = journal.rollouts(iteration: n, phase: "attempt").filter { $0.finishReason == .stop }
                let shortest = ended.grouped().map { group in group.min { ($0.completionTokens.count, $0.key) < ($1.completionTokens.count, $1.key) }!.key }
                // The warm-up's worked examples are mixed in; they come from no rollout.
                #expect(try #require(journal.examples(training)).flatMap(\.rollouts) == shortest)
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
