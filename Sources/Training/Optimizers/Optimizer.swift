import Architectures
import Tensors

/// Turns gradients into changes of the weights, and remembers between updates what it needs.
public protocol Optimizer: AnyObject {
    var options: OptimizerOptions { get }
    /// Updates so far.
    var steps: Int { get set }
    /// What is remembered of every weight, for checkpoints.
    var moments: [ParameterBuffers] { get }
    /// What else is remembered, by name, for checkpoints.
    var state: [String: OptimizerState] { get set }
    /// Changes one parameter.
    /// - Parameters:
    ///   - parameter: one that is trained.
    ///   - gradients: of all parameters; those of `parameter` count.
    ///   - step: what holds for this parameter in this update.
    func update(_ parameter: Parameter, _ gradients: Gradients, _ step: UpdateStep)
}

/// What an optimizer remembers, opaque to whoever keeps it.
public enum OptimizerState: Sendable, Equatable {
    case floats([Float])
    case bytes([UInt8])
}

/// What holds for one parameter in one update.
public struct UpdateStep: Sendable {
    /// Counted from 1.
    public let number: Int
    /// With the schedule's multiple and the group's scale.
    public let learningRate: Double
    public let decay: Double
    /// Gradients are multiplied by it (clipping).
    public let gradientScale: Float

    /// `1 - beta^number`: the weight of all that a moment which began at 0 has seen.
    func correction(_ beta: Double) -> Double { 1 - fixedExp(Double(number) * fixedLog(beta)) }
}

extension Optimizer {
    public var state: [String: OptimizerState] {
        get { [:] }
        set {}
    }

    public func trains(_ parameter: Parameter) -> Bool { options.trains(parameter) }

    /// Goes on after `steps` updates; the caller has put back what was remembered at that instant.
    public func resume(at steps: Int) { self.steps = steps }

    /// - Parameters:
    ///   - gradients: of the parameters that change.
    ///   - rate: the schedule's multiple of the base rate.
    ///   - gradientScale: from clipping.
    func update(_ gradients: Gradients, rate: Double, gradientScale: Double) {
        steps += 1
        for parameter in gradients.parameters.parameters where gradients.trains(parameter) {
            let group = options.group(of: parameter)
            let decay = parameter.isMatrix || options.decaysVectors ? group.weightDecay ?? options.weightDecay : 0
            update(
                parameter, gradients,
                UpdateStep(
                    number: steps, learningRate: options.learningRate * rate * group.learningRateScale, decay: decay, gradientScale: Float(gradientScale)))
        }
    }
}
