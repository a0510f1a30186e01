import Foundation
import ModelFiles
import Tensors

/// What is trained beside a model that stays as it is.
///
/// Sources: Hu et al. 2021, arXiv:2106.09685 (LoRA); Kalajdzievski 2023, arXiv:2312.03732 (rsLoRA); Liu et al. 2024, arXiv:2402.09353 (DoRA);
/// Houlsby et al. 2019, arXiv:1902.00751 (bottlenecks); Lester et al. 2021, arXiv:2104.08691 (soft prompts).
public struct AdapterChoices: Sendable, Equatable, Codable {
    public enum Kind: String, Sendable, Codable, CaseIterable {
        /// Changes of small rank beside matrices.
        case lora
        /// Small MLPs after attention and after the MLP of each block; several may be stacked.
        case bottleneck
        /// Trained vectors before the words of a text.
        case softPrompt = "soft-prompt"
    }
    public var kind = Kind.lora
    /// Of LoRA; of bottlenecks their width; of soft prompts the number of vectors.
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

    /// A LoRA adapter of this rank, whose change counts twice.
    public init(rank: Int) { (self.rank, alpha) = (rank, 2 * Double(rank)) }

    public var scale: Float { Float(isRankStable ? alpha / Double(rank).squareRoot() : alpha / Double(rank)) }

    func matches(_ module: String, _ c: TransformerConfiguration) -> Bool {
        if whole.contains(where: { module == $0 || module.hasSuffix("." + $0) }) { return false }
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
    case twice(AdapterChoices.Kind)
    case notMergeable(AdapterChoices.Kind)
    case noMemory(module: String)
    case notAdaptable(module: String)

    public var description: String {
        switch self {
        case .noTargets(let names): "no matrix of the model's blocks is called \(names.joined(separator: ", ")). Modules are called as the weights in the model's file, by the end of the name: q_proj, query, c_attn …"
        case .noAdapter(let what): "\(what) has no adapter."
        case .twice(let kind): "the model has an adapter of the kind \(kind.rawValue) already. Only bottlenecks can be stacked."
        case .notMergeable(let kind): "an adapter of the kind \(kind.rawValue) is no change of weights and cannot be merged into them. Keep it beside the model."
        case .noMemory(let module): "'\(module)' is to be trained whole, but does not lie in float32. Convert the model first: 'autodidact convert --type f32'."
        case .notAdaptable(let module): "'\(module)' is a table or the vocabulary's head, which LoRA does not change here. Name matrices of the blocks with --targets."
        }
    }
}

extension Transformer {
    private static let adapterSegment = "adapter"

    /// The modules of the model that an adapter may change.
    public func modules(_ choices: AdapterChoices = AdapterChoices()) -> [String] { allModules.filter { choices.matches($0, configuration) } }

    /// Every module with a matrix.
    var allModules: [String] {
        parameters.parameters.filter { $0.isMatrix && !$0.segment.name.hasPrefix(Self.adapterSegment) }.map { $0.name.hasSuffix(".weight") ? String($0.name.dropLast(".weight".count)) : $0.name }
    }

    /// The same model, its values shared, with an adapter that changes nothing yet.
    /// - Parameters:
    ///   - choices: kind, size and places of the adapter.
    ///   - key: of the random values of A; B begins at 0.
    /// - Throws: `AdapterError` where no module matches.
    public func adapted(_ choices: AdapterChoices, key: RandomKey = RandomKey(seed: 0)) throws -> Transformer {
        let copy = copy()
        try copy.attach(choices)
        // Of a stack of adapters only the last is new.
        guard let segment = copy.parameters.segments.last else { return copy }
        for parameter in copy.parameters.parameters where parameter.segment === segment {
            let values: [Float]
            if parameter.name.hasSuffix("_adapter.down.weight") {
                let stream = key.folding(parameter.name)
                values = (0..<parameter.shape.reduce(1, *)).map { Float(stream.normal(UInt64($0)) * 0.02) }
            } else if parameter.name == Self.softPromptName {
                // Real words are a better start than noise.
                let words = parameters.parameters[0], stream = key.folding("soft prompt")
                values = (0..<parameter.shape[0]).flatMap { row in
                    let word = stream.index(below: words.shape[0], UInt64(row))
                    return parameters.read(words, rows: word..<word + 1)
                }
            } else if parameter.name.hasSuffix(".lora_A.weight") {
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

    static let softPromptName = "prompt_embeddings"

    func attach(_ choices: AdapterChoices) throws {
        let stack = adapters.filter { $0.kind == choices.kind }.count
        guard stack == 0 || choices.kind == .bottleneck else { throw AdapterError.twice(choices.kind) }
        for name in choices.whole {
            for parameter in parameters.parameters where parameter.name.hasPrefix(name + ".") || parameter.name.contains(".\(name).") {
                guard parameter.format == .float32 else { throw AdapterError.noMemory(module: name) }
            }
        }
        switch choices.kind {
        case .lora: try attachUpdates(choices)
        case .bottleneck:
            parameters.append(segment: "\(Self.adapterSegment) \(adapters.count)") {
                for bottlenecks in places { bottlenecks.append(width: choices.rank, stack: stack, hidden: configuration.hiddenSize, in: parameters) }
            }
        case .softPrompt:
            parameters.append(segment: "\(Self.adapterSegment) \(adapters.count)") {
                softPrompt = parameters.declare(Self.softPromptName, choices.rank, parameters.parameters[0].shape[1])
            }
        }
        adapters.append(choices)
    }

    /// The tokens that stand for the vectors of a soft prompt, at the head of a text.
    public var softPromptTokens: [Int32] { softPrompt.map { (0..<Int32($0.shape[0])).map { -1 - $0 } } ?? [] }

    private func attachUpdates(_ choices: AdapterChoices) throws {
        let modules = modules(choices)
        guard !modules.isEmpty else { throw AdapterError.noTargets(choices.targets) }
        let matched = choices.targets.filter { target in !modules.contains { $0 == target || $0.hasSuffix("." + target) } }
        guard matched.isEmpty else { throw AdapterError.noTargets(matched) }
        let n = configuration.names, tables = [n.base + n.embedding, n.base + n.positions, n.base + n.segments, n.head]
        if let table = modules.first(where: tables.contains) { throw AdapterError.notAdaptable(module: table) }
        parameters.append(segment: "\(Self.adapterSegment) \(adapters.count)") {
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
    public var adapterPatterns: [String] { Self.adapterMarks + adapters.flatMap { $0.whole.map { "\($0)." } } }

    /// What the names of adapters' values hold.
    static let adapterMarks = [".lora_", "_adapter.", softPromptName]

    /// A model without an adapter whose weights are those that the adapter makes of them, in float32.
    /// - Throws: `AdapterError` for a model without one.
    public func merged() throws -> Transformer {
        guard !adapters.isEmpty else { throw AdapterError.noAdapter("the model") }
        if let other = adapters.first(where: { $0.kind != .lora }) { throw AdapterError.notMergeable(other.kind) }
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
        let known = Set(transformer.parameters.parameters.map(\.name))
        let base = object["base_model_name_or_path"]?.string ?? "another model"
        let adapted: Transformer
        do { adapted = try transformer.adapted(choices) } catch let error as AdapterError {
            throw FileError(file: folder, problem: "does not fit the model: \(error)", advice: "It was made for \(base).")
        }
        let file = try SafetensorsFile(path: "\(folder)/adapter_model.safetensors")
        var taken: Set<String> = []
        let wholes = choices.whole.map { $0 + "." }
        for parameter in adapted.parameters.parameters {
            let isOwn = !known.contains(parameter.name), isWhole = wholes.contains { parameter.name.hasPrefix($0) || parameter.name.contains("." + $0) }
            guard isOwn || isWhole else { continue }
            let plain = parameter.name == Transformer.softPromptName ? parameter.name : "base_model.model.\(parameter.name)"
            let names = [plain, plain + ".weight"]
            guard let info = names.lazy.compactMap({ file.info($0) }).first else {
                throw FileError(file: file.path, problem: "holds no '\(names[0])', which this model's adapter has", advice: "It was made for \(base).")
            }
            guard info.shape == parameter.fileShape else {
                throw FileError(file: file.path, problem: "'\(info.name)' has shape \(info.shape), but in this model it would be \(parameter.fileShape)", advice: "It was made for \(base).")
            }
            taken.insert(info.name)
            let values = parameter.fromFileOrder(try file.floats(info.name))
            values.withUnsafeBufferPointer { adapted.parameters.write($0, to: parameter) }
        }
        let left = file.tensors.map(\.name).filter { !taken.contains($0) }
        guard left.isEmpty else { throw FileError(file: file.path, problem: "holds '\(left[0])', for which this model has no place", advice: "It was made for \(base).") }
        return with(adapted)
    }

    /// What a model must be opened for, for an adapter of a folder to fit: one that was trained with a head needs the head.
    /// - Throws: `FileError` for a folder that holds no adapter.
    public static func task(ofAdapter folder: String) throws -> Task? {
        let path = "\(folder)/adapter_config.json"
        guard FileManager.default.fileExists(atPath: folder) else {
            throw FileError(file: folder, problem: "does not exist", advice: "Give the folder that 'autodidact sft' or PEFT has written.")
        }
        guard FileManager.default.fileExists(atPath: path) else {
            throw FileError(file: folder, problem: "holds no adapter_config.json", advice: "Give the folder that 'autodidact sft' or PEFT has written.")
        }
        let purposes: [String: Purpose] = ["SEQ_CLS": .sequenceClassification, "TOKEN_CLS": .tokenClassification, "QUESTION_ANS": .span]
        guard let purpose = try JSON.read(path: path)["task_type"]?.string.flatMap({ purposes[$0] }) else { return nil }
        if purpose == .span { return Task(.span) }
        if FileManager.default.fileExists(atPath: "\(folder)/\(labelsFile)") {
            return Task(purpose, labels: try JSON.read(path: "\(folder)/\(labelsFile)").array?.compactMap(\.string))
        }
        // PEFT does not keep the names: as many classes as the last layer of the head has rows.
        let file = try SafetensorsFile(path: "\(folder)/adapter_model.safetensors")
        let head = file.tensors.filter { $0.name.hasSuffix(".weight") && !$0.name.contains("lora_") && $0.shape.count == 2 }.min { $0.shape[0] < $1.shape[0] }
        return Task(purpose, labels: (0..<(head?.shape[0] ?? 2)).map { "LABEL_\($0)" })
    }

    /// Beside an adapter with a head of classes: their names.
    private static let labelsFile = "labels.json"

    /// Writes the adapter alone, as a folder that the PEFT library opens.
    /// - Parameters:
    ///   - folder: is made where it is not there.
    ///   - base: where the model lies that it belongs to.
    /// - Throws: `AdapterError` for a model without an adapter, `FileError`.
    public func saveAdapter(to folder: String, base: String) throws {
        guard transformer.adapters.count < 2 else { throw AdapterError.twice(transformer.adapters[0].kind) }
        guard let choices = transformer.adapters.first else { throw AdapterError.noAdapter(source ?? "the model") }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let wholes = choices.whole.map { $0 + "." }
        let kept = transformer.parameters.parameters.filter { parameter in
            Transformer.adapterMarks.contains { parameter.name.contains($0) } || wholes.contains { parameter.name.hasPrefix($0) || parameter.name.contains("." + $0) }
        }
        let writer = try SafetensorsWriter(
            path: "\(folder)/adapter_model.safetensors", tensors: kept.map { ($0.name == Transformer.softPromptName ? $0.name : "base_model.model.\($0.name)", .f32, $0.fileShape) }, metadata: ["format": "pt"])
        for parameter in kept { try writer.append(transformer.parameters.readFileOrder(parameter)) }
        try writer.finish()
        let c = transformer.configuration
        if !c.labels.isEmpty { try writeDurably(JSON.array(c.labels.map { .string($0) }).text() + "\n", to: "\(folder)/\(Self.labelsFile)") }
        try writeDurably(JSON.object(choices.peftJSON(c, modules: transformer.modules(choices), of: transformer.allModules, base: base)).text(pretty: true) + "\n", to: "\(folder)/adapter_config.json")
    }
}

extension AdapterChoices {
    /// Reads an `adapter_config.json`.
    /// - Throws: `FileError` that names what is not understood.
    init(_ fields: ConfigFields) throws {
        self.init()
        switch try fields.string("peft_type", oneOf: ["LORA", "PROMPT_TUNING", "BOTTLENECK"]) {
        case "PROMPT_TUNING":
            kind = .softPrompt
            rank = try fields.int("num_virtual_tokens", range: 1...4096)
            whole = try fields.optionalStrings("modules_to_save") ?? []
            // How training began, and sizes that the model knows.
            try fields.refuseUnread(except: [
                "auto_mapping", "base_model_name_or_path", "revision", "task_type", "inference_mode", "peft_version", "num_attention_heads", "num_layers", "num_transformer_submodules",
                "prompt_tuning_init", "prompt_tuning_init_text", "token_dim", "tokenizer_kwargs", "tokenizer_name_or_path", "prompt_tuning_init_state_dict_path",
            ])
            return
        case "BOTTLENECK":
            kind = .bottleneck
            rank = try fields.int("r", range: 1...(1 << 16))
            whole = try fields.optionalStrings("modules_to_save") ?? []
            try fields.refuseUnread(except: ["base_model_name_or_path", "task_type"])
            return
        default: break
        }
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
        // Some ways to begin change the base too, whenever the adapter is loaded.
        if let start = fields.json("init_lora_weights")?.string, !["gaussian", "orthogonal", "eva"].contains(start) {
            throw fields.error("init_lora_weights", "is '\(start)', which changes the base and is not supported")
        }
        if fields.json("loftq_config")?.object?.members.isEmpty == false { throw fields.error("loftq_config", "is not empty, which is not supported") }
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
            "auto_mapping", "base_model_name_or_path", "revision", "task_type", "inference_mode", "lora_dropout", "fan_in_fan_out", "peft_version",
            "qalora_group_size", "runtime_config", "ensure_weight_tying", "lora_ga_config", "megatron_core",
        ])
    }

    private func shortestEnd(_ module: String, among others: [String]) -> String {
        let parts = module.split(separator: ".")
        for count in 1..<max(2, parts.count) {
            let end = parts.suffix(count).joined(separator: ".")
            if !others.contains(where: { $0 == end || $0.hasSuffix("." + end) }) { return end }
        }
        return module
    }

    /// As the PEFT library writes it.
    func peftJSON(_ c: TransformerConfiguration, modules: [String], of all: [String], base: String) -> JSONObject {
        // Names of modules that end alike are written once, by as much of their ends as no other module shares.
        let others = all.filter { !modules.contains($0) }
        let ends = targets.isEmpty ? Set(modules.map { shortestEnd($0, among: others) }).sorted() : targets
        let task =
            switch c.purpose {
            case .sequenceClassification: "SEQ_CLS"
            case .tokenClassification: "TOKEN_CLS"
            case .span: "QUESTION_ANS"
            case .base: "FEATURE_EXTRACTION"
            case .languageModel, .pretraining: c.encoderLayers != nil ? "SEQ_2_SEQ_LM" : c.isCausal ? "CAUSAL_LM" : "FEATURE_EXTRACTION"
            }
        let whole = whole.isEmpty ? JSON.null : .array(whole.map { .string($0) })
        switch kind {
        case .softPrompt:
            return JSONObject([
                ("base_model_name_or_path", .string(base)), ("inference_mode", .bool(true)), ("num_attention_heads", .integer(Int64(c.numAttentionHeads))),
                ("modules_to_save", whole), ("num_layers", .integer(Int64(c.numHiddenLayers))), ("num_transformer_submodules", 1), ("num_virtual_tokens", .integer(Int64(rank))),
                ("peft_type", "PROMPT_TUNING"), ("prompt_tuning_init", "RANDOM"), ("task_type", .string(task)), ("token_dim", .integer(Int64(c.embeddingSize ?? c.hiddenSize))),
            ])
        case .bottleneck:
            return JSONObject([("base_model_name_or_path", .string(base)), ("modules_to_save", whole), ("peft_type", "BOTTLENECK"), ("r", .integer(Int64(rank))), ("task_type", .string(task))])
        case .lora: break
        }
        return JSONObject([
            ("base_model_name_or_path", .string(base)), ("bias", "none"), ("fan_in_fan_out", .bool(c.names.isTransposed)), ("inference_mode", .bool(true)),
            ("lora_alpha", alpha == alpha.rounded() ? .integer(Int64(alpha)) : .number(alpha)), ("lora_dropout", .number(0)),
            ("modules_to_save", whole), ("peft_type", "LORA"), ("r", .integer(Int64(rank))),
            ("target_modules", .array(ends.map { .string($0) })), ("task_type", .string(task)), ("use_dora", .bool(learnsMagnitudes)), ("use_rslora", .bool(isRankStable)),
        ])
    }
}
