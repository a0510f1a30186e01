import ModelFiles
import Tensors

/// What a family file provides: data and exceptions, no mechanism.
public protocol ModelFamily: Sendable {
    /// `model_type` of config.json.
    var modelType: String { get }
    /// What the names of the library's classes begin with, such as "Llama".
    var classPrefix: String { get }
    /// How the class of the language model ends.
    var languageModelClass: String { get }
    /// How the class ends whose head points at the first and the last token of a span.
    var spanClass: String { get }
    var kind: ModelKind { get }
    /// How llama.cpp keeps its models, where it has a layout.
    var gguf: GGUFLayout? { get }
    /// How config.json names the sizes.
    var fieldNames: FieldNames { get }
    /// The choices of the language model. Fields that are not read are refused by the caller.
    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration
    /// The head of another purpose; nil where the family has none.
    func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices?
}

/// What the language models of a family do.
public enum ModelKind: String, Sendable, CaseIterable {
    /// Write from left to right.
    case generative
    /// Fill in masked words.
    case masked
    /// Read a text and write another.
    case encoderDecoder
}

/// What is supported of a family.
public struct FamilySupport: Sendable {
    public var modelType: String
    /// What its classes begin with.
    public var name: String
    public var kind: ModelKind
    /// llama.cpp's name for it, where GGUF files are read and written.
    public var gguf: String?
    /// Heads other than the vocabulary's.
    public var heads: [Purpose]

    /// Every family, in the order of docs/models.md.
    public static var all: [FamilySupport] {
        modelFamilies.map { family in
            let c = TransformerConfiguration(
                modelType: family.modelType, vocabularySize: 16, hiddenSize: 8, intermediateSize: 8, numHiddenLayers: 1, numAttentionHeads: 1, maxPositionEmbeddings: 8)
            return FamilySupport(
                modelType: family.modelType, name: family.classPrefix, kind: family.kind, gguf: family.gguf?.architecture,
                heads: [.sequenceClassification, .tokenClassification, .span].filter { family.head($0, labels: 2, c) != nil })
        }
    }
}

/// Adding a family is one file and one line here.
let modelFamilies: [any ModelFamily] = [
    Llama(), Mistral(), Mixtral(), SmolLM3(), OLMo2(),
    Qwen2(), Qwen3(), Qwen3MoE(),
    Gemma(), Gemma2(), Gemma3(),
    Phi(), Phi3(), GLM(), GLM4(),
    GPT2(), GPTJ(), GPTNeoX(), OPT(), BLOOM(), Falcon(),
    BERT(), RoBERTa(), DistilBERT(), ALBERT(), ELECTRA(), XLNet(), DeBERTaV2(), ModernBERT(),
    T5(), UMT5(),
]

/// How a family's config.json names what nearly all of them have.
public struct FieldNames: Sendable {
    public var vocabulary = "vocab_size", hidden = "hidden_size", layers = "num_hidden_layers", heads = "num_attention_heads"
    public var intermediate: String? = "intermediate_size", kvHeads: String? = "num_key_value_heads", headDim: String? = "head_dim"
    public var positions: String? = "max_position_embeddings"
    public var epsilon = "rms_norm_eps", activation: String? = "hidden_act"

    public init() {}
}

extension ModelFamily {
    public var languageModelClass: String { "ForCausalLM" }
    public var spanClass: String { "ForQuestionAnswering" }
    public var kind: ModelKind {
        switch languageModelClass {
        case "ForMaskedLM": .masked
        case "ForConditionalGeneration": .encoderDecoder
        default: .generative
        }
    }
    public var gguf: GGUFLayout? { nil }
    public var fieldNames: FieldNames { FieldNames() }

    public func head(_ purpose: Purpose, labels: Int, _ c: TransformerConfiguration) -> HeadChoices? {
        switch purpose {
        case .languageModel, .pretraining, .base: nil
        case .sequenceClassification: HeadChoices(pooling: .last, layers: [DenseChoices(name: "score", outputs: labels, bias: false)])
        case .tokenClassification: HeadChoices(pooling: .tokens, layers: [DenseChoices(name: "score", outputs: labels)])
        case .span: HeadChoices(pooling: .tokens, layers: [DenseChoices(name: "qa_outputs", outputs: 2)])
        }
    }

    /// Settings of training, of the library and of generation, which do not change what the model computes.
    var harmlessFields: Set<String> {
        [
            "architectures", "model_type", "transformers_version", "torch_dtype", "dtype", "use_cache", "initializer_range", "attention_dropout", "hidden_dropout",
            "pretraining_tp", "output_attentions", "output_hidden_states", "return_dict", "torchscript", "id2label", "label2id", "num_labels",
            "_name_or_path", "_model_name_or_path", "unk_token_id", "is_llama_config", "use_bfloat16", "chunk_size_feed_forward", "unsloth_version",
            "unsloth_fixed", "quantization_config_was", "pruned_heads", "tokenizer_class", "sep_token_id", "transformers.js_config", "mask_token_id", "cls_token_id",
            "attn_pdrop", "embd_pdrop", "resid_pdrop", "embedding_dropout", "mlp_dropout", "dropout", "layerdrop", "classifier_dropout", "classifier_dropout_prob",
            "hidden_dropout_prob", "attention_probs_dropout_prob", "activation_dropout", "initializer_factor", "init_std", "gradient_checkpointing", "task_specific_params",
            "finetuning_task", "prefix", "summary_type", "summary_use_proj", "summary_activation", "summary_first_dropout", "summary_last_dropout", "summary_proj_to_labels",
            "reorder_and_upcast_attn", "rescale_every", "pooler_dropout", "qa_dropout", "seq_classif_dropout", "dropout_rate", "auto_map", "seq_length", "n_ctx", "attention_softmax_in_fp32",
            "bias_dropout_fusion", "masked_softmax_fusion", "offset_alibi", "skip_bias_add", "skip_bias_add_qkv",
        ]
    }

    /// The class that a configuration belongs to.
    func className(_ purpose: Purpose) -> String {
        let ending =
            switch purpose {
            case .languageModel: languageModelClass
            case .pretraining: "ForPreTraining"
            case .base: "Model"
            case .sequenceClassification: "ForSequenceClassification"
            case .tokenClassification: "ForTokenClassification"
            case .span: spanClass
            }
        return classPrefix + ending
    }

    /// Reads a configuration with the head of the class that it names, and refuses what nobody understood.
    func read(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try configuration(fields)
        c.source = fields.members
        let name = try fields.optionalStrings("architectures")?.first ?? className(.languageModel)
        let purposes: [Purpose] = [.languageModel, .pretraining, .base, .sequenceClassification, .tokenClassification, .span]
        let known = purposes.filter { $0 == .languageModel || $0 == .base || head($0, labels: 2, c) != nil }
        guard let purpose = known.first(where: { className($0) == name }) else {
            throw fields.error(
                "architectures", "names \(name), which this family does not have", advice: "Known are \(known.map { className($0) }.joined(separator: ", ")).")
        }
        if let kind = try fields.optionalString("problem_type"), kind != "single_label_classification", purpose == .sequenceClassification {
            throw fields.error("problem_type", "is '\(kind)', which is not supported", advice: "single_label_classification is.")
        }
        if try fields.optionalBool("is_decoder") ?? false, kind == .masked { throw fields.error("is_decoder", "is true, but models of this family are supported as encoders") }
        let labels = try labelNames(fields)
        c = with(purpose, labels: purpose == .sequenceClassification || purpose == .tokenClassification ? labels : [], c)
        try fields.refuseUnread(except: harmlessFields)
        return c
    }

    /// The same blocks under the head of another purpose.
    func with(_ purpose: Purpose, labels: [String], _ c: TransformerConfiguration) -> TransformerConfiguration {
        var c = c
        c.purpose = purpose
        c.taskHead = head(purpose, labels: labels.count, c)
        c.labels = labels
        // The tokens that a discriminator judges have no head of their own.
        if purpose != .languageModel, purpose != .pretraining || c.taskHead?.pooling == .tokens { c.headTransform = [] }
        return c
    }

    fileprivate func labelNames(_ fields: ConfigFields) throws -> [String] {
        if let names = try fields.optionalFields("id2label") {
            let count = names.members.members.count
            return try (0..<count).map { try names.string("\($0)") }
        }
        return (0..<(try fields.optionalInt("num_labels", range: 1...1_000_000) ?? 2)).map { "LABEL_\($0)" }
    }

    /// The sizes and token ids that nearly every family has, with limits that keep a hostile file from asking for the moon.
    /// - Parameters:
    ///   - fields: of config.json.
    ///   - epsilon: of norms, where the file gives none.
    ///   - isTied: whether the head is the embedding where the file does not say.
    ///   - inner: width of the MLP where the file gives none, as a multiple of the hidden size.
    ///   - names: those of this file, where they are not the family's.
    public func sizes(_ fields: ConfigFields, names: FieldNames? = nil, epsilon: Double = 1e-6, isTied: Bool = false, inner: Int? = nil) throws -> TransformerConfiguration {
        let n = names ?? fieldNames
        for flag in ["rope_interleaved", "is_encoder_decoder", "add_cross_attention", "use_bidirectional_attention"] where try fields.optionalBool(flag) == true {
            if flag == "is_encoder_decoder", languageModelClass == "ForConditionalGeneration" { continue }
            throw fields.error(flag, "is true, which is not supported")
        }
        let hidden = try fields.int(n.hidden, range: 1...(1 << 17))
        let heads = try fields.int(n.heads, range: 1...(1 << 12))
        let kvHeads = try n.kvHeads.flatMap { try fields.optionalInt($0, range: 1...(1 << 12)) } ?? heads
        guard heads % kvHeads == 0 else {
            throw fields.error(n.kvHeads!, "is \(kvHeads), which does not divide \(n.heads) \(heads)")
        }
        let headDim = try n.headDim.flatMap { try fields.optionalInt($0, range: 1...(1 << 12)) }
        if headDim == nil, hidden % heads != 0 {
            throw fields.error(n.heads, "is \(heads), which does not divide \(n.hidden) \(hidden)\(n.headDim.map { ", and there is no \($0)" } ?? "")")
        }
        var intermediate = try n.intermediate.flatMap { try fields.optionalInt($0, range: 1...(1 << 20)) }
        if intermediate == nil {
            if let inner { intermediate = inner * hidden } else { intermediate = try fields.int(n.intermediate!, range: 1...(1 << 20)) }
        }
        var c = TransformerConfiguration(
            modelType: modelType, vocabularySize: try fields.int(n.vocabulary, range: 1...(1 << 24)), hiddenSize: hidden, intermediateSize: intermediate!,
            numHiddenLayers: try fields.int(n.layers, range: 1...1024), numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim: headDim ?? hidden / heads,
            maxPositionEmbeddings: try n.positions.flatMap { try fields.optionalInt($0, range: 1...(1 << 27)) } ?? 2048,
            normEpsilon: Float(try fields.optionalDouble(n.epsilon, range: 0...1) ?? epsilon), rope: nil,
            tieWordEmbeddings: try fields.optionalBool("tie_word_embeddings") ?? isTied)
        if let name = n.activation { c.activation = try activation(fields, name) ?? c.activation }
        func id(_ name: String) throws -> Int32? {
            try fields.optionalInt(name, range: -1...Int(Int32.max)).flatMap { $0 < 0 ? nil : Int32($0) }
        }
        c.padTokenID = try id("pad_token_id")
        c.bosTokenID = try id("bos_token_id")
        c.decoderStartTokenID = try id("decoder_start_token_id")
        if let eos = fields.json("eos_token_id") {
            c.eosTokenIDs = try (eos.array ?? [eos]).map { value in
                guard let id = value.int.flatMap({ Int32(exactly: $0) }), id >= 0 else {
                    throw fields.error("eos_token_id", "holds \(value.text().prefix(40)), which is no token id")
                }
                return id
            }
        }
        return c
    }

    /// `attention_bias` of families in which it stands for all four projections.
    func readAttentionBias(_ fields: ConfigFields, _ c: inout TransformerConfiguration, default isUsual: Bool = false) throws {
        c.attentionBias = try fields.optionalBool("attention_bias") ?? isUsual
        c.attentionOutputBias = c.attentionBias
    }

    /// An activation by the name that libraries give it; nil where the field is missing.
    func activation(_ fields: ConfigFields, _ name: String) throws -> Activation? {
        let known: [(String, Activation)] = [
            ("silu", .silu), ("swish", .silu), ("gelu", .gelu), ("gelu_python", .gelu), ("gelu_new", .geluTanh), ("gelu_pytorch_tanh", .geluTanh), ("gelu_fast", .geluTanh),
            ("quick_gelu", .quickGELU), ("relu", .relu), ("tanh", .tanh),
        ]
        guard let value = try fields.optionalString(name, oneOf: known.map(\.0)) else { return nil }
        return known.first { $0.0 == value }!.1
    }

    /// The layers with a window, from `layer_types`, or by `rule` where the file leaves them out.
    func localLayers(_ fields: ConfigFields, _ c: TransformerConfiguration, rule: (Int) -> Bool) throws -> Set<Int> {
        guard fields.has("layer_types") else { return Set((0..<c.numHiddenLayers).filter(rule)) }
        let types = try fields.strings("layer_types", oneOf: ["full_attention", "sliding_attention"])
        guard types.count == c.numHiddenLayers else {
            throw fields.error("layer_types", "has \(types.count) entries for \(c.numHiddenLayers) layers of '\(fieldNames.layers)'")
        }
        return Set(types.indices.filter { types[$0] == "sliding_attention" })
    }

    /// `layer_types` of a family without windows.
    func refuseWindows(_ fields: ConfigFields, _ c: TransformerConfiguration) throws {
        guard try localLayers(fields, c, rule: { _ in false }).isEmpty else {
            throw fields.error("layer_types", "asks for 'sliding_attention', which models of this family do not have")
        }
    }

    /// Rotary settings in both spellings: `rope_parameters` of today's library, and `rope_theta`, `rope_scaling` and a share of each head of
    /// most published files. Sets the rotated part of the heads.
    /// - Parameters:
    ///   - base: where the file gives none.
    ///   - share: of each head that is rotated, where the file does not say.
    ///   - kind: the key in `rope_parameters` of layers of this kind, in files that keep one for each kind.
    ///   - legacyBase, legacyShare: names in older files.
    func rotary(
        _ fields: ConfigFields, _ c: inout TransformerConfiguration, base: Double = 10_000, share: Double = 1, kind: String? = nil, legacyBase: String = "rope_theta",
        legacyShare: String = "partial_rotary_factor", hasLegacyScaling: Bool = true
    ) throws -> RotaryScaling {
        let oldBase = try fields.optionalDouble(legacyBase, range: 1e-3...1e12)
        let oldShare = try fields.optionalDouble(legacyShare, range: 0...1)
        let legacy = hasLegacyScaling ? try fields.optionalFields("rope_scaling") : nil
        var current = try fields.optionalFields("rope_parameters")
        if let kind, let all = current, all.has(kind) { current = try all.fields(kind) }
        let scaling = current ?? legacy
        let partial = try scaling?.optionalDouble("partial_rotary_factor", range: 0...1) ?? oldShare ?? share
        c.rotaryDim = Int(Double(c.headDim) * partial)
        guard c.rotaryDim % 2 == 0, c.rotaryDim > 0 else {
            throw fields.error(
                fieldNames.headDim.flatMap { fields.has($0) ? $0 : nil } ?? fieldNames.hidden, "gives heads of size \(c.headDim), of which \(c.rotaryDim) entries turn: rotary positions need an even number")
        }
        guard let scaling else { return RotaryScaling(base: oldBase ?? base) }
        let result = try rotary(scaling, fields, c, base: scaling.optionalDouble("rope_theta", range: 1e-3...1e12) ?? oldBase ?? base)
        try scaling.refuseUnread()
        return result
    }

    private func rotary(_ scaling: ConfigFields, _ fields: ConfigFields, _ c: TransformerConfiguration, base: Double) throws -> RotaryScaling {
        let kind = try scaling.optionalString("rope_type") ?? scaling.optionalString("type") ?? "default"
        _ = try scaling.optionalString("type")
        let length = try scaling.optionalInt("original_max_position_embeddings", range: 1...(1 << 27))
            ?? fields.optionalInt("original_max_position_embeddings", range: 1...(1 << 27)) ?? c.maxPositionEmbeddings
        func factor() throws -> Double { try scaling.double("factor", range: 1e-3...1e6) }
        let variant: RotaryScaling.Variant
        switch kind {
        case "default":
            variant = .none
        case "linear":
            variant = .linear(factor: try factor())
        case "llama3":
            variant = .llama3(
                factor: try factor(), lowFrequencyFactor: try scaling.double("low_freq_factor", range: .positive),
                highFrequencyFactor: try scaling.double("high_freq_factor", range: .positive), originalLength: length)
        case "yarn":
            variant = .yarn(
                factor: try factor(), betaFast: try scaling.optionalDouble("beta_fast", range: .positive) ?? 32,
                betaSlow: try scaling.optionalDouble("beta_slow", range: .positive) ?? 1, originalLength: length,
                attentionFactor: try scaling.optionalDouble("attention_factor", range: .positive))
        case "longrope", "su":
            func divisors(_ name: String) throws -> [Double] {
                let values = try scaling.doubles(name, range: .positive)
                guard values.count == c.rotaryDim / 2 else {
                    throw scaling.error(name, "has \(values.count) entries, but heads of size \(c.headDim) turn in \(c.rotaryDim / 2) pairs")
                }
                return values
            }
            let ratio = try scaling.optionalDouble("factor", range: 1e-3...1e6) ?? Double(c.maxPositionEmbeddings) / Double(length)
            let magnitude = ratio <= 1 ? 1 : (1 + fixedLog(ratio) / fixedLog(Double(length))).squareRoot()
            variant = .longrope(
                short: try divisors("short_factor"), long: try divisors("long_factor"), originalLength: length,
                attentionFactor: try scaling.optionalDouble("attention_factor", range: .positive) ?? magnitude)
        default:
            throw scaling.error("rope_type", "is '\(kind)', which is not supported", advice: "default, linear, llama3, yarn and longrope are.")
        }
        return RotaryScaling(base: base, variant: variant)
    }
}

/// The family of a `model_type`.
func modelFamily(_ type: String) -> (any ModelFamily)? { modelFamilies.first { $0.modelType == type } }

extension TransformerConfiguration {
    /// Nil for one that a program has made up.
    var family: (any ModelFamily)? { modelFamily(modelType) }

    /// The same model with the head of another purpose.
    /// - Parameters:
    ///   - purpose: what the model is to give.
    ///   - labels: names of the classes; those that it has where nil.
    ///   - file: for errors.
    /// - Throws: `FileError` where the family has no such head, or classes are asked for and none are named.
    public func with(_ purpose: Purpose, labels: [String]? = nil, file: String) throws -> TransformerConfiguration {
        guard let family else { throw UnsupportedFamily(name: modelType, file: file) }
        let labels = labels ?? self.labels
        let needsLabels = purpose == .sequenceClassification || purpose == .tokenClassification
        if needsLabels, labels.isEmpty {
            throw FileError(file: file, problem: "names no classes", advice: "Name them: --labels negative,positive.")
        }
        guard !needsLabels || Set(labels).count == labels.count else {
            throw FileError(file: file, problem: "got classes of which two have one name: \(labels.joined(separator: ", "))", advice: "Give each class a name of its own.")
        }
        let isSame = purpose == self.purpose
        // The layers of the vocabulary head are those of the file's own class.
        let plain = isSame ? self : try source.map { try family.configuration(ConfigFields($0, file: file)) } ?? self
        guard isSame || purpose == .languageModel || purpose == .base || family.head(purpose, labels: max(1, labels.count), plain) != nil else {
            throw FileError(file: file, problem: "is of type '\(modelType)', which has no class '\(family.className(purpose))'", advice: "Choose a model of another family.")
        }
        var base = plain
        base.source = source
        return family.with(purpose, labels: needsLabels ? labels : [], base)
    }
}
