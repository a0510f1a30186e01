import Architectures
import Foundation
import ModelFiles
import Tasks
import Tensors
import Training

extension RunPlan {
    /// The defaults of a task and a model: what `learn` runs when nothing else is said. The task may be a task file.
    public static func defaults(model: String?, task: String, settings: [String: String], recipe name: String?) throws -> RunPlan {
        let isFile = isTaskFile(task)
        let (task, settings) = try taken(in: task, settings)
        guard model != nil else {
            guard task == "addition" else { throw Self.needsModel(task) }
            // The embedded default: a decoder made from nothing learns addition.
            var star = STaR()
            star.iterations = 6
            star.firstSteps = 400
            star.stepGrowth = 1.2
            let optimizer = OptimizerOptions(learningRate: 3e-3, beta2: 0.98, weightDecay: 1)
            let options = LoopOptions(
                trainer: TrainerOptions(optimizer: optimizer, schedule: Schedule(.cosine, warmupSteps: 20)), batchSize: 32, maxSequences: 256, saveEvery: 500, warmUpSteps: 1200)
            // A task file says itself what it wants; other lengths get equal shares.
            var addition = isFile ? [:] : ["digits": "1-4", "train-count": "2500", "dev-per-length": "200"]
            if !isFile, settings["digits"] == nil { addition["shares"] = "{1: 0.05, 2: 0.2, 3: 0.35, 4: 0.4}" }
            var plan = RunPlan(
                model: nil, fresh: FreshDecoder(), task: task, taskSettings: addition.merging(settings) { $1 },
                recipe: try name == nil || name == STaR.name ? RecipeChoice(star) : choice(name!), options: options)
            plan.workedExamples = 500
            plan.workedLongest = 20
            plan.workedHints = 100
            return plan
        }
        let recipe = try name.map(choice) ?? RecipeChoice(ReSTEM())
        let optimizer = OptimizerOptions(learningRate: 5e-5 * type(of: recipe.chosen).rateShare, weightDecay: 0)
        let options = LoopOptions(
            trainer: TrainerOptions(optimizer: optimizer, schedule: Schedule(.linear, warmupSteps: 5)), batchSize: 8, maxSequences: 64, saveEvery: 100, devLimit: 100)
        return RunPlan(model: model, fresh: nil, task: task, taskSettings: settings, recipe: recipe, options: options)
    }

    private static func isTaskFile(_ task: String) -> Bool { task.hasSuffix(".yaml") || task.hasSuffix(".yml") }

    /// A task file's content in place of its path, so that a run says all that it did and goes on when the file has changed. What `settings`
    /// say counts before the file.
    static func taken(in task: String, _ settings: [String: String]) throws -> (task: String, settings: [String: String]) {
        guard isTaskFile(task) else { return (task, settings) }
        let whole = try TaskFile.read(task, replacing: settings)
        _ = try TaskRegistry.builtIn.environment(whole)  // errors that name the file's lines
        return (try whole.string("type")!, try whole.settings(in: URL(fileURLWithPath: FileManager.default.currentDirectoryPath, isDirectory: true)))
    }

    private static func choice(_ name: String) throws -> RecipeChoice {
        guard let choice = RecipeChoice(named: name) else {
            throw RecipeFileError(file: "--recipe \(name)", problem: "unknown recipe; known: \(RecipeChoice.names.joined(separator: ", "))")
        }
        return choice
    }

    /// The task under each of its prompts, with the control of shuffled answers where the plan asks for it.
    /// - Throws: what the task throws, and `RecipeFileError` when prompts would change the problems.
    public func environments() throws -> [any Tasks.Environment] {
        if prompts.isEmpty { return [try environment(taskSettings)] }
        let candidates = try prompts.map { try environment(taskSettings.merging($0) { $1 }) }
        for (prompt, candidate) in zip(prompts, candidates) {
            for split in [Split.dev, .test] where try candidate.problems(in: split) != candidates[0].problems(in: split) {
                let settings = prompt.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", ")
                throw RecipeFileError(file: title, problem: "the prompt '\(settings)' changes the \(split.rawValue) problems. Prompts are compared on the same problems: leave the other settings as they are.")
            }
        }
        return candidates
    }

    private func environment(_ given: [String: String]) throws -> any Tasks.Environment {
        var settings = given
        // Training problems follow the run's seed; dev and test are the same for every seed.
        if settings["seed"] == nil, TaskRegistry.builtIn.keys(of: task).contains("seed") { settings["seed"] = "\(options.seed)" }
        let base = try TaskRegistry.builtIn.environment(named: task, settings: settings, folder: URL(fileURLWithPath: folder, isDirectory: true))
        return recipe.chosen.environment(shufflesAnswers ? try ShuffledAnswers(base, seed: options.seed) : base)
    }

    /// What judges what trains; nil: the task's own verifier.
    /// - Parameter threads: that a reward model computes with; all processors when nil.
    public func trainingVerifier(threads: Int? = nil) throws -> (any Verifier)? {
        switch verifier {
        case "task": nil
        case "accept-all": AcceptAll()
        case let name where name.hasPrefix("reward="): try RewardVerifier(path: absolute(String(name.dropFirst("reward=".count))), threads: threads)
        default: throw RecipeFileError(file: "--verifier \(verifier)", problem: "unknown verifier; known: task, accept-all, reward=FOLDER")
        }
    }

    /// The worked examples to warm up on.
    public func worked(_ environment: any Tasks.Environment) throws -> [WorkedExample] {
        guard workedExamples > 0 else { return [] }
        guard let addition = environment.original as? Addition else { return [] }
        // Plain and hinted form follow each other, problem by problem.
        let worked = try addition.warmUp(count: workedExamples, longest: workedLongest, seed: options.seed).enumerated()
            .filter { $0.element.mode == .plain || $0.offset / 2 < workedHints }.map(\.element)
        guard let hindsight = environment as? HindsightPrompts else { return worked }
        // What is shown is good, and asked for as such.
        return worked.map { example in
            var example = example
            if case .text(let prompt) = hindsight.phrases.asking(.text(example.prompt), good: true) { example.prompt = prompt }
            return example
        }
    }

    /// What the task calls itself.
    private var title: String { taskSettings["name"] ?? task }

    private func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "\(folder)/\(path)" }

    /// SHA-256 over the problems of all parts in their order, for lineage.
    public func dataHash(_ environments: [any Tasks.Environment]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return sha256(try encoder.encode(try environments.flatMap { environment in try [Split.train, .dev, .test].map { try environment.problems(in: $0) } }))
    }

    /// Whether there is a model to begin with, before anything is made or loaded.
    public func checkModel() throws {
        if let model {
            _ = try ModelFolder(absolute(model)).weights()
        } else if task != "addition" {
            throw Self.needsModel(task)
        }
    }

    private static func needsModel(_ task: String) -> any Error {
        if let unknown = Result(catching: { try TaskRegistry.builtIn.environment(named: task) }).failure as? TaskError, case .unknownTask = unknown { return unknown }
        return RecipeFileError(file: "--task \(task)", problem: "needs a pretrained model: give one with --model. Only 'addition' can start from nothing.")
    }

    /// Whether the task has problems to learn from, and hints where the recipe gives some.
    public func checkTask() throws {
        let environment = try environments()[0]
        guard let first = try environment.problems(in: .train).first else {
            throw RecipeFileError(file: title, problem: "has no training problems. Give it more data, or a larger train-count.")
        }
        if let overlap = try Overlap.inside(environment).first {
            throw RecipeFileError(file: title, problem: "has problems in two parts: \(overlap). What is measured must not be learnt; use other splits.")
        }
        if recipe.chosen.rationalises {
            do { _ = try environment.reset(first, mode: .hinted) } catch {
                throw RecipeFileError(file: title, problem: "has nothing to show as hints: use --no-rationalisation.")
            }
        }
    }

    /// The model that the run begins with.
    public func makeModel(on backend: any Backend) throws -> Model {
        try checkModel()
        if let model { return try Model(path: absolute(model), on: backend) }
        let form = taskSettings["form"].flatMap(Addition.Form.init) ?? .scratchpad
        return try Model.forAddition(fresh ?? FreshDecoder(), form: form, key: RandomKey(seed: options.seed), on: backend)
    }
}

extension Result {
    var failure: Failure? { if case .failure(let error) = self { error } else { nil } }
}
