import Architectures
import Evaluation
import Foundation
import ModelFiles
import Sampling
import Tasks
import Tensors
import Tokenization
import Training

/// A run that was asked to stop; everything so far is saved.
public struct Interrupted: Error {}

/// The one loop: sample, judge, select, update. It owns the engine; only values cross its border.
///
/// Every call names its place in the run (iteration and phase). What the journal holds for that place is returned; the rest
/// is computed and recorded before it is returned.
public actor LearningLoop {
    private let executor: EngineExecutor
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// The task under the prompt that was chosen; under its first one until `start` has chosen.
    public private(set) var environment: any Tasks.Environment
    private var hasChosen = false
    /// The task under each of its prompts.
    private let environments: [any Tasks.Environment]
    /// Judges what trains, nil: the environment's own, which always judges what is measured.
    private let verifier: (any Verifier)?
    /// Whether what the training's verifier says of dev is compared with what the environment's says.
    private let watchesReward: Bool
    public let options: LoopOptions
    public let key: RandomKey
    let base: Model
    let baseHash: String
    let workedExamples: [WorkedExample]
    let journal: any Journal
    /// The run's folder.
    let folder: String
    let report: @Sendable (LoopEvent) -> Void
    let isCancelled: @Sendable () -> Bool
    /// Fresh plug-ins for every training.
    let makePlugins: @Sendable () -> [any StepPlugin]
    /// The policy in memory besides the base.
    var loaded: (version: PolicyVersion, decoder: Transformer)?
    /// Tokens so far that were generated to be trained on, and that were trained; the warm-up and measurements do not count.
    public internal(set) var spentTokens = 0
    /// Whether the budget of tokens ended the last training early.
    public internal(set) var isCutShort = false
    /// What both verifiers said of dev, where something else than the environment's trains.
    private var watched: [RewardWatch.Iteration] = []
    /// The training that goes on through iterations, where the recipe has one.
    var online: OnlineState?
    /// The order of an epoch's examples.
    var order: (epoch: Int, indices: [Int]) = (-1, [])
    /// The policy that samples, where that is at another precision.
    var rounded: (version: PolicyVersion, precision: Precision, model: Model)?

    /// - Parameters:
    ///   - executor: runs everything that this loop does.
    ///   - environments: the same problems under one prompt or several, of which the base's accuracy on dev chooses.
    ///   - verifier: judges what trains; `nil`: the environment's own, which always judges what is measured.
    ///   - watchesReward: whether `verifier` also judges dev, and it is said where it likes what the environment's likes less and less.
    ///   - options: what every recipe shares.
    ///   - workedExamples: for the warm-up; without any there is none.
    ///   - folder: the run's; checkpoints go there.
    ///   - makeModel: makes the model that this loop then owns alone.
    ///   - makeJournal: makes the journal; the run goes on from what it holds.
    ///   - report: hears of progress as it happens.
    ///   - isCancelled: looked at before every decoding step and after every training step; true ends the run with `Interrupted`.
    ///   - makePlugins: fresh plug-ins for every training.
    public init(
        executor: EngineExecutor, environments: [any Tasks.Environment], verifier: (any Verifier)? = nil, watchesReward: Bool = false, options: LoopOptions, workedExamples: [WorkedExample] = [],
        folder: String, makeModel: @Sendable () throws -> sending Model, makeJournal: @Sendable () throws -> sending any Journal,
        report: @escaping @Sendable (LoopEvent) -> Void, isCancelled: @escaping @Sendable () -> Bool = { false },
        makePlugins: @escaping @Sendable () -> [any StepPlugin] = { [] }
    ) throws {
        self.executor = executor
        precondition(!environments.isEmpty, "a loop needs a task")
        self.environments = environments
        environment = environments[0]
        self.verifier = verifier
        self.watchesReward = watchesReward
        self.options = options
        self.workedExamples = workedExamples
        self.folder = folder
        self.report = report
        self.isCancelled = isCancelled
        self.makePlugins = makePlugins
        key = RandomKey(seed: options.seed)
        let model = try makeModel()
        base = model
        baseHash = model.transformer.contentHash()
        journal = try makeJournal()
    }

    // MARK: Policies

    /// The policy that the recipe starts from: the model as given, or warmed up on worked examples. Measured before it is returned.
    /// - Parameter hints: whether the recipe also shows problems with their hint.
    public func start(hints: Bool = false) async throws -> PolicyVersion {
        let c = base.transformer.configuration
        guard c.isCausal || c.encoderLayers != nil, c.purpose == .languageModel else {
            throw RecipeFileError(file: base.source ?? "the model", problem: "is of type '\(c.modelType)' and does not write text. Learn with a generative model; sft, reward and self-label train others.")
        }
        if let adapter = options.adapter {
            do { _ = try base.transformer.adapted(adapter) } catch let error as AdapterError { throw RecipeFileError(file: "the adapter", problem: "\(error)") }
        }
        if try journal.rollouts(iteration: 0, phase: "dev").isEmpty { try checkPrompts(hints ? [.plain, .hinted] : [.plain]) }
        var policy = PolicyVersion(training: nil, weightsHash: baseHash)
        if options.warmUpSteps > 0, !workedExamples.isEmpty {
            policy = try train(
                .warmUp, on: try workedExamples.map(example), NegativeLogLikelihood(), from: policy, steps: options.warmUpSteps, pastBudget: true)
        }
        if environments.count > 1 {
            for candidate in environments.indices {
                try await measure(policy, on: .dev, iteration: 0, phase: Self.promptPhase(candidate))
            }
            let best = try choosePrompt()
            try journal.record([MetricRecord(iteration: 0, phase: Self.promptPhase(best), name: "chosen", value: 1)])
            report(.note("prompt \(best + 1) of \(environments.count) is used: the model is best under it on dev"))
        }
        try await evaluate(policy, iteration: 0)
        let dev = try journal.rollouts(iteration: 0, phase: "dev")
        if case .failed(let reason) = dev.first?.judgement, dev.allSatisfy({ $0.verdict == nil }) {
            throw RecipeFileError(file: environment.name, problem: "no answer of dev could be judged, so nothing can be learnt: \(reason)")
        }
        return policy
    }

    /// What the model cannot take must not end a run hours later: before anything is learnt the characters of all problems are looked at, and
    /// the prompts with the longest questions are made.
    private func checkPrompts(_ modes: [PromptMode]) throws {
        let context = base.transformer.configuration.maxPositionEmbeddings
        for (candidate, environment) in environments.enumerated() {
            for split in [Split.train, .dev, .test] {
                let problems = try split == .train ? environment.problems(in: .train) : measured(environment, split)
                func refusal(_ problem: Problem, _ mode: PromptMode, _ reason: String) -> RecipeFileError {
                    let prompt = (environments.count > 1 ? " under prompt \(candidate + 1)" : "") + (mode == .hinted ? " with its hint" : "")
                    return RecipeFileError(file: environment.name, problem: "problem '\(problem.id)'\(prompt) cannot be put to the model: \(reason)")
                }
                for problem in problems where !base.tokenizer.partsWithoutToken(of: problem.question).isEmpty {
                    do { _ = try base.encode(problem.question) } catch { throw refusal(problem, .plain, "\(error)") }
                }
                for problem in problems.sorted(by: { $0.question.utf8.count > $1.question.utf8.count }).prefix(8) {
                    for mode in split == .train ? modes : [.plain] {
                        let tokens: Int
                        do { tokens = try base.encode(environment.reset(problem, mode: mode)).count } catch let error as FileError { throw refusal(problem, mode, "\(error)") }
                        guard tokens > 0 else { throw refusal(problem, mode, "\(SamplingError.emptyPrompt)") }
                        guard tokens < context else { throw refusal(problem, mode, "\(SamplingError.promptTooLong(tokens: tokens, context: context))") }
                    }
                }
            }
        }
    }

    /// A decoder with a version's weights.
    public func decoder(of policy: PolicyVersion) throws -> Transformer {
        guard let training = policy.training else { return base.transformer }
        if let loaded, loaded.version == policy { return loaded.decoder }
        if let decoder = try onlineDecoder(of: policy) { return decoder }
        guard let checkpoint = try journal.checkpoints(training).last(where: { $0.isFinal && $0.weightsHash == policy.weightsHash }) else {
            throw ReplayError.missingCheckpoint(training: training, weightsHash: policy.weightsHash, path: nil)
        }
        guard let path = checkpoint.path, FileManager.default.fileExists(atPath: "\(folder)/\(path)") else {
            throw ReplayError.missingCheckpoint(training: training, weightsHash: policy.weightsHash, path: checkpoint.path)
        }
        loaded = nil
        let decoder: Transformer
        if options.adapter != nil {
            decoder = try base.with(adapter: "\(folder)/\(path)").transformer
        } else {
            decoder = Transformer(base.transformer.configuration, on: base.transformer.backend)
            try decoder.load(try SafetensorsFile(path: "\(folder)/\(path)/model.safetensors"))
        }
        guard decoder.contentHash() == policy.weightsHash else { throw ReplayError.changedCheckpoint(path: path, weightsHash: policy.weightsHash) }
        loaded = (policy, decoder)
        return decoder
    }

    /// A version's model at a precision.
    private func model(of policy: PolicyVersion, at precision: Precision) throws -> Model {
        if precision == .float32 { return base.with(try decoder(of: policy)) }
        if let rounded, (rounded.version, rounded.precision) == (policy, precision) { return rounded.model }
        rounded = nil
        let model = base.with(try decoder(of: policy)).at(precision)
        rounded = (policy, precision, model)
        return model
    }

    // MARK: Sampling and judging

    /// Completions of every problem in all of its turns, judged, in the order of the problems.
    ///
    /// An episode ends where the environment ends it, and where an answer was cut off or the next prompt leaves no room for one.
    public func sample(
        _ problems: [Problem], mode: PromptMode = .plain, samples: Int = 1, from policy: PolicyVersion, iteration: Int, phase: String, _ sampling: SamplingOptions,
        judgedBy given: (any Verifier)? = nil, precision: Precision? = nil
    ) async throws -> [Rollout] {
        if try journal.isComplete(iteration: iteration, phase: phase) {
            let rollouts = try journal.rollouts(iteration: iteration, phase: phase)
            spend(rollouts, phase)
            return rollouts
        }
        let environment = environment(of: phase)
        let judge = given ?? verifier ?? environment.verifier
        // A killed run may have left rollouts whose judgement was not recorded yet.
        var rollouts = try journal.rollouts(iteration: iteration, phase: phase)
        let unjudged = rollouts.filter { $0.judgement == nil }
        if !unjudged.isEmpty {
            try journal.record(await Self.judged(unjudged, by: judge))
            rollouts = try journal.rollouts(iteration: iteration, phase: phase)
        }
        let phase = SamplingPhase(iteration: iteration, name: phase, problems: problems, mode: mode, policy: policy, options: sampling, environment: environment, judge: judge,
            precision: precision ?? options.rolloutPrecision)
        var observations = problems.indices.map { Observation(index: $0, turn: 0, samples: 0..<samples) }
        while let turn = observations.first?.turn {
            try await answer(observations, recorded: rollouts.filter { $0.key.turn == turn }, in: phase)
            rollouts = try journal.rollouts(iteration: iteration, phase: phase.name)
            observations = try nextObservations(after: turn, of: rollouts, in: phase)
        }
        let summary = MetricRecord.summary(of: rollouts, iteration: iteration, phase: phase.name, verifier: judge)
        try journal.record(summary)
        let figures = Dictionary(uniqueKeysWithValues: summary.filter { $0.category.isEmpty }.map { ($0.name, $0.value) })
        if let mean = figures["mismatch"], let most = figures["mismatchMost"], let ratio = figures["importanceRatio"] {
            report(.note(String(
                format: "iteration %d %@: sampled in %@; log-probabilities of tokens differ from float32 by %.4f on average, %.3f at most; mean importance ratio %.3f, cut at %g",
                iteration, phase.name, phase.precision.rawValue, mean, most, ratio, options.maximumImportanceWeight)))
        }
        let reasons = rollouts.compactMap { rollout in if case .failed(let reason) = rollout.judgement { reason } else { nil } }
        if let first = reasons.first { report(.note("iteration \(iteration) \(phase.name): \(reasons.count) of \(rollouts.count) answers could not be judged, and count neither way; the first: \(first)")) }
        try journal.complete(iteration: iteration, phase: phase.name)
        spend(rollouts, phase.name)
        return rollouts
    }

    /// Phases that measure are free.
    private func spend(_ rollouts: [Rollout], _ phase: String) {
        let isFree = ["dev", "test", "candidates", "spread"].contains(phase) || environments.indices.contains { Self.promptPhase($0) == phase }
        if !isFree { spentTokens += rollouts.reduce(0) { $0 + $1.completionTokens.count } }
    }

    /// Whether the run's budget of tokens is used up.
    public var isSpent: Bool { options.tokenBudget > 0 && spentTokens >= options.tokenBudget }

    /// One call of `sample`.
    private struct SamplingPhase {
        let iteration: Int
        let name: String
        let problems: [Problem]
        let mode: PromptMode
        let policy: PolicyVersion
        let options: SamplingOptions
        let environment: any Tasks.Environment
        let judge: any Verifier
        let precision: Precision

        func key(_ observation: Observation, _ sample: Int) -> RolloutKey {
            RolloutKey(iteration: iteration, phase: name, index: observation.index, sample: sample, turn: observation.turn)
        }
    }

    /// What is put to the model in one turn, and which samples of the problem answer it.
    private struct Observation {
        let index: Int
        let turn: Int
        let samples: Range<Int>
        /// nil: the problem's first prompt.
        var promptTokens: [Int32]?
    }

    /// Samples, judges and records what the journal does not hold yet of one turn's answers.
    private func answer(_ observations: [Observation], recorded done: [Rollout], in phase: SamplingPhase) async throws {
        let total = observations.reduce(0) { $0 + $1.samples.count }
        report(.phaseStarted(iteration: phase.iteration, phase: phase.name, total: total))
        if done.count == total { return }
        var present = Set(done.map(\.key))
        var (right, cutOff) = (done.count(where: \.isRight), done.count { $0.finishReason == .length })
        let model = try model(of: phase.policy, at: phase.precision)
        // A precision that changes nothing, since the weights are codes already, is float32.
        let isRounded = model.transformer !== (try decoder(of: phase.policy))
        let generator = Generator(model)
        generator.maxSequences = options.maxSequences
        // What was sampled is judged while more is sampled.
        var judging: (task: Task<[Rollout], Never>, done: Int, tokensPerSecond: Double)?
        defer { judging?.task.cancel() }
        func settle() async throws {
            guard let current = judging else { return }
            judging = nil
            let verdicts = await current.task.value
            try journal.record(verdicts)
            right += verdicts.count(where: \.isRight)
            cutOff += verdicts.count { $0.finishReason == .length }
            report(.sampled(
                iteration: phase.iteration, phase: phase.name, done: current.done, total: total, right: right, cutOff: cutOff, tokensPerSecond: current.tokensPerSecond))
        }
        // Several rounds of full batches between commits.
        let chunk = max(1, options.maxSequences * 4 / observations[0].samples.count)
        for start in stride(from: 0, to: observations.count, by: chunk) {
            let missing = observations[start..<min(observations.count, start + chunk)].filter { observation in
                observation.samples.contains { !present.contains(phase.key(observation, $0)) }
            }
            if missing.isEmpty { continue }
            let requests = try missing.map { observation in
                let prompt = try observation.promptTokens ?? model.encode(phase.environment.reset(phase.problems[observation.index], mode: phase.mode))
                return GenerationRequest(
                    promptTokens: prompt, samples: observation.samples.count, firstSample: observation.samples.lowerBound, options: phase.options,
                    maxTokens: model.transformer.configuration.room(phase.environment.maxTokens, after: prompt.count),
                    stopTokens: model.stopTokens, stopStrings: phase.environment.stops, key: samplingKey(phase.key(observation, 0)))
            }
            let clock = ContinuousClock()
            let began = clock.now
            let completions = try generator.run(requests, isCancelled: isCancelled)
            let elapsed = (clock.now - began) / .seconds(1)
            var rollouts: [Rollout] = []
            for completion in completions {
                let observation = missing[completion.request]
                let rollout = Rollout(
                    completion, of: requests[completion.request], key: phase.key(observation, completion.sample), problem: phase.problems[observation.index], mode: phase.mode,
                    weightsHash: phase.policy.weightsHash, precision: isRounded ? phase.precision : .float32)
                if present.insert(rollout.key).inserted { rollouts.append(rollout) }
            }
            if isRounded { rollouts = try scored(rollouts, of: phase.policy) }
            try journal.record(rollouts)
            try await settle()
            let (sampled, judge, unjudged) = (completions.reduce(0) { $0 + $1.tokens.count }, phase.judge, rollouts)
            // The task does not know this loop, so that it does not wait for the engine's thread.
            judging = (Task { await Self.judged(unjudged, by: judge) }, present.count, Double(sampled) / max(elapsed, 1e-9))
            if isCancelled() {
                try await settle()
                try saveOnline()
                throw Interrupted()
            }
        }
        try await settle()
    }

    /// Rollouts with what float32 says of their tokens; those that were not scored when the run is asked to stop are left out, and sampled again.
    private func scored(_ rollouts: [Rollout], of policy: PolicyVersion) throws -> [Rollout] {
        let decoder = try decoder(of: policy)
        var scored: [Rollout] = []
        for start in stride(from: 0, to: rollouts.count, by: options.maxSequences) {
            if isCancelled() { break }
            let some = rollouts[start..<min(rollouts.count, start + options.maxSequences)]
            let laws = decoder.score(some.map { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) })
            for (rollout, laws) in zip(some, laws) {
                guard laws.allSatisfy(\.logProbability.isFinite) else { throw SamplingError.notFinite }
                var rollout = rollout
                rollout.policyLogProbabilities = laws.map(\.logProbability)
                scored.append(rollout)
            }
        }
        return scored
    }

    /// What the environment says to each answer of a turn, appended to the tokens so far.
    private func nextObservations(after turn: Int, of rollouts: [Rollout], in phase: SamplingPhase) throws -> [Observation] {
        var texts: [RolloutKey: [String]] = [:]  // of an episode, which its first turn's key names
        var observations: [Observation] = []
        for rollout in rollouts where rollout.key.turn <= turn {
            var episode = rollout.key
            episode.turn = 0
            texts[episode, default: []].append(rollout.text)
            guard rollout.key.turn == turn, rollout.finishReason == .stop, let next = try phase.environment.step(rollout.problem, after: texts[episode]!) else { continue }
            let tokens = try rollout.promptTokens + rollout.completionTokens + base.encode(next, after: rollout.completionTokens)
            guard tokens.count < base.transformer.configuration.maxPositionEmbeddings else { continue }
            observations.append(Observation(index: rollout.key.index, turn: turn + 1, samples: rollout.key.sample..<rollout.key.sample + 1, promptTokens: tokens))
        }
        return observations
    }

    /// The random numbers of all samples of a problem's turn.
    private func samplingKey(_ rollout: RolloutKey) -> RandomKey {
        let first = key.folding("sample").folding(rollout.phase).folding(rollout.iteration).folding(rollout.index)
        return rollout.turn == 0 ? first : first.folding("turn").folding(rollout.turn)
    }

    static func judged(_ rollouts: [Rollout], by judge: any Verifier) async -> [Rollout] {
        let judgements = await judge.judge(rollouts)
        precondition(judgements.count == rollouts.count, "verifier '\(judge.name)' gave \(judgements.count) judgements for \(rollouts.count) rollouts")
        return zip(rollouts, judgements).map { rollout, judgement in
            var rollout = rollout
            rollout.judgement = judgement
            return rollout
        }
    }

    // MARK: Measuring

    /// Greedy accuracy on the dev part, judged by the environment's own verifier. The result is in the journal.
    public func evaluate(_ policy: PolicyVersion, iteration: Int) async throws {
        try await measure(policy, on: .dev, iteration: iteration, phase: "dev")
        try await watch(iteration)
    }

    /// Where a reward trains: whether what it likes is still what the environment calls right.
    private func watch(_ iteration: Int) async throws {
        guard let verifier, watchesReward else { return }
        let rollouts = try journal.rollouts(iteration: iteration, phase: "dev").lastTurns(), phase = "dev-reward"
        if try !journal.isComplete(iteration: iteration, phase: phase) {
            let renamed = rollouts.map { rollout in
                var rollout = rollout
                rollout.key.phase = phase
                return rollout
            }
            try journal.record(await Self.judged(renamed, by: verifier))
            try journal.complete(iteration: iteration, phase: phase)
        }
        let pairs = try zip(rollouts, journal.rollouts(iteration: iteration, phase: phase)).compactMap { own, rewarded -> (reward: Double, heldOut: Double)? in
            guard let reward = rewarded.verdict?.reward, own.isDecided, let heldOut = own.verdict?.reward else { return nil }
            return (reward, heldOut)
        }
        guard !pairs.isEmpty else { return }
        let seen = RewardWatch.Iteration(number: iteration, rewards: pairs.map(\.reward), heldOut: pairs.map(\.heldOut))
        watched.append(seen)
        let trained = MetricRecord(iteration: iteration, phase: "dev", name: "trainedReward", value: pairs.reduce(0) { $0 + $1.reward } / Double(pairs.count), count: pairs.count)
        try journal.record([trained] + seen.metrics.sorted { $0.key < $1.key }.map { MetricRecord(iteration: iteration, phase: "dev", name: $0.key, value: $0.value, count: pairs.count) })
        if let note = RewardWatch().note(watched) { report(.note("iteration \(iteration): \(note)")) }
    }

    /// What `evaluate` found; nil where the task has no dev part.
    public func devAccuracy(iteration: Int) throws -> Double? {
        try journal.metrics().last { $0.iteration == iteration && $0.phase == "dev" && $0.name == "accuracy" && $0.category.isEmpty }?.value
    }

    /// Measures on the test part how well a verifier chooses among candidates by how likely it finds them: what it chose (`verified`), a candidate on average
    /// (`average`), and whether any was right (`anyRight`).
    func choose(among count: Int, from policy: PolicyVersion, by verifier: PolicyVersion, iteration: Int, _ sampling: SamplingOptions) async throws {
        let problems = try measured(environment, .test)
        if problems.isEmpty { return }
        let rollouts = try await sample(problems, samples: count, from: policy, iteration: iteration, phase: "candidates", sampling, judgedBy: environment.verifier, precision: .float32).lastTurns()
        // What could not be judged counts neither way.
        let judged = rollouts.filter { $0.verdict != nil }, groups = judged.grouped(), decoder = try decoder(of: verifier)
        let chosen = groups.map { group in
            // What was cut off is no answer.
            let scored = zip(group, decoder.score(group.map { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) })).filter { $0.0.finishReason == .stop }
            return scored.map { ($0.0, $0.1.reduce(0) { $0 + Double($1.logProbability) }) }.reduce(nil as (Rollout, Double)?) { best, next in best.map { $0.1 >= next.1 } == true ? best : next }?.0
        }
        func share(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(1, values.count)) }
        let figures = [
            ("verified", share(chosen.map { $0?.isRight == true ? 1 : 0 })), ("average", share(judged.map { $0.isRight ? 1 : 0 })),
            ("anyRight", share(groups.map { $0.contains(where: \.isRight) ? 1 : 0 })),
        ]
        let metrics = figures.map { MetricRecord(iteration: iteration, phase: "candidates", name: $0.0, value: $0.1, count: groups.count) }
        try journal.record(metrics)
        report(.note(figures.map { String(format: "%@ %.1f %%", $0.0, 100 * $0.1) }.joined(separator: ", ") + " of \(groups.count) test problems with \(count) candidates each"))
    }

    /// Opens the test part for what `progress` found best, under the iteration that it is of, and says where it is not the last one's.
    func finish(_ start: PolicyVersion, _ progress: Progress, last: Int) async throws {
        if progress.iteration != last {
            let found = progress.best.training.map { "that of iteration \(progress.iteration), \($0.checkpointPath)" } ?? "what the run began with"
            report(.note("the result is \(found)"))
        }
        try await finish(start, progress.best, iteration: progress.iteration)
    }

    /// Opens the test part, once: greedy accuracy of what the recipe started from and of what came out.
    public func finish(_ start: PolicyVersion, _ result: PolicyVersion, iteration: Int) async throws {
        try await measure(start, on: .test, iteration: 0, phase: "test")
        try await measure(result, on: .test, iteration: iteration, phase: "test")
        try journal.record([MetricRecord(iteration: iteration, phase: "run", name: "tokens", value: Double(spentTokens))])
        if options.testSamples > 0 { try await measureSpread(result, iteration: iteration, start) }
    }

    /// Several completions of each of at most a hundred test problems: shares of right ones, how much they differ, and how far the policy is from the start.
    private func measureSpread(_ policy: PolicyVersion, iteration: Int, _ start: PolicyVersion) async throws {
        var problems = try measured(environment, .test)
        if problems.isEmpty { return }
        let count = min(100, problems.count)
        problems = (0..<count).map { problems[$0 * problems.count / count] }
        let rollouts = try await sample(
            problems, samples: options.testSamples, from: policy, iteration: iteration, phase: "spread", SamplingOptions(temperature: 1), judgedBy: environment.verifier, precision: .float32)
        let groups = rollouts.lastTurns().grouped().map { $0.map(\.text) }
        let reference = try decoder(of: start).score(rollouts.map { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) })
        let differences = zip(rollouts, reference).flatMap { rollout, laws in zip(rollout.logProbabilities, laws).map { Double($0) - Double($1.logProbability) } }
        // Where none is defined, as for answers of one word, there is no figure.
        let figures = [
            ("distinct2", groups.compactMap { TextDiversity.distinct(2, in: $0) }), ("selfBLEU", groups.compactMap(TextDiversity.selfBLEU)), ("klToStart", differences),
        ].filter { !$0.1.isEmpty }
        try journal.record(figures.map { MetricRecord(iteration: iteration, phase: "spread", name: $0.0, value: $0.1.reduce(0, +) / Double($0.1.count), count: $0.1.count) })
    }

    /// The problems of a part that are measured: evenly spread, since they come sorted by kind.
    private func measured(_ environment: any Tasks.Environment, _ split: Split) throws -> [Problem] {
        let problems = try environment.problems(in: split)
        let limit = split == .dev ? options.devLimit : options.testLimit
        return limit > 0 && limit < problems.count ? (0..<limit).map { problems[$0 * problems.count / limit] } : problems
    }

    private func measure(_ policy: PolicyVersion, on split: Split, iteration: Int, phase: String) async throws {
        let problems = try measured(environment, split)
        if problems.isEmpty { return }
        let rollouts = try await sample(problems, from: policy, iteration: iteration, phase: phase, .greedy, judgedBy: environment(of: phase).verifier, precision: .float32)
        report(.evaluated(MetricRecord.summary(of: rollouts, iteration: iteration, phase: phase)))
    }

    private static func promptPhase(_ candidate: Int) -> String { "prompt-\(candidate + 1)" }

    /// The prompt under which a phase is sampled.
    private func environment(of phase: String) -> any Tasks.Environment {
        environments.indices.first { environments.count > 1 && Self.promptPhase($0) == phase }.map { environments[$0] } ?? environment
    }

    /// Takes the prompt under which most of dev was right before learning; the first of equals. Over all problems alike: a category
    /// with four of them must not decide.
    @discardableResult
    private func choosePrompt() throws -> Int {
        let right = try environments.indices.map { try journal.rollouts(iteration: 0, phase: Self.promptPhase($0)).lastTurns().count(where: \.isRight) }
        let best = right.indices.reduce(0) { right[$1] > right[$0] ? $1 : $0 }
        environment = environments[best]
        hasChosen = true
        return best
    }

    // MARK: Replay

    /// Samples one recorded rollout again from the checkpoint that sampled it.
    /// - Throws: `ReplayError` that says which checkpoint is missing.
    public func replay(_ rollout: Rollout, sampling: SamplingOptions, policies: [PolicyVersion]) throws -> Completion {
        guard let policy = policies.first(where: { $0.weightsHash == rollout.weightsHash }) else {
            throw ReplayError.missingCheckpoint(training: nil, weightsHash: rollout.weightsHash, path: nil)
        }
        if environments.count > 1, !hasChosen { try choosePrompt() }
        let environment = environment(of: rollout.key.phase)
        let model = try model(of: policy, at: rollout.precision)
        return try Generator(model).run([
            GenerationRequest(
                promptTokens: rollout.promptTokens, firstSample: rollout.key.sample, options: sampling, maxTokens: model.transformer.configuration.room(environment.maxTokens, after: rollout.promptTokens.count), stopTokens: model.stopTokens,
                stopStrings: environment.stops, key: samplingKey(rollout.key))
        ])[0]
    }

    /// The policies whose weights the run has: its base and every finished training.
    public func policies(_ trainings: [TrainingKey]) throws -> [PolicyVersion] {
        try [PolicyVersion(training: nil, weightsHash: baseHash)]
            + trainings.compactMap { key in try journal.checkpoints(key).last(where: \.isFinal).map { PolicyVersion(training: key, weightsHash: $0.weightsHash) } }
    }

    /// Log-probabilities of a rollout's tokens in a scoring pass with the weights that sampled it: bit for bit the recorded ones, those of the
    /// precision that sampled, or of another.
    public func score(_ rollouts: [Rollout], policies: [PolicyVersion], at precision: Precision? = nil) throws -> [[Float]] {
        try rollouts.map { rollout in
            guard let policy = policies.first(where: { $0.weightsHash == rollout.weightsHash }) else {
                throw ReplayError.missingCheckpoint(training: nil, weightsHash: rollout.weightsHash, path: nil)
            }
            return try model(of: policy, at: precision ?? rollout.precision).transformer.score([Example(promptTokens: rollout.promptTokens, completionTokens: rollout.completionTokens)])[0].map(\.logProbability)
        }
    }

    public func baseVersion() -> String { baseHash }
}

extension JSONEncoder {
    /// The same text for the same value.
    public static var stable: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return encoder
    }
}
