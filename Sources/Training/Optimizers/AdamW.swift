import Architectures
import Tensors

/// Adam with decay apart from the gradient. Source: Loshchilov and Hutter 2019, arXiv:1711.05101.
final class AdamW: Optimizer {
    let options: OptimizerOptions
    var steps = 0
    /// The first and the second.
    let moments: [ParameterBuffers]

    /// - Parameters:
    ///   - options: of all rules.
    ///   - parameters: what is trained.
    ///   - isKept: whether the optimizer is asked for a parameter; of others nothing is remembered.
    init(_ options: OptimizerOptions, for parameters: ParameterSet, where isKept: (Parameter) -> Bool = { _ in true }) {
        self.options = options
        moments = (0..<2).map { _ in ParameterBuffers(of: parameters, where: { options.trains($0) && isKept($0) }) }
    }

    func update(_ parameter: Parameter, _ gradients: Gradients, _ step: UpdateStep) { Self.update(parameter, gradients, moments, step, options) }

    static func update(_ parameter: Parameter, _ gradients: Gradients, _ moments: [ParameterBuffers], _ step: UpdateStep, _ options: OptimizerOptions) {
        let parameters = gradients.parameters
        parameters.backend.adamW(
            parameters.flat(parameter), first: moments[0].flat(parameter), second: moments[1].flat(parameter), gradients: gradients.flat(parameter),
            AdamWStep(
                learningRate: Float(step.learningRate), beta1: Float(options.beta1), beta2: Float(options.beta2), epsilon: Float(options.epsilon),
                decay: Float(step.decay), step: step.number, gradientScale: step.gradientScale))
    }
}
