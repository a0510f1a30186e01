import Foundation
import ModelFiles
import Tensors

/// Which weights of a model are trained beside it, and how: LoRA, rsLoRA or DoRA.
///
/// Sources: Hu et al. 2021, arXiv:2106.09685; Kalajdzievski 2023, arXiv:2312.03732 (rsLoRA); Liu et al. 2024, arXiv:2402.09353 (DoRA).
public struct AdapterChoices: Sendable, Equatable, Codable {
    public var rank = 8
    /// The change is multiplied by alpha / rank, or by alpha / √rank where `isRankStable`.
    public var alpha = 16.0
    public var isRankStable = false
    /// The lengths of rows are learnt too (DoRA).
    public var learnsMagnitudes = false
    /// Ends of the names of modules, such as "q_proj"; empty for all matrices of the blocks.
    public var targets: [String] = []
    /// Modules that are trained whole, such as a new head.
    public var whole: [String] = []

    public init() {}

    public var scale: Float { Float(isRankStable ? alpha / Double(rank).squareRoot() : alpha / Double(rank)) }

    func matches(_ module: String, _ c: TransformerConfiguration) -> Bool {
        if targets.isEmpty {
            let stacks = [c.names, c.encoderNames].compactMap { $0 }
            // Tables of biases and of segments are looked up, not multiplied.
            let isTable = module.hasSuffix(".seg_embed") || stacks.contains { !$0.bias.isEmpty && module.hasSuffix($0.bias) }
            return stacks.contains { module.hasPrefix($0.base + $0.layer) } && !isTable
        }
        return targets.contains { module == $0 || module.hasSuffix("." + $0) }
    }
}

/// Adapter files that do not fit.
public enum AdapterError: Error, Equatable, CustomStringConvertible {
    case noTargets([String])
    case noAdapter(String)

    public var description: String {
        switch self {
        case .noTargets(let names): "no matrix of the model's blocks is called \(names.joined(separator: ", ")). 'autodidact inspect' shows the names of a model's modules."
        case .noAdapter(let what): "\(what) has no adapter."
        }
    }
}

extension Transformer {
    private static let adapterSegment = "adapter"

    /// The modules of the model's blocks that an adapter may change.
    public func modules(_ choices: AdapterChoices = AdapterChoices()) -> [String] {
        parameters.parameters.filter { $0.isMatrix && $0.segment.name != Self.adapterSegment }.map { $0.name.hasSuffix(".weight") ? String($0.name.dropLast(".weight".count)) : $0.name }
            .filter { choices.matches($0, configuration) }
    }

    /// The same model, its values shared, with an adapter that changes nothing yet.
    /// - Parameter key: of the random values of A; B begins at 0.
    /// - Throws: `AdapterError` where no module matches.
    public func adapted(_ choices: AdapterChoices, key: RandomKey = RandomKey(seed: 0)) throws -> Transformer {
        let copy = copy()
        try copy.attach(choices)
        for parameter in copy.parameters.parameters where parameter.segment.name == Self.adapterSegment {
            let values: [Float]
            if parameter.name.hasSuffix(".lora_A.weight") {
                // Kaiming's uniform law with a = √5: ±1/√inputs.
                let bound = 1 / Double(parameter.shape[1]).squareRoot(), stream = key.folding(parameter.name)
                values = (0..<parameter.shape.reduce(1, *)).map { Float((2 * stream.uniform(UInt64($0)) - 1) * bound) }
            } else if parameter.name.hasSuffix(".lora_magnitude_vector") {
                let weight = copy.weight(of: String(parameter.name.dropLast(".lora_magnitude_vector".count)))
                values = weight.update!.rowLengths(of: weight).read()
            } else {
                continue
            }
            values.withUnsafeBufferPointer { copy.parameters.write($0, to: parameter) }
        }
        return copy
    }

    /// The matrix of a module; the oldest families call it as the module itself.
    private func weight(of module: String) -> Parameter { parameters["\(module).weight"] ?? parameters[module]! }

    func attach(_ choices: AdapterChoices) throws {
        let modules = modules(choices)
        guard !modules.isEmpty else { throw AdapterError.noTargets(choices.targets) }
        let matched = choices.targets.filter { target in !modules.contains { $0 == target || $0.hasSuffix("." + target) } }
        guard matched.isEmpty else { throw AdapterError.noTargets(matched) }
        adapter = choices
        parameters.append(segment: Self.adapterSegment) {
            for module in modules {
                let weight = weight(of: module)
                weight.update = WeightUpdate(
                    a: parameters.declare("\(module).lora_A.weight", choices.rank, weight.shape[1]), b: parameters.declare("\(module).lora_B.weight", weight.shape[0], choices.rank),
                    scale: choices.scale, magnitude: choices.learnsMagnitudes ? parameters.declare("\(module).lora_magnitude_vector", weight.shape[0]) : nil)
            }
        }
    }

    /// Modules of the task head.
    public var headModules: [String] {
        parameters.parameters.filter { $0.segment.name == Self.taskSegment && $0.name.hasSuffix(".weight") }.map { String($0.name.dropLast(".weight".count)) }
    }

    /// What training an adapter trains: its own values, and the modules that are trained whole.
    public var adapterPatterns: [String] { [".lora_"] + (adapter?.whole.map { "\($0)." } ?? []) }

    /// A model without an adapter whose weights are those that the adapter makes of them, in float32.
    /// - Throws: `AdapterError` for a model without one.
    public func merged() throws -> Transformer {
        guard adapter != nil else { throw AdapterError.noAdapter("the model") }
        let merged = Transformer(configuration, on: backend)
        merged.parameters.allocate()
        for target in merged.parameters.parameters {
            let source = parameters[target.name]!
            var values = parameters.read(source)
            if let update = source.update { merge(update, of: source, into: &values) }
            values.withUnsafeBufferPointer { merged.parameters.write($0, to: target) }
        }
        return merged
    }

    private func merge(_ update: WeightUpdate, of weight: Parameter, into values: inout [Float]) {
        let a = parameters.read(update.a), b = parameters.read(update.b), inputs = weight.shape[1], rank = update.a.shape[0]
        let lengths = update.magnitude.map { zip(parameters.read($0), update.rowLengths(of: weight).read()).map { $0 / $1 } }
        for row in 0..<weight.shape[0] {
            for column in 0..<inputs {
                var sum = 0.0
                for k in 0..<rank { sum += Double(b[row * rank + k]) * Double(a[k * inputs + column]) }
                let changed = Double(values[row * inputs + column]) + Double(update.scale) * sum
                values[row * inputs + column] = Float(changed * Double(lengths?[row] ?? 1))
            }
        }
    }
}

// MARK: PEFT folders

extension Model {
    /// The model under an adapter of a folder as the PEFT library writes it; its weights are shared with this one.
    /// - Throws: `FileError` for what is not understood or does not fit, `AdapterError`.
    public func with(adapter folder: String) throws -> Model {
        let path = "\(folder)/adapter_config.json"
        guard let object = try JSON.read(path: path).object else { throw FileError(file: path, problem: "is no JSON object", advice: "Fetch it again.") }
        let choices = try AdapterChoices(ConfigFields(object, file: path))
        let adapted = try transformer.adapted(choices)
        let file = try SafetensorsFile(path: "\(folder)/adapter_model.safetensors")
        var taken: Set<String> = []
        let wholes = choices.whole.map { $0 + "." }
        for parameter in adapted.parameters.parameters {
            let isOwn = parameter.name.contains(".lora_"), isWhole = wholes.contains { parameter.name.hasPrefix($0) || parameter.name.contains("." + $0) }
            guard isOwn || isWhole else { continue }
            let names = ["base_model.model.\(parameter.name)", "base_model.model.\(parameter.name).weight"]
            guard let info = names.lazy.compactMap({ file.info($0) }).first else {
                throw CheckpointError.missing(parameter: names[0], file: file.path, nearest: nearestName(to: names[0], in: file.tensors.map(\.name)))
            }
            guard info.shape == parameter.fileShape else {
                throw CheckpointError.wrongShape(parameter: info.name, file: file.path, expected: parameter.fileShape, found: info.shape)
            }
            taken.insert(info.name)
            let values = parameter.fromFileOrder(try file.floats(info.name))
            values.withUnsafeBufferPointer { adapted.parameters.write($0, to: parameter) }
        }
        let left = file.tensors.map(\.name).filter { !taken.contains($0) }
        guard left.isEmpty else { throw CheckpointError.unexpected(names: left, file: file.path) }
        return with(adapted)
    }

    /// Writes the adapter alone, as a folder that the PEFT library opens.
    /// - Parameter base: where the model lies that it belongs to.
    /// - Throws: `AdapterError` for a model without an adapter, `FileError`.
    public func saveAdapter(to folder: String, base: String) throws {
        guard let choices = transformer.adapter else { throw AdapterError.noAdapter(source ?? "the model") }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let wholes = choices.whole.map { $0 + "." }
        let kept = transformer.parameters.parameters.filter { parameter in
            parameter.name.contains(".lora_") || wholes.contains { parameter.name.hasPrefix($0) || parameter.name.contains("." + $0) }
        }
        let writer = try SafetensorsWriter(
            path: "\(folder)/adapter_model.safetensors", tensors: kept.map { ("base_model.model.\($0.name)", .f32, $0.fileShape) }, metadata: ["format": "pt"])
        for parameter in kept { try writer.append(transformer.parameters.readFileOrder(parameter)) }
        try writer.finish()
        let c = transformer.configuration
        try writeDurably(JSON.object(choices.peftJSON(c, modules: transformer.modules(choices), base: base)).text(pretty: true) + "\n", to: "\(folder)/adapter_config.json")
    }
}

extension AdapterChoices {
    /// Reads an `adapter_config.json`.
    /// - Throws: `FileError` that names what is not understood.
    init(_ fields: ConfigFields) throws {
        self.init()
        _ = try fields.string("peft_type", oneOf: ["LORA"])
        rank = try fields.int("r", range: 1...4096)
        alpha = try fields.optionalDouble("lora_alpha", range: .positive) ?? 8
        isRankStable = try fields.optionalBool("use_rslora") ?? false
        learnsMagnitudes = try fields.optionalBool("use_dora") ?? false
        if let pattern = fields.json("target_modules")?.string {
            guard pattern == "all-linear" else { throw fields.error("target_modules", "is the pattern '\(pattern)'", advice: "Write the names of the modules as a list.") }
        } else {
            targets = try fields.strings("target_modules")
        }
        whole = try fields.optionalStrings("modules_to_save") ?? []
        _ = try fields.optionalString("bias", oneOf: ["none"])
        // Other methods and choices: null, or an empty list or object, where they are not used.
        let others = [
            "layers_to_transform", "layers_pattern", "megatron_config", "eva_config", "corda_config", "kasa_config", "monteclora_config", "velora_config", "arrow_config",
            "layer_replication", "alora_invocation_tokens", "target_parameters", "exclude_modules", "trainable_token_indices",
        ]
        for name in others {
            guard let value = fields.json(name), value.array?.isEmpty != true, value.object?.members.isEmpty != true else { continue }
            throw fields.error(name, "is given, which is not supported")
        }
        for name in ["rank_pattern", "alpha_pattern"] where fields.json(name)?.object?.members.isEmpty == false { throw fields.error(name, "is not empty, which is not supported") }
        for name in ["lora_bias", "use_qalora", "use_bdlora"] where fields.json(name)?.bool == true { throw fields.error(name, "is true, which is not supported") }
        // Training, loading and bookkeeping; files of GPT-2 say that its matrices lie transposed, which this engine knows.
        try fields.refuseUnread(except: [
            "auto_mapping", "base_model_name_or_path", "revision", "task_type", "inference_mode", "lora_dropout", "fan_in_fan_out", "init_lora_weights", "loftq_config", "peft_version",
            "qalora_group_size", "runtime_config", "ensure_weight_tying", "lora_ga_config", "megatron_core",
        ])
    }

    /// As the PEFT library writes it.
    func peftJSON(_ c: TransformerConfiguration, modules: [String], base: String) -> JSONObject {
        // Names of modules that end alike are written once.
        let ends = targets.isEmpty ? Set(modules.map { String($0.split(separator: ".").last!) }).sorted() : targets
        let task =
            switch c.purpose {
            case .sequenceClassification: "SEQ_CLS"
            case .tokenClassification: "TOKEN_CLS"
            case .span: "QUESTION_ANS"
            case .base: "FEATURE_EXTRACTION"
            case .languageModel, .pretraining: c.encoderLayers != nil ? "SEQ_2_SEQ_LM" : c.isCausal ? "CAUSAL_LM" : "FEATURE_EXTRACTION"
            }
        return JSONObject([
            ("base_model_name_or_path", .string(base)), ("bias", "none"), ("fan_in_fan_out", .bool(c.names.isTransposed)), ("inference_mode", .bool(true)),
            ("lora_alpha", alpha == alpha.rounded() ? .integer(Int64(alpha)) : .number(alpha)), ("lora_dropout", .number(0)),
            ("modules_to_save", whole.isEmpty ? .null : .array(whole.map { .string($0) })), ("peft_type", "LORA"), ("r", .integer(Int64(rank))),
            ("target_modules", .array(ends.map { .string($0) })), ("task_type", .string(task)), ("use_dora", .bool(learnsMagnitudes)), ("use_rslora", .bool(isRankStable)),
        ])
    }
}
