import Tensors

/// A decoder-only transformer: embedding → blocks → final norm, and a head over requested rows.
public final class Decoder {
    public let configuration: DecoderConfiguration
    public let parameters: ParameterSet
    private let embedding: Parameter  // [vocabulary, hidden]
    private let blocks: [Block]
    private let norm: RMSNorm
    private let frequencies: [Float]
    /// The vocabulary head; its weight is the embedding where the two are tied.
    public let head: VocabularyHead
    /// `[labels, hidden]`, where the model classifies sequences.
    public let score: Parameter?

    private struct Block {
        let inputNorm, attentionNorm: RMSNorm
        let attention: SelfAttention
        let mlp: GatedMLP

        func callAsFunction(_ x: Tensor, _ context: BlockContext) -> Tensor {
            let y = add(x, attention(inputNorm(x), context))
            return add(y, mlp(attentionNorm(y)))
        }
    }

    /// A model without values; `initialize`, `load` or `copy` gives it some.
    public init(_ c: DecoderConfiguration, on backend: any Backend) {
        configuration = c
        parameters = ParameterSet(on: backend)
        parameters.beginSegment("embedding")
        embedding = parameters.declare(c.names.embedding, c.vocabularySize, c.hiddenSize)
        var blocks: [Block] = []
        for layer in 0..<c.numHiddenLayers {
            parameters.beginSegment("layer \(layer)")
            let prefix = "\(c.names.layer)\(layer)."
            blocks.append(Block(
                inputNorm: RMSNorm("\(prefix)\(c.names.inputNorm).weight", width: c.hiddenSize, epsilon: c.rmsNormEpsilon, in: parameters),
                attentionNorm: RMSNorm("\(prefix)\(c.names.attentionNorm).weight", width: c.hiddenSize, epsilon: c.rmsNormEpsilon, in: parameters),
                attention: SelfAttention(layer: layer, prefix: prefix, c, in: parameters),
                mlp: GatedMLP(prefix: prefix, c, in: parameters)))
        }
        self.blocks = blocks
        parameters.beginSegment("head")
        norm = RMSNorm(c.names.finalNorm, width: c.hiddenSize, epsilon: c.rmsNormEpsilon, in: parameters)
        let score = c.labelCount.map { [parameters] in parameters.declare(c.names.score, $0, c.hiddenSize) }
        self.score = score
        head = VocabularyHead(weight: c.tieWordEmbeddings || score != nil ? embedding : parameters.declare(c.names.head, c.vocabularySize, c.hiddenSize))
        frequencies = c.rope.frequencies(rotated: c.headDim)
    }

    public var backend: any Backend { parameters.backend }

    /// Random values: normal with deviation `deviation` for matrices, 1 for norms, 0 for biases.
    public func initialize(_ key: RandomKey, deviation: Double = 0.02) {
        parameters.allocate()
        for parameter in parameters.parameters {
            let values: [Float]
            if parameter.isMatrix {
                let stream = key.folding(parameter.name)
                values = (0..<parameter.shape.reduce(1, *)).map { Float(stream.normal(UInt64($0)) * deviation) }
            } else {
                values = Array(repeating: parameter.name.hasSuffix(".bias") ? 0 : 1, count: parameter.shape[0])
            }
            values.withUnsafeBufferPointer { parameters.write($0, to: parameter) }
        }
    }

    /// Another model with the same values, in shared memory until one of the two is written.
    /// - Parameter expanding: what is held as codes becomes float32, so that it can be trained.
    public func copy(expanding: Bool = false) -> Decoder {
        let copy = Decoder(configuration, on: backend)
        if expanding { copy.parameters.shareExpanded(parameters) } else { copy.parameters.share(parameters) }
        return copy
    }

    /// Another model with the same values at a precision, to sample and score with.
    public func copy(at precision: Precision) -> Decoder {
        let copy = Decoder(configuration, on: backend)
        copy.parameters.share(parameters, at: precision)
        return copy
    }

    /// A cache that fits this model.
    public func makeCache(blocks: Int = 64) -> KeyValueCache {
        KeyValueCache(
            layers: configuration.numHiddenLayers, heads: configuration.numKeyValueHeads, headDim: configuration.headDim, blocks: blocks, on: backend)
    }

    /// - Returns: what the head sees, `[tokens, hiddenSize]`.
    public func hiddenStates(_ batch: RaggedBatch, _ pass: Pass = Pass()) -> Tensor {
        func look(_ name: String, _ x: Tensor) -> Tensor { pass.probe?.visit(name, x) ?? x }
        let plan = pass.cached?.plan ?? AttentionPlan(batch, pass.pattern ?? .causal(window: configuration.slidingWindow))
        let context = BlockContext(
            rotary: RotaryTables(positions: batch.positions, frequencies: frequencies, magnitude: configuration.rope.magnitude, on: backend),
            plan: plan, cached: pass.cached)
        var x = look("hidden.0", Tensors.embedding(batch.tokens, embedding, tape: pass.tape))
        for (index, block) in blocks.enumerated() {
            x = look("hidden.\(index + 1)", pass.runner.run({ block($0, context) }, x))
        }
        return look("hidden.final", norm(x))
    }

    /// The sequence-classification head over chosen rows of the final hidden states.
    /// - Returns: `[rows, labels]`, or nil where the model has none.
    public func labelLogits(_ hidden: Tensor, rows: [Int32]) -> Tensor? {
        score.map { linear(gatherRows(hidden, rows), $0) }
    }
}
