import Architectures
import Tensors

/// Some of the parameters, with settings of their own.
public struct ParameterGroup: Sendable, Codable, Equatable {
    /// Parameters whose name contains one of these; the first group that matches decides. Empty matches all.
    public var patterns: [String]
    /// Multiplies the learning rate; 0 freezes the group, and it then costs neither gradients nor moments.
    public var learningRateScale: Double
    /// Instead of the optimizer's.
    public var weightDecay: Double?

    public init(patterns: [String], learningRateScale: Double = 1, weightDecay: Double? = nil) {
        self.patterns = patterns
        self.learningRateScale = learningRateScale
        self.weightDecay = weightDecay
    }

    func matches(_ name: String) -> Bool { patterns.isEmpty || patterns.contains { name.contains($0) } }
}

/// Which optimizer, and its settings.
public struct OptimizerOptions: Sendable, Codable, Equatable {
    /// The rules that are known, by their names in recipes and on the command line.
    public enum Kind: String, Sendable, Codable, CaseIterable {
        case adamW = "adamw"
        /// AdamW that divides by the largest second moment so far.
        case amsgrad = "adamw_amsgrad"
        /// Decay is added to the gradient.
        case adam
        case sgd
        case nesterov = "sgd_nesterov"
        case adagrad, rmsprop, lion
        /// As in transformers, at the learning rate given.
        case adafactor
        /// As in transformers, with relative steps that warm up; the learning rate multiplies them.
        case relativeAdafactor = "adafactor_relative"
        /// As in PyTorch.
        case torchAdafactor = "adafactor_torch"
        case muon
        /// Muon that orthogonalises in bfloat16, as PyTorch's.
        case roundedMuon = "muon_bf16"
        /// AdamW with moments of 8 bits.
        case adamW8bit = "adamw8bit"
        case lion8bit
    }

    public var kind: Kind
    public var learningRate: Double
    /// Share of the first moment that an update keeps.
    public var beta1: Double
    /// Share of the second moment that an update keeps; of Lion's momentum.
    public var beta2: Double
    public var epsilon: Double
    /// Share of earlier changes that an update keeps: of sgd, adafactor and muon.
    public var momentum: Double
    /// On matrices only, unless `decaysVectors`.
    public var weightDecay: Double
    public var decaysVectors: Bool
    /// Gradients are scaled down to this norm; 0 switches clipping off.
    public var maxGradientNorm: Double
    public var groups: [ParameterGroup]

    /// - Parameters:
    ///   - kind: which rule.
    ///   - learningRate: the highest of the schedule.
    ///   - beta1: what is usual for the rule when nil; so are `beta2`, `epsilon` and `momentum`.
    ///   - beta2: see `beta1`.
    ///   - epsilon: see `beta1`.
    ///   - momentum: see `beta1`.
    ///   - weightDecay: a share of the weight, times the learning rate, that goes with every update.
    ///   - decaysVectors: whether norms and biases decay too.
    ///   - maxGradientNorm: the norm to which gradients are scaled down, or 0.
    ///   - groups: parameters with settings of their own.
    public init(
        _ kind: Kind = .adamW, learningRate: Double, beta1: Double? = nil, beta2: Double? = nil, epsilon: Double? = nil, momentum: Double? = nil,
        weightDecay: Double = 0, decaysVectors: Bool = false, maxGradientNorm: Double = 1, groups: [ParameterGroup] = []
    ) {
        let usual = kind.usual
        self.kind = kind
        self.learningRate = learningRate
        self.beta1 = beta1 ?? usual.beta1
        self.beta2 = beta2 ?? usual.beta2
        self.epsilon = epsilon ?? usual.epsilon
        self.momentum = momentum ?? usual.momentum
        self.weightDecay = weightDecay
        self.decaysVectors = decaysVectors
        self.maxGradientNorm = maxGradientNorm
        self.groups = groups
    }

    /// The same training by another rule, with that rule's usual settings; a rule that finds its own step gets the learning rate 1.
    public func with(_ kind: Kind) -> OptimizerOptions {
        if kind == self.kind { return self }
        return OptimizerOptions(
            kind, learningRate: kind == .relativeAdafactor ? 1 : learningRate, weightDecay: weightDecay, decaysVectors: decaysVectors, maxGradientNorm: maxGradientNorm, groups: groups)
    }

    /// The same for the parameters with these names alone; the others stay as they are.
    public func training(only patterns: [String]) -> OptimizerOptions {
        var options = self
        options.groups = [ParameterGroup(patterns: patterns), ParameterGroup(patterns: [], learningRateScale: 0)]
        return options
    }

    func group(of parameter: Parameter) -> ParameterGroup { groups.first { $0.matches(parameter.name) } ?? ParameterGroup(patterns: []) }

    public func trains(_ parameter: Parameter) -> Bool { group(of: parameter).learningRateScale != 0 }

    public func makeOptimizer(for parameters: ParameterSet) -> any Optimizer {
        switch kind {
        case .adamW: AdamW(self, for: parameters)
        case .amsgrad, .adam: ElementwiseOptimizer.adam(self, for: parameters)
        case .sgd, .nesterov: ElementwiseOptimizer.sgd(self, for: parameters)
        case .adagrad: ElementwiseOptimizer.adagrad(self, for: parameters)
        case .rmsprop: ElementwiseOptimizer.rmsprop(self, for: parameters)
        case .lion: ElementwiseOptimizer.lion(self, for: parameters)
        case .adafactor, .relativeAdafactor, .torchAdafactor: Adafactor(self, for: parameters)
        case .muon, .roundedMuon: Muon(self, for: parameters)
        case .adamW8bit, .lion8bit: EightBitOptimizer(self, for: parameters)
        }
    }
}

extension OptimizerOptions.Kind {
    /// What the papers and libraries set.
    fileprivate var usual: (beta1: Double, beta2: Double, epsilon: Double, momentum: Double) {
        switch self {
        case .adamW, .amsgrad, .adam, .adamW8bit, .sgd: (0.9, 0.999, 1e-8, 0)
        case .nesterov: (0.9, 0.999, 1e-8, 0.9)
        case .adagrad: (0.9, 0.999, 1e-10, 0)
        case .rmsprop: (0.9, 0.99, 1e-8, 0)
        case .lion, .lion8bit: (0.9, 0.99, 1e-8, 0)
        case .adafactor, .relativeAdafactor: (0.9, 0.999, 1e-30, 0)
        case .torchAdafactor: (0.9, 0.999, Double(Float.ulpOfOne), 0)
        case .muon, .roundedMuon: (0.9, 0.999, 1e-8, 0.95)
        }
    }

    /// Whether the rule looks at `momentum`.
    public var takesMomentum: Bool {
        switch self {
        case .sgd, .nesterov, .adafactor, .relativeAdafactor, .muon, .roundedMuon: true
        default: false
        }
    }
}
