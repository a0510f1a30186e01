import Tensors

/// A fully connected layer: `y = x Wᵀ + b`.
struct Linear {
    let weight: Parameter  // [outputs, inputs]
    let bias: Parameter?  // [outputs]

    /// Declares `<name>.weight` and, where asked for, `<name>.bias`.
    init(_ name: String, inputs: Int, outputs: Int, bias: Bool = false, isTransposed: Bool = false, in parameters: ParameterSet) {
        weight = parameters.declare("\(name).weight", outputs, inputs, isTransposed: isTransposed)
        self.bias = bias ? parameters.declare("\(name).bias", outputs) : nil
    }

    /// - Parameter x: `[tokens, inputs]`.
    /// - Returns: `[tokens, outputs]`.
    func callAsFunction(_ x: Tensor) -> Tensor { linear(x, weight, bias) }

    /// Layers of the same inputs, computed together.
    static func together(_ x: Tensor, _ layers: Linear...) -> [Tensor] { linear(x, layers.map { ($0.weight, $0.bias) }) }
}

/// RMS norm or layer norm over the last axis.
struct Norm {
    let kind: NormKind
    let weight: Parameter  // [width]
    let bias: Parameter?
    let epsilon: Float

    init(_ name: String, _ kind: NormKind, width: Int, epsilon: Float, in parameters: ParameterSet) {
        self.kind = kind
        self.epsilon = epsilon
        weight = parameters.declare("\(name).weight", width)
        bias = kind == .layer ? parameters.declare("\(name).bias", width) : nil
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        switch kind {
        case .rms: rmsNorm(x, weight, epsilon: epsilon)
        case .rmsPlusOne: rmsNorm(x, weight, plus: 1, epsilon: epsilon)
        case .layer, .layerWithoutBias: layerNorm(x, weight, bias, epsilon: epsilon)
        }
    }
}

/// A fully connected layer of a head, with its activation and norm.
struct Dense {
    private let linear: Linear
    private let activation: Activation?
    private let norm: Norm?

    init(_ d: DenseChoices, inputs: Int, _ c: TransformerConfiguration, in parameters: ParameterSet) {
        linear = Linear(d.name, inputs: inputs, outputs: d.outputs, bias: d.bias, in: parameters)
        activation = d.activation
        norm = d.norm.map { Norm($0, c.norm, width: d.outputs, epsilon: c.normEpsilon, in: parameters) }
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        var y = linear(x)
        if let activation { y = activate(activation, y) }
        return norm?(y) ?? y
    }

    /// Layers on top of each other.
    static func chain(_ layers: [DenseChoices], inputs: Int, _ c: TransformerConfiguration, in parameters: ParameterSet) -> [Dense] {
        zip(layers, [inputs] + layers.map(\.outputs)).map { Dense($0, inputs: $1, c, in: parameters) }
    }
}

/// The MLP of a block: `down(act(up x))`, or `down(act(gate x) · up x)`. Source of the gated form: Shazeer 2020, arXiv:2002.05202.
struct MLP {
    private let gateProj: Linear?, upProj: Linear, downProj: Linear
    private let fusedSize: Int?
    private let activation: Activation

    init(prefix: String, _ names: WeightNames, inner: Int, _ c: TransformerConfiguration, in parameters: ParameterSet) {
        func layer(_ name: String, _ inputs: Int, _ outputs: Int) -> Linear {
            Linear(prefix + name, inputs: inputs, outputs: outputs, bias: c.mlpBias, isTransposed: names.isTransposed, in: parameters)
        }
        fusedSize = names.gateUp == nil ? nil : inner
        gateProj = c.isGated && names.gateUp == nil ? layer(names.gate, c.hiddenSize, inner) : nil
        upProj = names.gateUp.map { layer($0, c.hiddenSize, 2 * inner) } ?? layer(names.up, c.hiddenSize, inner)
        downProj = layer(names.down, inner, c.hiddenSize)
        activation = c.activation
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        if let gateProj {
            let wide = Linear.together(x, gateProj, upProj)
            return downProj(gated(activation, wide[0], wide[1]))
        }
        if let fusedSize {
            let halves = columns(upProj(x), [[0..<fusedSize], [fusedSize..<2 * fusedSize]])
            return downProj(gated(activation, halves[0], halves[1]))
        }
        return downProj(activate(activation, upProj(x)))
    }
}

/// Some of many MLPs for each token, chosen by a router.
struct Experts {
    private let choices: ExpertChoices
    private let router: Linear
    private let experts: [MLP]

    init(prefix: String, _ choices: ExpertChoices, _ names: WeightNames, _ c: TransformerConfiguration, in parameters: ParameterSet) {
        self.choices = choices
        router = Linear(prefix + choices.router, inputs: c.hiddenSize, outputs: choices.count, in: parameters)
        var names = names
        (names.gate, names.up, names.down) = (choices.gate, choices.up, choices.down)
        experts = (0..<choices.count).map { MLP(prefix: "\(prefix)\(choices.expert).\($0).", names, inner: choices.intermediateSize, c, in: parameters) }
    }

    func callAsFunction(_ x: Tensor, _ balance: LoadBalance?) -> Tensor {
        let (chosen, weights) = route(router(x), perToken: choices.perToken, normalised: choices.isNormalised, balance: balance)
        return mixture(x, experts: chosen, weights: weights) { experts[$0]($1) }
    }
}
