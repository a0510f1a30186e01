import Architectures
import Tensors

extension ElementwiseOptimizer {
    /// Gradient descent with momentum that began with the first gradient, and decay in the gradient.
    ///
    /// Sources: Polyak 1964; Sutskever et al. 2013 (Nesterov's look ahead), as torch.optim.SGD.
    static func sgd(_ options: OptimizerOptions, for parameters: ParameterSet) -> ElementwiseOptimizer {
        let momentum = Float(options.momentum), looksAhead = options.kind == .nesterov
        return ElementwiseOptimizer(options, for: parameters, moments: momentum == 0 ? 0 : 1) { step in
            let (rate, decay) = (Float(step.learningRate), Float(step.decay))
            return { values in
                var change = values.gradient + decay * values.weight
                values.first = momentum * values.first + change
                change = looksAhead ? change + momentum * values.first : values.first
                values.weight -= rate * change
            }
        }
    }
}
