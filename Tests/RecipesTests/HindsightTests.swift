import Architectures
import Foundation
import Recipes
import Sampling
import Synchronization
import Tasks
import Tensors
import Testing
import Training

private let phrases = HindsightPhrases(good: "=", bad: "+")

private func small() throws -> Model {
    var shape = FreshDecoder()
    (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 64, 2, 2, 128)
    return try Model.forAddition(shape, key: RandomKey(seed: 3), on: try CPUBackend(threads: 2))
}

@Suite("Chains of hindsight")
struct HindsightChainTests {
    private let model: Model
    private let eos: Int32

    init() throws {
        model = try small()
        eos = try #require(model.tokenizer.eosToken)
    }

    private func answer(_ prompt: String, good: Bool, _ text: String) throws -> Example {
        Example(promptTokens: try model.encode("\(prompt) \(good ? "=" : "+")"), completionTokens: try model.encode(text) + [eos])
    }

    private func chain(_ prompt: String, _ better: String, _ worse: String) throws -> HindsightChain {
        try HindsightChain(.text(prompt), better: answer(prompt, good: true, better), worse: answer(prompt, good: false, worse), phrases, model)
    }

    @Test("of a text the answers bear loss, and nothing else; each stands after its phrase, and chance says which is the first")
    func masks() throws {
        let chain = try chain("Input: 1 2", " 3", " 4 5")
        let good = try model.encode(" 3") + [eos], bad = try model.encode(" 4 5") + [eos]
        let texts = [try model.encode("Input: 1 2 =") + good + model.encode("\n\n+") + bad, try model.encode("Input: 1 2 +") + bad + model.encode("\n\n=") + good]
        var seen: Set<[Int32]> = []
        for seed in 0..<20 {
            let (example, isCut) = chain.example(limit: 64, Forgetting(0, of: model.tokenizer), key: RandomKey(seed: UInt64(seed)))
            let labels = try #require(example.labels), text = example.promptTokens + [eos], first = text == texts[0] ? good : bad, second = text == texts[0] ? bad : good
            #expect(texts.contains(text) && !isCut && example.completionTokens.isEmpty)
            #expect(labels.targets == first + second)
            // A place is that of the token before the one that is trained: from the end of the first phrase, and from the end of the second.
            let places = Array(3..<3 + first.count) + Array(text.count - 1 - second.count..<text.count - 1)
            #expect(labels.places == places.map { Int32($0) })
            #expect(labels.places.map { text[Int($0) + 1] } == labels.targets)
            seen.insert(text)
        }
        #expect(seen.count == 2)
    }

    @Test("about as many tokens as asked are read as others, never the end of an answer, and what is trained stays; without forgetting nothing is")
    func forgets() throws {
        let digits = (0..<30).map { " \($0 % 10)" }.joined(), chain = try chain("Input: 1 2", digits, digits + " 0")
        var (changed, all) = (0, 0)
        for seed in 0..<200 {
            let key = RandomKey(seed: UInt64(seed))
            let plain = chain.example(limit: 128, Forgetting(0, of: model.tokenizer), key: key).example, forgotten = chain.example(limit: 128, Forgetting(0.05, of: model.tokenizer), key: key).example
            #expect(plain.labels == forgotten.labels && plain.promptTokens.count == forgotten.promptTokens.count)
            for (kept, read) in zip(plain.promptTokens, forgotten.promptTokens) {
                if kept == eos || read == eos { #expect(kept == read) }
                (changed, all) = (changed + (kept == read ? 0 : 1), all + 1)
            }
        }
        let share = Double(changed) / Double(all)
        #expect(share > 0.035 && share < 0.062, "\(share)")
    }

    @Test("what is too long loses the ends of its answers and the beginning of its prompt, and the phrases stay")
    func cuts() throws {
        let digits = (0..<30).map { " \($0 % 10)" }.joined(), chain = try chain("Input:" + digits, digits, digits + " 0")
        #expect(chain.hasRoom(6) && !chain.hasRoom(5))
        for (limit, answers, prompt) in [(24, 20, 1), (6, 2, 1), (70, 63, 4), (200, 63, 32)] {
            let (example, isCut) = chain.example(limit: limit, Forgetting(0, of: model.tokenizer), key: RandomKey(seed: 1)), labels = try #require(example.labels)
            #expect(example.promptTokens.count + 1 == min(limit, 98) && isCut == (limit < 98))
            #expect(labels.targets.count == answers && Int(labels.places[0]) + 1 == prompt)
            #expect([" =", " +"].contains(model.tokenizer.piece(example.promptTokens[prompt - 1])))
        }
    }

    /// How much likelier the better answer's token is after the phrase for good answers than after the other, under prompts that were not trained.
    private func gap(turned: Bool) throws -> Double {
        let model = try small(), forgetting = Forgetting(0.05, of: model.tokenizer)
        func prompt(_ key: RandomKey) -> String { "Input:" + (0..<3).map { " \(key.index(below: 10, UInt64($0)))" }.joined() }
        let chains = try (0..<64).map { index in
            let key = RandomKey(seed: 5).folding(index), isTurned = turned && key.uniform(9) < 0.5
            return try chain(prompt(key), isTurned ? " 2" : " 1", isTurned ? " 1" : " 2")
        }
        let trainer = Trainer(model.transformer, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 4e-3)), totalSteps: 120)
        for step in 0..<120 {
            _ = try trainer.step((0..<16).map { chains[(step * 16 + $0) % 64].example(limit: 64, forgetting, key: RandomKey(seed: 7).folding(step).folding($0)).example })
        }
        func mean(good: Bool) throws -> Double {
            let examples = try (0..<20).map { try answer(prompt(RandomKey(seed: 6).folding($0)), good: good, " 1") }
            return model.transformer.score(examples).reduce(0) { $0 + Double($1[0].logProbability) } / 20
        }
        return try mean(good: true) - mean(good: false)
    }

    @Test("after training the phrase decides which answer comes, under new prompts too; where the better answer was drawn by chance it decides nothing")
    func learns() throws {
        let (right, turned) = (try gap(turned: false), try gap(turned: true))
        #expect(right > 2 && abs(turned) < 1, "\(right) and \(turned)")
    }
}

/// The shorter the better.
private struct Brevity: Verifier {
    let name = "brevity"

    func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { rollout in
            .judged(Verdict(rollout.finishReason == .length ? .cutOff : rollout.completionTokens.count <= 24 ? .right : .wrong, evidence: "\(rollout.completionTokens.count) tokens"))
        }
    }
}

@Suite("Chain of Hindsight in the loop")
struct ChainOfHindsightTests {
    private static func addition() throws -> Addition { try Addition(digits: 1...2, seed: 1, trainCount: 40, devPerLength: 5, testPerLength: 10) }

    private func recipe(forgetting: Double) -> ChainOfHindsight {
        var recipe = ChainOfHindsight()
        (recipe.iterations, recipe.samplesPerProblem, recipe.epochs, recipe.phrases, recipe.forgetting) = (3, 6, 3, phrases, forgetting)
        return recipe
    }

    private func loop(_ folder: String, _ journal: MemoryJournal, _ recipe: ChainOfHindsight, isCancelled: @escaping @Sendable () -> Bool = { false }) throws -> LearningLoop {
        let addition = try Self.addition(), task = recipe.environment(addition)
        let worked = try addition.warmUp(count: 40, longest: 20).map { example in
            var example = example
            if case .text(let prompt) = phrases.asking(.text(example.prompt), good: true) { example.prompt = prompt }
            return example
        }
        return try LearningLoop(
            executor: EngineExecutor(), environments: [task], verifier: Brevity(),
            options: LoopOptions(seed: 3, trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: 4e-3)), batchSize: 8, maxSequences: 16, saveEvery: 5, warmUpSteps: 60),
            workedExamples: worked, folder: folder, makeModel: { try small() }, makeJournal: { journal }, report: { _ in }, isCancelled: isCancelled)
    }

    @Test("what is sampled is asked for with the phrase for good answers; a right and a wrong one of a problem make one text, and the phrases come to tell them apart")
    func learns() async throws {
        try await withFolder { folder in
            let journal = MemoryJournal(), recipe = recipe(forgetting: 0), model = try small(), eos = try #require(model.tokenizer.eosToken)
            try await recipe.run(try loop(folder, journal, recipe))
            let addition = try Self.addition()
            func prompt(_ rollout: Rollout, good: Bool) throws -> [Int32] {
                guard case .text(let text) = phrases.asking(try addition.reset(rollout.problem, mode: .plain), good: good) else { preconditionFailure("sums are texts") }
                return try model.encode(text)
            }
            var (compared, orders) = (0, Set<Bool>())
            for n in 1...3 {
                let rollouts = Dictionary(uniqueKeysWithValues: journal.rollouts(iteration: n, phase: "attempt").map { ($0.key, $0) })
                for rollout in rollouts.values { #expect(try rollout.promptTokens == prompt(rollout, good: true)) }
                // Beside the worked examples, which have no labels.
                for example in (journal.examples(TrainingKey(iteration: n, phase: "improve")) ?? []) where example.labels != nil {
                    let right = try #require(rollouts[example.rollouts[0]]), wrong = try #require(rollouts[example.rollouts[1]]), labels = try #require(example.labels)
                    #expect(right.isRight && wrong.verdict?.outcome == .wrong && right.problem == wrong.problem)
                    let asked = try prompt(right, good: true), isRightFirst = example.promptTokens.starts(with: asked), first = isRightFirst ? right : wrong
                    #expect(try isRightFirst || example.promptTokens.starts(with: prompt(wrong, good: false)))
                    #expect(Int(labels.places[0]) == asked.count - 1)
                    orders.insert(isRightFirst)
                    // One that a stop string ended is trained up to it.
                    guard first.completionTokens.last == eos else { continue }
                    #expect(labels.targets.starts(with: first.completionTokens))
                    compared += 1
                }
            }
            #expect(compared > 0 && orders.count == 2)

            // What the last policy says of all answers after either phrase.
            let last = try #require(journal.checkpoints(TrainingKey(iteration: 3, phase: "improve")).last?.path), trained = try Model(path: "\(folder)/\(last)", on: try CPUBackend(threads: 2))
            func difference(_ isWanted: (Rollout) -> Bool) throws -> Double {
                let rollouts = (1...3).flatMap { journal.rollouts(iteration: $0, phase: "attempt") }.filter(isWanted)
                let sums = try [true, false].map { good in
                    trained.transformer.score(try rollouts.map { Example(promptTokens: try prompt($0, good: good), completionTokens: $0.completionTokens) }).joined().reduce(0) { $0 + Double($1.logProbability) }
                }
                return (sums[0] - sums[1]) / Double(rollouts.count)
            }
            let (right, wrong) = (try difference(\.isRight), try difference { $0.verdict?.outcome == .wrong })
            #expect(right > wrong, "\(right) and \(wrong)")
        }
    }

    @Test("a run that was stopped anywhere goes on to the same weights, from the same chains")
    func resumes() async throws {
        let recipe = recipe(forgetting: 0.05), place = TrainingKey(iteration: 3, phase: "improve")
        let whole = try await withFolder { folder in
            let journal = MemoryJournal()
            try await recipe.run(try loop(folder, journal, recipe))
            return journal
        }
        try #require(whole.examples(place)?.contains { $0.labels != nil } == true)
        try await withFolder { folder in
            let journal = MemoryJournal(), looks = Mutex(0)
            var stops = 0
            for limit in [30, 90, 150, Int.max] {
                looks.withLock { $0 = 0 }
                do {
                    try await recipe.run(try loop(folder, journal, recipe, isCancelled: { looks.withLock { $0 += 1; return $0 > limit } }))
                } catch is Interrupted { stops += 1 }
            }
            #expect(stops > 0)
            #expect(journal.checkpoints(place).last?.weightsHash == whole.checkpoints(place).last?.weightsHash && journal.examples(place) == whole.examples(place))
        }
    }

    @Test("settings out of their range are refused", arguments: [("forgetting", "1"), ("phrases.bad", "A good answer:"), ("samplesPerProblem", "1")])
    func refusals(key: String, value: String) throws {
        let choice = try #require(try RecipeChoice(ChainOfHindsight()).setting(key, to: value))
        var refused: [String] = []
        try choice.chosen.validate { isRight, settings, _ in if !isRight { refused.append(settings) } }
        #expect(refused.count == 1 && refused[0].contains(key), "\(refused)")
    }
}
