import Foundation
import ModelFiles
import struct Architectures.AdapterChoices
import enum Architectures.BlockRunner
import enum Tensors.ActivationFormat
import enum Tensors.Precision
import struct Training.OptimizerOptions
import struct Training.Schedule
import Yams

/// A recipe file that cannot be used.
public struct RecipeFileError: Error, Equatable, CustomStringConvertible {
    public let file: String
    public let problem: String

    public init(file: String, problem: String) {
        self.file = file
        self.problem = problem
    }

    public var description: String { "\(file): \(problem)" }
}

extension RunPlan {
    /// The plan as recipe.yaml: every setting, in a fixed order.
    public func yaml() throws -> String { try Yams.serialize(node: Self.node(of: self), width: -1, allowUnicode: true) }

    /// By way of JSON, which keeps every digit of a number and writes no more than it needs; Yams rounds to 15 digits.
    fileprivate static func node(of value: some Encodable) throws -> Node {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // JSON leaves these as they are, YAML reads them as line ends or not at all.
        let json = String(decoding: try encoder.encode(value), as: UTF8.self).unicodeScalars.map { scalar in
            (0x7F...0x9F).contains(scalar.value) || [0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF].contains(scalar.value) ? String(format: "\\u%04x", scalar.value) : String(scalar)
        }.joined()
        return readable(try Yams.compose(yaml: json)!)
    }

    /// Block style, and quotation marks only where they are needed.
    private static func readable(_ node: Node) -> Node {
        switch node {
        case .mapping(let mapping): .mapping(Node.Mapping(mapping.map { (readable($0.key), readable($0.value)) }))
        case .sequence(let items): .sequence(Node.Sequence(items.map(readable)))
        case .scalar(let scalar) where scalar.style == .doubleQuoted && scalar.string.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }:
            .scalar(scalar.string.represented())
        case .scalar, .alias: node
        }
    }

    /// Reads a whole plan, as `yaml()` writes it.
    public init(yaml: String, file: String) throws {
        do {
            self = try YAMLDecoder().decode(RunPlan.self, from: Self.completed(yaml))
        } catch {
            throw RecipeFileError(file: file, problem: "is not a recipe of this version: \(Self.words(error))")
        }
        try validate(file: file)
    }

    /// Settings that recipes of earlier runs lack, with what was done before there was a choice.
    private static let added = [
        ("options.rolloutPrecision", "f32"), ("options.maximumImportanceWeight", "2"), ("options.trainer.activations", "float32"), ("options.trainer.optimizer.kind", "adamw"),
        ("options.trainer.optimizer.momentum", "0"), ("options.trainer.schedule.floor", "0"), ("options.trainer.schedule.cycles", "1"), ("options.trainer.schedule.power", "1"),
        ("options.trainer.schedule.timescale", "0"), ("options.trainer.schedule.decaySteps", "0"), ("options.trainer.schedule.width", "512"), ("options.tokenBudget", "0"), ("options.testSamples", "0"), ("recipe.star.patience", "0"), ("recipe.rest-em.patience", "0"), ("recipe.best-of-n.problemsPerIteration", "0"),
        ("recipe.grpo.loop.referenceDecay", "0"), ("recipe.rloo.loop.referenceDecay", "0"), ("recipe.ppo.loop.referenceDecay", "0"), ("recipe.score.loop.referenceDecay", "0"),
    ]

    private static func completed(_ yaml: String) throws -> String {
        func adding(_ value: String, to node: Node, at path: ArraySlice<Substring>) -> Node {
            guard let name = path.first, case .mapping(var settings) = node else { return node }
            let (key, rest) = (Node(String(name)), path.dropFirst())
            if rest.isEmpty { settings[key] = settings[key] ?? Node(value) } else if let child = settings[key] { settings[key] = adding(value, to: child, at: rest) }
            return .mapping(settings)
        }
        guard let node = try Yams.compose(yaml: yaml) else { return yaml }
        return try Yams.serialize(node: added.reduce(node) { adding($1.1, to: $0, at: $1.0.split(separator: ".")[...]) })
    }

    /// The plan of a recipe file: what it leaves out has the defaults of its model, task and recipe.
    ///
    /// `model`, `task`, `recipe` and the task's `settings` come from the command line, which overrides the file. Where it names another recipe
    /// or another task than the file, the file's settings of these do not count; where neither names a recipe it is `usualRecipe`. Errors call the text `file`.
    public static func reading(
        _ text: String, file: String, model: String?, task: String?, recipe: String?, usualRecipe: String? = nil, settings: [String: String]
    ) throws -> RunPlan {
        let given = (try? Yams.compose(yaml: text)) ?? nil
        let (named, ofFile) = (given.flatMap { recipeAsMapping($0)["recipe"]?.mapping?.keys.first?.string }, given?["task"]?.string)
        let (otherRecipe, otherTask) = (recipe != nil && named != nil && recipe != named, task != nil && ofFile != nil && task != ofFile)
        let written = otherTask ? [:] : Dictionary(
            (given?["taskSettings"]?.mapping ?? [:]).compactMap { pair in pair.key.string.flatMap { key in pair.value.string.map { (key, $0) } } }, uniquingKeysWith: { $1 })
        let standard = try defaults(
            model: model ?? given?["model"]?.string, task: task ?? ofFile ?? "addition", settings: written.merging(settings) { $1 },
            recipe: recipe ?? named.flatMap { RecipeChoice.names.contains($0) ? $0 : nil } ?? usualRecipe)
        var plan = try standard.overridden(byYAML: text, file: file)
        if otherRecipe {
            plan.recipe = standard.recipe
            if plan.countsUpdates { plan.options.batchSize = standard.options.batchSize }
        }
        if otherTask {
            plan.prompts = []
            (plan.workedExamples, plan.workedLongest, plan.workedHints) = (standard.workedExamples, standard.workedLongest, standard.workedHints)
            plan.options.warmUpSteps = standard.options.warmUpSteps
        }
        (plan.model, plan.task, plan.taskSettings) = (standard.model, standard.task, standard.taskSettings)
        try plan.refuseIdle(file: file)
        return plan
    }

    /// Whether nothing is trained in updates of `options.batchSize`: an iteration has a number of them.
    private var countsUpdates: Bool { options.warmUpSteps == 0 && recipe.chosen.workload(problems: 1).batch != nil }

    /// Refuses settings of a new run that would have no effect, or another than was meant.
    /// - Throws: `RecipeFileError`.
    public func refuseIdle(file: String) throws {
        if let (name, reason) = recipe.chosen.idleSettings.first {
            throw RecipeFileError(file: file, problem: "'recipe.\(recipe.name).\(name)' would have no effect: \(reason). Leave it out.")
        }
        guard recipe.chosen.workload(problems: 1).samples <= 1 || recipe.chosen.sampling(of: "attempt").temperature > 0 else {
            throw RecipeFileError(file: file, problem: "'recipe.\(recipe.name).sampling.temperature' must be above 0: greedy samples of a problem are all the same")
        }
        if countsUpdates, options.batchSize != (try Self.defaults(model: model, task: task, settings: taskSettings, recipe: recipe.name)).options.batchSize {
            throw RecipeFileError(file: file, problem: "'options.batchSize' would have no effect: \(recipe.name) trains what an iteration sampled in so many updates. Leave it out, and set recipe.\(recipe.name).loop.batches.")
        }
        if task != "addition", let name = workedExamples > 0 ? "workedExamples" : options.warmUpSteps > 0 ? "options.warmUpSteps" : nil {
            throw RecipeFileError(file: file, problem: "'\(name)' would have no effect: \(task) has no worked examples. Leave it out.")
        }
        guard options.adapter == nil || options.trainer.optimizer.groups.isEmpty else {
            throw RecipeFileError(file: file, problem: "'options.trainer.optimizer.groups' must be left out where an adapter is trained: the model's own weights stay as they are")
        }
    }

    /// - Throws: `RecipeFileError` that names the first setting out of its range.
    public func validate(file: String) throws {
        func check(_ ok: Bool, _ key: String, _ allowed: String) throws {
            if !ok { throw RecipeFileError(file: file, problem: "'\(key)' must be \(allowed)") }
        }
        let optimizer = options.trainer.optimizer
        let many = 1_000_000
        try check(schema == 1, "schema", "1: this program knows no other")
        try check((0...500).contains(workedExamples) && (0...20).contains(workedLongest) && workedHints >= 0, "workedExamples, workedLongest and workedHints", "0 to 500, 0 to 20, and 0 or more")
        try check((1...many).contains(options.batchSize), "options.batchSize", "1 to \(many)")
        try check(options.saveEvery >= 1, "options.saveEvery", "1 or more")
        try check((1...many).contains(options.maxSequences), "options.maxSequences", "1 to \(many)")
        try check(options.maximumImportanceWeight >= 1 && options.maximumImportanceWeight.isFinite, "options.maximumImportanceWeight", "1 or more")
        try check(options.devLimit >= 0 && options.testLimit >= 0, "options.devLimit and testLimit", "0 (all) or more")
        try check(options.warmUpSteps >= 0 && options.tokenBudget >= 0 && options.testSamples >= 0, "options.warmUpSteps, tokenBudget and testSamples", "0 or more")
        try check(options.trainer.microBatchTokens >= 1, "options.trainer.microBatchTokens", "1 or more")
        try check(optimizer.learningRate >= 0 && optimizer.learningRate.isFinite, "options.trainer.optimizer.learningRate", "0 or more")
        try check((0..<1).contains(optimizer.beta1) && (0..<1).contains(optimizer.beta2), "options.trainer.optimizer.beta1 and beta2", "at least 0 and below 1")
        try check(optimizer.epsilon > 0 && optimizer.epsilon.isFinite, "options.trainer.optimizer.epsilon", "above 0")
        try check(optimizer.maxGradientNorm >= 0 && optimizer.maxGradientNorm.isFinite, "options.trainer.optimizer.maxGradientNorm", "0 (off) or more")
        try check((0..<1).contains(optimizer.momentum), "options.trainer.optimizer.momentum", "at least 0 and below 1")
        try check(optimizer.momentum == 0 || optimizer.kind.takesMomentum, "options.trainer.optimizer.momentum", "0 for \(optimizer.kind.rawValue), which has none")
        let schedule = options.trainer.schedule
        try check(schedule.warmupSteps >= 0, "options.trainer.schedule.warmupSteps", "0 or more")
        try check((0...1).contains(schedule.floor), "options.trainer.schedule.floor", "0 to 1")
        try check(schedule.cycles >= 1 && schedule.width >= 1, "options.trainer.schedule.cycles and width", "1 or more")
        try check(schedule.power > 0 && schedule.power.isFinite, "options.trainer.schedule.power", "above 0")
        try check(schedule.timescale >= 0 && schedule.decaySteps >= 0, "options.trainer.schedule.timescale and decaySteps", "0 or more")
        for group in optimizer.groups {
            try check([group.learningRateScale, group.weightDecay ?? 0].allSatisfy { $0 >= 0 && $0.isFinite }, "options.trainer.optimizer.groups", "scales and decays of 0 or more")
        }
        try check(optimizer.weightDecay >= 0 && optimizer.weightDecay.isFinite, "options.trainer.optimizer.weightDecay", "0 or more")
        try recipe.chosen.validate { try check($0, "recipe.\(recipe.name).\($1)", $2) }
        if let adapter = options.adapter {
            try check(adapter.kind != .softPrompt, "options.adapter.kind", "lora or bottleneck: the loop trains no soft prompt yet")
            try check((1...4096).contains(adapter.rank) && adapter.alpha > 0 && adapter.alpha.isFinite, "options.adapter.rank and alpha", "1 to 4096, and above 0")
        }
        if let fresh {
            try check(fresh.layers >= 1 && fresh.intermediateSize >= 1 && fresh.context >= 2, "fresh.layers, intermediateSize and context", "positive")
            try check(fresh.hiddenSize <= 1 << 14 && fresh.intermediateSize <= 1 << 16 && fresh.layers <= 256 && fresh.context <= 1 << 20, "fresh", "a small decoder's sizes")
            try check(fresh.ropeBase > 1 && fresh.ropeBase.isFinite, "fresh.ropeBase", "above 1")
            try check(fresh.initialDeviation > 0 && fresh.initialDeviation.isFinite, "fresh.initialDeviation", "above 0")
            try check(fresh.heads >= 1 && fresh.hiddenSize >= 1 && fresh.hiddenSize % (2 * max(1, fresh.heads)) == 0, "fresh.hiddenSize", "a multiple of twice the heads")
        }
    }

    /// This plan with the settings that a recipe file gives; the file may leave out any.
    /// - Throws: `RecipeFileError` for a key that no plan has, with the nearest one, and for values of the wrong kind.
    public func overridden(byYAML text: String, file: String) throws -> RunPlan {
        let given: Node
        do {
            guard let node = try Yams.compose(yaml: text), node.mapping != nil else {
                throw RecipeFileError(file: file, problem: "holds no settings. Write 'task: addition', for example.")
            }
            given = Self.recipeAsMapping(node)
        } catch let error as YamlError {
            throw RecipeFileError(file: file, problem: "is not YAML: \(error)")
        }
        // What the file leaves out is what is usual for the rule and the shape that it names.
        var plan = self
        let trainer = given["options"]?["trainer"]
        if let kind = trainer?["optimizer"]?["kind"]?.string.flatMap({ OptimizerOptions.Kind(rawValue: $0) }) { plan.options.trainer.optimizer = options.trainer.optimizer.with(kind) }
        if let shape = trainer?["schedule"]?["shape"]?.string.flatMap({ Schedule.Shape(rawValue: $0) }) { plan.options.trainer.schedule = options.trainer.schedule.with(shape) }
        let merged = try Self.merged(Self.node(of: plan), given, path: "", file: file)
        return try RunPlan(yaml: Yams.serialize(node: merged), file: file)
    }

    /// 'recipe: grpo' says the same as 'recipe: {grpo: {}}', and so does a name with nothing behind its colon.
    private static func recipeAsMapping(_ node: Node) -> Node {
        guard case .mapping(var settings) = node, let place = settings.firstIndex(where: { $0.key.string == "recipe" }) else { return node }
        let (key, recipe) = settings[place]
        let none = Node.mapping(Node.Mapping([]))
        switch recipe {
        case .scalar: settings[key] = .mapping(Node.Mapping([(recipe, none)]))
        case .mapping(let choices) where choices.count == 1 && choices.values.first?.null != nil: settings[key] = .mapping(Node.Mapping(choices.map { ($0.key, none) }))
        case .mapping, .sequence, .alias: break
        }
        return .mapping(settings)
    }

    /// Settings whose keys are the user's: any key goes.
    private static let open: Set<String> = ["taskSettings", "recipe", "model", "fresh"]

    private static func merged(_ own: Node, _ given: Node, path: String, file: String) throws -> Node {
        guard case .mapping(var result) = own, case .mapping(let changes) = given else { return given }
        let known = Array(Set(result.keys.compactMap(\.string) + (path.isEmpty ? ["model", "fresh"] : path == "options" ? ["adapter"] : [])))
        for (key, value) in changes {
            let name = key.string ?? ""
            guard known.contains(name) || open.contains(path) else {
                let nearest = nearestName(to: name, in: known).map { "; did you mean '\($0)'?" } ?? "; known: \(known.sorted().joined(separator: ", "))"
                throw RecipeFileError(file: file, problem: "line \(key.mark?.line ?? 0): unknown setting '\(path.isEmpty ? "" : path + ".")\(name)'\(nearest)")
            }
            // Another recipe replaces the default one; the same one is merged.
            if path.isEmpty, name == "recipe", case .mapping(let recipe) = value, let chosen = recipe.keys.first?.string, own["recipe"]?[chosen] == nil {
                guard let defaults = RecipeChoice(named: chosen) else {
                    throw RecipeFileError(file: file, problem: "line \(key.mark?.line ?? 0): unknown recipe '\(chosen)'; known: \(RecipeChoice.names.joined(separator: ", "))")
                }
                result[key] = try merged(node(of: defaults), value, path: "recipe", file: file)
                continue
            }
            // An adapter that is named in part has the usual values for the rest.
            if path == "options", name == "adapter", result[key] == nil { result[key] = try node(of: value["rank"]?.int.map { AdapterChoices(rank: $0) } ?? AdapterChoices()) }
            result[key] = try result[key].map { try merged($0, value, path: path.isEmpty ? name : "\(path).\(name)", file: file) } ?? value
        }
        return .mapping(result)
    }

    /// What a setting may be that has one of a few names.
    private static func values(of setting: String) -> [String]? {
        switch setting {
        case "options.rolloutPrecision": Precision.allCases.map(\.rawValue)
        case "options.trainer.activations": ActivationFormat.allCases.map(\.rawValue)
        case "options.trainer.runner": BlockRunner.allCases.map(\.rawValue)
        case "options.trainer.optimizer.kind": OptimizerOptions.Kind.allCases.map(\.rawValue)
        case "options.trainer.schedule.shape": Schedule.Shape.allCases.map(\.rawValue)
        case let setting where setting.hasPrefix("recipe."):
            setting.split(separator: ".").dropFirst().first.flatMap { RecipeChoice(named: String($0)) }?.values(of: setting.split(separator: ".").dropFirst(2).joined(separator: "."))
        default: nil
        }
    }

    private static func words(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        func place(_ context: DecodingError.Context) -> String { context.codingPath.map(\.stringValue).joined(separator: ".") }
        return switch error {
        case .keyNotFound(let key, let context): "'\((context.codingPath.map(\.stringValue) + [key.stringValue]).joined(separator: "."))' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context): "'\(place(context))' has a value of the wrong kind" + (place(context).hasPrefix("taskSettings.") ? ": a list or a mapping stands in quotation marks there" : "")
        case .dataCorrupted(let context): "'\(place(context))': \(values(of: place(context)).map { "must be one of \($0.joined(separator: ", "))" } ?? context.debugDescription)"
        @unknown default: "\(error)"
        }
    }
}

extension RecipeChoice {
    /// What a setting is, under its name in recipe.yaml; nil where there is none of this name.
    private func value(of key: String) -> Any? {
        key.split(separator: ".").reduce(chosen as Any?) { value, name in value.flatMap { Mirror(reflecting: $0).children.first { $0.label == String(name) }?.value } }
    }

    /// What a setting may be that has one of a few names.
    fileprivate func values(of key: String) -> [String]? {
        func names<Choice: CaseIterable>(_: Choice.Type) -> [String] { Choice.allCases.compactMap { ($0 as? any RawRepresentable)?.rawValue as? String } }
        guard let value = value(of: key), let choice = type(of: value) as? any CaseIterable.Type else { return nil }
        return names(choice)
    }

    private func kind(of key: String) -> String {
        switch value(of: key) {
        case is Bool: "true or false"
        case is Int: "a whole number"
        default: "a number"
        }
    }

    /// The names of all settings, as `setting` takes them.
    public func settings() throws -> [String] {
        func names(_ node: Node, _ prefix: String) -> [String] {
            guard case .mapping(let settings) = node else { return [prefix] }
            return settings.flatMap { key, value in names(value, prefix.isEmpty ? key.string ?? "" : "\(prefix).\(key.string ?? "")") }
        }
        return try names(RunPlan.node(of: chosen), "")
    }

    /// The same recipe with one setting changed, under its name in recipe.yaml ("sampling.temperature").
    /// - Returns: nil where the recipe has no such setting.
    /// - Throws: `RecipeFileError` for a value that the setting cannot have.
    public func setting(_ key: String, to value: String) throws -> RecipeChoice? {
        func changed(_ node: Node, _ path: ArraySlice<Substring>) -> Node? {
            guard let name = path.first else { return Node(value) }
            guard case .mapping(var settings) = node, let child = settings[Node(String(name))], let new = changed(child, path.dropFirst()) else { return nil }
            settings[Node(String(name))] = new
            return .mapping(settings)
        }
        func decoded<R: Recipe>(like _: R, _ node: Node) throws -> any Recipe {
            do { return try YAMLDecoder().decode(R.self, from: Yams.serialize(node: node)) } catch is DecodingError {
                let allowed = values(of: key).map { "one of \($0.joined(separator: ", "))" } ?? "\(kind(of: key)), as \(self.value(of: key).map { "\($0)" } ?? "") is"
                throw RecipeFileError(file: "recipe \(name)", problem: "'\(key)' cannot be '\(value)'; it must be \(allowed).")
            }
        }
        return try changed(RunPlan.node(of: chosen), key.split(separator: ".")[...]).map { RecipeChoice(try decoded(like: chosen, $0)) }
    }
}
