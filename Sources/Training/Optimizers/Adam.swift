import Architectures
import Tensors

extension ElementwiseOptimizer {
    /// Adam with decay in the gradient, or AdamW that divides by the largest second moment so far.
    ///
    /// Sources: Kingma and Ba 2015, arXiv:1412.6980; Reddi et al. 2018, arXiv:1904.09237 (AMSGrad).
    static func adam(_ options: OptimizerOptions, for parameters: ParameterSet) -> ElementwiseOptimizer {
        let isAMSGrad = options.kind == .amsgrad
        let (keep1, keep2, epsilon) = (Float(options.beta1), Float(options.beta2), Float(options.epsilon))
        let (add1, add2) = (Float(1 - options.beta1), Float(1 - options.beta2))
        return ElementwiseOptimizer(options, for: parameters, moments: isAMSGrad ? 3 : 2) { step in
            let rate = Float(step.learningRate / step.correction(options.beta1)), root = Float(step.correction(options.beta2).squareRoot())
            let decay = Float(step.decay), shrink = Float(1 - step.learningRate * step.decay)
            return { values in
                if isAMSGrad { values.weight *= shrink } else { values.gradient += decay * values.weight }
                values.first = keep1 * values.first + add1 * values.gradient
                values.second = keep2 * values.second + add2 * values.gradient * values.gradient
                if isAMSGrad { values.third = pointwiseMax(values.third, values.second) }
                values.weight -= rate * (values.first / ((isAMSGrad ? values.third : values.second).squareRoot() / root + epsilon))
            }
        }
    }
}
