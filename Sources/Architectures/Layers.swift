import Tensors

/// A fully connected layer: `y = x Wᵀ + b`.
struct Linear {
    let weight: Parameter  // [outputs, inputs], as it lies on disk
    let bias: Parameter?  // [outputs]

    /// Declares `<name>.weight` and, where asked for, `<name>.bias`.
    init(_ name: String, inputs: Int, outputs: Int, bias: Bool = false, in parameters: ParameterSet) {
        weight = parameters.declare("\(name).weight", outputs, inputs)
        self.bias = bias ? parameters.declare("\(name).bias", outputs) : nil
    }

    /// - Parameter x: `[tokens, inputs]`.
    /// - Returns: `[tokens, outputs]`.
    func callAsFunction(_ x: Tensor) -> Tensor { linear(x, weight, bias) }

    /// Layers of the same inputs, computed together.
    static func together(_ x: Tensor, _ layers: Linear...) -> [Tensor] { linear(x, layers.map { ($0.weight, $0.bias) }) }
}

/// `x / rms(x) · w`.
struct RMSNorm {
    let weight: Parameter  // [width]
    let epsilon: Float

    init(_ name: String, width: Int, epsilon: Float, in parameters: ParameterSet) {
        weight = parameters.declare(name, width)
        self.epsilon = epsilon
    }

    func callAsFunction(_ x: Tensor) -> Tensor { rmsNorm(x, weight, epsilon: epsilon) }
}

/// Self-attention with grouped key/value heads and rotary positions.
///
/// N tokens in the batch, H query heads, K key/value heads, D head size.
/// Sources: Ainslie et al. 2023, arXiv:2305.13245 (grouping); Su et al. 2021, arXiv:2104.09864 (rotation).
struct SelfAttention {
    let layer: Int
    let qProj, kProj, vProj, oProj: Linear
    let (heads, kvHeads, headDim): (Int, Int, Int)

    init(layer: Int, prefix: String, _ c: DecoderConfiguration, in parameters: ParameterSet) {
        self.layer = layer
        (heads, kvHeads, headDim) = (c.numAttentionHeads, c.numKeyValueHeads, c.headDim)
        func projection(_ name: String, _ inputs: Int, _ outputs: Int) -> Linear {
            Linear(prefix + name, inputs: inputs, outputs: outputs, bias: c.attentionBias, in: parameters)
        }
        qProj = projection(c.names.qProj, c.hiddenSize, heads * headDim)
        kProj = projection(c.names.kProj, c.hiddenSize, kvHeads * headDim)
        vProj = projection(c.names.vProj, c.hiddenSize, kvHeads * headDim)
        oProj = projection(c.names.oProj, heads * headDim, c.hiddenSize)
    }

    /// - Parameter x: `[N, hiddenSize]`.
    /// - Returns: `[N, hiddenSize]`.
    func callAsFunction(_ x: Tensor, _ context: BlockContext) -> Tensor {
        let N = x.shape[0]
        let projected = Linear.together(x, qProj, kProj, vProj)
        let q = rotate(projected[0].reshaped(N, heads, headDim), context.rotary)  // [N, H, D]
        let k = rotate(projected[1].reshaped(N, kvHeads, headDim), context.rotary)  // [N, K, D]
        let v = projected[2].reshaped(N, kvHeads, headDim)  // [N, K, D]
        let options = AttentionOptions(scale: 1 / Float(headDim).squareRoot())
        let mixed =
            if let cached = context.cached {
                cached.cache.attend(layer: layer, q, k, v, slots: cached.slots, context.plan, options)
            } else {
                attention(q, k, v, context.plan, options)
            }  // [N, H, D]
        return oProj(mixed.reshaped(N, heads * headDim))
    }
}

/// `down(silu(gate x) · up x)`. Source: Shazeer 2020, arXiv:2002.05202.
struct GatedMLP {
    let gateProj, upProj, downProj: Linear

    init(prefix: String, _ c: DecoderConfiguration, in parameters: ParameterSet) {
        gateProj = Linear(prefix + c.names.gateProj, inputs: c.hiddenSize, outputs: c.intermediateSize, bias: c.mlpBias, in: parameters)
        upProj = Linear(prefix + c.names.upProj, inputs: c.hiddenSize, outputs: c.intermediateSize, bias: c.mlpBias, in: parameters)
        downProj = Linear(prefix + c.names.downProj, inputs: c.intermediateSize, outputs: c.hiddenSize, bias: c.mlpBias, in: parameters)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        let wide = Linear.together(x, gateProj, upProj)
        return downProj(gatedSiLU(wide[0], wide[1]))
    }
}
