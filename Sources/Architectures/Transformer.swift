import Tensors

/// A transformer: embedding → blocks → final norm, and a head over requested rows. A decoder may attend to the states of an encoder.
public final class Transformer {
    public let configuration: TransformerConfiguration
    public let parameters: ParameterSet
    private let embedder: Embedder
    private let encoder: BlockStack?
    private let blocks: BlockStack
    /// The vocabulary head; its weight is the embedding where the two are tied.
    public let head: VocabularyHead
    private let headTransform: [Dense]
    private let taskHead: [Dense]
    /// What the query stream of a model with two streams begins with: `[1, hiddenSize]`.
    private let mask: Parameter?
    /// What is trained beside the weights.
    public internal(set) var adapters: [AdapterChoices] = []
    var softPrompt: Parameter?
    /// Where bottlenecks may stand: after attention and after the MLP of each block.
    var places: [Bottlenecks] { (encoder?.bottlenecks ?? []) + blocks.bottlenecks }

    static let taskSegment = "task head"

    /// A model without values; `initialize`, `load` or `copy` gives it some.
    public init(_ c: TransformerConfiguration, on backend: any Backend) {
        let parameters = ParameterSet(on: backend)
        configuration = c
        self.parameters = parameters
        parameters.beginSegment("embedding")
        embedder = Embedder(c, in: parameters)
        if case .twoStream = c.mechanism {
            mask = parameters.declare("\(c.names.base)mask_emb", 1, c.hiddenSize, fileShape: [1, 1, c.hiddenSize])
        } else {
            mask = nil
        }
        encoder = c.encoderLayers.map { layers in
            var own = c
            (own.numHiddenLayers, own.names, own.isCausal, own.encoderLayers) = (layers, c.encoderNames ?? c.names, false, nil)
            return BlockStack("encoder ", own, in: parameters)
        }
        blocks = BlockStack("", c, in: parameters)
        parameters.beginSegment("head")
        blocks.declareEnd(in: parameters)
        headTransform = Dense.chain(c.headTransform, inputs: c.hiddenSize, c, in: parameters)
        if c.taskHead != nil { parameters.beginSegment(Self.taskSegment) }
        taskHead = Dense.chain(c.taskHead?.layers ?? [], inputs: c.hiddenSize, c, in: parameters)
        let width = c.headTransform.last?.outputs ?? (c.names.projectOut == nil ? c.hiddenSize : c.embeddingSize ?? c.hiddenSize)
        head = VocabularyHead(
            weight: c.hasVocabularyHead && !c.tieWordEmbeddings ? parameters.declare("\(c.names.head).weight", c.vocabularySize, width) : embedder.words,
            bias: c.hasVocabularyHead && c.headBias ? parameters.declare(c.names.headBias, c.vocabularySize) : nil, cap: c.logitSoftcap)
    }

    public var backend: any Backend { parameters.backend }

    /// Values in all weights, without padding.
    public var parameterCount: Int { parameters.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) } }

    /// Random values: normal with deviation `deviation` for matrices, 1 for norms, 0 for biases.
    public func initialize(_ key: RandomKey, deviation: Double = 0.02) {
        parameters.allocate()
        for parameter in parameters.parameters { initialize(parameter, key, deviation: deviation) }
    }

    /// The same for the parameters that `isNew` names, such as those of a new head.
    public func initialize(_ key: RandomKey, deviation: Double = 0.02, where isNew: (Parameter) -> Bool) {
        for parameter in parameters.parameters where isNew(parameter) { initialize(parameter, key, deviation: deviation) }
    }

    private func initialize(_ parameter: Parameter, _ key: RandomKey, deviation: Double) {
        let values: [Float]
        if parameter.isMatrix {
            let stream = key.folding(parameter.name)
            values = (0..<parameter.shape.reduce(1, *)).map { Float(stream.normal(UInt64($0)) * deviation) }
        } else {
            let isOne = parameter.name.hasSuffix(".weight") && configuration.norm != .rmsPlusOne
            values = Array(repeating: isOne ? 1 : 0, count: parameter.shape[0])
        }
        values.withUnsafeBufferPointer { parameters.write($0, to: parameter) }
    }

    /// Another model with the same values, in shared memory until one of the two is written.
    /// - Parameter expanding: what is held as codes becomes float32, so that it can be trained.
    public func copy(expanding: Bool = false) -> Transformer {
        let copy = bare()
        if expanding { copy.parameters.shareExpanded(parameters) } else { copy.parameters.share(parameters) }
        return copy
    }

    /// Another model with the same values at a precision, to sample and score with.
    public func copy(at precision: Precision) -> Transformer {
        let copy = bare()
        copy.parameters.share(parameters, at: precision)
        return copy
    }

    /// The same model, with its adapter, without values.
    private func bare() -> Transformer {
        let copy = Transformer(configuration, on: backend)
        for adapter in adapters {
            do { try copy.attach(adapter) } catch { preconditionFailure("an adapter that fitted a model does not fit its copy: \(error)") }
        }
        return copy
    }

    /// A cache that fits this model.
    public func makeCache(blocks: Int = 64) -> KeyValueCache {
        KeyValueCache(
            layers: configuration.numHiddenLayers, heads: configuration.numKeyValueHeads, headDim: configuration.headDim, blocks: blocks, on: backend)
    }

    /// The states that a decoder attends to.
    /// - Returns: `[tokens, hiddenSize]`.
    public func encode(_ batch: RaggedBatch, _ pass: Pass = Pass()) -> Tensor {
        guard let encoder else { preconditionFailure("models of type '\(configuration.modelType)' have no encoder beside the decoder") }
        return encoder(embedder(batch, pass, softPrompt: softPrompt), batch, pass, name: "encoder")
    }

    /// - Returns: what the head sees, `[tokens, hiddenSize]`; with two streams only the rows of the query stream.
    public func hiddenStates(_ batch: RaggedBatch, _ pass: Pass = Pass()) -> Tensor {
        // The soft prompt of a model with an encoder is the encoder's.
        let words = embedder(batch, pass, softPrompt: encoder == nil ? softPrompt : nil)
        let name = encoder == nil ? "hidden" : "decoder"
        guard let targets = pass.streams?.targets, let mask else { return blocks(words, batch, pass, name: name) }
        let queries = embedding(Array(repeating: 0, count: targets.count), mask, tape: pass.tape)
        let both = blocks(joinRows(words, queries), batch, pass, name: name)
        return gatherRows(both, targets.indices.map { Int32(batch.count + $0) })
    }

    /// What the vocabulary head reads of hidden states: a masked model transforms them first.
    public func headInput(_ hidden: Tensor) -> Tensor {
        let y = configuration.headScale == 1 ? hidden : scale(hidden, by: configuration.headScale)
        return headTransform.reduce(y) { $1($0) }
    }

    /// Logits over the vocabulary, for sampling and scoring.
    /// - Parameter hidden: `[rows, hiddenSize]`.
    /// - Returns: `[rows, vocabulary]`.
    public func logits(_ hidden: Tensor) -> Tensor { head.logits(headInput(hidden.detached)) }

    /// The task head over the hidden states of a batch.
    /// - Returns: `[sequences, classes]`, or `[tokens, classes]` where the head classifies tokens; nil where the model has none.
    public func labelLogits(_ hidden: Tensor, _ batch: RaggedBatch, probe: (any Probe)? = nil) -> Tensor? {
        guard let choices = configuration.taskHead else { return nil }
        var y = pooled(hidden, batch, choices.pooling)
        for (index, layer) in taskHead.enumerated() {
            y = layer(y)
            if index == 0, taskHead.count > 1, choices.pooling == .first { y = probe?.visit("pooled", y) ?? y }
        }
        return y
    }
}

/// One row for each sequence of a batch, or all rows.
public func pooled(_ hidden: Tensor, _ batch: RaggedBatch, _ pooling: HeadChoices.Pooling) -> Tensor {
    switch pooling {
    case .tokens: hidden
    case .first: gatherRows(hidden, batch.spans.map { Int32($0.start) })
    case .last: gatherRows(hidden, batch.spans.map { Int32($0.rows.upperBound - 1) })
    case .mean: meanRows(hidden, batch.spans.map(\.rows))
    }
}

/// From tokens to what enters the first block.
private struct Embedder {
    let words: Parameter  // [vocabulary, embeddingSize]
    private let positions, segments: Parameter?
    private let norm: Norm?
    private let projection: Linear?
    private let c: TransformerConfiguration

    init(_ c: TransformerConfiguration, in parameters: ParameterSet) {
        self.c = c
        let base = c.names.base, width = c.embeddingSize ?? c.hiddenSize
        words = parameters.declare("\(base)\(c.names.embedding).weight", c.vocabularySize, width)
        let summed = c.projectsWords ? c.hiddenSize : width
        positions = c.learnedPositions.map { parameters.declare("\(base)\(c.names.positions).weight", $0.rows, summed) }
        segments = c.segmentCount == 0 ? nil : parameters.declare("\(base)\(c.names.segments).weight", c.segmentCount, summed)
        norm = c.names.embeddingNorm.map { Norm(base + $0, c.norm, width: summed, epsilon: c.normEpsilon, in: parameters) }
        projection = c.names.projectIn.map { Linear(base + $0, inputs: width, outputs: c.hiddenSize, bias: c.embeddingProjectionBias, in: parameters) }
    }

    func callAsFunction(_ batch: RaggedBatch, _ pass: Pass, softPrompt: Parameter?) -> Tensor {
        var x = vectors(batch.tokens, pass, softPrompt)
        if c.embeddingScale != 1 { x = scale(x, by: c.embeddingScale) }
        if c.projectsWords, let projection { x = projection(x) }
        if let segments { x = add(x, embedding(pass.segments ?? Array(repeating: 0, count: batch.count), segments, tape: pass.tape)) }
        if let positions, let learned = c.learnedPositions {
            x = add(x, embedding(batch.positions.map { $0 + Int32(learned.offset) }, positions, tape: pass.tape))
        }
        if let norm { x = norm(x) }
        if !c.projectsWords, let projection {
            x = projection(pass.probe?.visit("embeddings", x) ?? x)
        }
        return x
    }
}

extension Embedder {
    /// Rows of the word table; tokens below 0 are vectors of the soft prompt, -1 the first.
    private func vectors(_ tokens: [Int32], _ pass: Pass, _ softPrompt: Parameter?) -> Tensor {
        guard let softPrompt, tokens.contains(where: { $0 < 0 }) else { return embedding(tokens, words, tape: pass.tape) }
        let real = tokens.filter { $0 >= 0 }, soft = tokens.filter { $0 < 0 }.map { -1 - $0 }
        guard !real.isEmpty else { return embedding(soft, softPrompt, tape: pass.tape) }
        let both = joinRows(embedding(real, words, tape: pass.tape), embedding(soft, softPrompt, tape: pass.tape))
        var (nextReal, nextSoft) = (Int32(0), Int32(real.count))
        return gatherRows(both, tokens.map { token in
            defer { if token < 0 { nextSoft += 1 } else { nextReal += 1 } }
            return token < 0 ? nextSoft : nextReal
        })
    }
}

/// A stack of small MLPs that are trained after a sublayer. Source: Houlsby et al. 2019, arXiv:1902.00751.
final class Bottlenecks {
    private let name: String
    private var layers: [(down: Linear, up: Linear)] = []

    init(_ name: String) { self.name = name }

    func append(width: Int, stack: Int, hidden: Int, in parameters: ParameterSet) {
        let prefix = stack == 0 ? name : "\(name).\(stack)"
        layers.append((
            Linear("\(prefix)_adapter.down", inputs: hidden, outputs: width, bias: true, in: parameters),
            Linear("\(prefix)_adapter.up", inputs: width, outputs: hidden, bias: true, in: parameters)
        ))
    }

    func callAsFunction(_ x: Tensor) -> Tensor { layers.reduce(x) { add($0, $1.up(activate(.relu, $1.down($0)))) } }
}

/// Attention and MLP with the norms around them.
private struct Block {
    /// The norms of one sublayer: before it, on its output, and after that has been added.
    struct Norms {
        let pre, post, residual: Norm?
    }
    let attentionNorms, mlpNorms: Norms
    let attentionBottlenecks, mlpBottlenecks: Bottlenecks
    let attention: any AttentionLayer
    let cross: (norm: Norm, attention: CrossAttention)?
    let mlp: (Tensor, LoadBalance?) -> Tensor
    let isParallel, residualAfterNorm: Bool

    func callAsFunction(_ x: Tensor, _ context: BlockContext) -> Tensor {
        let input = attentionNorms.pre?(x) ?? x
        var mixed = attentionBottlenecks(attention(input, context))
        if let post = attentionNorms.post { mixed = post(mixed) }
        if isParallel { return add(add(x, mixed), mlpBottlenecks(mlp(mlpNorms.pre?(x) ?? input, context.balance))) }
        var y = add(residualAfterNorm ? input : x, mixed)
        if let norm = attentionNorms.residual { y = norm(y) }
        if let cross {
            guard let encoded = context.encoded else { preconditionFailure("a decoder that attends to an encoder is run without the encoder's states") }
            y = add(y, cross.attention(cross.norm(y), encoded))
        }
        let inner = mlpNorms.pre?(y) ?? y
        var wide = mlpBottlenecks(mlp(inner, context.balance))
        if let post = mlpNorms.post { wide = post(wide) }
        let z = add(residualAfterNorm ? inner : y, wide)
        return mlpNorms.residual?(z) ?? z
    }
}

/// The blocks of an encoder or of a decoder, with what follows them.
private final class BlockStack {
    private let c: TransformerConfiguration
    private let backend: any Backend
    private var blocks: [Block] = []
    private var norm: Norm?
    private var projection: Linear?
    private let relativeTable: (table: Parameter, norm: Norm?)?

    init(_ label: String, _ c: TransformerConfiguration, in parameters: ParameterSet) {
        self.c = c
        backend = parameters.backend
        let names = c.names
        if case .disentangled(let choices) = c.mechanism {
            relativeTable = (
                parameters.declare("\(names.base)\(names.bias).weight", 2 * choices.span, c.hiddenSize),
                choices.normalisesTable ? Norm("\(names.base)encoder.LayerNorm", c.norm, width: c.hiddenSize, epsilon: c.normEpsilon, in: parameters) : nil
            )
        } else {
            relativeTable = nil
        }
        var bias: DistanceBias?
        if case .alibi(let scale) = c.positionBias { bias = .alibi(alibiSlopes(heads: c.numAttentionHeads).map { $0 * scale }) }
        let groups = c.layerGroups ?? c.numHiddenLayers
        var made: [Block] = []
        for layer in 0..<groups {
            parameters.beginSegment("\(label)layer \(layer)")
            let prefix = "\(names.base)\(names.layer)\(layer)."
            if case .buckets(let count, let maxDistance, let everyLayer) = c.positionBias, layer == 0 || everyLayer {
                bias = .buckets(parameters.declare("\(prefix)\(names.bias).weight", count, c.numAttentionHeads), maxDistance: maxDistance, isBidirectional: !c.isCausal)
            }
            made.append(Self.block(layer, prefix, bias, c, in: parameters))
        }
        blocks = (0..<c.numHiddenLayers).map { made[$0 * groups / c.numHiddenLayers] }
        // An encoder beside a decoder ends here; the decoder's end is declared with the head.
        if !label.isEmpty { declareEnd(in: parameters) }
    }

    /// Of each set of weights once, also where several blocks share it.
    var bottlenecks: [Bottlenecks] {
        var seen: Set<ObjectIdentifier> = []
        return blocks.flatMap { [$0.attentionBottlenecks, $0.mlpBottlenecks] }.filter { seen.insert(ObjectIdentifier($0)).inserted }
    }

    func declareEnd(in parameters: ParameterSet) {
        norm = c.names.finalNorm.map { Norm(c.names.base + $0, c.norm, width: c.hiddenSize, epsilon: c.normEpsilon, in: parameters) }
        projection = c.names.projectOut.map { Linear(c.names.base + $0, inputs: c.hiddenSize, outputs: c.embeddingSize ?? c.hiddenSize, in: parameters) }
    }

    private static func block(_ layer: Int, _ prefix: String, _ bias: DistanceBias?, _ c: TransformerConfiguration, in parameters: ParameterSet) -> Block {
        let names = c.names
        func norm(_ name: String?) -> Norm? { name.map { Norm(prefix + $0, c.norm, width: c.hiddenSize, epsilon: c.normEpsilon, in: parameters) } }
        let attentionNorms = Block.Norms(
            pre: layer == 0 && c.skipsFirstNorm ? nil : norm(names.attentionPreNorm), post: norm(names.attentionPostNorm), residual: norm(names.attentionResidualNorm))
        let mlpNorms = Block.Norms(pre: norm(names.mlpPreNorm), post: norm(names.mlpPostNorm), residual: norm(names.mlpResidualNorm))
        let attention: any AttentionLayer =
            switch c.mechanism {
            case .standard: SelfAttention(layer: layer, prefix: prefix, names, bias: bias, c, in: parameters)
            case .twoStream: TwoStreamAttention(prefix: prefix, c, in: parameters)
            case .disentangled(let choices): DisentangledAttention(prefix: prefix, names, choices, c, in: parameters)
            }
        let cross = names.crossNorm.map { (norm($0)!, CrossAttention(layer: layer, prefix: prefix, names, c, in: parameters)) }
        let mlp: (Tensor, LoadBalance?) -> Tensor
        if let choices = c.experts, choices.layers.contains(layer) {
            let experts = Experts(prefix: prefix, choices, names, c, in: parameters)
            mlp = { experts($0, $1) }
        } else {
            let dense = MLP(prefix: prefix, names, inner: c.intermediateSize, c, in: parameters)
            mlp = { x, _ in dense(x) }
        }
        return Block(
            attentionNorms: attentionNorms, mlpNorms: mlpNorms, attentionBottlenecks: Bottlenecks("\(prefix)attention"), mlpBottlenecks: Bottlenecks("\(prefix)mlp"), attention: attention, cross: cross, mlp: mlp, isParallel: c.isParallel, residualAfterNorm: c.residualAfterNorm)
    }

    func callAsFunction(_ words: Tensor, _ batch: RaggedBatch, _ pass: Pass, name: String) -> Tensor {
        func look(_ suffix: String, _ x: Tensor) -> Tensor { pass.probe?.visit("\(name).\(suffix)", x) ?? x }
        let context = context(batch, pass)
        var x = look("0", words)
        for (index, block) in blocks.enumerated() {
            x = look("\(index + 1)", pass.runner.run({ block($0, context) }, x))
        }
        guard norm != nil || projection != nil else { return x }
        x = norm?(x) ?? x
        return look("final", projection?(x) ?? x)
    }

    private func context(_ batch: RaggedBatch, _ pass: Pass) -> BlockContext {
        let hasWindow = c.slidingWindow != nil
        func plan(local: Bool) -> AttentionPlan {
            if let cached = pass.cached { return AttentionPlan(cached: cached.sequences, window: local ? c.slidingWindow : nil) }
            return AttentionPlan(batch, pass.pattern ?? c.pattern(local: local))
        }
        let lengths = pass.cached?.lengths ?? batch.lengths
        func tables(_ rope: RotaryScaling?) -> RotaryTables? {
            rope.map { rope in
                // The length decides in some models how fast a head turns.
                let stretched = rope.switchLength.map { length in
                    zip(batch.spans, lengths).flatMap { repeatElement($1 > length, count: $0.count) }
                }
                return RotaryTables(
                    positions: batch.positions, frequencies: rope.frequencies(rotated: c.rotaryDim),
                    stretched: stretched.map { (rope.frequencies(rotated: c.rotaryDim, isStretched: true), $0) }, magnitude: rope.magnitude,
                    interleaved: c.interleavedRotary, on: backend)
            }
        }
        let usesWhole = !hasWindow || c.localLayers != nil
        let whole = usesWhole ? BlockContext.View(plan: plan(local: false), rotary: tables(c.rope)) : nil
        let windowed = hasWindow ? BlockContext.View(plan: plan(local: true), rotary: c.localRope.map { tables($0) } ?? whole?.rotary ?? tables(c.rope)) : nil
        var relative: RelativeContext?, disentangled: DisentangledContext?
        switch c.mechanism {
        case .standard: break
        case .twoStream(let clamp): relative = RelativeContext(batch, pass, c, clamp: clamp, on: backend)
        case .disentangled(let choices):
            let (table, norm) = relativeTable!
            let rows = (0..<Int32(table.shape[0])).map { $0 }
            disentangled = DisentangledContext(batch, whole!.plan, choices) { tape in
                let values = embedding(rows, table, tape: tape)
                return norm?(values) ?? values
            }
        }
        return BlockContext(
            whole: whole ?? windowed!, windowed: windowed ?? whole!, backend: backend, cached: pass.cached, encoded: pass.encoded, balance: pass.balance,
            relative: relative, disentangled: disentangled, longest: lengths.max() ?? 1)
    }
}
