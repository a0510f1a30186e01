import Architectures
import Sampling
import Tasks
import Tensors
import Training

/// What a run will take, from its plan and a short measurement on this machine.
public struct JobEstimate: Sendable {
    /// Completion tokens of all phases, measurements included.
    public private(set) var sampledTokens = 0
    /// Tokens that all steps compute, prompts included.
    public private(set) var trainedTokens = 0
    /// Resident memory at its highest.
    public private(set) var peakBytes: Int
    /// From start to end.
    public private(set) var seconds = 0.0

    /// Samples and judges a few problems and takes three steps on a copy of the model; nothing of it is kept.
    ///
    /// The shares of right answers are taken to grow evenly from what the model can do now to everything.
    /// What only learning shows is left out: that patience ends a run, and further problems of policy gradients, which can take `resamples` times as many completions again.
    public init(_ plan: RunPlan, on backend: any Backend) async throws {
        let environments = try plan.environments()
        let environment = environments[0]
        let options = plan.options
        let model = try plan.makeModel(on: backend)
        let worked = try plan.worked(environment)
        let problems = try environment.problems(in: .train)
        guard !problems.isEmpty else { throw RecipeFileError(file: plan.task, problem: "has no training problems") }
        func measured(_ split: Split, _ limit: Int) throws -> Int {
            let count = try environment.problems(in: split).count
            return limit > 0 ? min(limit, count) : count
        }
        let (dev, test) = (try measured(.dev, options.devLimit), try measured(.test, options.testLimit))
        let workload = plan.recipe.chosen.workload(problems: problems.count)

        let probe = try await Probe(plan, environment, model, problems: problems, worked: worked, workload: workload)
        let trained: Transformer
        var trainerOptions = options.trainer
        if let adapter = options.adapter {
            trained = try model.transformer.adapted(adapter)
            trainerOptions.optimizer = trainerOptions.optimizer.training(only: trained.adapterPatterns)
        } else {
            trained = model.transformer.copy(expanding: true)
        }
        let trainer = Trainer(trained, objective: NegativeLogLikelihood(), options: trainerOptions, totalSteps: 3)
        // The first step also takes its memory from the system.
        let probed = try trainer.step(probe.examples)
        let clock = ContinuousClock()
        let began = clock.now
        for _ in 0..<2 { _ = try trainer.step(probe.examples) }
        let secondsPerStep = (clock.now - began) / .seconds(2), batchTokens = probed.computedTokens

        // As the loop counts them: what is sampled to train on, and the trained tokens without their prompts.
        let budget = options.tokenBudget > 0 ? Double(options.tokenBudget) : .infinity
        var (spent, steps) = (0.0, 0)
        func train(_ planned: Int) {
            // Every training takes its first step.
            let taken = min(Double(planned), max(1, ((budget - spent) / Double(probed.trainedTokens)).rounded(.up)))
            spent += taken * Double(probed.trainedTokens)
            steps += Int(taken)
        }
        let choosing = environments.count > 1 ? environments.count * dev : 0
        let mostSelected = min(Double(workload.cap), probe.distinctShare * Double(workload.samples))
        // Growing from the probe's share, over the iterations.
        var sequences = [(training: 0.0, measured: Double((choosing + dev + test) * workload.turns), grown: 0.0)]
        var done = 0
        while done < workload.iterations, spent < budget {
            let grown = Double(done) / Double(workload.iterations)
            done += 1
            var training = Double(workload.problems * workload.samples)
            spent += training * probe.length(at: grown)
            if plan.recipe.chosen.rationalises, spent < budget {
                let again = training * (1 - probe.solvedShare) * (1 - grown)
                training += again
                spent += again * probe.length(at: grown)
            }
            switch workload.training {
            case .steps(let counts): train(counts[done - 1])
            case .ownAnswers(let epochs, _): train((Int(Double(workload.problems) * probe.selectedPerProblem) * epochs + options.batchSize - 1) / options.batchSize)
            case .epochs(let epochs):
                let selected = Double(workload.problems) * (probe.selectedPerProblem + (mostSelected - probe.selectedPerProblem) * grown)
                train((Int(selected + Double(worked.count)) * epochs + options.batchSize - 1) / options.batchSize)
            }
            let isLast = done == workload.iterations || spent >= budget
            let isMeasured = isLast || workload.measured?.contains(done) ?? true
            sequences.append((training, isMeasured ? Double(dev * workload.turns) : 0, grown))
        }
        steps += (workload.finalExamples + options.batchSize - 1) / options.batchSize  // whatever is left of the budget
        let measuredLast = (test * (1 + workload.candidates) + min(100, test) * options.testSamples) * workload.turns
        sequences.append((0, Double(measuredLast), Double(done) / Double(max(1, workload.iterations))))
        for (training, measured, grown) in sequences {
            let length = probe.length(at: grown)
            sampledTokens += Int((training + measured) * length)
            seconds += (training * probe.secondsPerSequence + measured * probe.secondsPerMeasured) * (length / probe.length)
        }
        if !worked.isEmpty { steps += options.warmUpSteps }
        seconds += secondsPerStep * Double(steps)
        trainedTokens = steps * batchTokens

        let memory = options.adapter == nil ? MemoryPlan(model.transformer) : MemoryPlan(trained, training: trainerOptions.optimizer.trains)
        // An answer ends with the context at the latest.
        let longest = min(Double(model.transformer.configuration.maxPositionEmbeddings), probe.promptLength + Double(environment.maxTokens))
        let cache = Int(Double(options.maxSequences) * longest)
        let tensors = max(
            memory.bytesToTrain(
                microBatchTokens: min(options.trainer.microBatchTokens, batchTokens), optimizer: options.trainer.optimizer, startingWeights: true, runner: options.trainer.runner,
                activations: options.trainer.activations) + (workload.keepsAverage ? memory.weightBytes : 0),
            memory.storedWeightBytes + memory.weightBytes + (options.rolloutPrecision == .float32 ? 0 : memory.weightBytes / 2) + cache * memory.cacheBytesPerToken)
        peakBytes = MemoryPlan.residentBytes(tensors: tensors)
    }

    /// One full batch of completions, judged.
    private struct Probe {
        var promptLength: Double
        /// Tokens of a completion, and of one that may train.
        var length, rightLength: Double
        /// Of one that trains, and of one that is measured.
        var secondsPerSequence, secondsPerMeasured: Double
        /// Examples that a problem gives.
        var selectedPerProblem: Double
        /// Of the right completions, those that are no repeats.
        var distinctShare: Double
        /// Problems with a right completion.
        var solvedShare: Double
        /// A batch like those that will be trained.
        var examples: [Example]

        init(_ plan: RunPlan, _ environment: any Tasks.Environment, _ model: Model, problems: [Problem], worked: [WorkedExample], workload: Workload) async throws {
            let (options, samples) = (plan.options, max(1, workload.samples))
            // A model that knows nothing yet does not end its answers: their length comes from the worked examples.
            let isFresh = plan.model == nil
            let workedLengths = try worked.map { Double(try model.encode($0.completion, addSpecialTokens: false).count + 1) }
            // From all over the list.
            let count = max(1, min(problems.count, options.maxSequences / samples))
            let chosen = (0..<count).map { problems[$0 * problems.count / count] }
            let prompts = try chosen.map { try model.encode(environment.reset($0, mode: .plain)) }
            let generator = Generator(model.at(options.rolloutPrecision))
            generator.maxSequences = options.maxSequences
            let clock = ContinuousClock()
            let began = clock.now
            let requests = prompts.enumerated().map { index, tokens in
                GenerationRequest(
                    promptTokens: tokens, samples: samples, options: plan.recipe.chosen.sampling(of: "attempt"), maxTokens: isFresh ? 24 : environment.maxTokens,
                    stopTokens: isFresh ? [] : model.stopTokens, stopStrings: isFresh ? [] : environment.stops, key: RandomKey(seed: options.seed).folding("estimate").folding(index))
            }
            let completions = try generator.run(requests)
            secondsPerSequence = (clock.now - began) / .seconds(1) / Double(completions.count)
            secondsPerMeasured = secondsPerSequence
            if options.rolloutPrecision != .float32 {
                // Measurements stay in float32, and what trains is scored in it.
                let exactly = clock.now
                try Generator(model).run(requests)
                secondsPerMeasured = (clock.now - exactly) / .seconds(1) / Double(completions.count)
                let scoring = clock.now
                _ = model.transformer.score(completions.map { Example(promptTokens: prompts[$0.request], completionTokens: $0.tokens) })
                secondsPerSequence += (clock.now - scoring) / .seconds(1) / Double(completions.count)
            }
            promptLength = Self.mean(prompts.map { Double($0.count) })
            length = Self.mean(completions.map { Double($0.tokens.count) })

            let rollouts = completions.map { completion in
                Rollout(
                    completion, of: requests[completion.request],
                    key: RolloutKey(iteration: 0, phase: "estimate", index: completion.request, sample: completion.sample), problem: chosen[completion.request], mode: .plain, weightsHash: "")
            }
            let verifier = try plan.trainingVerifier() ?? environment.verifier
            let right = zip(rollouts, await verifier.judge(rollouts)).compactMap { rollout, judgement in
                if case .judged(let verdict) = judgement, verdict.outcome == .right { rollout } else { nil }
            }
            let distinct = right.grouped().flatMap { $0.deduplicated() }
            selectedPerProblem = Double(distinct.grouped().reduce(0) { $0 + min(workload.cap, $1.count) }) / Double(count)
            solvedShare = Double(right.grouped().count) / Double(count)
            distinctShare = right.isEmpty ? 1 : Double(distinct.count) / Double(right.count)
            var pairs = (distinct.isEmpty ? rollouts : distinct).map { ($0.promptTokens, $0.completionTokens) }
            if isFresh, !worked.isEmpty {
                secondsPerSequence *= Self.mean(workedLengths) / length
                secondsPerMeasured *= Self.mean(workedLengths) / length
                length = Self.mean(workedLengths)
                pairs = try worked.map { (try model.encode($0.prompt), try model.encode($0.completion, addSpecialTokens: false)) }
            }
            if case .ownAnswers(_, let verified) = workload.training {
                // Few problems may have one.
                let all = try environment.ownAnswers(to: problems, model), taken = min(all.count, count)
                let given = (0..<taken).map { all[$0 * all.count / taken] }
                let isTrained = verified ? await environment.verifier.judge(given).map { if case .judged(let verdict) = $0 { verdict.outcome == .right } else { false } } : given.map { _ in true }
                let trained = zip(given, isTrained).filter(\.1).map(\.0)
                selectedPerProblem = Double(all.count) / Double(problems.count) * Double(trained.count) / Double(taken)
                pairs = (trained.isEmpty ? given : trained).map { ($0.promptTokens, $0.completionTokens) }
            }
            rightLength = Self.mean(pairs.map { Double($0.1.count) })
            let batch = workload.batch ?? options.batchSize
            examples = (0..<batch).map { index in
                let (prompt, completion) = pairs[index * pairs.count / batch % pairs.count]
                return Example(promptTokens: prompt, completionTokens: completion)
            }
        }

        /// Of a completion, when so much of what can be learnt has been.
        func length(at grown: Double) -> Double { length + (rightLength - length) * grown }

        private static func mean(_ values: [Double]) -> Double { values.isEmpty ? 0 : max(1, values.reduce(0, +) / Double(values.count)) }
    }
}
