import Architectures
import Sampling
import Tasks
import Tensors
import Training

/// What a run will take, from its plan and a short measurement on this machine.
public struct JobEstimate: Sendable {
    public var sampledTokens: Int
    public var trainedTokens: Int
    public var peakBytes: Int
    public var seconds: Double

    /// Samples a few problems and takes one step on a copy of the model; nothing of it is kept.
    public init(_ plan: RunPlan, on backend: any Backend) throws {
        let environment = try plan.environments()[0]
        let model = try plan.makeModel(on: backend)
        let worked = try plan.worked(environment)
        let problems = try environment.problems(in: .train)
        var testCount = try environment.problems(in: .test).count
        if plan.options.testLimit > 0 { testCount = min(testCount, plan.options.testLimit) }
        let options = plan.options
        guard !problems.isEmpty else { throw RecipeFileError(file: plan.task, problem: "has no training problems") }
        let shape = plan.recipe.shape(problems: problems.count, options: options, worked: worked.count)

        // A batch as full as the run's, of problems from all over the list.
        let sequences = min(options.maxSequences, problems.count * shape.samples)
        let distinct = max(1, sequences / shape.samples)
        let prompts = try (0..<distinct).map { try model.encode(environment.reset(problems[$0 * problems.count / distinct], mode: .plain)) }
        let isFresh = plan.model == nil
        // A model that knows nothing yet does not end its answers: their length comes from the worked examples.
        let lengths = worked.map { model.tokenizer.encode($0.completion).count + 1 }
        let probed = isFresh ? 24 : environment.maxTokens
        let generator = Generator(model)
        generator.maxSequences = options.maxSequences
        let clock = ContinuousClock()
        let began = clock.now
        let completions = try generator.run(prompts.enumerated().map { index, tokens in
            GenerationRequest(
                promptTokens: tokens, samples: shape.samples, options: plan.recipe.sampling(of: "attempt"), maxTokens: probed, stopTokens: isFresh ? [] : model.stopTokens,
                stopStrings: isFresh ? [] : environment.stops, key: RandomKey(seed: options.seed).folding("estimate").folding(index))
        })
        let samplingSeconds = (clock.now - began).inSeconds
        let drawn = completions.reduce(0) { $0 + $1.tokens.count }
        let meanCompletion = isFresh && !lengths.isEmpty ? Double(lengths.reduce(0, +)) / Double(max(1, lengths.count)) : Double(drawn) / Double(completions.count)
        let meanPrompt = Double(prompts.reduce(0) { $0 + $1.count }) / Double(prompts.count)

        let examples = (0..<options.batchSize).map { index -> Example in
            let completion = completions[index % completions.count].tokens
            return Example(promptTokens: prompts[index % prompts.count], completionTokens: Array((0..<max(1, Int(meanCompletion))).map { completion[$0 % completion.count] }))
        }
        let trainer = Trainer(model.decoder.copy(), objective: NegativeLogLikelihood(), options: options.trainer, totalSteps: 2)
        // The first step also takes its memory from the system.
        _ = try trainer.step(examples)
        let trainingBegan = clock.now
        _ = try trainer.step(examples)
        let stepSeconds = (clock.now - trainingBegan).inSeconds

        let measured = (shape.iterations + 1) * testCount
        let completionCount = shape.completions + measured
        sampledTokens = Int(Double(completionCount) * meanCompletion)
        trainedTokens = Int(Double(shape.steps * options.batchSize) * (meanPrompt + meanCompletion))
        seconds = samplingSeconds / Double(drawn) * Double(sampledTokens) + stepSeconds * Double(shape.steps)
        let memory = MemoryPlan(model.decoder.configuration)
        let micro = min(options.trainer.microBatchTokens, Int(Double(options.batchSize) * (meanPrompt + meanCompletion)))
        let cache = Int(Double(options.maxSequences) * (meanPrompt + Double(environment.maxTokens)))
        let tensors = max(
            memory.bytesToTrain(microBatchTokens: micro, startingWeights: true, runner: options.trainer.runner),
            2 * memory.weightBytes + cache * memory.cacheBytesPerToken)
        // Batches of many sizes leave the allocator with blocks in between (it keeps at most an eighth of what lives); the record,
        // the tokenizer and the program itself take the rest.
        peakBytes = tensors + tensors / 10 + (48 << 20)
    }
}

extension RecipeChoice {
    /// How much a recipe samples and trains, as far as its settings say; the selection is taken to keep every problem once.
    struct Shape {
        var iterations: Int
        var samples: Int
        /// Over the whole run, without measurements.
        var completions: Int
        /// Optimizer steps over the whole run.
        var steps: Int
    }

    func shape(problems: Int, options: LoopOptions, worked: Int) -> Shape {
        switch self {
        case .star(let star):
            let steps = (1...max(1, star.iterations)).reduce(0) { $0 + star.steps($1) }
            // Half of the problems are tried twice, until the model solves nearly all.
            return Shape(
                iterations: star.iterations, samples: 1, completions: star.iterations * problems * (star.rationalises ? 3 : 2) / 2, steps: steps + options.warmUpSteps)
        case .restEM(let rest):
            let examples = problems + worked
            return Shape(
                iterations: rest.iterations, samples: rest.samplesPerProblem, completions: rest.iterations * problems * rest.samplesPerProblem,
                steps: rest.iterations * ((examples * rest.epochs + options.batchSize - 1) / options.batchSize) + options.warmUpSteps)
        }
    }
}
