import Architectures
import ModelFiles
import Sampling
import Tasks
import Tensors

/// Measures one model on tasks. It owns the model; only values cross its border.
public actor Evaluator {
    private let executor: any SerialExecutor
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// What was done in one call.
    public struct Work: Sendable {
        /// Judged samples.
        public var samples = 0
        /// Of completions.
        public var tokens = 0
        /// Of sampling or scoring; of judging where nothing is sampled.
        public var duration = Duration.zero
        /// Tokens that the model computed for the likelihood of options, and how many one pass for each would have taken.
        public var computedTokens = 0, separateTokens = 0

        public var tokensPerSecond: Double? { tokens > 0 ? Double(tokens) / max(1e-9, duration / .seconds(1)) : nil }
    }
    private let model: Model
    private let precision: Precision
    /// Of the model that is measured, with all that decides what it says.
    public nonisolated let modelHash: String
    /// Sequences that decode together.
    private let maxSequences: Int

    /// - Parameters:
    ///   - executor: runs everything that this actor does.
    ///   - precision: of the model's products; one that changes nothing counts as float32.
    ///   - maxSequences: that decode together; results do not depend on it.
    ///   - makeModel: makes the model that this evaluator then owns alone.
    public init(executor: any SerialExecutor, precision: Precision = .float32, maxSequences: Int = 64, makeModel: @Sendable () throws -> sending Model) throws {
        self.executor = executor
        let base = try makeModel()
        model = base.at(precision)
        self.precision = model === base ? .float32 : precision
        modelHash = base.identityHash()
        self.maxSequences = maxSequences
    }

    /// - Throws: what the environment throws.
    public func recipe(of plan: EvaluationPlan) throws -> EvaluationRecipe {
        try EvaluationRecipe(plan, chatTemplate: model.tokenizer.chatTemplate, precision: precision)
    }

    /// Computes and judges what is not there yet. Samples whose judgement failed are drawn again, with the same result, and judged again.
    /// - Parameters:
    ///   - plan: what is measured; by generation or likelihood.
    ///   - recorded: of an earlier call with an equal recipe, weights and seed.
    ///   - record: takes samples as they are judged, from any thread.
    ///   - isCancelled: looked at before every step; true ends the call with what was judged so far.
    /// - Throws: `FileError` for a problem that the model cannot take, `SamplingError`, and what the environment and `record` throw.
    public func run(
        _ plan: EvaluationPlan, recorded: [EvaluatedSample] = [], record: @escaping @Sendable ([EvaluatedSample]) throws -> Void, isCancelled: @Sendable () -> Bool = { false }
    ) async throws -> Work {
        let present = recorded.filter { $0.outcome != nil }.reduce(into: [:]) { $0[$1.problem, default: Set<Int>()].insert($1.sample) }
        switch plan.method {
        case .generate: return try await generate(plan, present: present, record, isCancelled)
        case .likelihood: return try score(plan, plan.problems.filter { present[$0.id] == nil }, record, isCancelled)
        case .reference: return try await plan.judgeReferences(present: Set(present.keys), record: record)
        }
    }

    /// What a measurement will take on this machine.
    public struct Estimate: Sendable {
        /// Of completions; 0 where options are compared.
        public var tokens: Int
        public var seconds: Double
    }

    /// Computes and judges as many problems as decode together, from all over the list, and keeps nothing of it.
    /// - Parameters:
    ///   - plan: what will be measured.
    ///   - missing: samples that are not there yet.
    /// - Throws: as `run`.
    public func estimate(_ plan: EvaluationPlan, missing: Int) async throws -> Estimate {
        var probe = try EvaluationPlan(plan.environment, split: plan.split, limit: min(plan.problems.count, max(1, maxSequences / plan.samples)))
        (probe.method, probe.samples, probe.sampling, probe.form, probe.seed) = (plan.method, min(plan.samples, maxSequences), plan.sampling, plan.form, plan.seed)
        let began = ContinuousClock.now, work = try await run(probe, record: { _ in }), share = Double(missing) / Double(max(1, work.samples))
        return Estimate(tokens: Int(Double(work.tokens) * share), seconds: (ContinuousClock.now - began) / .seconds(1) * share)
    }

    // MARK: Generation

    /// What is put to the model in one turn, and which samples of the problem answer it.
    private struct Observation {
        let problem: Problem
        let samples: Range<Int>
        var prompt: Prompt
        var tokens: [Int32]
        /// The answers before.
        var texts: [String] = []
        var answered = 0
    }

    private func generate(
        _ plan: EvaluationPlan, present: [String: Set<Int>], _ record: @escaping @Sendable ([EvaluatedSample]) throws -> Void, _ isCancelled: @Sendable () -> Bool
    ) async throws -> Work {
        let generator = Generator(model), environment = plan.environment
        generator.maxSequences = maxSequences
        var observations = try plan.problems.flatMap { problem in
            let missing = (0..<plan.samples).filter { present[problem.id]?.contains($0) != true }
            let prompt = try environment.reset(problem, mode: .plain)
            let tokens = missing.isEmpty ? [] : try encode(prompt, of: problem)
            // Neighbours share the computation of their prompt.
            return missing.count == plan.samples
                ? [Observation(problem: problem, samples: 0..<plan.samples, prompt: prompt, tokens: tokens)]
                : missing.map { Observation(problem: problem, samples: $0..<$0 + 1, prompt: prompt, tokens: tokens) }
        }
        var work = Work(), queue = JudgingQueue(verifier: environment.verifier, record: record)
        let result = Result { () throws in
            var turn = 0
            while !observations.isEmpty, !isCancelled(), !queue.hasFailed {
                let now = observations, began = ContinuousClock.now
                var next: [Observation] = []
                let requests = now.map { observation in
                    let key = RandomKey(seed: plan.seed).folding("evaluation").folding(observation.problem.id)
                    return GenerationRequest(
                        promptTokens: observation.tokens, samples: observation.samples.count, firstSample: observation.samples.lowerBound, options: plan.sampling,
                        maxTokens: environment.maxTokens, stopTokens: model.stopTokens, stopStrings: environment.stops, key: turn == 0 ? key : key.folding("turn").folding(turn))
                }
                try generator.run(
                    requests,
                    onFinish: { completion in
                        let observation = now[completion.request]
                        work.tokens += completion.tokens.count
                        if let more = try following(observation, completion, environment) {
                            next.append(more)
                            return
                        }
                        let rollout = Rollout(
                            completion, of: requests[completion.request],
                            key: RolloutKey(iteration: 0, phase: plan.split.rawValue, index: completion.request, sample: completion.sample, turn: turn),
                            problem: observation.problem, mode: .plain, weightsHash: modelHash, precision: precision)
                        work.samples += 1
                        queue.add(rollout, prompt: try model.text(of: observation.prompt), tokens: observation.answered + completion.tokens.count)
                    }, isCancelled: { isCancelled() || queue.hasFailed })
                work.duration += ContinuousClock.now - began
                observations = next
                turn += 1
            }
        }
        // What was sampled before an error is kept too.
        for task in queue.finish() { try await task.value }
        try result.get()
        return work
    }

    /// What the environment says to an answer; nil where the episode ends, the answer was cut off, or no room is left.
    private func following(_ observation: Observation, _ completion: Completion, _ environment: any Tasks.Environment) throws -> Observation? {
        let texts = observation.texts + [completion.text]
        guard completion.finishReason == .stop, let prompt = try environment.step(observation.problem, after: texts) else { return nil }
        let tokens = try observation.tokens + completion.tokens + model.encode(prompt, after: completion.tokens)
        guard tokens.count < model.transformer.configuration.maxPositionEmbeddings else { return nil }
        return Observation(
            problem: observation.problem, samples: completion.sample..<completion.sample + 1, prompt: prompt, tokens: tokens, texts: texts,
            answered: observation.answered + completion.tokens.count)
    }

    private func encode(_ prompt: Prompt, of problem: Problem) throws -> [Int32] {
        let tokens = try model.encode(prompt), context = model.transformer.configuration.maxPositionEmbeddings
        guard !tokens.isEmpty, tokens.count < context else {
            let reason = tokens.isEmpty ? SamplingError.emptyPrompt : SamplingError.promptTooLong(tokens: tokens.count, context: context)
            throw FileError(file: model.source ?? "the model", problem: "cannot take problem '\(problem.id)': \(reason)", advice: "Change the task's settings, or choose another model.")
        }
        return tokens
    }

    // MARK: Likelihood

    private func score(_ plan: EvaluationPlan, _ problems: [Problem], _ record: ([EvaluatedSample]) throws -> Void, _ isCancelled: () -> Bool) throws -> Work {
        let likelihood = try ChoiceLikelihood(model), began = ContinuousClock.now
        var samples = 0
        for start in stride(from: 0, to: problems.count, by: JudgingQueue.size) where !isCancelled() {
            let questions = try problems[start..<min(problems.count, start + JudgingQueue.size)].map { problem in
                (problem: problem, options: try plan.options(of: problem), prompt: try plan.environment.reset(problem, mode: .plain))
            }
            samples += questions.count
            try record(zip(questions, try likelihood.scores(questions.map { ($0.prompt, $0.options.texts) })).map { question, scores in
                let chosen = ChoiceRule.acc.choice(of: scores), right = question.options.right
                return EvaluatedSample(
                    problem: question.problem.id, sample: 0, prompt: try model.text(of: question.prompt), text: scores[chosen].text,
                    judgement: .judged(Verdict(chosen == right ? .right : .wrong, evidence: "chose \(scores[chosen].text), expected \(scores[right].text)")),
                    answer: scores[chosen].text, tokens: scores[chosen].tokens, logProbability: scores[chosen].logLikelihood, choices: scores, right: right)
            })
        }
        return Work(samples: samples, duration: ContinuousClock.now - began, computedTokens: likelihood.computedTokens, separateTokens: likelihood.separateTokens)
    }
}
