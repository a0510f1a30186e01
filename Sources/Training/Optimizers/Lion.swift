import Architectures
import Tensors

extension ElementwiseOptimizer {
    /// Steps of one size by the sign of an interpolated momentum. Source: Chen et al. 2023, arXiv:2302.06675.
    static func lion(_ options: OptimizerOptions, for parameters: ParameterSet, where isKept: (Parameter) -> Bool = { _ in true }) -> ElementwiseOptimizer {
        let (keep1, keep2, add1, add2) = (Float(options.beta1), Float(options.beta2), Float(1 - options.beta1), Float(1 - options.beta2))
        return ElementwiseOptimizer(options, for: parameters, moments: 1, where: isKept) { step in
            let rate = Float(step.learningRate), shrink = Float(1 - step.learningRate * step.decay)
            return { values in
                let direction = keep1 * values.first + add1 * values.gradient
                let sign = SIMD16<Float>.zero.replacing(with: 1, where: direction .> 0).replacing(with: -1, where: direction .< 0)
                values.weight = values.weight * shrink - rate * sign
                values.first = keep2 * values.first + add2 * values.gradient
            }
        }
    }
}
