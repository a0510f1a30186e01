import Architectures
import Tensors

extension ElementwiseOptimizer {
    /// Each value's rate falls with the squares of all its gradients; decay in the gradient. Source: Duchi et al. 2011.
    static func adagrad(_ options: OptimizerOptions, for parameters: ParameterSet) -> ElementwiseOptimizer {
        let epsilon = Float(options.epsilon)
        return ElementwiseOptimizer(options, for: parameters, moments: 1) { step in
            let (rate, decay) = (Float(step.learningRate), Float(step.decay))
            return { values in
                values.gradient += decay * values.weight
                values.first += values.gradient * values.gradient
                values.weight -= rate * (values.gradient / (values.first.squareRoot() + epsilon))
            }
        }
    }
}
