import Architectures
import Tensors

extension ElementwiseOptimizer {
    /// The gradient over the root of its mean square, without correction of the beginning; decay in the gradient. Source: Tieleman and Hinton 2012.
    static func rmsprop(_ options: OptimizerOptions, for parameters: ParameterSet) -> ElementwiseOptimizer {
        let (keep, add, epsilon) = (Float(options.beta2), Float(1 - options.beta2), Float(options.epsilon))
        return ElementwiseOptimizer(options, for: parameters, moments: 1) { step in
            let (rate, decay) = (Float(step.learningRate), Float(step.decay))
            return { values in
                values.gradient += decay * values.weight
                values.first = keep * values.first + add * values.gradient * values.gradient
                values.weight -= rate * (values.gradient / (values.first.squareRoot() + epsilon))
            }
        }
    }
}
