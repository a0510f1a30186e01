import ArgumentParser
import Autodidact
import Foundation

/// Which weights are kept at the end.
enum KeptCheckpoint: String, ExpressibleByArgument, CaseIterable { case best, last }

/// What is trained of a model, on what, how, and where it goes: the same for every kind of supervision.
struct FineTuneOptions: ParsableArguments {
    @Option(help: "A JSONL file; - is standard input. Given several times, files are taken together, or with weights (a.jsonl:0.7) in these shares of every epoch.")
    var input: [String]

    @Option(help: "The folder to write: a model, or the adapter as a PEFT folder.")
    var output: String

    @Option(help: "A YAML file with these options under their names, and with 'stages', a list of such settings that are trained one after another; the command line overrides it.")
    var config: String?

    @OptionGroup var adapterOptions: AdapterOptions

    @Option(help: "Times that an epoch is trained: all examples, or as many as --input's weights and --epoch-size say.")
    var epochs: Int = 3

    @Option(name: .customLong("epoch-size"), help: "Examples (or pairs) of an epoch; when left out all, or with weights as many as pass the largest file once.")
    var epochSize: Int?

    @Option(help: "Examples (or pairs) of one update.")
    var batch: Int = 32

    @Option(name: .customLong("learning-rate"), help: "When left out 5e-5 for all weights, 2e-4 for an adapter and 5e-3 for a soft prompt; of preferences a tenth (not of hindsight).")
    var learningRate: Double?

    @OptionGroup var update: UpdateOptions

    @Option(help: "A JSONL file that is measured before training and between updates, and never trained.")
    var eval: String?

    @Option(name: .customLong("eval-every"), help: "Updates from one measurement to the next; an epoch when left out.")
    var evalEvery: Int?

    @Option(help: "With --eval: best keeps the weights with the lowest loss on it, last the last ones; best when left out.")
    var keep: KeptCheckpoint?

    @Option(help: "With --eval: stop after so many measurements without a lower loss.")
    var patience: Int?

    @Option(name: .customLong("max-tokens"), help: "Longer texts are cut.")
    var maxTokens: Int = 256

    @Option(name: .customLong("micro-batch-tokens"), help: "Tokens computed at once. The result does not depend on it, but for the balance of experts and the last bits of tables of distances.")
    var microBatchTokens: Int = TrainerOptions.defaultMicroBatchTokens

    @Option(help: "The same seed gives the same model.")
    var seed: UInt64 = 0

    @Option(name: .customLong("save-every"), help: "Updates from one save of what it takes to go on to the next. The result does not depend on it.")
    var saveEvery: Int = 100

    @Flag(help: "Go on with a training of the same command that was stopped or killed.")
    var resume = false

    @Flag(name: .customLong("dry-run"), help: "Print examples, tokens, updates, memory and time, measured on three updates, and stop.")
    var dryRun = false

    /// Options that may differ between the stages of one training.
    static let ofStage: Set<String> = ["input", "epochs", "epoch-size", "batch", "learning-rate", "optimizer", "schedule", "eval", "eval-every", "keep", "patience", "max-tokens"]

    func validate() throws {
        let counts = [("epochs", epochs), ("batch", batch), ("max-tokens", maxTokens), ("micro-batch-tokens", microBatchTokens), ("save-every", saveEvery)]
        try checkCounts(counts + [("epoch-size", epochSize), ("eval-every", evalEvery), ("patience", patience)].compactMap { name, value in value.map { (name, $0) } })
        if eval == nil, let name = [("eval-every", evalEvery != nil), ("keep", keep == .best), ("patience", patience != nil)].first(where: \.1)?.0 {
            throw ValidationError("--\(name): needs --eval, a file to measure on.")
        }
        if dryRun, resume { throw ValidationError("--dry-run: plans a training from its beginning. Leave --resume out.") }
        if let learningRate, learningRate <= 0 || !learningRate.isFinite { throw ValidationError("--learning-rate \(learningRate): must be above 0.") }
        try adapterOptions.check(for: adapterOptions.kind)
        _ = try files()
    }

    /// The files with their weights.
    func files() throws -> [(path: String, weight: Double?)] {
        let files = try input.map { text -> (path: String, weight: Double?) in
            guard !FileManager.default.fileExists(atPath: text), let colon = text.lastIndex(of: ":"), let weight = Double(text[text.index(after: colon)...]) else { return (text, nil) }
            guard (1e-6...1e6).contains(weight) else { throw ValidationError("--input \(text): a weight must be from 0.000001 to 1000000.") }
            return (String(text[..<colon]), weight)
        }
        if let bare = files.first(where: { $0.weight == nil }), files.contains(where: { $0.weight != nil }) { throw ValidationError("--input \(bare.path): has no weight, but others have. Give all of them one, or none.") }
        if files.count(where: { $0.path == "-" }) > 1 { throw ValidationError("--input -: standard input can be read once.") }
        return files
    }

    /// The weights of the files; nil where they have none.
    func shares() throws -> [Double]? {
        let weights = try files().compactMap(\.weight)
        return weights.isEmpty ? nil : weights
    }

    private var kind: AdapterChoices.Kind? { adapterOptions.kind }

    /// The model with what is trained of it: all weights as values, or an adapter.
    /// - Parameter hasNewHead: whether a head without trained values is trained whole beside an adapter.
    func prepared(_ base: Model, hasNewHead: Bool) throws -> Model {
        guard let choices = adapterOptions.choices(whole: hasNewHead ? base.transformer.headModules : []) else { return base.with(base.transformer.copy(expanding: true)) }
        return base.with(try base.transformer.adapted(choices, key: RandomKey(seed: seed).folding("adapter")))
    }

    /// How the stage of these options is trained.
    /// - Parameters:
    ///   - model: as `prepared` gave it.
    ///   - rateShare: of the usual rate.
    func tuning(_ model: Model, rateShare: Double = 1) throws -> FineTuning {
        let usualRate = switch kind { case nil: 5e-5; case .softPrompt: 5e-3; case .lora, .bottleneck: 2e-4 }
        let usual = OptimizerOptions(learningRate: usualRate * rateShare, weightDecay: kind == .softPrompt ? 0 : 0.01)
        var optimizer = update.optimizer.map { usual.with($0) } ?? usual
        if let learningRate { optimizer.learningRate = learningRate }
        if kind != nil { optimizer = optimizer.training(only: model.transformer.adapterPatterns) }
        var tuning = FineTuning(trainer: TrainerOptions(optimizer: optimizer, schedule: Schedule(update.schedule ?? .linear), microBatchTokens: microBatchTokens))
        (tuning.epochs, tuning.batch, tuning.seed, tuning.epochSize) = (epochs, batch, seed, epochSize)
        (tuning.evalEvery, tuning.patience, tuning.keepsBest) = (evalEvery, patience, keep != .last)
        tuning.weights = try shares()
        return tuning
    }

    func limit(_ model: Model) -> Int { min(maxTokens, model.transformer.configuration.maxPositionEmbeddings) }

    /// Refuses what cannot be written, before anything is read.
    func checkOutput() throws {
        try refuseExisting(output)
        let exists = FileManager.default.fileExists(atPath: partial)
        if resume, !exists { throw FileError(file: partial, problem: "is not there: no training of \(output) was begun", advice: "Begin it without --resume.") }
        if !dryRun { try FolderLock.refuseHeld(partial) }
        if exists, !resume, !dryRun { throw FileError(file: partial, problem: "holds a training that is not finished", advice: "Go on with the same command and --resume, or remove that folder.") }
    }

    /// Where a training lies until it is finished.
    private var partial: String { RunFolder.normalized(output) + ".partial" }

    /// Trains and writes, and says how it goes. Ctrl-C saves after the current update.
    /// - Parameters:
    ///   - model: as `prepared` gave it.
    ///   - base: the path of the model below an adapter.
    ///   - stages: what is trained, in order.
    ///   - objective: what is minimised.
    ///   - name: of the objective with its settings, which a training that goes on must share.
    ///   - finish: what is done with the trained model before it is written.
    ///   - write: what is written beside the model.
    func train(
        _ model: Model, base: String, stages: [PreparedStage], objective: any Objective = NegativeLogLikelihood(), name: String, finish: () throws -> Void = {}, write: (_ folder: String) throws -> Void = { _ in }
    ) throws {
        for prepared in stages {
            for (file, (count, share)) in zip(prepared.files, zip(prepared.stage.counts, prepared.stage.mixture.shares)) where count == 0 && share > 0 {
                throw FileError(file: file.path, problem: "has a share of the epoch, but nothing that could be trained", advice: "Leave it out, or allow longer answers with --max-tokens.")
            }
        }
        let printer = StagePrinter(stages, model.transformer, unit: objective is PreferenceObjective ? "pairs" : objective is RewardObjective || objective is RRHF ? "comparisons" : "examples")
        if dryRun { return printer.plan(try FineTuningEstimate(model.transformer, objective: objective, stages: stages.map(\.stage))) }
        if !resume { try makeFolder(partial) }
        let lock = try FolderLock(partial)
        defer { withExtendedLifetime(lock) { removeIfEmpty(partial) } }
        let stop = StopSignal(abandon: { [partial] in removeIfEmpty(partial) }), start = Date()
        var origin = ["model": model.transformer.contentHash(), "objective": name, "adapter": try adapterOptions.choices().map { String(decoding: try JSONEncoder.stable.encode($0), as: UTF8.self) } ?? ""]
        for (number, prepared) in stages.enumerated() {
            origin["options of stage \(number + 1)"] = String(decoding: try JSONEncoder.stable.encode(prepared.stage.tuning), as: UTF8.self)
            origin["data of stage \(number + 1)"] = prepared.stage.digest()
            origin["reading of stage \(number + 1)"] = String(decoding: try JSONEncoder.stable.encode(prepared.reading), as: UTF8.self)
        }
        let run = FineTuningRun(model.transformer, objective: objective, stages: stages.map(\.stage), folder: partial, saveEvery: saveEvery, origin: origin)
        let progress: FineTuningProgress
        do {
            progress = try run.run(isResuming: resume, report: { try printer.show($0) }, isCancelled: { stop.isRequested })
        } catch is Interrupted {
            printError("stopped; everything so far is saved in \(partial). Go on with the same command and --resume")
            throw ExitCode(130)
        }
        let result = "\(partial)/result"
        try? FileManager.default.removeItem(atPath: result)
        try FileManager.default.createDirectory(atPath: result, withIntermediateDirectories: true)
        try finish()
        if kind != nil { try model.saveAdapter(to: result, base: base) } else { try model.save(to: result) }
        try write(result)
        try writeDurably(String(decoding: try JSONEncoder.stable.encode(progress), as: UTF8.self) + "\n", to: "\(result)/training.json")
        try FileManager.default.moveItem(atPath: result, toPath: output)
        stop.finish()
        try FileManager.default.removeItem(atPath: partial)
        printer.summary(progress)
        printLine("wrote \(output) after \(String(format: "%.1f", Date().timeIntervalSince(start))) s, with \(String(format: "%.2f", Double(peakMemory()) / 1e9)) GB at most")
    }
}
