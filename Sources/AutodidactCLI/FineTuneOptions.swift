import ArgumentParser
import Autodidact
import Foundation

extension AdapterChoices.Kind: ExpressibleByArgument {}

/// What is trained of a model, how, and where it goes: the same for every kind of supervision.
struct FineTuneOptions: ParsableArguments {
    @Option(help: "The folder to write: a model, or the adapter as a PEFT folder.")
    var output: String

    @Option(help: "lora, bottleneck or soft-prompt; lora when only --rank is given, and all weights are trained without either.")
    var adapter: AdapterChoices.Kind?

    @Option(help: "Rank of a LoRA adapter, width of bottlenecks, or vectors of a soft prompt; 8 when left out.")
    var rank: Int?

    @Option(help: "The adapter's change is multiplied by alpha / rank; twice the rank when left out.")
    var alpha: Double?

    @Option(help: "Modules that get an adapter, separated by commas; all matrices of the blocks when left out.")
    var targets: String?

    @Flag(help: "Divide alpha by the root of the rank (rsLoRA).")
    var rslora = false

    @Flag(help: "Learn the lengths of rows too (DoRA).")
    var dora = false

    @Option(help: "Times that all examples are trained.")
    var epochs: Int = 3

    @Option(help: "Examples (or pairs) of one update.")
    var batch: Int = 32

    @Option(name: .customLong("learning-rate"), help: "When left out 5e-5 for all weights, 2e-4 for an adapter and 5e-3 for a soft prompt; of preferences a tenth.")
    var learningRate: Double?

    @OptionGroup var update: UpdateOptions

    @Option(name: .customLong("max-tokens"), help: "Longer texts are cut.")
    var maxTokens: Int = 256

    @Option(name: .customLong("micro-batch-tokens"), help: "Tokens computed at once. The result does not depend on it, but for the balance of experts and the last bits of tables of distances.")
    var microBatchTokens: Int = TrainerOptions.defaultMicroBatchTokens

    @Option(help: "The same seed gives the same model.")
    var seed: UInt64 = 0

    func validate() throws {
        for (name, value) in [("epochs", epochs), ("batch", batch), ("max-tokens", maxTokens), ("micro-batch-tokens", microBatchTokens)] where value < 1 {
            throw ValidationError("--\(name) \(value): must be 1 or more.")
        }
        if let rank, !(1...4096).contains(rank) { throw ValidationError("--rank \(rank): must be 1 to 4096.") }
        if let learningRate, learningRate <= 0 || !learningRate.isFinite { throw ValidationError("--learning-rate \(learningRate): must be above 0.") }
        if kind != .lora, rslora || dora || targets != nil || alpha != nil { throw ValidationError("--rslora, --dora, --targets and --alpha belong to a LoRA adapter: give --rank, or --adapter lora.") }
    }

    /// What is trained beside the model; nil for the model itself.
    private var kind: AdapterChoices.Kind? { adapter ?? (rank == nil ? nil : .lora) }

    /// The model with what is trained of it: all weights as values, or an adapter.
    /// - Parameter hasNewHead: whether a head without trained values is trained whole beside an adapter.
    func prepared(_ base: Model, hasNewHead: Bool) throws -> Model {
        guard let kind else { return base.with(base.transformer.copy(expanding: true)) }
        var choices = AdapterChoices()
        let rank = rank ?? 8
        choices.kind = kind
        (choices.rank, choices.alpha, choices.isRankStable, choices.learnsMagnitudes) = (rank, alpha ?? 2 * Double(rank), rslora, dora)
        choices.targets = targets.map(split) ?? []
        choices.whole = hasNewHead ? base.transformer.headModules : []
        return base.with(try base.transformer.adapted(choices, key: RandomKey(seed: seed).folding("adapter")))
    }

    /// Trains and writes, and says how it goes. Ctrl-C ends it after the current update, and what was learned until then is written.
    /// - Parameters:
    ///   - model: as `prepared` gave it.
    ///   - base: the path of the model below an adapter.
    ///   - count: groups of examples in one epoch.
    ///   - examples: those of an epoch.
    ///   - objective: what is minimised.
    ///   - rateShare: of the usual rate.
    ///   - measure: what is said after each epoch.
    ///   - write: what is written beside the model.
    func train(
        _ model: Model, base: String, count: Int, examples: (_ epoch: Int) -> [Example], objective: any Objective = NegativeLogLikelihood(), rateShare: Double = 1,
        measure: () throws -> String?, write: () throws -> Void = {}
    ) throws {
        try makeFolder(output)
        defer { removeIfEmpty(output) }
        let stop = StopSignal(abandon: { [output] in removeIfEmpty(output) })
        let usualRate = switch kind { case nil: 5e-5; case .softPrompt: 5e-3; case .lora, .bottleneck: 2e-4 }
        let usual = OptimizerOptions(learningRate: usualRate * rateShare, weightDecay: kind == .softPrompt ? 0 : 0.01)
        var optimizer = update.optimizer.map { usual.with($0) } ?? usual
        if let learningRate { optimizer.learningRate = learningRate }
        if kind != nil { optimizer.groups = [ParameterGroup(patterns: model.transformer.adapterPatterns), ParameterGroup(patterns: [], learningRateScale: 0)] }
        var tuning = FineTuning(trainer: TrainerOptions(optimizer: optimizer, schedule: Schedule(update.schedule ?? .linear), microBatchTokens: microBatchTokens))
        (tuning.epochs, tuning.batch, tuning.seed) = (epochs, batch, seed)

        let limit = min(maxTokens, model.transformer.configuration.maxPositionEmbeddings), full = examples(0).count { $0.tokenCount >= limit }
        if full > 0 { printError("warning: \(full) examples fill the \(limit) tokens of --max-tokens; what was longer was cut") }

        let start = Date()
        var last = start, loss = 0.0, steps = 0
        printLine("\(count) \(objective is PreferenceObjective ? "pairs" : "examples"), \(epochs) epochs of \((count + batch - 1) / batch) updates; \(trainedCount(model.transformer, optimizer)) of \(model.transformer.parameterCount) weights are trained")
        try tuning.run(model.transformer, objective: objective, count: count, examples: examples, onStep: { result, total in
            loss += result.loss
            steps += 1
            guard Date().timeIntervalSince(last) > 10 || result.step == total else { return }
            let left = Date().timeIntervalSince(start) / Double(result.step) * Double(total - result.step)
            printLine("update \(result.step) of \(total): loss \(String(format: "%.4f", loss / Double(steps))), \(Int(left)) s left")
            (last, loss, steps) = (Date(), 0, 0)
        }, onEpoch: { epoch in
            if let text = try measure() { printLine("epoch \(epoch + 1): \(text)") }
        }, isCancelled: { stop.isRequested })
        if kind != nil {
            try model.saveAdapter(to: output, base: base)
        } else {
            try model.save(to: output)
        }
        try write()
        if stop.isRequested { printError("stopped early: what was learned until then is in \(output)") }
        printLine("wrote \(output) after \(String(format: "%.1f", Date().timeIntervalSince(start))) s, with \(String(format: "%.2f", Double(peakMemory()) / 1e9)) GB at most")
        if stop.isRequested { throw ExitCode(130) }
    }

    private func trainedCount(_ model: Transformer, _ options: OptimizerOptions) -> Int {
        model.parameters.parameters.filter(options.trains).reduce(0) { $0 + $1.shape.reduce(1, *) }
    }
}
