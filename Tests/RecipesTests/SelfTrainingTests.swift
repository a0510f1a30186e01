import Architectures
import Recipes
import Sampling
import Synchronization
import Tasks
import Tensors
import Testing
import Tokenization
import Training

/// The bits of all weights at the first step of each training.
private final class Starts: Sendable {
    private let weights = Mutex([[UInt32]]())
    var all: [[UInt32]] { weights.withLock { $0 } }

    func add(_ parameters: ParameterSet) {
        let bits = parameters.parameters.flatMap { parameters.read($0).map(\.bitPattern) }
        weights.withLock { $0.append(bits) }
    }
}

private final class StartRecorder: StepPlugin {
    let name = "start recorder"
    private let starts: Starts

    init(_ starts: Starts) { self.starts = starts }

    func beforeUpdate(_ gradients: Gradients, rate: Double, step: Int) -> Double {
        if step == 1 { starts.add(gradients.parameters) }
        return rate
    }
}

/// Finds right what was written under a hint, and wrong what was not.
private struct HintedOnly: Verifier {
    let name = "hinted only"

    func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { .judged(Verdict($0.finishReason == .length ? .cutOff : $0.mode == .hinted ? .right : .wrong, evidence: "")) }
    }
}

/// Answers end with their line.
private struct Lines: Tasks.Environment {
    let name = "lines", stops = ["\n"], maxTokens = 4
    let verifier: any Verifier = AcceptAll()
    func problems(in split: Split) -> [Problem] { [] }
    func reset(_ problem: Problem, mode: PromptMode) -> Prompt { .text("1") }
}

/// Of two digits the first has to be said again. Dev asks for pairs that are not trained.
private struct FirstDigit: Tasks.Environment {
    let name = "first digit"
    let stops: [String] = []
    let maxTokens = 3
    var verifier: any Verifier { AnswerVerifier(extraction: AnswerExtraction([.whole]), comparison: .exact) }

    func problems(in split: Split) -> [Problem] {
        let pairs = (0..<100).map { (first: $0 / 10, second: $0 % 10) }
        let chosen = split == .test ? [] : pairs.filter { ($0.first + $0.second) % 5 == 0 ? split == .dev : split == .train }
        return chosen.map { Problem(id: "\($0.first) \($0.second)", question: " \($0.first) \($0.second)", answer: "\($0.first)") }
    }

    func reset(_ problem: Problem, mode: PromptMode) -> Prompt { .text(prompt(problem)) }

    private func prompt(_ problem: Problem) -> String { "Input:\(problem.question)\nTarget:" }

    /// A small decoder that answers every question with any digit.
    func guessing() throws -> Model {
        var shape = FreshDecoder()
        (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 64, 2, 2, 32)
        let model = try Model.forAddition(shape, key: RandomKey(seed: 5), on: CPUBackend(threads: 2)), asked = problems(in: .train) + problems(in: .dev)
        let trainer = Trainer(model.transformer, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 4e-3)), totalSteps: 60)
        for step in 0..<60 {
            let batch = try (0..<16).map { place in
                let key = RandomKey(seed: 6).folding(step).folding(place), answer = " \(key.index(below: 10, 1))"
                let prompt = try model.encode(prompt(asked[key.index(below: asked.count, 0)])), completion = try model.encode(answer, addSpecialTokens: false)
                return Example(promptTokens: prompt, completionTokens: completion + model.stopTokens.prefix(1))
            }
            _ = try trainer.step(batch)
        }
        return model
    }
}

/// A task that nothing is measured on before its end.
private struct WithoutDev: TaskVariant {
    let base: any Tasks.Environment

    func problems(in split: Split) throws -> [Problem] { split == .dev ? [] : try base.problems(in: split) }
}

/// Every other sample of a problem is right.
private struct EveryOther: Verifier {
    let name = "every other"

    func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { .judged(Verdict($0.key.sample % 2 == 0 ? .right : .wrong, evidence: "")) }
    }
}

/// Everything is right in the first iteration, and nothing later.
private struct FirstIteration: Verifier {
    let name = "first iteration"

    func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { .judged(Verdict($0.finishReason == .length ? .cutOff : $0.key.iteration == 1 ? .right : .wrong, evidence: "")) }
    }
}

@Suite("What self-training promises")
struct SelfTrainingTests {
    @Test("an iteration that finds nothing right leaves what was learnt before", arguments: ["rest-em", "star"])
    func nothingRight(recipe name: String) async throws {
        try await withFolder { folder in
            let journal = MemoryJournal(), loop = try makeLoop(folder, journal: journal, verifier: FirstIteration())
            if name == "star" {
                var recipe = STaR()
                (recipe.iterations, recipe.firstSteps, recipe.rationalises) = (2, 4, false)
                try await recipe.run(loop)
            } else {
                var recipe = ReSTEM()
                (recipe.iterations, recipe.samplesPerProblem, recipe.epochs) = (2, 2, 1)
                try await recipe.run(loop)
            }
            let learnt = try #require(journal.checkpoints(TrainingKey(iteration: 1, phase: "improve")).last).weightsHash
            for phase in ["dev", "test"] { #expect(journal.rollouts(iteration: 2, phase: phase).allSatisfy { $0.weightsHash == learnt }, "\(phase)") }
            #expect(journal.rollouts(iteration: 1, phase: "attempt")[0].weightsHash != learnt)
        }
    }

    @Test("problems without a category count overall, beside those that have one")
    func uncategorised() {
        func judged(_ index: Int, _ category: String, _ outcome: Verdict.Outcome) -> Rollout {
            var rollout = judgedRollout(index, 0, tokens: [1], outcome)
            rollout.problem.category = category
            return rollout
        }
        let metrics = MetricRecord.summary(of: [judged(0, "a", .right), judged(1, "b", .wrong), judged(2, "", .right)], iteration: 0, phase: "dev")
        let accuracies = metrics.filter { $0.name == "accuracy" }
        #expect(accuracies.map(\.category) == ["a", "b", ""] && accuracies.map(\.value) == [1, 0, 2.0 / 3])
        #expect(metrics.first { $0.name == "macroAccuracy" }?.value == 0.5)
    }

    @Test("the weights of every training that restarts are the same bits at its first step; those of one that goes on are not", arguments: NextStart.allCases)
    func restarts(start: NextStart) async throws {
        var recipe = ReSTEM()
        (recipe.iterations, recipe.samplesPerProblem, recipe.epochs, recipe.startsFrom) = (3, 1, 1, start)
        let fixed = recipe
        try await withFolder { folder in
            let starts = Starts()
            try await fixed.run(try makeLoop(folder, journal: MemoryJournal(), verifier: AcceptAll(), plugins: { [StartRecorder(starts)] }))
            // The first is the warm-up's.
            let all = starts.all
            try #require(all.count == 4)
            #expect(all[0] != all[1])
            #expect(Set(all.dropFirst()).count == (start == .base ? 1 : 3))
        }
    }

    @Test("a training that began anew and was cut short by the budget is the result only where dev shows it to be better, or where it is the first", arguments: [1, 2], [(true, 0), (false, 0), (false, 2)])
    func cutShort(iteration: Int, _ settings: (hasDev: Bool, patience: Int)) async throws {
        let (hasDev, patience) = settings
        try await withFolder { folder in
            let recipe = {
                var recipe = ReSTEM()
                (recipe.iterations, recipe.samplesPerProblem, recipe.epochs, recipe.patience) = (4, 2, 2, patience)
                return recipe
            }()
            let addition = try Addition(digits: 1...2, seed: 1, trainCount: 40, devPerLength: 5, testPerLength: 10)
            let task: any Tasks.Environment = hasDev ? addition : WithoutDev(base: addition)
            func tokens(_ journal: MemoryJournal, _ n: Int) -> (sampled: Int, trained: [Int]) {
                (
                    journal.rollouts(iteration: n, phase: "attempt").reduce(0) { $0 + $1.completionTokens.count },
                    journal.steps(TrainingKey(iteration: n, phase: "improve")).map(\.result.trainedTokens)
                )
            }
            let whole = MemoryJournal()
            try await withFolder { try await recipe.run(try makeLoop($0, journal: whole, prompts: [task], verifier: AcceptAll())) }
            let earlier = (1..<iteration).map { tokens(whole, $0) }.reduce(0) { $0 + $1.sampled + $1.trained.reduce(0, +) }
            let last = tokens(whole, iteration), budget = earlier + last.sampled + last.trained.reduce(0, +) / 4

            let journal = MemoryJournal(), notes = Mutex([String]())
            let loop = try makeLoop(folder, journal: journal, prompts: [task], verifier: AcceptAll(), tokenBudget: budget, report: { if case .note(let text) = $0 { notes.withLock { $0.append(text) } } })
            try await recipe.run(loop)
            let taken = tokens(journal, iteration).trained.count
            #expect(taken > 0 && taken < last.trained.count && tokens(journal, iteration + 1).sampled == 0)
            #expect(notes.withLock { $0 }.contains { $0.contains("is spent after \(taken) of \(last.trained.count) updates") })
            func dev(_ n: Int) -> Double { journal.metrics().last { $0.iteration == n && $0.phase == "dev" && $0.name == "accuracy" && $0.category.isEmpty }?.value ?? 0 }
            let expected = iteration == 1 || dev(2) > dev(1) ? iteration : 1
            #expect(journal.metrics().last { $0.phase == "test" && $0.name == "accuracy" }?.iteration == expected)
            #expect(notes.withLock { $0 }.contains { $0.contains("the result is that of iteration 1, checkpoints/0001-improve") } == (expected != iteration))

            // The same from what is recorded.
            let metrics = journal.metrics()
            try await recipe.run(try makeLoop(folder, journal: journal, prompts: [task], verifier: AcceptAll(), tokenBudget: budget))
            #expect(journal.metrics().last { $0.phase == "test" && $0.name == "accuracy" }?.iteration == expected && journal.metrics().count >= metrics.count)
        }
    }

    @Test("however small the budget, V-STaR's verifier is trained on all of its pairs")
    func verifier() async throws {
        try await withFolder { folder in
            var recipe = VSTaR()
            (recipe.iterations, recipe.samplesPerProblem, recipe.candidates) = (3, 4, 2)
            let journal = MemoryJournal()
            try await recipe.run(try makeLoop(folder, journal: journal, verifier: EveryOther(), warmUpSteps: 60, tokenBudget: 1))
            let key = TrainingKey(iteration: 1, phase: "verifier"), pairs = try #require(journal.examples(key)).count / 2
            #expect(journal.steps(TrainingKey(iteration: 1, phase: "improve")).count == 1)
            #expect(pairs > 8 && journal.steps(key).count == (pairs + 7) / 8)
        }
    }

    @Test("with patience the result is what was best on dev, tested under its own iteration")
    func patience() async throws {
        try await withFolder { folder in
            var recipe = ReSTEM()
            (recipe.iterations, recipe.samplesPerProblem, recipe.epochs, recipe.patience) = (6, 2, 1, 2)
            let journal = MemoryJournal()
            try await recipe.run(try makeLoop(folder, journal: journal))
            let dev = (0...6).map { n in journal.metrics().last { $0.iteration == n && $0.phase == "dev" && $0.name == "accuracy" && $0.category.isEmpty }?.value }.prefix { $0 != nil }.map { $0! }
            let best = dev.firstIndex(of: dev.max()!)!
            #expect(dev.count == min(7, best + 3))
            #expect(journal.metrics().last { $0.phase == "test" && $0.name == "accuracy" }?.iteration == best)
        }
    }

    @Test("no problem gives a training more completions than the cap, however many are right", arguments: [2, 6])
    func cap(cap: Int) async throws {
        var recipe = ReSTEM()
        (recipe.iterations, recipe.samplesPerProblem, recipe.epochs, recipe.cap, recipe.sampling) = (2, 6, 1, cap, SamplingOptions(temperature: 1))
        let fixed = recipe
        try await withFolder { folder in
            let journal = MemoryJournal()
            try await fixed.run(try makeLoop(folder, journal: journal, verifier: AcceptAll()))
            for n in 1...2 {
                let examples = try #require(journal.examples(TrainingKey(iteration: n, phase: "improve"))).filter { !$0.rollouts.isEmpty }
                let used = Dictionary(grouping: examples, by: { $0.rollouts[0].index }).mapValues(\.count)
                let right = Dictionary(grouping: journal.rollouts(iteration: n, phase: "attempt").filter(\.isRight), by: \.key.index).mapValues { Set($0.map(\.completionTokens)).count }
                #expect(used == right.mapValues { min(cap, $0) })
                #expect(right.values.contains { $0 > 2 } && used.values.contains { $0 > 2 } == (cap > 2))
            }
        }
    }

    @Test("of a token that a stop string begins in, what was judged is trained")
    func straddling() async throws {
        let tokenizer = try Tokenizer.symbols(["1", ")", ")\n", "]\n", " ", " \n"], special: ["<eos>"])
        try await withFolder { folder in
            let loop = try LearningLoop(
                executor: EngineExecutor(), environments: [Lines()], options: LoopOptions(trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: 1e-3))), folder: folder,
                makeModel: {
                    var configuration = TransformerConfiguration(
                        modelType: "llama", vocabularySize: 16, hiddenSize: 16, intermediateSize: 16, numHiddenLayers: 1, numAttentionHeads: 1, maxPositionEmbeddings: 16, tieWordEmbeddings: true)
                    configuration.eosTokenIDs = tokenizer.eosTokens
                    let decoder = Transformer(configuration, on: try CPUBackend(threads: 1))
                    decoder.initialize(RandomKey(seed: 1), deviation: 0.1)
                    return Model(transformer: decoder, tokenizer: tokenizer, stopTokens: tokenizer.eosTokens)
                }, makeJournal: { MemoryJournal() }, report: { _ in })
            // White space, and what no other tokens say, is left out.
            for (sampled, trained) in [(["1", ")\n"], "1)"), (["1", " \n"], "1"), (["1", "]\n"], "1")] {
                let tokens = try sampled.map { try #require(tokenizer.id(of: $0)) }
                let example = try #require(try await loop.examples(from: [judgedRollout(0, 0, tokens: tokens, .right)], RightCompletions(), iteration: 1).first)
                #expect(tokenizer.decode(example.completionTokens.dropLast()) == trained && example.completionTokens.last == tokenizer.eosTokens.first)
            }
        }
    }

    @Test("where the budget is spent failed problems are not tried again, and every training has a step")
    func spent() async throws {
        try await withFolder { folder in
            var star = STaR()
            (star.iterations, star.firstSteps) = (1, 2)
            let journal = MemoryJournal()
            try await star.run(try makeLoop(folder, journal: journal, verifier: HintedOnly(), warmUpSteps: 10, tokenBudget: 1))
            #expect(!journal.rollouts(iteration: 1, phase: "attempt").isEmpty && journal.rollouts(iteration: 1, phase: "rationalise").isEmpty)
        }
        var shrinking = STaR()
        (shrinking.iterations, shrinking.stepGrowth) = (12, 0.5)
        guard case .steps(let steps) = shrinking.workload(problems: 10).training else { return #expect(Bool(false)) }
        #expect(steps.first == 40 && steps.last == 1)
    }

    @Test("an average of the weights leaves what is not trained as it is, to the bit, and passes over codes")
    func average() throws {
        var shape = FreshDecoder()
        (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 64, 2, 2, 32)
        let model = try Model.forAddition(shape, key: RandomKey(seed: 5), on: CPUBackend(threads: 2))
        for base in [model, model.at(.quantised)] {
            let policy = try base.transformer.adapted(AdapterChoices(), key: RandomKey(seed: 1)), average = WeightAverage(decay: 0.9)
            func weights() -> [[Float]] { policy.parameters.parameters.map { policy.parameters.read($0) } }
            let before = weights()
            for step in 0..<20 { average.afterUpdate(policy, step: step) }
            average.iterationEnd(policy)
            #expect(weights() == before)
        }
    }

    @Test("what was written under a hint is stored under the prompt without it")
    func hints() async throws {
        try await withFolder { folder in
            var star = STaR()
            (star.iterations, star.firstSteps) = (1, 5)
            let journal = MemoryJournal()
            try await star.run(try makeLoop(folder, journal: journal, verifier: HintedOnly()))
            let plain = Dictionary(uniqueKeysWithValues: journal.rollouts(iteration: 1, phase: "attempt").map { ($0.problem.id, $0.promptTokens) })
            let hinted = Dictionary(uniqueKeysWithValues: journal.rollouts(iteration: 1, phase: "rationalise").map { ($0.key, $0) })
            let examples = try #require(journal.examples(TrainingKey(iteration: 1, phase: "improve"))).filter { !$0.rollouts.isEmpty }
            try #require(!examples.isEmpty)
            for example in examples {
                let rollout = try #require(hinted[example.rollouts[0]])
                #expect(example.promptTokens == plain[rollout.problem.id] && rollout.completionTokens.starts(with: example.completionTokens.dropLast()))
                // What it was sampled under is the same with the hint behind it.
                #expect(rollout.promptTokens.count > example.promptTokens.count && rollout.promptTokens != example.promptTokens)
            }
        }
    }

    @Test("right answers teach what holds for other problems; exchanged among the problems they leave dev at chance", arguments: [false, true])
    func shuffled(isShuffled: Bool) async throws {
        try await withFolder { folder in
            let task = FirstDigit(), journal = MemoryJournal(), environment: any Tasks.Environment = isShuffled ? try ShuffledAnswers(task, seed: 1) : task
            let options = LoopOptions(seed: 3, trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: 4e-3)), batchSize: 16, maxSequences: 64, saveEvery: 1000)
            let loop = try LearningLoop(
                executor: EngineExecutor(), environments: [environment], options: options, folder: folder, makeModel: { try task.guessing() }, makeJournal: { journal }, report: { _ in })
            var recipe = ReSTEM()
            (recipe.iterations, recipe.samplesPerProblem, recipe.epochs, recipe.sampling) = (3, 8, 12, SamplingOptions(temperature: 1))
            try await recipe.run(loop)
            func accuracy(_ n: Int) -> Double { journal.metrics().last { $0.iteration == n && $0.phase == "dev" && $0.name == "accuracy" && $0.category.isEmpty }?.value ?? .nan }
            // Of ten digits one is right by chance, two of the 20 problems; both runs find something to train on.
            #expect(accuracy(0) <= 0.25)
            let found = (1...3).map { n in journal.examples(TrainingKey(iteration: n, phase: "improve"))?.count ?? 0 }
            #expect(found.allSatisfy { $0 > 15 }, "\(found)")
            #expect(isShuffled ? accuracy(3) <= 0.25 : accuracy(3) >= 0.6, "\((0...3).map(accuracy))")
        }
    }
}
