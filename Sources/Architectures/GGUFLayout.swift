import ModelFiles
import Tensors

/// How llama.cpp keeps a family's models: names, settings, and what it changes in the weights.
public struct GGUFLayout: Sendable {
    /// `general.architecture`.
    public var architecture: String
    /// Rows of queries and keys are in the order in which pairs that turn together lie side by side.
    public var pairsRows = false
    /// Norms hold the weight plus one.
    public var shiftsNorms = false
    /// Settings beside the usual ones: key, after the architecture, and the field of config.json.
    public var fields: [(key: String, field: String)] = []
    /// What llama.cpp takes for granted, by the field of config.json.
    public var constants: [(field: String, value: JSON)] = []
    /// Settings that a tensor's presence stands for.
    public var flags: [(tensor: String, field: String)] = []
    /// The field of the base of rotary positions.
    public var ropeBase = "rope_theta"
    /// Scores have fixed biases by distance.
    public var hasAlibi = false
    /// The number of layers of the one size whose scores are scaled by hidden size over heads, which its settings do not say.
    public var widelyScaledLayers: Int?
    /// llama.cpp divides rotary frequencies of this architecture by a table for all sequences, or by one for short and one for long ones.
    public var hasRotaryTable = false, hasRotaryTablesByLength = false
    /// The field of the share of each head that turns, in families of which some turn only a part.
    public var share: String?
    /// Layers whose number is a multiple of it see beyond the window; llama.cpp takes it from the architecture.
    public var period: Int?
    /// Layers whose number is a multiple of it know no positions.
    public var unrotatedPeriod: Int?
    /// Queries and keys are normalised.
    public var normsQueries = false
    /// Attention has biases.
    public var needsBiases = false
    /// Modules whose names differ from those usual for their role.
    public var names: [String: String] = [:]

    public init(_ architecture: String) { self.architecture = architecture }
}

/// Where GGUF files keep one of our weights.
struct GGUFPlace: Equatable {
    var tensor: String
    /// The slice of the first axis, where experts lie together in one tensor.
    var expert: Int?
    var order = RowOrder.same
    /// What the file's values are greater by.
    var shift: Float = 0
}

/// The order of a matrix's rows in GGUF files.
enum RowOrder: Equatable {
    case same
    /// Pairs half a head apart lie side by side: the order of heads in which neighbours turn together.
    case pairs(headDim: Int)
    /// All queries, all keys, all values, where ours are together for each key/value head.
    case parted(queries: Int, groups: Int, headDim: Int)

    /// The row in the file that holds our row.
    func source(_ row: Int) -> Int {
        switch self {
        case .same: return row
        case .pairs(let headDim):
            let (head, within) = (row / headDim, row % headDim), half = headDim / 2
            return head * headDim + 2 * (within % half) + within / half
        case .parted(let queries, let groups, let headDim):
            let (slot, d) = (row / headDim, row % headDim), (group, place) = (slot / (queries + 2), slot % (queries + 2))
            if place < queries { return (group * queries + place) * headDim + d }
            return (place * groups + group) * headDim + d
        }
    }
}

extension TransformerConfiguration {
    var ggufLayout: GGUFLayout? { family?.gguf }

    /// Where GGUF files keep a weight; nil where they do not.
    func ggufPlace(_ parameter: Parameter) -> GGUFPlace? {
        guard let layout = ggufLayout else { return nil }
        let name = parameter.name, suffix = name.hasSuffix(".bias") ? ".bias" : ".weight"
        if name == names.headBias { return GGUFPlace(tensor: "output.bias") }
        guard name.hasSuffix(suffix) else { return nil }
        var module = String(name.dropLast(suffix.count))
        if module == names.head { return GGUFPlace(tensor: "output\(suffix)") }
        guard module.hasPrefix(names.base) else { return nil }
        module.removeFirst(names.base.count)
        let isNorm = norm == .rmsPlusOne && !parameter.isMatrix
        let whole: [(String?, String)] = [
            (names.embedding, "token_embd"), (names.positions, "position_embd"), (names.segments, "token_types"), (names.embeddingNorm, "token_embd_norm"),
            (names.finalNorm, "output_norm"),
        ]
        if let (_, theirs) = whole.first(where: { $0.0 == module }) { return GGUFPlace(tensor: theirs + suffix, shift: isNorm && layout.shiftsNorms ? 1 : 0) }
        guard module.hasPrefix(names.layer) else { return nil }
        module.removeFirst(names.layer.count)
        let layer = module.prefix { $0.isNumber }
        module.removeFirst(layer.count + 1)
        if let experts {
            if module == experts.router { return GGUFPlace(tensor: "blk.\(layer).ffn_gate_inp\(suffix)") }
            if module.hasPrefix(experts.expert + ".") {
                let rest = module.dropFirst(experts.expert.count + 1), index = rest.prefix { $0.isNumber }
                let parts = [experts.gate: "ffn_gate_exps", experts.up: "ffn_up_exps", experts.down: "ffn_down_exps"]
                return parts[String(rest.dropFirst(index.count + 1))].map { GGUFPlace(tensor: "blk.\(layer).\($0)\(suffix)", expert: Int(index)) }
            }
        }
        let inside: [(String?, String)] = [
            (names.attentionPreNorm, "attn_norm"), (names.attentionPostNorm, "post_attention_norm"), (names.attentionResidualNorm, "attn_output_norm"),
            (names.mlpPreNorm, "ffn_norm"), (names.mlpPostNorm, "post_ffw_norm"), (names.mlpResidualNorm, "layer_output_norm"), (names.query, "attn_q"), (names.key, "attn_k"),
            (names.value, "attn_v"), (names.fused, "attn_qkv"), (names.output, "attn_output"), (names.queryNorm, "attn_q_norm"), (names.keyNorm, "attn_k_norm"),
            (names.gate, "ffn_gate"), (names.up, "ffn_up"), (names.gateUp, "ffn_up"), (names.down, "ffn_down"),
        ]
        guard let theirs = layout.names[module] ?? inside.first(where: { $0.0 == module })?.1 else { return nil }
        var place = GGUFPlace(tensor: "blk.\(layer).\(theirs)\(suffix)", shift: isNorm && layout.shiftsNorms ? 1 : 0)
        if layout.pairsRows, module == names.query || module == names.key { place.order = .pairs(headDim: headDim) }
        if projections == .grouped, module == names.fused {
            place.order = .parted(queries: numAttentionHeads / numKeyValueHeads, groups: numKeyValueHeads, headDim: headDim)
        }
        return place
    }

    // MARK: Settings

    /// Where this engine keeps the configuration of a model that it converted, whole.
    static let ggufConfigKey = "autodidact.config_json"
    /// `pooling_type`: how llama.cpp makes one vector of a text's tokens.
    public static let ggufPoolings: [HeadChoices.Pooling: Int] = [.mean: 1, .first: 2, .last: 3]
    /// Before the name of a weight that the file holds shifted, and so rounded: its own values.
    static let ggufExactKey = "autodidact.exact."

    /// GGUF metadata under the names of `config.json`, so that one reader checks both.
    static func configJSON(_ gguf: GGUFFile, _ architecture: String, _ family: any ModelFamily, _ layout: GGUFLayout) throws -> JSONObject {
        if let text = gguf[ggufConfigKey]?.string {
            guard let object = try JSON.parse(text, source: "\(gguf.path), '\(ggufConfigKey)'").object else {
                throw FileError(file: gguf.path, problem: "'\(ggufConfigKey)' is no JSON object", advice: "Convert the model again.")
            }
            return object
        }
        func key(_ name: String) -> GGUFValue? { gguf["\(architecture).\(name)"] }
        func refuse(_ problem: String) -> FileError { FileError(file: gguf.path, problem: problem, advice: "Use the Hugging Face folder of the model.") }
        let n = family.fieldNames
        var members: [(key: String, value: JSON)] = [("model_type", .string(family.modelType))]
        // llama.cpp keeps the blocks of masked models, and none of their heads.
        if family.kind == .masked { members.append(("architectures", .array([.string(family.className(.base))]))) }
        func copy(_ name: String, as field: String?) {
            guard let field, let value = key(name) else { return }
            if let bool = value.bool {
                members.append((field, .bool(bool)))
            } else if let int = value.int {
                members.append((field, .integer(Int64(int))))
            } else if let double = value.double {
                // Single precision in the file: the shortest decimal is what was meant.
                members.append((field, .number(Double(String(Float(double))) ?? double)))
            }
        }
        copy("embedding_length", as: n.hidden)
        copy("feed_forward_length", as: n.intermediate)
        copy("block_count", as: n.layers)
        copy("attention.head_count", as: n.heads)
        copy("attention.head_count_kv", as: n.kvHeads)
        copy("attention.key_length", as: n.headDim)
        copy("context_length", as: n.positions)
        copy("attention.layer_norm_rms_epsilon", as: n.epsilon)
        copy("attention.layer_norm_epsilon", as: n.epsilon)
        copy("rope.freq_base", as: layout.ropeBase)
        for (tensor, field) in layout.flags { members.append((field, .bool(gguf.info(tensor) != nil))) }
        for (name, field) in layout.fields { copy(name, as: field) }
        members += layout.constants.map { ($0.field, $0.value) }
        let headSize = key("embedding_length")?.int.flatMap { hidden in key("attention.head_count")?.int.flatMap { $0 > 0 ? hidden / $0 : nil } } ?? 0
        if let scaling = try RotaryScaling.ggufTables(gguf, architecture, headDim: key("attention.key_length")?.int ?? headSize) {
            members.append(("rope_scaling", .object(scaling)))
        } else if let kind = key("rope.scaling.type")?.string, kind != "none" {
            guard ["linear", "yarn"].contains(kind), let factor = key("rope.scaling.factor")?.double else { throw refuse("rope scaling '\(kind)' is not supported from GGUF") }
            let length = key("rope.scaling.original_context_length")?.int.map { [("original_max_position_embeddings", JSON.integer(Int64($0)))] } ?? []
            members.append(("rope_scaling", .object(JSONObject([("rope_type", .string(kind)), ("factor", .number(factor))] + length))))
        }
        if let hidden = key("embedding_length")?.int, let heads = key("attention.head_count")?.int, heads > 0 {
            let size = key("attention.key_length")?.int ?? hidden / heads
            if let value = key("attention.value_length")?.int, value != size { throw refuse("'\(architecture).attention.value_length' is \(value), but heads have size \(size)") }
            if let turning = key("rope.dimension_count")?.int {
                if let share = layout.share { members.append((share, .number(Double(turning) / Double(size)))) }
                if layout.share == nil, turning != size { throw refuse("'\(architecture).rope.dimension_count' is \(turning), but heads have size \(size)") }
            }
        }
        if let hidden = key("embedding_length")?.int, let heads = key("attention.head_count")?.int, heads > 0, let layers = key("block_count")?.int,
            layers == layout.widelyScaledLayers {
            members.append(("query_pre_attn_scalar", .number(Double(hidden) / Double(heads))))
        }
        if family.kind == .generative, key("attention.causal")?.bool == false { throw refuse("'\(architecture).attention.causal' is false, which is not supported") }
        let known = Set(layout.fields.map(\.key))
        let changing = [
            "attention.sliding_window", "attention.scale", "logit_scale", "residual_scale", "embedding_scale", "attention.clamp_kqv", "attn_logit_softcapping",
            "final_logit_softcapping", "expert_count", "rope.scale_linear",
        ]
        for name in changing where !known.contains(name) {
            guard let value = key(name), value.int != 0 else { continue }
            throw refuse("'\(architecture).\(name)' changes what the model computes and is not supported")
        }
        guard let table = gguf.info("token_embd.weight"), table.shape.count == 2 else {
            throw FileError(file: gguf.path, problem: "holds no matrix 'token_embd.weight'", advice: "The file is no language model, or was cut: convert it again.")
        }
        members.append((n.vocabulary, .integer(Int64(table.shape[0]))))
        members.append(("tie_word_embeddings", .bool(gguf.info("output.weight") == nil)))
        for (name, field) in [("bos_token_id", "bos_token_id"), ("eos_token_id", "eos_token_id"), ("padding_token_id", "pad_token_id")] {
            if let id = gguf["tokenizer.ggml.\(name)"]?.int { members.append((field, .integer(Int64(id)))) }
        }
        return JSONObject(members)
    }

    /// The settings that llama.cpp reads, and the configuration whole.
    /// - Parameters:
    ///   - file: for errors.
    ///   - pooling: how vectors of texts are made, where that is known.
    /// - Throws: `FileError` for what llama.cpp would compute otherwise.
    public func ggufMetadata(file: String, pooling: HeadChoices.Pooling? = nil) throws -> [(key: String, value: GGUFValue)] {
        guard ggufLayout == nil || purpose == .languageModel && isCausal || purpose == .base else {
            throw FileError(
                file: file, problem: "cannot be written: GGUF files have no place for the head of this '\(modelType)' model", advice: "Keep the Hugging Face folder; of masked models the bare one can be converted.")
        }
        guard let layout = ggufLayout else {
            throw FileError(file: file, problem: "is of type '\(modelType)', for which llama.cpp has no layout here", advice: "docs/models.md lists the families that have one.")
        }
        func refuse(_ what: String) -> FileError { FileError(file: file, problem: "has \(what), which llama.cpp does not compute for '\(layout.architecture)'", advice: "Keep the Hugging Face folder.") }
        let a = layout.architecture
        let takesWindow = layout.fields.contains { $0.key == "attention.sliding_window" }
        let activations: [Activation] = !isGated ? [.gelu, .geluTanh] : norm == .rmsPlusOne ? [.geluTanh] : [.silu]
        guard activations.contains(activation) else { throw refuse("the activation \(activation.rawValue)") }
        if scalesByLayer { throw refuse("scores divided by the number of the layer") }
        if residualAfterNorm { throw refuse("residuals after norms") }
        if let attentionScale, norm == .rmsPlusOne, attentionScale != Float(1 / Double(headDim).squareRoot()) { throw refuse("scores scaled otherwise than by the size of heads") }
        if let period = layout.period, localLayers != Set((0..<numHiddenLayers).filter { ($0 + 1) % period != 0 }) { throw refuse("windows in other layers than usual") }
        if let localRope, layout.period == 6, localRope != RotaryScaling(base: 10_000) { throw refuse("other rotary positions in local layers") }
        if layout.needsBiases, !attentionBias { throw refuse("no biases in attention") }
        if case .alibi = positionBias, !layout.hasAlibi { throw refuse("biases by distance") }
        if slidingWindow != nil, !takesWindow { throw refuse("a sliding window") }
        if unrotatedLayers != Set((0..<numHiddenLayers).filter { layer in layout.unrotatedPeriod.map { (layer + 1) % $0 == 0 } ?? false }) {
            throw refuse("other layers without positions")
        }
        if let experts {
            guard layout.fields.contains(where: { $0.key == "expert_count" }) else { throw refuse("experts") }
            guard experts.layers.count == numHiddenLayers else { throw refuse("layers without experts") }
            guard experts.isNormalised else { throw refuse("experts whose probabilities do not sum to one") }
        }
        if layout.normsQueries != (queryKeyNorm != nil) { throw refuse(layout.normsQueries ? "no norms on queries and keys" : "norms on queries and keys") }
        var values: [(key: String, value: GGUFValue)] = [
            ("general.architecture", .string(a)), ("\(a).context_length", .uint(UInt64(maxPositionEmbeddings))), ("\(a).embedding_length", .uint(UInt64(hiddenSize))),
            ("\(a).feed_forward_length", .uint(UInt64(intermediateSize))), ("\(a).block_count", .uint(UInt64(numHiddenLayers))),
            ("\(a).attention.head_count", .uint(UInt64(numAttentionHeads))), ("\(a).attention.head_count_kv", .uint(UInt64(numKeyValueHeads))),
            ("\(a).attention.key_length", .uint(UInt64(headDim))), ("\(a).attention.value_length", .uint(UInt64(headDim))),
            ("\(a).vocab_size", .uint(UInt64(vocabularySize))),
        ]
        let isRMS = norm == .rms || norm == .rmsPlusOne
        values.append(("\(a).attention.layer_norm\(isRMS ? "_rms" : "")_epsilon", .float(Double(normEpsilon))))
        if let rope {
            values += [("\(a).rope.dimension_count", .uint(UInt64(rotaryDim))), ("\(a).rope.freq_base", .float(rope.base))]
            switch rope.variant {
            case .none: break
            case .linear(let factor): values += [("\(a).rope.scaling.type", .string("linear")), ("\(a).rope.scaling.factor", .float(factor))]
            case .yarn(let factor, _, _, let length, _):
                values += [
                    ("\(a).rope.scaling.type", .string("yarn")), ("\(a).rope.scaling.factor", .float(factor)),
                    ("\(a).rope.scaling.original_context_length", .uint(UInt64(length))),
                ]
            // Said by tables: `ggufTables`.
            case .llama3:
                guard layout.hasRotaryTable else { throw refuse("divided rotary frequencies") }
            case .longrope(_, _, let length, let magnitude):
                guard layout.hasRotaryTablesByLength else { throw refuse("rotary frequencies divided by length") }
                values += [
                    ("\(a).rope.scaling.type", .string("longrope")), ("\(a).rope.scaling.attn_factor", .float(magnitude)),
                    ("\(a).rope.scaling.original_context_length", .uint(UInt64(length))),
                ]
            }
        }
        if let experts {
            for (key, value) in [("expert_count", experts.count), ("expert_used_count", experts.perToken), ("expert_feed_forward_length", experts.intermediateSize)]
            where layout.fields.contains(where: { $0.key == key }) { values.append(("\(a).\(key)", .uint(UInt64(value)))) }
        }
        for (key, field) in layout.fields where !values.contains(where: { $0.key == "\(a).\(key)" }) {
            switch source?[field] {
            case .bool(let value)?: values.append(("\(a).\(key)", .bool(value)))
            case let value? where value.int != nil: values.append(("\(a).\(key)", .uint(UInt64(clamping: value.int!))))
            case let value? where value.double != nil: values.append(("\(a).\(key)", .float(value.double!)))
            default: break
            }
        }
        if !isCausal {
            values.append(("\(a).attention.causal", .bool(false)))
        }
        // What llama.cpp makes of all tokens when it is asked for one vector: the mean, where nothing is known of a masked model.
        if let pooling = pooling ?? (isCausal ? nil : .mean), let kind = Self.ggufPoolings[pooling] { values.append(("\(a).pooling_type", .uint(UInt64(kind)))) }
        if segmentCount > 0 { values.append(("tokenizer.ggml.token_type_count", .uint(UInt64(segmentCount)))) }
        values.append((Self.ggufConfigKey, .string(JSON.object(configJSON()).text())))
        return values
    }
}
