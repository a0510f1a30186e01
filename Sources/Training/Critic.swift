import Tensors

/// One number for every hidden state: how much reward is still to come. It learns beside the policy, begins at 0, and is no part of the model's files.
///
/// Its gradient goes on into the policy's hidden states, as in TRL. Source: Schulman et al. 2017, arXiv:1707.06347, equation 9.
public final class Critic {
    public let parameters: ParameterSet
    public let optimizer: any Optimizer
    let gradients: Gradients
    private let weight, bias: Parameter  // [1, width], [1]

    init(width: Int, learningRate: Double, maxGradientNorm: Double, on backend: any Backend) {
        parameters = ParameterSet(on: backend)
        weight = parameters.declare("critic.weight", 1, width)
        bias = parameters.declare("critic.bias", 1)
        parameters.allocate()
        optimizer = OptimizerOptions(learningRate: learningRate, maxGradientNorm: maxGradientNorm).makeOptimizer(for: parameters)
        gradients = Gradients(of: parameters)
    }

    /// Values and moments by name, row-major, to keep in checkpoints.
    public var state: [String: [Float]] {
        get {
            Dictionary(uniqueKeysWithValues: parameters.parameters.flatMap { parameter in
                [(parameter.name, parameters.read(parameter))] + zip(["first", "second"], optimizer.moments).map { ("\($0).\(parameter.name)", $1.read(parameter)) }
            })
        }
        set {
            for parameter in parameters.parameters {
                newValue[parameter.name]?.withUnsafeBufferPointer { parameters.write($0, to: parameter) }
                for (name, moments) in zip(["first", "second"], optimizer.moments) { newValue["\(name).\(parameter.name)"]?.withUnsafeBufferPointer { moments.write($0, to: parameter) } }
            }
        }
    }

    /// - Parameter hidden: `[rows, width]`.
    func values(_ hidden: Tensor) -> [Float] { linear(hidden.detached, weight, bias).read() }

    /// Adds the gradients of the critic's weights, and what reaches the hidden states.
    /// - Parameters:
    ///   - slopes: of the loss by each row's value.
    ///   - hidden: `[rows, width]`.
    ///   - dHidden: `[rows, width]`, added to.
    func backward(_ slopes: [Float], _ hidden: Tensor, into dHidden: Tensor) {
        let tape = Tape(into: gradients), backend = hidden.backend, input = tape.watch(hidden.detached)
        tape.backward([(linear(input, weight, bias), backend.tensor(slopes, shape: [slopes.count, 1]))])
        if let reached = tape.gradient(of: input) { backend.add(dHidden, reached, into: dHidden) }
    }

    /// One step of its own, clipped by its own norm.
    func update(rate: Double) {
        let limit = optimizer.options.maxGradientNorm
        optimizer.update(gradients, rate: rate, gradientScale: limit > 0 ? min(1, limit / (gradients.norm() + 1e-6)) : 1)
    }
}
