import Tensors

/// How the tokens of a batch mix. N tokens, hidden size H.
protocol AttentionLayer {
    /// - Parameter x: `[N, H]`.
    /// - Returns: `[N, H]`.
    func callAsFunction(_ x: Tensor, _ context: BlockContext) -> Tensor
}

/// Attention with grouped key/value heads, rotary positions or biases by distance.
///
/// N tokens in the batch, H query heads, K key/value heads, D head size.
/// Sources: Ainslie et al. 2023, arXiv:2305.13245 (grouping); Su et al. 2021, arXiv:2104.09864 (rotation).
struct SelfAttention: AttentionLayer {
    private enum Projections {
        case separate(query: Linear, key: Linear, value: Linear)
        /// One matrix, and the columns of its three parts.
        case fused(Linear, [[Range<Int>]])
    }
    private let layer: Int
    private let isLocal, isRotated: Bool
    private let projections: Projections
    private let queryNorm, keyNorm: Norm?
    private let normsHeads: Bool
    private let output: Linear
    private let (heads, kvHeads, headDim): (Int, Int, Int)
    private let scale: Float
    private let cap: Float?
    /// The table of biases, which layers may share.
    private let bias: DistanceBias?

    init(layer: Int, prefix: String, _ names: WeightNames, bias: DistanceBias?, _ c: TransformerConfiguration, in parameters: ParameterSet) {
        self.layer = layer
        self.bias = bias
        (isLocal, isRotated) = (c.isLocal(layer), !c.unrotatedLayers.contains(layer))
        (heads, kvHeads, headDim) = (c.numAttentionHeads, c.numKeyValueHeads, c.headDim)
        let (H, K, D) = (c.numAttentionHeads, c.numKeyValueHeads, c.headDim)
        func linear(_ name: String, _ inputs: Int, _ outputs: Int, bias: Bool) -> Linear {
            Linear(prefix + name, inputs: inputs, outputs: outputs, bias: bias, isTransposed: names.isTransposed, in: parameters)
        }
        switch c.projections {
        case .separate:
            projections = .separate(
                query: linear(names.query, c.hiddenSize, H * D, bias: c.attentionBias), key: linear(names.key, c.hiddenSize, K * D, bias: c.attentionBias),
                value: linear(names.value, c.hiddenSize, K * D, bias: c.attentionBias))
        case .fused, .grouped:
            let groups = c.projections == .fused ? 1 : K, queries = H / groups * D, keys = K / groups * D, size = queries + 2 * keys
            projections = .fused(linear(names.fused, c.hiddenSize, (H + 2 * K) * D, bias: c.attentionBias), [
                (0..<groups).map { $0 * size..<$0 * size + queries },
                (0..<groups).map { $0 * size + queries..<$0 * size + queries + keys },
                (0..<groups).map { $0 * size + queries + keys..<($0 + 1) * size },
            ])
        }
        output = linear(names.output, H * D, c.hiddenSize, bias: c.attentionOutputBias)
        func norm(_ name: String, heads: Int) -> Norm? {
            c.queryKeyNorm.map { Norm(prefix + name, $0.kind, width: $0.isWhole ? heads * D : D, epsilon: c.normEpsilon, in: parameters) }
        }
        (queryNorm, keyNorm) = (norm(names.queryNorm, heads: H), norm(names.keyNorm, heads: K))
        normsHeads = c.queryKeyNorm?.isWhole == false
        scale = (c.attentionScale ?? 1 / Float(D).squareRoot()) / (c.scalesByLayer ? Float(layer + 1) : 1)
        cap = c.attentionSoftcap
    }

    private func project(_ x: Tensor) -> [Tensor] {
        switch projections {
        case .separate(let query, let key, let value): Linear.together(x, query, key, value)
        case .fused(let linear, let parts): columns(linear(x), parts)
        }
    }

    func callAsFunction(_ x: Tensor, _ context: BlockContext) -> Tensor {
        let (N, view) = (x.shape[0], context.view(local: isLocal))
        let projected = project(x)
        func prepare(_ x: Tensor, heads: Int, _ norm: Norm?) -> Tensor {
            let normed = norm?(normsHeads ? x.reshaped(N * heads, headDim) : x) ?? x
            let parts = normed.reshaped(N, heads, headDim)
            guard isRotated, let rotary = view.rotary else { return parts }
            return rotate(parts, rotary)
        }
        let q = prepare(projected[0], heads: heads, queryNorm)  // [N, H, D]
        let k = prepare(projected[1], heads: kvHeads, keyNorm)  // [N, K, D]
        let v = projected[2].reshaped(N, kvHeads, headDim)  // [N, K, D]
        let options = AttentionOptions(scale: scale, cap: cap, bias: bias?(context, tape: x.tape))
        let mixed =
            if let cached = context.cached {
                cached.cache.attend(layer: layer, q, k, v, slots: cached.slots, view.plan, options)
            } else {
                attention(q, k, v, view.plan, options)
            }  // [N, H, D]
        return output(mixed.reshaped(N, heads * headDim))
    }
}

/// Attention of a decoder to the states of its encoder. Source: Vaswani et al. 2017, arXiv:1706.03762.
struct CrossAttention {
    private let layer: Int
    private let query, key, value, output: Linear
    private let (heads, headDim): (Int, Int)
    private let scale: Float

    init(layer: Int, prefix: String, _ names: WeightNames, _ c: TransformerConfiguration, in parameters: ParameterSet) {
        self.layer = layer
        (heads, headDim) = (c.numAttentionHeads, c.headDim)
        let width = heads * headDim
        query = Linear(prefix + names.crossQuery, inputs: c.hiddenSize, outputs: width, in: parameters)
        key = Linear(prefix + names.crossKey, inputs: c.hiddenSize, outputs: width, in: parameters)
        value = Linear(prefix + names.crossValue, inputs: c.hiddenSize, outputs: width, in: parameters)
        output = Linear(prefix + names.crossOutput, inputs: width, outputs: c.hiddenSize, in: parameters)
        scale = c.attentionScale ?? 1 / Float(headDim).squareRoot()
    }

    /// - Parameters:
    ///   - x: `[N, H]`.
    ///   - encoded: the states attended to, and which of them each row sees.
    func callAsFunction(_ x: Tensor, _ encoded: EncodedBatch) -> Tensor {
        let (k, v) = encoded.projected(layer) { states in
            let projected = Linear.together(states, key, value)
            return (projected[0].reshaped(states.shape[0], heads, headDim), projected[1].reshaped(states.shape[0], heads, headDim))
        }
        let q = query(x).reshaped(x.shape[0], heads, headDim)
        return output(attention(q, k, v, encoded.plan, AttentionOptions(scale: scale)).reshaped(x.shape[0], heads * headDim))
    }
}

/// The states of an encoder for the rows of a decoder's batch.
public final class EncodedBatch {
    /// `[keys, hiddenSize]`.
    public let states: Tensor
    /// Which states each row of the decoder's batch sees.
    let plan: AttentionPlan
    private var kept: [Int: (Tensor, Tensor)] = [:]

    /// - Parameters:
    ///   - states: as `Transformer.encode` gives them for a batch.
    ///   - sources: for each span of `batch` the span of the encoder's batch that it answers.
    ///   - batch: the decoder's.
    public init(_ states: Tensor, sources: [Span], for batch: RaggedBatch) {
        self.states = states
        plan = AttentionPlan(batch, .cross(keySpans: sources))
    }

    /// For other rows over the same states, with what was computed from these.
    public init(_ other: EncodedBatch, sources: [Span], for batch: RaggedBatch) {
        states = other.states
        kept = other.kept
        plan = AttentionPlan(batch, .cross(keySpans: sources))
    }

    /// Keys and values of a layer; kept where no backward pass follows.
    fileprivate func projected(_ layer: Int, _ compute: (Tensor) -> (Tensor, Tensor)) -> (Tensor, Tensor) {
        if let known = kept[layer] { return known }
        let result = compute(states)
        if states.tape == nil { kept[layer] = result }
        return result
    }
}
