import ArgumentParser
import Autodidact
import Foundation
import Synchronization

extension EvaluationPlan.Method: ExpressibleByArgument {
    /// Of --method; references are judged with --solutions.
    public static var allValueStrings: [String] { allCases.filter { $0 != .reference }.map(\.rawValue) }
}
extension AnswerOptions.Form: ExpressibleByArgument {}
extension Split: ExpressibleByArgument {}

struct Eval: StagedCommand {
    static let configuration = CommandConfiguration(
        abstract: "How good a model is at tasks, recorded so that scores can be compared.",
        discussion: """
            Samples answers to every problem of a part and judges them with the task's own verifier, or compares how likely a problem's options are. With --record an \
            evaluation that was stopped goes on when it is begun again; --resume refuses to begin another by mistake. --solutions reference judges the \
            problems' own solutions and needs no model; --compare FILE shows what was recorded.
            """)

    @Option(help: "A model folder or a GGUF file.")
    var model: String?

    @Option(help: "An adapter (a PEFT folder) over the model.")
    var adapter: String?

    @OptionGroup var precision: PrecisionOption

    @Option(name: .customLong("task"), help: "A task's name, or a YAML file that describes one; may be given several times.")
    var tasks: [String] = []

    @Option(name: .customLong("task-option"), help: "A setting of the tasks as key=value, such as few-shot=5; may be given several times.")
    var taskOptions: [String] = []

    @Option(help: "train, dev or test.")
    var split: Split = .test

    @Option(help: "At most so many problems, evenly spread; all when left out.")
    var limit: Int?

    @Option(help: "generate: judge sampled answers; likelihood: compare the options of each problem.")
    var method: EvaluationPlan.Method = .generate

    @Option(help: "Answers to each problem; several need a --temperature above 0.")
    var samples: Int = 1

    @OptionGroup var sampling: SamplingArguments

    @Option(name: .customLong("pass-at"), help: "The k of pass@k, separated by commas; the number of samples when left out.")
    var passAt: String?

    @Option(name: .customLong("options"), help: "How likelihood says an option of a list: by its letter, or by its text.")
    var form: AnswerOptions.Form = .letter

    @Option(help: "A file that keeps every sample and verdict; made where there is none.")
    var record: String?

    @Option(help: "reference: judge the problems' own solutions instead of a model's.")
    var solutions: Solutions?

    @Option(help: "A file made with --record: list its evaluations, and compare those of one task.")
    var compare: String?

    @Flag(help: "One JSON object a task instead of a table.")
    var json = false

    @Option(help: "A YAML file with these options under their names; the command line overrides it.")
    var config: String?

    @Flag(help: "Go on with an evaluation that --record has begun; an error where there is none of this model, recipe and seed.")
    var resume = false

    @Flag(name: .customLong("dry-run"), help: "Print what would be measured and recorded, with tokens and time measured on a few problems, and stop.")
    var dryRun = false

    @OptionGroup var engine: EngineOptions

    static let stageOptions: Set<String> = []

    enum Solutions: String, ExpressibleByArgument { case reference }

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit \(limit): must be 1 or more.") }
        if !(1...1_000_000).contains(samples) { throw ValidationError("--samples \(samples): must be 1 to 1000000.") }
        if samples > 1, sampling.temperature == 0 { throw ValidationError("--samples \(samples): greedy answers are all the same. Give a --temperature such as 0.7.") }
        if method == .likelihood, sampling.temperature != 0 { throw ValidationError("--temperature \(sampling.temperature): nothing is sampled by --method likelihood. Leave it out.") }
        if method != .likelihood, form != .letter { throw ValidationError("--options \(form.rawValue): belongs to --method likelihood.") }
        if samples > 1, method == .likelihood { throw ValidationError("--samples \(samples): options have one likelihood. Leave --samples out.") }
        if method == .reference { throw ValidationError("--method reference: say --solutions reference.") }
        if let k = try ks().first(where: { $0 < 1 || $0 > samples }) { throw ValidationError("--pass-at \(k): must be from 1 to --samples (\(samples)).") }
        if resume, record == nil { throw ValidationError("--resume: goes on with what a --record FILE holds. Name it.") }
        if compare != nil {
            let others = [
                ("json", json), ("model", model != nil), ("task", !tasks.isEmpty), ("record", record != nil), ("solutions", solutions != nil), ("dry-run", dryRun),
                ("adapter", adapter != nil), ("task-option", !taskOptions.isEmpty), ("split", split != .test), ("limit", limit != nil), ("method", method != .generate), ("samples", samples != 1),
                ("temperature", sampling.temperature != 0), ("seed", sampling.seed != 0), ("pass-at", passAt != nil), ("options", form != .letter), ("precision", precision.value != .float32),
            ]
            if let name = others.first(where: \.1)?.0 { throw ValidationError("--\(name) does not go with --compare, which prints what a file holds.") }
            return
        }
        if tasks.isEmpty { throw ValidationError("Name a --task.") }
        if model == nil, solutions == nil { throw ValidationError("Give a --model, or --solutions reference.") }
        if samples > 1 || method == .likelihood, solutions != nil { throw ValidationError("--solutions reference: a problem has one solution, which is judged. Leave --samples and --method out.") }
        let ofSampling = [("temperature", sampling.temperature != 0), ("seed", sampling.seed != 0), ("pass-at", passAt != nil), ("precision", precision.value != .float32)]
        if solutions != nil, let name = ofSampling.first(where: \.1)?.0 { throw ValidationError("--solutions reference: --\(name) has no effect where no model answers. Leave it out.") }
        if sampling.seed != 0, sampling.temperature == 0 { throw ValidationError("--seed \(sampling.seed): has no effect where nothing is drawn. Leave it out, or give a --temperature such as 0.7.") }
        if model != nil || adapter != nil, solutions != nil { throw ValidationError("--solutions reference needs no model: leave --model and --adapter out.") }
    }

    private func ks() throws -> [Int] {
        guard let passAt else { return samples > 1 ? [samples] : [] }
        return try AutodidactCLI.split(passAt).map { text in
            guard let k = Int(text) else { throw ValidationError("--pass-at \(passAt): must be whole numbers, separated by commas.") }
            return k
        }
    }

    func run() async throws {
        if let compare { return try show(EvaluationRecord(reading: compare)) }
        let options = try settings()
        // Tasks are read before the model: that takes longer.
        let plans = try tasks.map { task in
            var plan = try EvaluationPlan(environment(task, options), split: split, limit: limit)
            (plan.method, plan.samples, plan.sampling, plan.form, plan.seed) = (solutions == nil ? method : .reference, samples, sampling.options, form, sampling.seed)
            return plan
        }
        for plan in plans { try await plan.check() }
        if resume, let record { _ = try EvaluationRecord(reading: record) }
        let evaluator = try model.map { path in
            let (threads, adapter, precision) = (engine.threads, adapter, precision.value)
            return try Evaluator(executor: EngineExecutor(), precision: precision) { try openModel(path, adapter: adapter, on: CPUBackend(threads: threads)) }
        }
        var measurements: [Measurement] = []
        for plan in plans {
            let recipe = try await evaluator?.recipe(of: plan) ?? EvaluationRecipe(plan)
            let entry = EvaluationRecord.Entry(
                model: model ?? "reference solutions", modelHash: evaluator?.modelHash ?? "", adapter: adapter, recipe: recipe, taskOptions: options, seed: sampling.seed)
            measurements.append((plan, entry))
        }
        if resume { try checkBegun(measurements.map(\.entry)) }
        if dryRun {
            for measurement in measurements { try await describe(measurement, by: evaluator) }
            return
        }
        let record = try record.map { try EvaluationRecord(writing: $0) }, stop = StopSignal(atOnce: evaluator == nil)
        var table = EvaluationTable()
        // What is measured is said, also where a later task cannot be.
        defer { if !json, !table.isEmpty { printLine(table.text) } }
        for (plan, entry) in measurements {
            let (summary, work) = try await evaluate(plan, entry, by: evaluator, into: record, stop)
            if json { try printJSON(Line(task: entry.task, split: entry.split, recipe: entry.recipe.hash, seconds: work.duration / .seconds(1), summary: summary)) }
            table.add(entry.recipe, summary, work)
        }
    }

    private typealias Measurement = (plan: EvaluationPlan, entry: EvaluationRecord.Entry)

    /// - Throws: `FileError` where none of the evaluations is recorded, with what is otherwise in the likest one that is.
    private func checkBegun(_ entries: [EvaluationRecord.Entry]) throws {
        guard let path = record, let first = entries.first else { return }
        let known = try EvaluationRecord(reading: path)
        if try entries.contains(where: { try known.find($0) != nil }) { return }
        let likest = try known.entries().filter { $0.task == first.task }.map { entry -> [String] in
            let ofModel = entry.modelHash == first.modelHash ? [] : ["model"], ofSeed = entry.seed == first.seed ? [] : ["seed \(entry.seed) and \(first.seed)"]
            return ofModel + ofSeed + entry.recipe.differences(to: first.recipe)
        }.min { $0.count < $1.count }
        let differences = likest.map { "; the likest one differs in \($0.joined(separator: ", "))" } ?? ""
        throw FileError(
            file: path, problem: "holds no evaluation of \(first.task) with this model, recipe and seed\(differences)",
            advice: "Repeat the command that began it, or begin another without --resume.")
    }

    /// What would be measured, recorded and taken.
    private func describe(_ measurement: Measurement, by evaluator: Evaluator?) async throws {
        let (plan, entry) = measurement, total = plan.problems.count * plan.samples
        var judged = 0
        if let record, FileManager.default.fileExists(atPath: record) {
            let known = try EvaluationRecord(reading: record)
            judged = try known.find(entry).map { try known.samples(of: $0.id).count { $0.outcome != nil } } ?? 0
        }
        let estimate = judged < total ? try await evaluator?.estimate(plan, missing: total - judged) : nil
        if json {
            return printLine(jsonLine([
                ("task", .string(entry.task)), ("split", .string(entry.split)), ("method", .string(plan.method.rawValue)), ("problems", .integer(Int64(plan.problems.count))),
                ("samples", .integer(Int64(plan.samples))), ("judged", .integer(Int64(judged))), ("recipe", .string(entry.recipe.hash)), ("record", record.map { .string($0) } ?? .null),
                ("tokens", estimate.map { .integer(Int64($0.tokens)) } ?? .null), ("seconds", estimate.map { .number($0.seconds) } ?? .null),
            ]))
        }
        let samples = plan.samples == 1 ? "one sample" : "\(plan.samples) samples"
        printLine("\(entry.task) \(entry.split): \(plan.problems.count) problems, \(samples) of each, by \(plan.method.rawValue); recipe \(entry.recipe.shortHash)")
        printLine("  model: \(entry.model)\(adapter.map { " + \($0)" } ?? "")" + (entry.modelHash.isEmpty ? "" : " (\(entry.modelHash.prefix(12)))"))
        printLine(record.map { "  would be recorded in \($0), where \(judged) of \(total) are judged already" } ?? "  would not be recorded: there is no --record")
        guard let estimate else { return }
        printLine("  " + (estimate.tokens > 0 ? "tokens to sample: about \(estimate.tokens), " : "") + String(format: "time: about %.1f minutes", estimate.seconds / 60))
    }

    private struct Line: Encodable {
        var task, split, recipe: String
        var seconds: Double
        var summary: EvaluationSummary
    }

    /// One task: goes on from what is recorded, and records what it adds.
    private func evaluate(
        _ plan: EvaluationPlan, _ entry: EvaluationRecord.Entry, by evaluator: Evaluator?, into record: EvaluationRecord?, _ stop: StopSignal
    ) async throws -> (EvaluationSummary, Evaluator.Work) {
        let id = try record?.open(entry).id ?? 0
        let recorded = try record?.samples(of: id) ?? []
        // Failed judgements are made again.
        let all = Mutex(Dictionary(recorded.filter { $0.outcome != nil }.map { (Place($0), $0) }) { $1 }), total = plan.problems.count * plan.samples, quiet = json
        let began = Mutex(ContinuousClock.now)
        let keep: @Sendable ([EvaluatedSample]) throws -> Void = { some in
            try record?.record(some, of: id)
            all.withLock { all in
                for sample in some { all[Place(sample)] = sample }
            }
            let isDue = began.withLock { last in
                defer { if .now - last > .seconds(10) { last = .now } }
                return .now - last > .seconds(10)
            }
            guard isDue, !quiet else { return }
            let (done, right) = all.withLock { ($0.count, $0.values.count(where: \.isRight)) }
            printError("\(plan.environment.name): \(done) of \(total) judged, \(right) right")
        }
        let work: Evaluator.Work
        if let evaluator {
            work = try await evaluator.run(plan, recorded: recorded, record: keep, isCancelled: { stop.isRequested })
        } else {
            work = try await plan.judgeReferences(present: Set(recorded.filter { $0.outcome != nil }.map(\.problem)), record: keep)
        }
        let samples = all.withLock { Array($0.values) }
        if samples.count < total {
            printError("stopped at \(samples.count) of \(total)" + (record == nil ? "; nothing was recorded" : "; the same command goes on from there"))
            throw ExitCode(130)
        }
        let summary = EvaluationSummary(samples, passAt: try ks(), verifier: plan.environment.verifier)
        try record?.finish(id, summary)
        return (summary, work)
    }

    private struct Place: Hashable {
        var problem: String
        var sample: Int
        init(_ sample: EvaluatedSample) { (problem, self.sample) = (sample.problem, sample.sample) }
    }

    private func settings() throws -> [String: String] {
        try taskOptions.reduce(into: [:]) { settings, option in
            guard let equals = option.firstIndex(of: "=") else { throw ValidationError("--task-option \(option): must be key=value.") }
            guard option[..<equals] != "type" else { throw ValidationError("--task-option \(option): --task says which task it is.") }
            settings[String(option[..<equals])] = String(option[option.index(after: equals)...])
        }
    }

    private func environment(_ task: String, _ settings: [String: String]) throws -> any Tasks.Environment {
        guard task.hasSuffix(".yaml") || task.hasSuffix(".yml") else { return try TaskRegistry.builtIn.environment(named: task, settings: settings) }
        return try TaskRegistry.builtIn.environment(TaskFile.read(task, replacing: settings))
    }

    private func show(_ record: EvaluationRecord) throws {
        let entries = try record.entries()
        if entries.isEmpty { return printLine("no evaluations in \(compare ?? "")") }
        for entry in entries {
            let accuracy = entry.summary?.accuracy.map { EvaluationTable.interval($0) } ?? "not finished"
            let adapter = entry.adapter.map { " + \($0)" } ?? ""
            let model = "\(entry.model)\(adapter)" + (entry.modelHash.isEmpty ? "" : " (\(entry.modelHash.prefix(12)))")
            printLine("\(entry.id)  \(entry.task) \(entry.split)  \(accuracy)  \(model)  recipe \(entry.recipe.shortHash)  seed \(entry.seed)  \(entry.created)")
        }
        for seeds in try SeedSummary.all(in: record) {
            let ids = seeds.ids.map { "\($0)" }.joined(separator: ", "), deviation = String(format: "%.1f", seeds.deviation * 100)
            printLine("\(ids) differ in the seed: \(EvaluationTable.interval(seeds.accuracy)) over problems and seeds, standard deviation between seeds \(deviation) points")
        }
        for comparison in try EvaluationComparison.all(in: record) { printLine("\n\(comparison.text)") }
    }
}
