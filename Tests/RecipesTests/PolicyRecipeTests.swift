import Architectures
import Foundation
import Recipes
import Sampling
import Synchronization
import Tasks
import Tensors
import Testing
import Training

/// Rewards a completion by its length, which every policy can learn: the shorter the better.
private struct Shortness: Verifier {
    let name = "shortness"

    func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { rollout in
            let length = rollout.completionTokens.count
            return .judged(Verdict(rollout.finishReason == .length ? .cutOff : length <= 24 ? .right : .wrong, reward: -Double(length) / 20, evidence: "\(length) tokens"))
        }
    }
}

/// The same reward for all.
private struct Indifferent: Verifier {
    let name = "indifferent"

    func judge(_ rollouts: [Rollout]) async -> [Judgement] { rollouts.map { _ in .judged(Verdict(.right, reward: 1, evidence: "")) } }
}

private func iteration(_ iterations: Int) -> PolicyIteration {
    var loop = PolicyIteration()
    (loop.iterations, loop.problemsPerIteration, loop.samplesPerProblem, loop.measureEvery) = (iterations, 4, 6, 0)
    return loop
}

/// Every policy gradient, with few iterations.
private func recipes(_ iterations: Int) -> [any Recipe] {
    let variants = GRPO.Variant.allCases.map { variant in
        var recipe = GRPO()
        (recipe.variant, recipe.loop) = (variant, iteration(iterations))
        return recipe
    }
    var held = GRPO(), rloo = RLOO(), reinforce = RLOO(), ppo = PPO()
    held.loop = iteration(iterations)
    held.loop.klWeight = 0.04
    (held.loop.epochs, held.loop.batches) = (2, 2)
    rloo.loop = iteration(iterations)
    rloo.loop.klWeight = 0.01
    (reinforce.loop, reinforce.baseline) = (rloo.loop, .batch)
    ppo.loop = rloo.loop
    // The critic is as small as the model.
    (ppo.loop.epochs, ppo.criticRate) = (2, 4e-3)
    return variants + [held, rloo, reinforce, ppo]
}

@Suite("Policy gradients in the loop")
struct PolicyRecipeTests {
    private func meanLength(_ journal: MemoryJournal, _ iterations: ClosedRange<Int>) -> Double {
        let rollouts = iterations.flatMap { journal.rollouts(iteration: $0, phase: "attempt") }
        return rollouts.reduce(0) { $0 + Double($1.completionTokens.count) } / Double(rollouts.count)
    }

    @Test("every one of them learns what is rewarded, and nothing where all rewards are equal", arguments: 0..<9)
    func learns(index: Int) async throws {
        let recipe = recipes(12)[index]
        try await withFolder { folder in
            let journal = MemoryJournal()
            try await recipe.run(try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 60))
            let (before, after) = (meanLength(journal, 1...2), meanLength(journal, 11...12))
            #expect(after < before - 2, "\(type(of: recipe)): \(before) to \(after) tokens")
        }
    }

    @Test("PPO's first update of an iteration finds every token as likely as it was when it was sampled, and the next one does not")
    func firstUpdate() async throws {
        try await withFolder { folder in
            var ppo = PPO()
            // A weight beyond one part in ten thousand counts as clipped.
            (ppo.loop, ppo.clip) = (iteration(2), 1e-4)
            ppo.loop.epochs = 2
            let journal = MemoryJournal()
            try await ppo.run(try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 60))
            for n in 1...2 {
                let clipped = journal.steps(TrainingKey(iteration: n, phase: "improve")).map { $0.result.terms["clipped"] ?? .nan }
                #expect(clipped.count == 2 && clipped.first == 0 && clipped[1] > 0, "\(clipped)")
            }
        }
    }

    @Test("a budget of tokens ends the run, and what it ends with is measured", arguments: [7, 0])
    func budget(index: Int) async throws {
        let recipe = recipes(12)[index]
        try await withFolder { folder in
            let journal = MemoryJournal(), budget = 2000
            try await recipe.run(try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 30, tokenBudget: budget))
            let last = try #require((1...12).last { !journal.rollouts(iteration: $0, phase: "attempt").isEmpty })
            #expect((2..<12).contains(last))
            func value(_ phase: String, _ name: String) -> Double? { journal.metrics().last { $0.iteration == last && $0.phase == phase && $0.name == name }?.value }
            #expect(value("dev", "accuracy") != nil && value("test", "accuracy") != nil)
            #expect(try #require(value("run", "tokens")) >= Double(budget))
        }
    }

    @Test("where a budget ends the run, plug-ins have the last word, also over a policy that is kept anyway")
    func budgetAndPlugins() async throws {
        func last(keepEvery: Int, averages: Bool = true) async throws -> String? {
            try await withFolder { folder in
                var grpo = GRPO()
                grpo.loop = iteration(12)
                grpo.loop.keepEvery = keepEvery
                let journal = MemoryJournal()
                try await grpo.run(try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 30, tokenBudget: 2000, plugins: { averages ? [WeightAverage(decay: 0.5)] : [] }))
                let kept = (1...12).flatMap { journal.checkpoints(TrainingKey(iteration: $0, phase: "improve")) }.filter { $0.path != nil }
                #expect(kept.count == 1 || keepEvery == 1)
                return kept.last?.weightsHash
            }
        }
        let averaged = try await last(keepEvery: 0)
        #expect(averaged != nil)
        #expect(try await last(keepEvery: 1) == averaged)
        #expect(try await last(keepEvery: 0, averages: false) != averaged)
    }

    @Test("groups of equal rewards train nothing: not one bit changes")
    func withoutSignal() async throws {
        try await withFolder { folder in
            var grpo = GRPO()
            grpo.loop = iteration(2)
            let journal = MemoryJournal()
            try await grpo.run(try makeLoop(folder, journal: journal, verifier: Indifferent(), warmUpSteps: 20))
            let versions = (1...2).compactMap { journal.checkpoints(TrainingKey(iteration: $0, phase: "improve")).last?.weightsHash }
            let warm = journal.checkpoints(TrainingKey(iteration: 0, phase: "warm-up")).last?.weightsHash
            #expect(versions == [warm, warm])
            #expect(journal.examples(TrainingKey(iteration: 1, phase: "improve")) == [])
            #expect(journal.metrics().contains { $0.name == "withoutSignal" && $0.value == 1 })
        }
    }

    @Test("a run that was stopped or killed anywhere goes on to the same weights, and samples nothing twice", arguments: [7, 4], [false, true])
    func resumes(recipe index: Int, killed: Bool) async throws {
        let recipe = recipes(5)[index]
        func final(_ journal: MemoryJournal) -> String? { journal.checkpoints(TrainingKey(iteration: 5, phase: "improve")).last?.weightsHash }
        let whole = try await withFolder { folder in
            let journal = MemoryJournal()
            try await recipe.run(try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 30))
            return try #require(final(journal))
        }
        try await withFolder { folder in
            let journal = MemoryJournal(), looks = Mutex(0)
            // Stopped at several places; where it was killed nothing of the training was saved.
            for limit in [20, 60, 110, 170, Int.max] {
                looks.withLock { $0 = 0 }
                do {
                    try await recipe.run(try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 30, isCancelled: { looks.withLock { $0 += 1; return $0 > limit } }))
                } catch is Interrupted {
                    if killed { try? FileManager.default.removeItem(atPath: "\(folder)/resume.safetensors") }
                }
            }
            #expect(final(journal) == whole)
            for n in 1...5 { #expect(journal.rollouts(iteration: n, phase: "attempt").count == 24) }
        }
    }

    @Test("what was cut off takes no part, or takes part without reward, as the recipe says")
    func truncation() {
        func rollout(_ sample: Int, _ reason: FinishReason, _ verdict: Verdict) -> Rollout {
            Rollout(
                key: RolloutKey(iteration: 1, phase: "attempt", index: 0, sample: sample), problem: Problem(id: "1", question: ""), mode: .plain, promptTokens: [1], completionTokens: [Int32(sample)],
                finishReason: reason, text: "", logProbabilities: [0], behaviorLogProbabilities: [0], temperatures: [1], weightsHash: "", judgement: .judged(verdict))
        }
        let group = [rollout(0, .stop, Verdict(.right, evidence: "")), rollout(1, .stop, Verdict(.wrong, evidence: "")), rollout(2, .length, Verdict(.cutOff, evidence: ""))]
            + [{ var failed = rollout(3, .stop, Verdict(.wrong, evidence: "")); failed.judgement = .failed(reason: "crashed"); return failed }()]
        func advantages(_ truncation: Truncation) -> [Float] {
            RelativeRewards(.group(.none), truncation: truncation).examples(from: [group], using: RandomKey(seed: 0)) {
                Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens, rollouts: [$0.key])
            }.compactMap(\.advantage)
        }
        // Where all that was finished has a reward below that of being cut off, as reward models give it, being cut off is no better.
        let low = [rollout(0, .stop, Verdict(.wrong, reward: -4, evidence: "")), rollout(1, .stop, Verdict(.wrong, reward: -2, evidence: "")), rollout(2, .length, Verdict(.cutOff, reward: -3, evidence: ""))]
        let rewarded = RelativeRewards(.none, truncation: .penalise).examples(from: [low], using: RandomKey(seed: 0)) { Example($0) }.compactMap(\.advantage)
        #expect(rewarded == [-4, -2, -4])
        #expect(advantages(.mask) == [0.5, -0.5])
        #expect(zip(advantages(.penalise), [2.0 / 3, -1.0 / 3, -1.0 / 3]).allSatisfy { abs($0 - Float($1)) < 1e-6 } && advantages(.penalise).count == 3)
    }

    @Test("an adapter learns beside the base, is kept as a PEFT folder, and is found again", arguments: ["grpo", "rest-em"])
    func adapters(name: String) async throws {
        var choices = AdapterChoices()
        (choices.rank, choices.alpha) = (4, 8)
        let adapter = choices
        var grpo = GRPO(), rest = ReSTEM()
        grpo.loop = iteration(3)
        (rest.iterations, rest.samplesPerProblem, rest.epochs) = (2, 2, 1)
        let recipe: any Recipe = name == "grpo" ? grpo : rest
        try await withFolder { folder in
            let journal = MemoryJournal()
            let loop = try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 0, adapter: adapter)
            let base = await loop.baseVersion()
            try await recipe.run(loop)
            let last = try #require(journal.checkpoints(TrainingKey(iteration: name == "grpo" ? 3 : 2, phase: "improve")).last)
            #expect(last.weightsHash != base)
            #expect(FileManager.default.fileExists(atPath: "\(folder)/\(try #require(last.path))/adapter_model.safetensors"))
            // A new process scores what the adapter sampled: bit for bit the same.
            let again = try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 0, adapter: adapter)
            let rollouts = journal.rollouts(iteration: name == "grpo" ? 3 : 2, phase: "test"), policies = try await again.policies([last.training])
            try #require(!rollouts.isEmpty)
            let scored = try await again.score(Array(rollouts.prefix(4)), policies: policies)
            #expect(zip(scored, rollouts).allSatisfy { $0 == $1.logProbabilities })
        }
    }
}

@Suite("A reference that follows the policy, in the loop")
struct MovingReferenceRecipeTests {
    private func recipe(_ decay: Double, iterations: Int, epochs: Int = 1) -> RLOO {
        var rloo = RLOO()
        rloo.loop = iteration(iterations)
        (rloo.loop.klWeight, rloo.loop.referenceDecay, rloo.loop.epochs, rloo.loop.keepEvery) = (0.05, decay, epochs, 1)
        return rloo
    }

    private func place(_ n: Int) -> TrainingKey { TrainingKey(iteration: n, phase: "improve") }

    @Test("examples are compared with the average of the policies before them; without decay with the one that the run began with", arguments: [0, 0.8])
    func average(decay: Double) async throws {
        try await withFolder { folder in
            let journal = MemoryJournal()
            try await recipe(decay, iterations: 4).run(try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 30))
            func policy(_ training: TrainingKey) throws -> Transformer { try Model(path: "\(folder)/\(training.checkpointPath)", on: try CPUBackend(threads: 2)).transformer }
            let start = try policy(TrainingKey(iteration: 0, phase: "warm-up")), average = start.copy()
            var farthest = 0.0
            for n in 1...4 {
                let examples = try #require(journal.examples(place(n)))
                func scored(_ model: Transformer) -> [[Float]] { model.score(examples.map { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) }).map { $0.map(\.logProbability) } }
                let recorded = examples.map { $0.referenceLogProbabilities ?? [] }
                #expect(recorded == scored(decay == 0 ? start : average))
                farthest = max(farthest, zip(recorded.joined(), scored(start).joined()).map { abs(Double($0) - Double($1)) }.max() ?? 0)
                // One update an iteration.
                guard !journal.steps(place(n)).isEmpty else { continue }
                let trained = try policy(place(n))
                for parameter in average.parameters.parameters {
                    let new = trained.parameters.read(try #require(trained.parameters[parameter.name]))
                    let mixed = zip(average.parameters.read(parameter), new).map { (old: Float, new: Float) in Float(Double(old) + (1 - decay) * (Double(new) - Double(old))) }
                    mixed.withUnsafeBufferPointer { average.parameters.write($0, to: parameter) }
                }
            }
            #expect(decay == 0 ? farthest == 0 : farthest > 0.01, "\(farthest)")
        }
    }

    @Test("stopped or killed anywhere it goes on to the same examples and the same weights, with an adapter too", arguments: [false, true], [false, true])
    func resumes(killed: Bool, adapted: Bool) async throws {
        var choices = AdapterChoices()
        (choices.rank, choices.alpha) = (4, 8)
        let recipe = recipe(0.8, iterations: 5, epochs: 2), adapter = adapted ? choices : nil
        let whole = try await withFolder { folder in
            let journal = MemoryJournal()
            try await recipe.run(try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 30, adapter: adapter))
            return journal
        }
        #expect((1...5).contains { whole.steps(place($0)).count == 2 })
        try await withFolder { folder in
            let journal = MemoryJournal(), looks = Mutex(0)
            // Stopped at several places; where it was killed nothing of the training was saved.
            for limit in [20, 60, 110, 170, Int.max] {
                looks.withLock { $0 = 0 }
                do {
                    try await recipe.run(try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 30, adapter: adapter, isCancelled: { looks.withLock { $0 += 1; return $0 > limit } }))
                } catch is Interrupted {
                    if killed { try? FileManager.default.removeItem(atPath: "\(folder)/resume.safetensors") }
                }
            }
            for n in 1...5 { #expect(journal.examples(place(n)) == whole.examples(place(n)), "iteration \(n)") }
            #expect(journal.checkpoints(place(5)).last?.weightsHash == whole.checkpoints(place(5)).last?.weightsHash)
        }
    }

    @Test("what it cannot be is refused: all of itself, and anything where nothing is held to it", arguments: [(1.0, 0.05), (-0.1, 0.05), (0.9, 0)])
    func refusals(decay: Double, klWeight: Double) throws {
        var grpo = GRPO()
        (grpo.loop.referenceDecay, grpo.loop.klWeight) = (decay, klWeight)
        var refused: [String] = []
        try grpo.validate { isRight, settings, _ in if !isRight { refused.append(settings) } }
        #expect(refused == ["loop.referenceDecay"])
        #expect(!GRPO().workload(problems: 8).keepsAverage && recipe(0.8, iterations: 1).workload(problems: 8).keepsAverage)
    }

    @Test("runs of before have a reference that stays")
    func earlier() throws {
        var plan = try RunPlan.defaults(model: "m", task: "addition", settings: [:], recipe: "grpo")
        let lines = try plan.yaml().split(separator: "\n").filter { !$0.contains(" referenceDecay:") }
        #expect(try lines.count == plan.yaml().split(separator: "\n").count - 1)
        #expect(try RunPlan(yaml: lines.joined(separator: "\n"), file: "old.yaml") == plan)
        plan = try plan.overridden(byYAML: "recipe: {grpo: {loop: {klWeight: 0.1, referenceDecay: 0.99}}}", file: "new.yaml")
        #expect((plan.recipe.chosen as? GRPO)?.loop.referenceDecay == 0.99)
    }
}

@Suite("A reward that can be gamed")
struct RewardHackingTests {
    @Test("the policy learns to please it, and the watch says so; where the task itself is the reward it says nothing", arguments: [true, false])
    func watch(isGameable: Bool) async throws {
        try await withFolder { folder in
            // Three digits have to be repeated; what is rewarded is to say less.
            let task = CopiedDigits(), notes = Mutex([String]()), journal = MemoryJournal()
            let options = LoopOptions(
                seed: 3, trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: 1e-3)), batchSize: 32, maxSequences: 64, saveEvery: 1000, warmUpSteps: 700)
            let loop = try LearningLoop(
                executor: EngineExecutor(), environments: [task], verifier: isGameable ? Shortness() : task.verifier, watchesReward: true, options: options,
                workedExamples: try task.worked(1200), folder: folder,
                makeModel: {
                    var shape = FreshDecoder()
                    (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (64, 128, 2, 4, 64)
                    return try Model.forAddition(shape, key: RandomKey(seed: 3), on: try CPUBackend(threads: 2))
                }, makeJournal: { journal }, report: { event in if case .note(let text) = event { notes.withLock { $0.append(text) } } })
            var grpo = GRPO()
            grpo.loop = iteration(30)
            grpo.loop.measureEvery = 6
            try await grpo.run(loop)
            func dev(_ name: String, _ n: Int) -> Double? { journal.metrics().last { $0.iteration == n && $0.phase == "dev" && $0.name == name }?.value }
            let warned = notes.withLock { $0.contains { $0.contains("learns to please the reward") } }
            let course = [0, 6, 12, 18, 24, 30].map { "\(dev("trainedReward", $0) ?? .nan) and \(dev("heldOutReward", $0) ?? .nan)" }
            #expect(warned == isGameable, "\(course)")
            if isGameable {
                let before = try #require(dev("trainedReward", 0)), after = try #require(dev("trainedReward", 30)), right = try #require(dev("heldOutReward", 0)), left = try #require(dev("heldOutReward", 30))
                #expect(after > before && left < right, "\(before) to \(after), \(right) to \(left)")
            }
        }
    }
}

@Suite("Right and wrong completions")
struct VerdictContrastTests {
    @Test("every loss makes right completions likelier beside wrong ones on the next iteration", arguments: VerdictContrast.Loss.allCases)
    func learns(loss: VerdictContrast.Loss) async throws {
        var recipe = VerdictContrast()
        (recipe.loss, recipe.iterations, recipe.samplesPerProblem, recipe.epochs) = (loss, 3, 6, 2)
        let fixed = recipe
        try await withFolder { folder in
            let journal = MemoryJournal()
            try await fixed.run(try makeLoop(folder, journal: journal, verifier: Shortness(), warmUpSteps: 60))
            func right(_ n: Int) -> Double {
                let rollouts = journal.rollouts(iteration: n, phase: "attempt")
                return Double(rollouts.count(where: \.isRight)) / Double(rollouts.count)
            }
            #expect(right(3) > right(1), "\(loss): \(right(1)) to \(right(3))")
        }
    }

    @Test("pairs are of one problem, right first; repeats and cut-off ones are in none")
    func pairs() {
        func rollout(_ index: Int, _ sample: Int, _ token: Int32, _ outcome: Verdict.Outcome, _ reason: FinishReason = .stop) -> Rollout {
            Rollout(
                key: RolloutKey(iteration: 1, phase: "attempt", index: index, sample: sample), problem: Problem(id: "\(index)", question: ""), mode: .plain, promptTokens: [Int32(index)], completionTokens: [token],
                finishReason: reason, text: "", logProbabilities: [0], behaviorLogProbabilities: [0], temperatures: [1], weightsHash: "", judgement: .judged(Verdict(outcome, evidence: "")))
        }
        let groups = [
            [rollout(0, 0, 1, .right), rollout(0, 1, 1, .right), rollout(0, 2, 2, .wrong), rollout(0, 3, 3, .cutOff, .length)], [rollout(1, 0, 4, .right)], [rollout(2, 0, 5, .wrong)],
            [rollout(3, 0, 6, .unreadable), rollout(3, 1, 7, .right), rollout(3, 2, 8, .right), rollout(3, 3, 9, .wrong)],
        ]
        let examples = VerdictPairs().examples(from: groups, using: RandomKey(seed: 1)) { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens, rollouts: [$0.key]) }
        #expect(examples.count == 6)
        for pair in stride(from: 0, to: examples.count, by: 2) {
            #expect(examples[pair].promptTokens == examples[pair + 1].promptTokens)
            #expect([1, 7, 8].contains(examples[pair].completionTokens[0]) && [2, 6, 9].contains(examples[pair + 1].completionTokens[0]))
        }
        #expect(VerdictPairs(cap: 1).examples(from: groups, using: RandomKey(seed: 1)) { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) }.count == 4)
    }

    @Test("of a wrong completion only what no right one begins with is trained")
    func beginnings() {
        func rollout(_ sample: Int, _ tokens: [Int32], _ outcome: Verdict.Outcome) -> Rollout {
            Rollout(
                key: RolloutKey(iteration: 1, phase: "attempt", index: 0, sample: sample), problem: Problem(id: "", question: ""), mode: .plain, promptTokens: [1], completionTokens: tokens,
                finishReason: .stop, text: "", logProbabilities: [], behaviorLogProbabilities: [], temperatures: [], weightsHash: "", judgement: .judged(Verdict(outcome, evidence: "")))
        }
        let group = [rollout(0, [1, 2, 3, 4], .right), rollout(1, [1, 2, 5], .wrong), rollout(2, [1, 2, 3], .wrong), rollout(3, [6], .wrong)]
        let examples = RightAndWrong().examples(from: [group], using: RandomKey(seed: 1)) { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) }
        #expect(examples.map(\.trained) == [[true, true, true, true], [false, false, true], [true]])
        #expect(examples.map { $0.advantage ?? 0 } == [0, -1, -1])
    }
}
