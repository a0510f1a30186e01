import Architectures
import Foundation
import Recipes
import Sampling
import Synchronization
import Tasks
import Tensors
import Testing
import Training

/// Counts what it judges, and finds everything right that was not cut off.
private final class CountingVerifier: Verifier {
    let name = "counting"
    let judged = Mutex(0)

    func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        judged.withLock { $0 += rollouts.count }
        return await AcceptAll().judge(rollouts)
    }
}

/// Judges a chunk only when the next one has been sampled; the last of those expected at once.
private final class PatientVerifier: Verifier {
    let name = "patient"
    private struct State {
        var sampled = 0
        var judged = 0
        var chunks = 0
        var overlapped = 0
    }
    private let state = Mutex(State())
    var overlapped: Int { state.withLock { $0.overlapped } }

    func expect(chunks: Int) { state.withLock { $0 = State(chunks: chunks) } }
    func sampled() { state.withLock { $0.sampled += 1 } }

    func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        let (number, chunks) = state.withLock { state in
            state.judged += 1
            return (state.judged, state.chunks)
        }
        guard number < chunks else { return await AcceptAll().judge(rollouts) }
        // Far longer than a chunk takes on the busiest machine, where a minute was too short; only a loop that waits for verdicts before it samples on ever waits so long.
        let clock = ContinuousClock(), end = clock.now + .seconds(1200)
        while state.withLock({ $0.sampled }) <= number, clock.now < end { try? await Task.sleep(for: .milliseconds(20)) }
        state.withLock { if $0.sampled > number { $0.overlapped += 1 } }
        return await AcceptAll().judge(rollouts)
    }
}

/// A journal that tells when rollouts that nobody has judged are recorded.
private final class WatchedJournal: Journal, Sendable {
    let base = MemoryJournal()
    let onSampled: @Sendable () -> Void

    init(onSampled: @escaping @Sendable () -> Void) { self.onSampled = onSampled }

    func rollouts(iteration: Int, phase: String) throws -> [Rollout] { base.rollouts(iteration: iteration, phase: phase) }
    func record(_ rollouts: [Rollout]) throws {
        base.record(rollouts)
        if rollouts.contains(where: { $0.judgement == nil }) { onSampled() }
    }
    func examples(_ training: TrainingKey) throws -> [Example]? { base.examples(training) }
    func record(_ examples: [Example], for training: TrainingKey) throws { base.record(examples, for: training) }
    func record(_ step: StepRecord) throws { base.record(step) }
    func steps(_ training: TrainingKey) throws -> [StepRecord] { base.steps(training) }
    func checkpoints(_ training: TrainingKey) throws -> [CheckpointRecord] { base.checkpoints(training) }
    func record(_ checkpoint: CheckpointRecord) throws { base.record(checkpoint) }
    func metrics() throws -> [MetricRecord] { base.metrics() }
    func record(_ metrics: [MetricRecord]) throws { base.record(metrics) }
    func isComplete(iteration: Int, phase: String) throws -> Bool { base.isComplete(iteration: iteration, phase: phase) }
    func complete(iteration: Int, phase: String) throws { base.complete(iteration: iteration, phase: phase) }
}

/// Sums whose prompts are changed on their way to the model.
private struct Changed: Tasks.Environment {
    let base: Addition
    let split: Split
    let change: @Sendable (Problem, PromptMode, String) -> String

    var name: String { "changed" }
    var stops: [String] { base.stops }
    var maxTokens: Int { base.maxTokens }
    var verifier: any Verifier { base.verifier }

    func problems(in split: Split) throws -> [Problem] {
        base.problems(in: split).map { problem in
            var problem = problem
            // Of one digit, so that its question is one of the shortest.
            if split == self.split, problem.category == "1" { problem.question = change(problem, .plain, problem.question) }
            return problem
        }
    }

    func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt {
        guard case .text(let text) = try base.reset(problem, mode: mode) else { preconditionFailure("sums are texts") }
        return .text(mode == .hinted ? change(problem, mode, text) : text)
    }
}

private func small() -> STaR {
    var star = STaR()
    (star.iterations, star.firstSteps) = (2, 10)
    return star
}

@Suite("Recipes of earlier runs")
struct EarlierRecipeTests {
    @Test("what was added later has the value of what was done before")
    func added() throws {
        var plan = try RunPlan.defaults(model: nil, task: "addition", settings: [:], recipe: nil)
        let added = ["rolloutPrecision", "maximumImportanceWeight", "activations", "kind", "momentum", "floor", "cycles", "power", "timescale", "decaySteps", "width"]
        let lines = try plan.yaml().split(separator: "\n").filter { line in !added.contains { line.contains(" \($0):") } }
        #expect(try lines.count == plan.yaml().split(separator: "\n").count - added.count)
        #expect(try RunPlan(yaml: lines.joined(separator: "\n"), file: "old.yaml") == plan)
        // What is written is kept.
        (plan.options.rolloutPrecision, plan.options.trainer.activations) = (.int8, .bfloat16)
        #expect(try RunPlan(yaml: plan.yaml(), file: "new.yaml") == plan)
    }
}

@Suite("Rules and schedules in recipe files")
struct UpdateSettingsTests {
    private let plan = Result { try RunPlan.defaults(model: nil, task: "addition", settings: [:], recipe: nil) }

    @Test("a rule or a shape that a file names brings what is usual for it, unless the file says otherwise")
    func usual() throws {
        let plan = try plan.get(), adam = plan.options.trainer.optimizer
        let lion = try plan.overridden(byYAML: "options: {trainer: {optimizer: {kind: lion, beta1: 0.95}, schedule: {shape: slanted_triangular}}}", file: "a.yaml").options.trainer
        #expect(lion.optimizer.kind == .lion && lion.optimizer.beta1 == 0.95 && lion.optimizer.beta2 == 0.99 && lion.optimizer.learningRate == adam.learningRate)
        #expect(lion.schedule.floor == 1 / 32 && lion.schedule.warmupSteps == plan.options.trainer.schedule.warmupSteps)
        let same = try plan.overridden(byYAML: "options: {trainer: {optimizer: {kind: adamw}}}", file: "a.yaml")
        #expect(same == plan)
    }

    @Test("what is unknown or has no effect is refused, with what there is", arguments: [
        ("optimizer: {kind: lionn}", "lion8bit"), ("schedule: {shape: wsd}", "wsd_1-sqrt"), ("optimizer: {kind: lion, momentum: 0.5}", "momentum"), ("schedule: {floor: 2}", "0 to 1"),
    ])
    func refused(text: String, part: String) throws {
        let plan = try plan.get()
        let error = #expect(throws: RecipeFileError.self) { try plan.overridden(byYAML: "options: {trainer: {\(text)}}", file: "a.yaml") }
        #expect(error?.description.contains(part) == true)
    }
}

/// Rings at an update, once.
private final class Bell: Sendable {
    private let state = Mutex((isRinging: false, hasRung: false))

    var isRinging: Bool { state.withLock { $0.isRinging } }
    func ring() { state.withLock { $0 = (!$0.hasRung, true) } }
    func rest() { state.withLock { $0.isRinging = false } }
}

private final class BellRinger: StepPlugin {
    let name = "bell ringer"
    private let bell: Bell

    init(_ bell: Bell) { self.bell = bell }

    func afterUpdate(_ decoder: Transformer, step: Int) { if step == 5 { bell.ring() } }
}

@Suite("A stopped training")
struct StoppedTrainingTests {
    @Test("goes on in the same bits, whatever the optimizer remembers", arguments: [OptimizerOptions.Kind.adamW, .amsgrad, .adafactor, .muon, .adamW8bit, .lion8bit])
    func optimizers(kind: OptimizerOptions.Kind) async throws {
        func hash(stopping: Bool) async throws -> String {
            try await withFolder { folder in
                let journal = MemoryJournal(), bell = Bell()
                var star = small()
                star.iterations = 1
                func run() async throws {
                    let optimizer = OptimizerOptions(kind, learningRate: 4e-3, momentum: kind == .adafactor ? 0.9 : nil)
                    try await star.run(
                        try makeLoop(
                            folder, journal: journal, verifier: AcceptAll(), warmUpSteps: 12, optimizer: optimizer, intermediateSize: 128, isCancelled: { bell.isRinging },
                            plugins: { stopping ? [BellRinger(bell)] : [] }))
                }
                if stopping {
                    await #expect(throws: Interrupted.self) { try await run() }
                    #expect(FileManager.default.fileExists(atPath: "\(folder)/resume.safetensors"))
                    bell.rest()
                }
                try await run()
                return try #require(journal.checkpoints(TrainingKey(iteration: 0, phase: "warm-up")).last).weightsHash
            }
        }
        let (whole, resumed) = (try await hash(stopping: false), try await hash(stopping: true))
        #expect(whole == resumed)
    }
}

@Suite("STaR")
struct STaRTests {
    @Test("steps grow from the iteration itself")
    func stepGrowth() async throws {
        try await withFolder { folder in
            let journal = MemoryJournal()
            try await small().run(try makeLoop(folder, journal: journal, verifier: AcceptAll()))
            #expect(journal.steps(TrainingKey(iteration: 1, phase: "improve")).count == 10)
            #expect(journal.steps(TrainingKey(iteration: 2, phase: "improve")).count == 12)
        }
    }

    @Test("every training restarts from the same weights, and no stored example holds the hint")
    func restartsAndHints() async throws {
        try await withFolder { folder in
            let journal = MemoryJournal()
            try await small().run(try makeLoop(folder, journal: journal, verifier: AcceptAll()))
            let warm = try #require(journal.checkpoints(TrainingKey(iteration: 0, phase: "warm-up")).last)
            for iteration in 1...2 {
                let checkpoint = try #require(journal.checkpoints(TrainingKey(iteration: iteration, phase: "improve")).last)
                #expect(checkpoint.parents == [warm.weightsHash])
                let examples = try #require(journal.examples(TrainingKey(iteration: iteration, phase: "improve")))
                let rollouts = (journal.rollouts(iteration: iteration, phase: "attempt") + journal.rollouts(iteration: iteration, phase: "rationalise"))
                let plain = Dictionary(rollouts.filter { $0.mode == .plain }.map { ($0.problem.id, $0.promptTokens) }, uniquingKeysWith: { a, _ in a })
                for example in examples where !example.rollouts.isEmpty {
                    let rollout = try #require(rollouts.first { $0.key == example.rollouts[0] })
                    #expect(example.promptTokens == plain[rollout.problem.id])
                    #expect(rollout.finishReason == .stop)
                }
            }
        }
    }

    @Test("what the journal holds is neither sampled, judged nor trained again")
    func replaysTheJournal() async throws {
        try await withFolder { folder in
            let journal = MemoryJournal()
            let verifier = CountingVerifier()
            try await small().run(try makeLoop(folder, journal: journal, verifier: verifier))
            let judged = verifier.judged.withLock { $0 }
            #expect(judged > 0)
            let checkpoints = journal.checkpoints(TrainingKey(iteration: 2, phase: "improve"))
            try await small().run(try makeLoop(folder, journal: journal, verifier: verifier))
            #expect(verifier.judged.withLock { $0 } == judged)
            #expect(journal.checkpoints(TrainingKey(iteration: 2, phase: "improve")) == checkpoints)
        }
    }

    @Test("what was sampled is judged while more is sampled")
    func judgingOverlaps() async throws {
        try await withFolder { folder in
            let verifier = PatientVerifier()
            let journal = WatchedJournal(onSampled: { verifier.sampled() })
            let loop = try makeLoop(folder, journal: journal, verifier: verifier, warmUpSteps: 0)
            let policy = try await loop.start()
            // 40 problems in chunks of 16, so that two of three chunks have a next one.
            verifier.expect(chunks: 3)
            let problems = try await loop.environment.problems(in: .train)
            let rollouts = try await loop.sample(problems, samples: 4, from: policy, iteration: 1, phase: "attempt", SamplingOptions())
            #expect(rollouts.count == 160 && rollouts.allSatisfy { $0.judgement != nil })
            #expect(verifier.overlapped == 2)
        }
    }

    @Test("rollouts of another precision are scored in float32, and weigh by how much likelier they are there", arguments: [Precision.bfloat16, .int8])
    func roundedRollouts(precision: Precision) async throws {
        try await withFolder { folder in
            let journal = MemoryJournal()
            let loop = try makeLoop(folder, journal: journal, verifier: AcceptAll(), precision: precision)
            var recipe = ReSTEM()
            (recipe.iterations, recipe.samplesPerProblem, recipe.epochs) = (1, 2, 1)
            try await recipe.run(loop)
            let attempts = journal.rollouts(iteration: 1, phase: "attempt"), dev = journal.rollouts(iteration: 1, phase: "dev")
            #expect(dev.allSatisfy { $0.precision == .float32 && $0.policyLogProbabilities == nil })
            #expect(attempts.allSatisfy { $0.precision == precision && $0.policyLogProbabilities?.count == $0.completionTokens.count })
            let policies = try await loop.policies([TrainingKey(iteration: 0, phase: "warm-up")])
            for (rollout, scores) in zip(attempts.prefix(8), try await loop.score(Array(attempts.prefix(8)), policies: policies, at: .float32)) {
                #expect(scores.map(\.bitPattern) == rollout.policyLogProbabilities!.map(\.bitPattern))
            }
            for (rollout, scores) in zip(attempts.prefix(8), try await loop.score(Array(attempts.prefix(8)), policies: policies)) {
                #expect(scores.map(\.bitPattern) == rollout.logProbabilities.map(\.bitPattern))
            }
            // Weights are ratios of the two, and reach the examples.
            let byKey = Dictionary(uniqueKeysWithValues: attempts.map { ($0.key, $0) })
            let examples = try #require(journal.examples(TrainingKey(iteration: 1, phase: "improve"))).filter { $0.rollouts.first?.phase == "attempt" }
            #expect(!examples.isEmpty && examples.contains { $0.weight != 1 })
            for example in examples {
                let rollout = byKey[example.rollouts[0]]!
                let ratio = Foundation.exp(zip(rollout.policyLogProbabilities!, rollout.logProbabilities).reduce(0.0) { $0 + Double($1.0) - Double($1.1) })
                #expect(abs(Double(example.weight) - min(2, ratio)) < 1e-6)
            }
            // A greedy one was drawn from no law.
            var greedy = attempts[0]
            greedy.temperatures = greedy.temperatures.map { _ in 0 }
            #expect(greedy.importanceWeight(atMost: 2) == 1)
            let metrics = journal.metrics().filter { $0.phase == "attempt" && $0.iteration == 1 }
            let mean = try #require(metrics.first { $0.name == "mismatch" }), most = try #require(metrics.first { $0.name == "mismatchMost" })
            #expect(mean.value > 0 && mean.value <= most.value && most.value < 1)
            #expect(!journal.metrics().contains { $0.phase == "dev" && $0.name == "mismatch" })
        }
    }

    @Test("dev is measured around every iteration, test once before and once after all")
    func measurements() async throws {
        try await withFolder { folder in
            let journal = MemoryJournal()
            try await small().run(try makeLoop(folder, journal: journal, verifier: AcceptAll()))
            for iteration in 0...2 {
                #expect(journal.isComplete(iteration: iteration, phase: "dev"))
                #expect(journal.isComplete(iteration: iteration, phase: "test") == (iteration != 1))
            }
        }
    }

    @Test("plug-ins reach the step loop: an average with decay 0 is the last weights, one with decay 1 the first")
    func plugins() async throws {
        func hash(_ decay: Double?) async throws -> String {
            try await withFolder { folder in
                let journal = MemoryJournal()
                var star = small()
                star.iterations = 1
                try await star.run(try makeLoop(folder, journal: journal, verifier: AcceptAll(), plugins: { decay.map { [WeightAverage(decay: $0)] } ?? [] }))
                return try #require(journal.checkpoints(TrainingKey(iteration: 0, phase: "warm-up")).last).weightsHash
            }
        }
        let plain = try await hash(nil)
        let (last, half) = (try await hash(0), try await hash(0.5))
        #expect(last == plain)
        #expect(half != plain)
    }
}

@Suite("ReST-EM")
struct ReSTEMTests {
    /// Trains on the same examples again and again, less than an epoch each time.
    private struct Repeated: Recipe {
        static let name = "repeated"
        var iterations = 1

        func sampling(of phase: String) -> SamplingOptions { .greedy }
        func workload(problems: Int) -> Workload { Workload(iterations: iterations, problems: 20, samples: 1, cap: 1, training: .steps(Array(repeating: 2, count: iterations))) }
        func validate(_ check: (Bool, String, String) throws -> Void) {}

        func run(_ loop: isolated LearningLoop) async throws {
            var policy = try await loop.start()
            let rollouts = try await loop.sample(Array(loop.environment.problems(in: .train).prefix(20)), from: policy, iteration: 1, phase: "attempt", sampling(of: "attempt"))
            let examples = try loop.examples(from: rollouts, RightCompletions(), iteration: 1)
            for iteration in 1...iterations {
                policy = try await loop.train(on: examples, NegativeLogLikelihood(), from: policy, iteration: iteration, steps: 2)
            }
        }
    }

    @Test("a training that a new process takes up sees its examples in the order that the old one would have used")
    func ordersAfterResume() async throws {
        func hash(stopping: Bool) async throws -> String {
            try await withFolder { folder in
                let journal = MemoryJournal()
                if stopping { try await Repeated(iterations: 1).run(try makeLoop(folder, journal: journal, verifier: AcceptAll())) }
                try await Repeated(iterations: 2).run(try makeLoop(folder, journal: journal, verifier: AcceptAll()))
                return try #require(journal.checkpoints(TrainingKey(iteration: 2, phase: "improve")).last).weightsHash
            }
        }
        let (whole, resumed) = (try await hash(stopping: false), try await hash(stopping: true))
        #expect(whole == resumed)
    }

    private func recipe(_ change: (inout ReSTEM) -> Void) -> ReSTEM {
        var recipe = ReSTEM()
        (recipe.iterations, recipe.samplesPerProblem, recipe.epochs) = (3, 1, 1)
        change(&recipe)
        return recipe
    }

    @Test("problems are taken in turn, and from the front again")
    func windows() async throws {
        try await withFolder { folder in
            let journal = MemoryJournal()
            let loop = try makeLoop(folder, journal: journal, verifier: AcceptAll(), warmUpSteps: 20)
            try await recipe { $0.problemsPerIteration = 16 }.run(loop)
            let all = try await loop.environment.problems(in: .train).map(\.id)
            #expect(all.count == 40)
            for iteration in 1...3 {
                let sampled = journal.rollouts(iteration: iteration, phase: "attempt").sorted { $0.key < $1.key }.map(\.problem.id)
                #expect(sampled == (0..<16).map { all[((iteration - 1) * 16 + $0) % 40] })
            }
        }
    }

    @Test("a training starts from the base or from the one before", arguments: NextStart.allCases)
    func starts(start: NextStart) async throws {
        try await withFolder { folder in
            let journal = MemoryJournal()
            try await recipe { $0.startsFrom = start }.run(try makeLoop(folder, journal: journal, verifier: AcceptAll()))
            let hashes = try [TrainingKey(iteration: 0, phase: "warm-up")].map { try #require(journal.checkpoints($0).last).weightsHash }
                + (1...3).map { try #require(journal.checkpoints(TrainingKey(iteration: $0, phase: "improve")).last).weightsHash }
            let parents = try (1...3).map { try #require(journal.checkpoints(TrainingKey(iteration: $0, phase: "improve")).last).parents }
            #expect(parents == (0..<3).map { [start == .base ? hashes[0] : hashes[$0]] })
        }
    }

    @Test("the prompt under which the base is best on dev is used, also by a loop that reads the journal")
    func promptChoice() async throws {
        /// Finds everything right under one prompt and nothing under the others.
        struct Partial: Verifier {
            let name = "partial"
            let isRight: Bool
            func judge(_ rollouts: [Rollout]) async -> [Judgement] {
                rollouts.map { _ in .judged(Verdict(isRight ? .right : .wrong, evidence: "")) }
            }
        }
        struct Prompted: Tasks.Environment {
            let base: Addition
            let mark: String
            let isBest: Bool
            var name: String { base.name }
            var stops: [String] { base.stops }
            var maxTokens: Int { isBest ? 7 : 5 }
            var verifier: any Verifier { Partial(isRight: isBest) }
            func problems(in split: Split) throws -> [Problem] { base.problems(in: split) }
            func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt { .text("\(mark)\n") }
        }
        let addition = try Addition(digits: 1...2, seed: 1, trainCount: 40, devPerLength: 5, testPerLength: 10)
        let prompts: [any Tasks.Environment] = ["1", "2", "3"].map { Prompted(base: addition, mark: $0, isBest: $0 == "2") }
        try await withFolder { folder in
            let journal = MemoryJournal()
            for _ in 0..<2 {
                let loop = try makeLoop(folder, journal: journal, prompts: prompts, verifier: AcceptAll(), warmUpSteps: 0)
                let recipe = recipe { $0.iterations = 1 }
                try await recipe.run(loop)
                let attempts = journal.rollouts(iteration: 1, phase: "attempt")
                #expect(attempts.count == 40)
                #expect(attempts.contains { (6...7).contains($0.completionTokens.count) })
                #expect(Set(attempts.map(\.promptTokens)) == Set(journal.rollouts(iteration: 0, phase: "prompt-2").map(\.promptTokens)))
                let policies = try await loop.policies([])
                let fresh = try makeLoop(folder, journal: journal, prompts: prompts, warmUpSteps: 0)
                for phase in ["prompt-1", "prompt-3"] {
                    let rollout = try #require(journal.rollouts(iteration: 0, phase: phase).first)
                    #expect(try await fresh.replay(rollout, sampling: .greedy, policies: policies).tokens == rollout.completionTokens)
                }
            }
        }
    }
}

/// Sums that are asked again after every answer, so many turns long.
private struct Repeating: Tasks.Environment {
    let base: Addition
    var turns = 2
    var name: String { "repeating" }
    var stops: [String] { base.stops }
    var maxTokens: Int { base.maxTokens }
    var verifier: any Verifier { base.verifier }
    func problems(in split: Split) throws -> [Problem] { base.problems(in: split) }
    func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt { try base.reset(problem, mode: mode) }
    func step(_ problem: Problem, after completions: [String]) throws -> Prompt? {
        completions.count < turns ? try base.reset(problem, mode: .plain) : nil
    }
}

@Suite("Several turns")
struct TurnTests {
    /// Its journal, and a loop that goes on with it.
    private func run(
        _ folder: String, _ journal: MemoryJournal, turns: Int = 2, samples: Int = 3, mode: PromptMode = .plain, verifier: (any Verifier)? = nil
    ) async throws -> (rollouts: [Rollout], loop: LearningLoop) {
        let addition = try Addition(digits: 1...2, seed: 1, trainCount: 40, devPerLength: 5, testPerLength: 10)
        let loop = try makeLoop(folder, journal: journal, prompts: [Repeating(base: addition, turns: turns)], verifier: verifier)
        let policy = try await loop.start()
        return (try await loop.sample(
            Array(addition.problems(in: .train).prefix(12)), mode: mode, samples: samples, from: policy, iteration: 1, phase: "attempt", SamplingOptions(temperature: 1)), loop)
    }

    @Test("each turn's prompt is the tokens so far and the next observation; what was cut off ends its episode")
    func prompts() async throws {
        try await withFolder { folder in
            let journal = MemoryJournal()
            let (rollouts, loop) = try await run(folder, journal)
            let byKey = Dictionary(uniqueKeysWithValues: rollouts.map { ($0.key, $0) })
            let first = rollouts.filter { $0.key.turn == 0 }, second = rollouts.filter { $0.key.turn == 1 }
            #expect(first.count == 36 && first.count + second.count == rollouts.count)
            #expect(second.count == first.count { $0.finishReason == .stop } && !second.isEmpty)
            for rollout in second {
                var key = rollout.key
                key.turn = 0
                let before = try #require(byKey[key])
                // The task asks in the same words, so the tokens are those of the first prompt.
                #expect(rollout.promptTokens == before.promptTokens + before.completionTokens + before.promptTokens)
                #expect(rollout.judgement != nil && rollout.problem == before.problem)
            }
            // An episode is judged by its last turn.
            let last = rollouts.lastTurns()
            #expect(last.count == 36 && last.count { $0.key.turn == 1 } == second.count)
            let metric = try #require(journal.metrics().first { $0.iteration == 1 && $0.phase == "attempt" && $0.name == "right" && $0.category.isEmpty })
            #expect(metric.count == 36 && metric.value == Double(last.count(where: \.isRight)))
            let policies = try await loop.policies([TrainingKey(iteration: 0, phase: "warm-up")])
            for rollout in rollouts {
                let again = try await loop.replay(rollout, sampling: SamplingOptions(temperature: 1), policies: policies)
                #expect(again.tokens == rollout.completionTokens && again.logProbabilities == rollout.logProbabilities)
                #expect(try await loop.score([rollout], policies: policies)[0] == rollout.logProbabilities)
            }
            // Random numbers of their own: under the key of the first turn the same prompt is answered in other words.
            var others = 0
            for var rollout in second {
                rollout.key.turn = 0
                if try await loop.replay(rollout, sampling: SamplingOptions(temperature: 1), policies: policies).tokens != rollout.completionTokens { others += 1 }
            }
            #expect(others > 0)
        }
    }

    @Test("an environment that never ends is ended by the context")
    func endless() async throws {
        try await withFolder { folder in
            let rollouts = try await run(folder, MemoryJournal(), turns: .max).rollouts
            #expect(rollouts.contains { $0.key.turn > 0 })
            #expect(rollouts.allSatisfy { $0.promptTokens.count < 128 })
        }
    }

    @Test("a run that ended between turns, or within one, goes on as if it had not")
    func resumes() async throws {
        try await withFolder { folder in
            let whole = try await run(folder, MemoryJournal(), turns: 3, verifier: AcceptAll()).rollouts
            #expect(whole.contains { $0.key.turn == 2 })
            let byTurn = whole.sorted { ($0.key.turn, $0.key) < ($1.key.turn, $1.key) }
            let (first, second) = (whole.count { $0.key.turn == 0 }, whole.count { $0.key.turn < 2 })
            try await resume(folder, from: Array(byTurn.prefix(first)), to: whole)
            try await resume(folder, from: Array(byTurn.prefix(second - 2)), to: whole)
        }
    }

    /// What was recorded stands, the last of it without its judgement; the rest comes out as in the whole run.
    private func resume(_ folder: String, from recorded: [Rollout], to whole: [Rollout]) async throws {
        let journal = MemoryJournal(), verifier = CountingVerifier()
        journal.record(recorded)
        var torn = recorded[recorded.count - 1]
        torn.judgement = nil
        journal.record([torn])
        #expect(try await run(folder, journal, turns: 3, verifier: verifier).rollouts == whole)
        #expect(verifier.judged.withLock { $0 } == whole.count - recorded.count + 1)
    }

    @Test("an example of a later turn keeps its conversation, without the hint of the first prompt")
    func hints() async throws {
        try await withFolder { folder in
            let (rollouts, loop) = try await run(folder, MemoryJournal(), samples: 1, mode: .hinted)
            let right = rollouts.map { rollout in
                var rollout = rollout
                rollout.judgement = .judged(Verdict(.right, evidence: ""))
                return rollout
            }
            let examples = try await loop.examples(from: right, RightCompletions(), iteration: 1)
            let byKey = Dictionary(uniqueKeysWithValues: rollouts.map { ($0.key, $0) })
            #expect(examples.contains { $0.rollouts[0].turn == 1 })
            for example in examples where example.rollouts[0].turn == 1 {
                var key = example.rollouts[0]
                key.turn = 0
                let before = try #require(byKey[key]), rollout = try #require(byKey[example.rollouts[0]])
                let question = Array(rollout.promptTokens.dropFirst(before.promptTokens.count + before.completionTokens.count))
                #expect(before.promptTokens != question)  // it holds the hint
                #expect(example.promptTokens == question + before.completionTokens + question)
            }
        }
    }
}

@Suite("Selectors")
struct SelectorTests {
    private func rollout(_ index: Int, _ sample: Int, tokens: [Int32], outcome: Verdict.Outcome) -> Rollout {
        Rollout(
            key: RolloutKey(iteration: 1, phase: "attempt", index: index, sample: sample), problem: Problem(id: "p\(index)", question: ""), mode: .plain, promptTokens: [1],
            completionTokens: tokens, finishReason: .stop, text: "", logProbabilities: [], behaviorLogProbabilities: [], temperatures: [], weightsHash: "",
            judgement: .judged(Verdict(outcome, evidence: "")))
    }

    private func select(_ selector: RightCompletions, _ rollouts: [Rollout], seed: UInt64 = 0) -> [Example] {
        selector.examples(from: rollouts.grouped(), using: RandomKey(seed: seed)) { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens, rollouts: [$0.key]) }
    }

    @Test("only right completions, each once, at most the cap of a problem, by a choice that the key decides")
    func rightCompletions() {
        let many = (0..<20).map { rollout(0, $0, tokens: [Int32($0 / 2)], outcome: .right) }
        let few = [rollout(1, 0, tokens: [7], outcome: .right), rollout(1, 1, tokens: [8], outcome: .wrong), rollout(1, 2, tokens: [9], outcome: .cutOff)]
        #expect(select(RightCompletions(), many + few).map(\.completionTokens) == (0..<10).map { [Int32($0)] } + [[7]])
        let capped = select(RightCompletions(cap: 4), many + few)
        #expect(capped.filter { $0.rollouts[0].index == 0 }.count == 4 && capped.count == 5)
        #expect(select(RightCompletions(cap: 4), (many + few).reversed()) == capped)
        #expect(Set((0..<20).map { seed in select(RightCompletions(cap: 4), many, seed: UInt64(seed)).map(\.completionTokens) }).count > 10)
    }
}

@Suite("Recipe files")
struct RecipeFileTests {
    private func plan(_ text: String, recipe: String? = nil) throws -> RunPlan {
        try RunPlan.reading(text, file: "test.yaml", model: nil, task: nil, recipe: recipe, settings: [:])
    }

    @Test("a plan reads back as it was written")
    func roundTrip() throws {
        var plan = try plan("options:\n  seed: 18446744073709551615\nrecipe:\n  rest-em:\n    sampling: {temperature: 0.8, minP: 0.0012345}\n")
        #expect(plan.options.seed == .max)
        plan.options.trainer.optimizer.learningRate = 0.1 + 0.2
        plan.taskSettings = ["prompt": "{question}\n\n\u{1}\u{7F}\u{2028}\u{85}\u{9F}— 'x':", "digits": "1e-1", "few-shot": "2", "empty": "", "a": "x\u{2028}🙂\u{FEFF}\u{FFFE}", "b": "null", "c": "yes", "d": "2026-01-01", "e": "<<", "f": "- a", "g": "a: b #", "h": " x "]
        let yaml = try plan.yaml()
        #expect(try RunPlan(yaml: yaml, file: "again.yaml") == plan)
        for line in ["temperature: 0.8", "epsilon: 1e-08", "learningRate: 0.30000000000000004", "warmUpSteps: 1200"] { #expect(yaml.contains(" \(line)\n"), "\(line)") }
    }

    @Test("settings override defaults one by one; the command line's recipe wins")
    func overrides() throws {
        let changed = try plan("recipe:\n  star:\n    iterations: 9\n")
        let star = try #require(changed.recipe.chosen as? STaR), standard = try #require(plan("schema: 1\n").recipe.chosen as? STaR)
        #expect(star.iterations == 9 && star.firstSteps == standard.firstSteps)
        #expect(try plan("recipe:\n  star:\n    iterations: 9\n", recipe: "rest-em").recipe == RecipeChoice(ReSTEM()))
        let rest = try plan("recipe:\n  rest-em:\n    cap: 3\n").recipe
        #expect((rest.chosen as? ReSTEM)?.cap == 3)
        // As options of the command line change single settings.
        let warmer = try #require(rest.setting("sampling.temperature", to: "0.9")?.chosen as? ReSTEM)
        #expect(warmer.sampling.temperature == 0.9 && warmer.cap == 3)
        #expect(try rest.setting("firstSteps", to: "3") == nil && rest.setting("sampling.heat", to: "3") == nil)
        #expect(throws: RecipeFileError.self) { try rest.setting("cap", to: "many") }
    }

    @Test("a recipe is named by its name alone, or with its settings")
    func named() throws {
        let standard = try plan("recipe:\n  grpo: {}\n")
        for text in ["recipe: grpo\n", "recipe:\n  grpo:\n", "recipe: {grpo: null}\n"] { #expect(try plan(text) == standard, "\(text)") }
        #expect(standard.recipe == RecipeChoice(GRPO()))
        #expect(try plan("recipe: grpo\n", recipe: "rest-em").recipe == RecipeChoice(ReSTEM()))
        let error = #expect(throws: RecipeFileError.self) { try plan("schema: 1\nrecipe: gpro\n") }
        #expect(error?.description.contains("line 2: unknown recipe 'gpro'; known:") == true && error?.description.contains("grpo") == true, "\(String(describing: error))")
    }

    @Test("a setting that has one of a few names says them, another one its kind", arguments: [
        ("grpo", "variant", "one of grpo, dapo, dr-grpo, gspo, cispo"), ("grpo", "loop.truncation", "one of \(Truncation.allCases.map(\.rawValue).joined(separator: ", "))"),
        ("rest-em", "startsFrom", "one of base, previous"), ("rest-em", "cap", "a whole number, as "), ("rest-em", "rationalises", "true or false, as "), ("grpo", "clipLow", "a number, as 0.0 is"),
    ])
    func kinds(recipe: String, key: String, allowed: String) throws {
        let choice = try #require(RecipeChoice(named: recipe)), error = #expect(throws: RecipeFileError.self) { try choice.setting(key, to: "foo") }
        #expect(error?.description.contains("'\(key)' cannot be 'foo'; it must be \(allowed)") == true, "\(String(describing: error))")
        guard allowed.hasPrefix("one of") else { return }
        let settings = key.split(separator: ".").reversed().reduce("foo") { "{\($1): \($0)}" }, inFile = #expect(throws: RecipeFileError.self) { try plan("recipe: {\(recipe): \(settings)}\n") }
        #expect(inFile?.description.contains("'recipe.\(recipe).\(key)': must be \(allowed)") == true, "\(String(describing: inFile))")
    }

    @Test("a task file's content becomes the plan's; what is given beside it counts before it")
    func taskFile() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("sums.yaml").path
        try "type: addition\ndigits: 1-2\nform: direct\nshares: {1: 0.5, 2: 0.5}\ntrain-count: 30\n".write(toFile: path, atomically: true, encoding: .utf8)
        let plan = try RunPlan.reading(
            "task: \(path)\ntaskSettings: {train-count: 40}\nprompts:\n  - few-shot: 2\n  - few-shot: 4\n", file: "test.yaml", model: "m", task: nil, recipe: nil, settings: ["form": "scratchpad"])
        #expect(plan.task == "addition")
        #expect(plan.taskSettings == ["name": "sums", "digits": "1-2", "form": "scratchpad", "shares": "{1: 0.5, 2: 0.5}", "train-count": "40"])
        try "type: nothing\n".write(toFile: path, atomically: true, encoding: .utf8)
        let environments = try plan.environments()
        #expect(environments.count == 2 && environments[0].name == "sums")
        #expect(try environments[0].problems(in: .train).count == 40)
        #expect(throws: TaskError.self) { try RunPlan.defaults(model: "m", task: path, settings: [:], recipe: nil) }

        // Incomplete by itself, and without a word from the embedded default.
        try "type: addition\nshares: {5: 1}\n".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(try RunPlan.defaults(model: nil, task: path, settings: [:], recipe: nil).taskSettings == ["name": "sums", "shares": "{5: 1}"])
        try "type: jsonl\nquestion: q\n".write(toFile: path, atomically: true, encoding: .utf8)
        let data = folder.appendingPathComponent("q.jsonl").path
        try (0..<40).map { "{\"q\": \"What is \($0) and \($0 * $0)?\", \"answer\": \"\($0)\"}\n" }.joined().write(toFile: data, atomically: true, encoding: .utf8)
        #expect(try RunPlan.defaults(model: "m", task: path, settings: ["data": data], recipe: nil).taskSettings["question"] == "q")
        // Another task on the command line leaves the recipe file's own behind.
        let other = try RunPlan.reading(
            "task: addition\ntaskSettings: {digits: 1-2}\nprompts:\n  - few-shot: 2\n", file: "test.yaml", model: "m", task: path, recipe: nil, settings: ["data": data])
        #expect(other.task == "jsonl" && other.taskSettings == ["name": "sums", "question": "q", "data": data] && other.prompts.isEmpty)
    }

    @Test("a problem that the model cannot take is named before anything is learnt")
    func unusable() async throws {
        let addition = try Addition(digits: 1...2, seed: 1, trainCount: 40, devPerLength: 5, testPerLength: 10)
        func refusal(_ split: Split, hints: Bool = false, _ change: @escaping @Sendable (Problem, PromptMode, String) -> String) async throws -> String {
            try await withFolder { folder in
                let loop = try makeLoop(folder, journal: MemoryJournal(), prompts: [Changed(base: addition, split: split, change: change)])
                let error = await #expect(throws: RecipeFileError.self) { _ = try await loop.start(hints: hints) }
                return "\(try #require(error))"
            }
        }
        #expect(try await refusal(.test) { $2 + "×" }.contains("has no token for '×'"))
        #expect(try await refusal(.train) { $2 + "×" }.contains("has no token for '×'"))
        // Only with its hint is the prompt too long.
        let long = try await refusal(.dev, hints: true) { $1 == .hinted ? $2 + String(repeating: "1", count: 200) : $2 }
        #expect(long.contains("with its hint") && long.contains("context is 128"), "\(long)")
    }

    @Test("the embedded default learns the direct form, hints and all")
    func direct() throws {
        let plan = try RunPlan.defaults(model: nil, task: "addition", settings: ["form": "direct"], recipe: nil)
        let model = try plan.makeModel(on: CPUBackend(threads: 1))
        let examples = try plan.worked(plan.environments()[0])
        #expect(examples.contains { $0.mode == .hinted } && examples.contains { $0.mode == .plain })
        for worked in examples {
            #expect(try !model.encode(worked.prompt).isEmpty)
            #expect(try !model.encode(worked.completion, addSpecialTokens: false).isEmpty)
        }
    }

    @Test("prompts to choose among leave the held-out problems alone")
    func prompts() throws {
        let same = try plan("task: addition\nprompts:\n  - few-shot: 2\n  - few-shot: 4\n")
        #expect(try same.environments().count == 2)
        let error = #expect(throws: RecipeFileError.self) { try plan("prompts:\n  - few-shot: 2\n  - dev-per-length: 7\n").environments() }
        #expect("\(try #require(error))".contains("dev-per-length=7"))
    }

    @Test("an adapter's alpha is twice its rank unless the file says otherwise")
    func alpha() throws {
        func adapter(_ text: String) throws -> AdapterChoices { try #require(try plan("options: {adapter: \(text)}\n").options.adapter) }
        #expect(try adapter("{rank: 64}").scale == 2 && adapter("{}").scale == 2 && adapter("{rank: 64, alpha: 16}").scale == 0.25)
    }

    @Test("unknown settings and broken files are refused by name", arguments: [
        ("options:\n  sead: 1\n", "sead"), ("options: {rolloutPrecision: fp8}\n", "'options.rolloutPrecision': must be one of f32, bf16, q8_0, int8"), ("speed: 1\n", "speed"), ("recipe:\n  stra: {}\n", "stra"), ("options: [\n", "test.yaml"), ("", "test.yaml"),
        ("options:\n  seed: many\n", "seed"), ("recipe:\n  rest-em:\n    startsFrom: end\n", "startsFrom"),
        ("taskSettings: {splits: {dev: 0.1}}\n", "a list or a mapping stands in quotation marks there"), ("recipe: {rest-em: {sampling: {temperature: 0}}}\n", "above 0: greedy samples"),
        ("options: {adapter: {rank: 4}, trainer: {optimizer: {groups: [{patterns: [norm], learningRateScale: 1}]}}}\n", "groups"),
        ("recipe: {contrast: {loss: slic, beta: 0.3}}\n", "slic has none"), ("recipe: {contrast: {loss: kto, weight: 2}}\n", "kto has none"), ("recipe: {contrast: {loss: rrhf, cap: 2}}\n", "rrhf has none"),
    ])
    func refusals(text: String, name: String) throws {
        let error = #expect(throws: RecipeFileError.self) { try plan(text) }
        #expect("\(try #require(error))".contains(name))
    }
}
