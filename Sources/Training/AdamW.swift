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

/// Settings of AdamW. Source: Loshchilov and Hutter 2019, arXiv:1711.05101.
public struct AdamWOptions: Sendable, Codable, Equatable {
    public var learningRate: Double
    public var beta1: Double
    public var beta2: Double
    public var epsilon: Double
    /// On matrices only, unless `decaysVectors`.
    public var weightDecay: Double
    public var decaysVectors: Bool
    /// Gradients are scaled down to this norm; 0 switches clipping off.
    public var maxGradientNorm: Double
    public var groups: [ParameterGroup]

    public init(
        learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0, decaysVectors: Bool = false,
        maxGradientNorm: Double = 1, groups: [ParameterGroup] = []
    ) {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.decaysVectors = decaysVectors
        self.maxGradientNorm = maxGradientNorm
        self.groups = groups
    }
}

/// AdamW over a parameter set: moments lie flat beside the parameters.
public final class AdamW {
    public let options: AdamWOptions
    let first, second: ParameterBuffers
    /// Updates so far.
    public internal(set) var steps = 0

    public init(_ options: AdamWOptions, for parameters: ParameterSet) {
        self.options = options
        first = ParameterBuffers(of: parameters, where: { Self.group(of: $0, options).learningRateScale != 0 })
        second = ParameterBuffers(of: parameters, where: { Self.group(of: $0, options).learningRateScale != 0 })
    }

    /// First and second moments, for checkpoints.
    public var moments: [ParameterBuffers] { [first, second] }

    /// Goes on after `steps` updates; the caller has put back the moments of that instant.
    public func resume(at steps: Int) { self.steps = steps }

    private static func group(of parameter: Parameter, _ options: AdamWOptions) -> ParameterGroup {
        options.groups.first { $0.matches(parameter.name) } ?? ParameterGroup(patterns: [])
    }

    public func trains(_ parameter: Parameter) -> Bool { Self.group(of: parameter, options).learningRateScale != 0 }

    /// - Parameters:
    ///   - rate: the schedule's multiple of the base rate.
    ///   - gradientScale: from clipping.
    func update(_ parameters: ParameterSet, _ gradients: Gradients, rate: Double, gradientScale: Double) {
        steps += 1
        for parameter in parameters.parameters where trains(parameter) {
            let group = Self.group(of: parameter, options)
            let decay = parameter.isMatrix || options.decaysVectors ? group.weightDecay ?? options.weightDecay : 0
            parameters.backend.adamW(
                parameters.flat(parameter), first: first.flat(parameter), second: second.flat(parameter), gradients: gradients.flat(parameter),
                AdamWStep(
                    learningRate: Float(options.learningRate * rate * group.learningRateScale), beta1: Float(options.beta1), beta2: Float(options.beta2),
                    epsilon: Float(options.epsilon), decay: Float(decay), step: steps, gradientScale: Float(gradientScale)))
        }
    }
}
