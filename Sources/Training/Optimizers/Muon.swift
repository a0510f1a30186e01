import Architectures
import Tensors

/// Momentum whose singular values are brought near 1, on the matrices of a model's layers; AdamW on everything else (tables, head, vectors,
/// adapters), at the same learning rate unless a group scales it.
///
/// Sources: Jordan 2024, "Muon: an optimizer for hidden layers in neural networks"; decay as Liu et al. 2025, arXiv:2502.16982.
final class Muon: Optimizer {
    let options: OptimizerOptions
    var steps = 0
    /// The momentum or first moment of everything, and the second moment of what AdamW trains.
    let moments: [ParameterBuffers]

    init(_ options: OptimizerOptions, for parameters: ParameterSet) {
        self.options = options
        moments = [
            ParameterBuffers(of: parameters, where: options.trains),
            ParameterBuffers(of: parameters, where: { options.trains($0) && !Self.orthogonalises($0) }),
        ]
    }

    /// Layers have segments of their own.
    static func orthogonalises(_ parameter: Parameter) -> Bool { parameter.isMatrix && parameter.segment.name.contains("layer ") }

    func update(_ parameter: Parameter, _ gradients: Gradients, _ step: UpdateStep) {
        guard Self.orthogonalises(parameter) else { return AdamW.update(parameter, gradients, moments, step, options) }
        let parameters = gradients.parameters, backend = parameters.backend, weights = parameters.flat(parameter), direction = backend.zeros(weights.shape)
        let (keep, add) = (Float(options.momentum), Float(1 - options.momentum)), scale = step.gradientScale
        backend.update(direction, gradients: gradients.flat(parameter), state: [moments[0].flat(parameter)]) { values in
            let gradient = add * (scale * values.gradient)
            values.first = keep * values.first + gradient
            values.weight = keep * values.first + gradient
        }
        parameter.orthogonalise(direction, inBFloat16: options.kind == .roundedMuon)
        // A tall matrix moves as far in every output as a square one.
        let height = max(1, Double(parameter.shape[0]) / Double(parameter.shape[1])).squareRoot()
        let rate = Float(step.learningRate * height), shrink = Float(1 - step.learningRate * step.decay)
        backend.update(weights, gradients: direction, state: []) { $0.weight = $0.weight * shrink - rate * $0.gradient }
    }
}
