import Architectures
import Foundation
import Recipes
import Synchronization
import Tasks
import Tensors
import Testing
import Training

/// Accepts everything but one completion in twenty, at which it crashes, and another, at which it hangs: which ones, their keys decide.
private struct FlakyVerifier: Verifier {
    enum Fate { case judged, crash, hang }
    let name = "flaky"

    static func fate(_ key: RolloutKey) -> Fate {
        switch (key.index * 7 + key.sample * 13 + key.iteration) % 20 {
        case 3: .crash
        case 11: .hang
        default: .judged
        }
    }

    func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        var judgements: [Judgement] = []
        for rollout in rollouts {
            if rollout.finishReason == .length {
                judgements.append(.judged(Verdict(.cutOff, evidence: "cut off")))
                continue
            }
            switch Self.fate(rollout.key) {
            case .judged: judgements.append(.judged(Verdict(.right, evidence: "accepted")))
            case .crash: judgements.append(.failed(reason: "crashed"))
            case .hang:
                try? await Task.sleep(for: .seconds(3600))
                judgements.append(.judged(Verdict(.right, evidence: "too late")))
            }
        }
        return judgements
    }
}

/// Counts what another verifier was asked to judge.
private final class Counted: Verifier {
    let name = "counted"
    private let base: any Verifier
    private let asked = Mutex(0)
    var count: Int { asked.withLock { $0 } }

    init(_ base: any Verifier) { self.base = base }

    func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        asked.withLock { $0 += rollouts.count }
        return await base.judge(rollouts)
    }
}

@Suite("Verifiers that crash and hang", .serialized)
struct FlakyVerifierTests {
    /// Answers sums at once, so that ten thousand of them take seconds.
    private func loop(_ folder: String, _ journal: MemoryJournal, _ verifier: any Verifier, isCancelled: @escaping @Sendable () -> Bool = { false }) throws -> LearningLoop {
        let addition = try Addition(digits: 1...2, form: .direct, seed: 1, trainCount: 40, devPerLength: 5, testPerLength: 10)
        var shape = FreshDecoder()
        (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 64, 2, 2, 128)
        let fixed = shape
        let options = LoopOptions(seed: 3, trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: 4e-3)), batchSize: 8, maxSequences: 512, saveEvery: 20, warmUpSteps: 100)
        return try LearningLoop(
            executor: EngineExecutor(), environments: [addition], verifier: verifier, options: options, workedExamples: try addition.warmUp(count: 40, longest: 20), folder: folder,
            makeModel: { try Model.forAddition(fixed, form: .direct, key: RandomKey(seed: 3), on: try CPUBackend(threads: 2)) }, makeJournal: { journal }, report: { _ in },
            isCancelled: isCancelled)
    }

    private func recipe(iterations: Int, samples: Int) -> ReSTEM {
        var recipe = ReSTEM()
        (recipe.iterations, recipe.samplesPerProblem, recipe.cap, recipe.epochs) = (iterations, samples, 10_000, 1)
        recipe.sampling.temperature = 1
        return recipe
    }

    /// What a finished run holds: every failure with its reason, none of it in a metric, none of it trained.
    private func check(_ journal: MemoryJournal, iterations: Int, samples: Int, reasons: [FlakyVerifier.Fate: String]) throws {
        for n in 1...iterations {
            let attempts = journal.rollouts(iteration: n, phase: "attempt")
            #expect(journal.isComplete(iteration: n, phase: "attempt") && journal.isComplete(iteration: n, phase: "dev") && attempts.count == 40 * samples)
            let (whole, cutOff) = (attempts.filter { $0.finishReason == .stop }, attempts.filter { $0.finishReason == .length })
            #expect(whole.count * 10 > attempts.count * 8 && cutOff.allSatisfy { $0.verdict?.outcome == .cutOff })
            var failed: Set<RolloutKey> = []
            for rollout in whole {
                switch (FlakyVerifier.fate(rollout.key), rollout.judgement) {
                case (.judged, .judged(let verdict)): #expect(verdict.outcome == .right && verdict.reward == 1)
                case (let fate, .failed(let reason)):
                    failed.insert(rollout.key)
                    #expect(reasons[fate].map(reason.contains) == true, "\(rollout.key): \(reason)")
                case (let fate, let judgement): Issue.record("\(fate), but \(String(describing: judgement))")
                }
            }
            #expect(failed.count * 15 > attempts.count)
            let metrics = Dictionary(uniqueKeysWithValues: journal.metrics().filter { ($0.iteration, $0.phase, $0.category) == (n, "attempt", "") }.map { ($0.name, $0) })
            // All judgements but the failed ones count, and these with no number.
            let (right, judged) = (whole.count - failed.count, attempts.count - failed.count)
            for name in ["accuracy", "reward"] { #expect(metrics[name]?.value == Double(right) / Double(judged) && metrics[name]?.count == judged, "\(name)") }
            #expect(metrics["failedJudgements"]?.value == Double(failed.count) / Double(attempts.count))
            let examples = try #require(journal.examples(TrainingKey(iteration: n, phase: "improve")))
            #expect(examples.contains { !$0.rollouts.isEmpty } && examples.allSatisfy { failed.isDisjoint(with: $0.rollouts) })
            #expect(journal.checkpoints(TrainingKey(iteration: n, phase: "improve")).last?.isFinal == true)
        }
    }

    @Test("a run of ten thousand rollouts, stopped three times, ends whole: what could not be judged is recorded, and neither wrong nor trained", .timeLimit(.minutes(10)))
    func stopped() async throws {
        try await withFolder { folder in
            let journal = MemoryJournal(), counted = Counted(FlakyVerifier())
            let timed = TimedVerifier(counted, timeLimit: .milliseconds(500), concurrency: 512)
            let recipe = recipe(iterations: 2, samples: 125)
            var stops = 0
            for limit in [1500, 4000, 7500, Int.max] {
                do {
                    try await recipe.run(try loop(folder, journal, timed, isCancelled: { counted.count > limit }))
                } catch is Interrupted {
                    stops += 1
                }
            }
            #expect(stops == 3)
            #expect(counted.count == 10_000, "what was judged is not judged again")
            try check(journal, iterations: 2, samples: 125, reasons: [.crash: "crashed", .hang: "no judgement within 0.5 seconds"])
        }
    }

    @Test("a program of the user's own that crashes and hangs fails those judgements alone", .enabled(if: access("/usr/bin/python3", X_OK) == 0, "needs /usr/bin/python3"), .timeLimit(.minutes(10)))
    func program() async throws {
        let source = """
            import json, os, sys, time
            for line in sys.stdin:
                iteration, phase, index, sample, turn = json.loads(line)["id"].split("/")
                fate = (int(index) * 7 + int(sample) * 13 + int(iteration)) % 20
                if fate == 3: os._exit(1)
                if fate == 11: time.sleep(3600)
                print('{"outcome": "right"}', flush=True)
            """
        try await withFolder { folder in
            let journal = MemoryJournal()
            let external = ExternalVerifier(program: "/usr/bin/python3", arguments: ["-S", "-c", source], timeLimit: .seconds(2))
            try await recipe(iterations: 1, samples: 3).run(try loop(folder, journal, external))
            try check(journal, iterations: 1, samples: 3, reasons: [.crash: "it ended without an answer", .hang: "no answer within 2.0 seconds"])
        }
    }
}
