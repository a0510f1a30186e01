import ArgumentParser
import Autodidact
import Foundation

extension NextStart: ExpressibleByArgument {}

/// A run of the loop: what `learn` and `rl` have in common.
struct LoopRunOptions: ParsableArguments {
    @Option(help: "A model folder or a GGUF file.")
    var model: String?

    @Option(help: "addition, instructions, jsonl, a data set by name such as gsm8k, or a YAML file that describes a task.")
    var task: String?

    @Option(name: .customLong("task-option"), help: "A setting of the task as key=value, such as digits=1-3 or data=problems.jsonl; may be given several times.")
    var taskOptions: [String] = []

    @Option(name: .customLong("try-prompt"), help: "A setting of the task's prompt as key=value, such as few-shot=6; given several times, the one under which the model is best on dev is used.")
    var prompts: [String] = []

    @Option(help: "\(RecipeChoice.names.joined(separator: ", ")).")
    var recipe: String?

    @Option(name: .customLong("recipe-option"), help: "A setting of the recipe as key=value, such as loss=kto or loop.klWeight=0.04; may be given several times. --dry-run prints all of them.")
    var recipeOptions: [String] = []

    @Option(help: "A recipe file; the command line overrides it.")
    var config: String?

    @Option(help: "The run's folder; runs/<task>-<recipe> when left out.")
    var output: String?

    @Option(help: "Go on with the run in this folder.")
    var resume: String?

    @Option(help: "Iterations of sampling and training.")
    var iterations: Int?

    @Option(help: "Completions per problem.")
    var samples: Int?

    @Option(help: "Steps of the first training (star).")
    var steps: Int?

    @Option(help: "Passes over the selected examples.")
    var epochs: Int?

    @Option(help: "Problems per iteration, taken in turn from the training part; all when left out, of policy gradients 8.")
    var problems: Int?

    @Option(name: .customLong("start-from"), help: "Where each training starts: base, or previous (rest-em).")
    var startFrom: NextStart?

    @Flag(inversion: .prefixedNo, help: "Whether failed problems are tried again with a hint; star does unless told otherwise.")
    var rationalisation: Bool?

    @Option(name: .customLong("learning-rate"), help: "The highest learning rate.")
    var learningRate: Double?

    @OptionGroup var update: UpdateOptions
    @OptionGroup var adapterOptions: AdapterOptions

    @Option(name: [.customLong("batch-size"), .customLong("batch")], help: "Examples per optimizer step.")
    var batchSize: Int?

    @Option(help: "Of sampling, where the recipe has a choice.")
    var temperature: Float?

    @Option(help: "How training keeps activations for the backward pass; bfloat16 takes half of the memory.")
    var activations: ActivationFormat?

    @Option(name: .customLong("rollout-precision"), help: "Precision of the rollouts that train; dev and test stay in f32. Rounded weights (and with int8 inputs) sample faster with real models, and importance weights correct for the difference.")
    var rolloutPrecision: Precision?

    @Option(help: "Problems of the dev part, measured before and after every iteration; 0 is all.")
    var devLimit: Int?

    @Option(help: "Problems of the test part, measured once at the end; all when left out.")
    var testLimit: Int?

    @Option(help: "Decides every random number of the run.")
    var seed: UInt64?

    @Option(help: "What judges what trains: task, reward=FOLDER (what autodidact reward has written), or the control accept-all, which trains on everything that was not cut off. Measurements are the task's; where a reward rises and they fall, it is said.")
    var verifier: String?

    @Flag(name: .customLong("shuffle-answers"), help: "The control: training answers are exchanged among problems.")
    var shuffleAnswers = false

    @Flag(name: .customLong("dry-run"), help: "Print the plan with tokens, memory and time, measured on a few problems, and stop.")
    var dryRun = false

    @Flag(help: "One JSON object a line instead of text.")
    var json = false

    @OptionGroup var engine: EngineOptions

    func run(as verb: String, usualRecipe: String? = nil) async throws {
        let begun: RunFolder?
        let plan: RunPlan
        if let resume {
            try refuseChanges()
            let folder = try RunFolder(opening: resume)
            (begun, plan) = (folder, try RunPlan(yaml: folder.recipe, file: folder.recipePath))
        } else {
            (begun, plan) = (nil, try makePlan(usualRecipe))
        }
        // What cannot work must not leave a folder behind.
        let environments = try plan.environments(), verifier = try plan.trainingVerifier(threads: engine.threads)
        if begun == nil {
            try plan.checkModel()
            try plan.checkTask()
        }
        let worked = try plan.worked(environments[0]), overview = try Self.overview(environments[0])
        for judge in [environments[0].verifier, verifier].compactMap({ $0 }) { try await judge.checkReady() }
        if dryRun {
            if let output { try RunFolder.checkFree(output) }
            return try await printPlan(plan)
        }
        let stop = StopSignal()
        let folder = try begun ?? RunFolder(creating: output ?? freeName(plan), recipe: try plan.yaml())
        let printer = ProgressPrinter(json: json)
        let record = try RunRecord(writing: folder)
        record.recordCode(version: AutodidactCommand.configuration.version)
        let threads = engine.threads
        printer.show(.note(overview))
        let weights: String
        do {
            let loop = try LearningLoop(
                executor: EngineExecutor(), environments: environments, verifier: verifier, watchesReward: plan.verifier.hasPrefix("reward="), options: plan.options, workedExamples: worked, folder: folder.path,
                makeModel: { try plan.makeModel(on: CPUBackend(threads: threads)) }, makeJournal: { record }, report: { printer.show($0) },
                isCancelled: { stop.isRequested })
            let problems = try plan.dataHash(environments)
            weights = await loop.baseVersion()
            try record.expectOrigin(model: weights, data: problems)
            try record.expectVerifier(verifier?.settings ?? [:])
            try record.recordModel(hash: weights, name: plan.model ?? "a fresh decoder")
            try record.recordData(hash: problems, name: environments[0].name, order: "as listed; epochs are permuted by the seed")
            try await plan.recipe.chosen.run(loop)
        } catch is Interrupted {
            printError("stopped; everything so far is saved. Go on with: autodidact \(verb) --resume \(folder.path)")
            throw ExitCode(130)
        } catch where resume == nil {
            // What the model cannot take is found before anything is sampled; a run in which nothing happened is none.
            if try record.iterations().isEmpty {
                try record.close()
                try FileManager.default.removeItem(atPath: folder.path)
            }
            throw error
        }
        try record.markFinished()
        try Report(record).write(to: folder.reportPath)
        // Worked examples are no samples.
        let checkpoints = try record.checkpoints(), untrained = Set([weights] + checkpoints.filter { $0.training == .warmUp }.map(\.weightsHash))
        let isUnchanged = checkpoints.allSatisfy { untrained.contains($0.weightsHash) }
        if json {
            printLine(jsonLine([
                ("event", .string("finished")), ("run", .string(folder.path)), ("report", .string(folder.reportPath)), ("iteration", try record.resultIteration().map { .integer(Int64($0)) } ?? .null),
                ("learned", .bool(!isUnchanged)),
            ]))
        } else {
            if isUnchanged {
                printLine("nothing was learned: no sample was accepted. See in the report why; more samples, worked examples in the prompt (few-shot), or more max-tokens may help.")
            }
            printLine(try ResultTable(record).text)
            printLine("report: \(folder.reportPath)")
        }
    }

    /// What there is to learn from and to measure on, and what was left out.
    private static func overview(_ environment: any Tasks.Environment) throws -> String {
        let counts = try [Split.train, .dev, .test].map { try environment.problems(in: $0).count }
        var text = "\(environment.name): \(counts[0]) problems to learn from, \(counts[1]) of dev, \(counts[2]) of test"
        if let omission = environment.omission { text += "; \(omission)" }
        if counts[1] == 0 { text += "; without dev, iterations are not measured" }
        return text
    }

    /// A run goes on with its own recipe: only what changes no result may be given.
    private func refuseChanges() throws {
        let given: [(String, Bool)] = [
            ("model", model != nil), ("task", task != nil), ("task-option", !taskOptions.isEmpty), ("try-prompt", !prompts.isEmpty), ("recipe", recipe != nil), ("config", config != nil),
            ("output", output != nil), ("recipe-option", !recipeOptions.isEmpty), ("adapter, --rank or their settings", adapterOptions.isGiven), ("iterations", iterations != nil), ("samples", samples != nil), ("steps", steps != nil), ("epochs", epochs != nil),
            ("rationalisation", rationalisation != nil), ("learning-rate", learningRate != nil), ("optimizer", update.optimizer != nil), ("schedule", update.schedule != nil), ("batch-size", batchSize != nil), ("temperature", temperature != nil),
            ("rollout-precision", rolloutPrecision != nil), ("activations", activations != nil),
            ("problems", problems != nil), ("start-from", startFrom != nil), ("dev-limit", devLimit != nil), ("test-limit", testLimit != nil), ("seed", seed != nil), ("verifier", verifier != nil), ("shuffle-answers", shuffleAnswers), ("dry-run", dryRun),
        ]
        if let name = given.first(where: \.1)?.0 {
            throw ValidationError("--\(name) does not go with --resume: a run keeps the recipe it began with. Start a new run to change it.")
        }
    }

    private func makePlan(_ usualRecipe: String?) throws -> RunPlan {
        func setting(_ text: String, of name: String) throws -> (key: String, value: String) {
            guard let split = text.firstIndex(of: "="), split != text.startIndex else { throw ValidationError("--\(name) \(text): write key=value.") }
            return (String(text[..<split]), String(text[text.index(after: split)...]))
        }
        var settings: [String: String] = [:]
        for option in taskOptions {
            let (key, value) = try setting(option, of: "task-option")
            guard key != "type" else { throw ValidationError("--task-option \(option): --task says which task it is.") }
            settings[key] = value
        }
        if let recipe, RecipeChoice(named: recipe) == nil {
            throw ValidationError("--recipe \(recipe): unknown\(nearestName(to: recipe, in: RecipeChoice.names).map { ", did you mean \($0)?" } ?? ".") Known: \(RecipeChoice.names.joined(separator: ", ")).")
        }
        var plan: RunPlan
        // What a file says by itself.
        var ofFile: (text: String, plan: RunPlan?) = ("", nil)
        if let config {
            guard let data = FileManager.default.contents(atPath: config) else {
                throw RecipeFileError(file: config, problem: "cannot be read: no such file, or no permission")
            }
            let text = String(decoding: data, as: UTF8.self)
            plan = try RunPlan.reading(
                text, file: config, model: model, task: task, recipe: recipe, usualRecipe: usualRecipe, settings: settings)
            ofFile = (text, try? RunPlan.reading(text, file: config, model: model, task: nil, recipe: nil, usualRecipe: usualRecipe, settings: [:]))
        } else {
            plan = try RunPlan.defaults(model: model, task: task ?? "addition", settings: settings, recipe: recipe ?? usualRecipe)
        }
        if !prompts.isEmpty { plan.prompts = try prompts.map { text in try setting(text, of: "try-prompt") }.map { [$0.key: $0.value] } }
        plan.folder = FileManager.default.currentDirectoryPath
        func positive(_ value: Int?, _ name: String) throws { if let value, value < 1 { throw ValidationError("--\(name) \(value): must be 1 or more.") } }
        try positive(iterations, "iterations")
        try positive(samples, "samples")
        try positive(steps, "steps")
        try positive(epochs, "epochs")
        try positive(batchSize, "batch-size")
        try positive(testLimit, "test-limit")
        try positive(problems, "problems")
        if let temperature { do { try SamplingOptions(temperature: temperature).validate() } catch { throw ValidationError("\(error)") } }
        if let devLimit, devLimit < 0 { throw ValidationError("--dev-limit \(devLimit): must be 0 (all) or more.") }
        if let kind = update.optimizer { plan.options.trainer.optimizer = plan.options.trainer.optimizer.with(kind) }
        if let shape = update.schedule { plan.options.trainer.schedule = plan.options.trainer.schedule.with(shape) }
        if let learningRate {
            guard learningRate > 0, learningRate.isFinite else { throw ValidationError("--learning-rate \(learningRate): must be above 0.") }
            plan.options.trainer.optimizer.learningRate = learningRate
        }
        if adapterOptions.kind == .softPrompt { throw ValidationError("--adapter soft-prompt: learn and rl train lora and bottleneck. sft and prefer train soft prompts.") }
        try adapterOptions.check(for: adapterOptions.kind ?? plan.options.adapter?.kind)
        if let adapter = adapterOptions.choices(over: plan.options.adapter) {
            plan.options.adapter = adapter
            // What is small learns at a higher rate.
            if learningRate == nil, config == nil { plan.options.trainer.optimizer.learningRate *= 4 }
        }
        if let batchSize {
            guard try plan.recipe.setting("loop.batches", to: "1") == nil else {
                throw ValidationError("--batch-size does not go with \(plan.recipe.name), which trains an iteration's completions in so many updates: --recipe-option loop.batches=…")
            }
            plan.options.batchSize = batchSize
        }
        if let activations { plan.options.trainer.activations = activations }
        if let rolloutPrecision { plan.options.rolloutPrecision = rolloutPrecision }
        if let devLimit { plan.options.devLimit = devLimit }
        if let testLimit { plan.options.testLimit = testLimit }
        if let seed { plan.options.seed = seed }
        if let verifier { plan.verifier = verifier }
        if shuffleAnswers { plan.shufflesAnswers = true }
        let ofRecipe: [(option: String, key: String, value: String?)] = [
            ("iterations", "iterations", iterations.map { "\($0)" }), ("samples", "samplesPerProblem", samples.map { "\($0)" }), ("steps", "firstSteps", steps.map { "\($0)" }),
            ("epochs", "epochs", epochs.map { "\($0)" }), ("problems", "problemsPerIteration", problems.map { "\($0)" }), ("start-from", "startsFrom", startFrom?.rawValue),
            ("rationalisation", "rationalises", rationalisation.map { "\($0)" }), ("temperature", "sampling.temperature", temperature.map { "\($0)" }),
        ]
        let chosen = try recipeOptions.map { try setting($0, of: "recipe-option") }
        for (option, key, value) in ofRecipe {
            guard let value else { continue }
            // Policy gradients share settings, which lie together.
            let changed = try [key, "loop.\(key)"].lazy.compactMap { name in try plan.recipe.setting(name, to: value).map { (name: name, recipe: $0) } }.first
            guard let (name, recipe) = changed else {
                let advice = option == "problems" ? " Limit the problems to learn from with --task-option train-count=…" : option == "temperature" ? (plan.recipe.name == STaR.name ? " Its attempts are greedy." : " Policy gradients sample at temperature 1.") : ""
                throw ValidationError("--\(option) does not go with \(plan.recipe.name), which has no '\(key)'.\(advice)")
            }
            if let other = chosen.first(where: { $0.key == name }) {
                throw ValidationError("--\(option) \(value) and --recipe-option \(name)=\(other.value) set the same: give one of them.")
            }
            plan.recipe = recipe
        }
        for (key, value) in chosen {
            guard let recipe = try plan.recipe.setting(key, to: value) else {
                let names = try plan.recipe.settings(), nearest = nearestName(to: key, in: names).map { "did you mean '\($0)'?" } ?? "it has \(names.joined(separator: ", "))."
                throw ValidationError("--recipe-option \(key): \(plan.recipe.name) has no such setting; \(nearest)")
            }
            plan.recipe = recipe
        }
        try plan.validate(file: "the command line")
        try plan.refuseIdle(file: "the command line")
        if let config, let own = ofFile.plan { try sayReplaced(own, RecipeKeys(yaml: ofFile.text), by: plan, in: config) }
        return plan
    }

    /// Says what of a file does not count: what nobody notices is looked for long.
    private func sayReplaced(_ own: RunPlan, _ written: RecipeKeys, by plan: RunPlan, in file: String) throws {
        let named = written.values["recipe"] ?? written.values.keys.first { $0.hasPrefix("recipe.") }.flatMap { $0.split(separator: ".").dropFirst().first.map(String.init) }
        for (name, own, given) in [("model", written.values["model"], model), ("task", written.values["task"], task), ("recipe", named, recipe)] {
            if let own, let given, own != given { printError("\(file): \(name): \(own) is replaced by \(given)") }
        }
        let differences = RecipeKeys(yaml: try own.yaml()).differences(to: RecipeKeys(yaml: try plan.yaml()))
        for difference in differences where written.values[difference.key] != nil && !["model", "task"].contains(difference.key) {
            printError("\(file): \(difference.key): \(difference.first ?? "") \(difference.second.map { "is replaced by \($0)" } ?? "does not count")")
        }
        let rate = "options.trainer.optimizer.learningRate"
        guard let named, named != plan.recipe.name, let kept = written.values[rate], learningRate == nil else { return }
        let usual = try RunPlan.defaults(model: plan.model, task: plan.task, settings: plan.taskSettings, recipe: plan.recipe.name).options.trainer.optimizer.learningRate
        printError("\(file): \(rate): \(kept) was written for \(named) and stays; \(plan.recipe.name) usually has \(usual). Say which with --learning-rate")
    }

    /// The first of runs/<task>-<recipe>, -2, -3 … that does not exist.
    private func freeName(_ plan: RunPlan) -> String {
        let named = plan.taskSettings["name"].map { String($0.map { $0.isLetter || $0.isNumber || "-_.".contains($0) ? $0 : "-" }) }
        let task = task.map { URL(fileURLWithPath: $0).deletingPathExtension().lastPathComponent } ?? named ?? plan.task
        let base = "runs/\(task)-\(plan.recipe.name)"
        var (name, number) = (base, 2)
        while FileManager.default.fileExists(atPath: name) {
            name = "\(base)-\(number)"
            number += 1
        }
        return name
    }

    private func printPlan(_ plan: RunPlan) async throws {
        if !json { printNow(try plan.yaml()) }
        let estimate = try await JobEstimate(plan, on: try engine.backend())
        if json {
            return printLine(jsonLine([
                ("recipe", .string(try plan.yaml())), ("sampledTokens", .integer(Int64(estimate.sampledTokens))), ("trainedTokens", .integer(Int64(estimate.trainedTokens))),
                ("peakBytes", .integer(Int64(estimate.peakBytes))), ("seconds", .number(estimate.seconds)),
            ]))
        }
        printLine("# tokens to sample: about \(estimate.sampledTokens), to train: about \(estimate.trainedTokens)")
        printLine(String(format: "# memory: about %.2f GB, time: about %.1f minutes", Double(estimate.peakBytes) / 1e9, estimate.seconds / 60))
    }
}
