import Architectures
import Tensors

/// An optimizer that treats every value in the same way, by a rule that sees sixteen of them at a time.
final class ElementwiseOptimizer: Optimizer {
    /// Makes the rule of one update. The gradient that it sees is clipped already.
    typealias Rule = (_ step: UpdateStep) -> (inout Elements) -> Void

    let options: OptimizerOptions
    var steps = 0
    let moments: [ParameterBuffers]
    private let rule: Rule

    /// - Parameters:
    ///   - options: of all rules.
    ///   - parameters: what is trained.
    ///   - moments: how many values are remembered of every weight: `first`, `second` and `third` of the elements.
    ///   - isKept: whether the optimizer is asked for a parameter; of others nothing is remembered.
    ///   - rule: of one update.
    init(_ options: OptimizerOptions, for parameters: ParameterSet, moments: Int, where isKept: (Parameter) -> Bool = { _ in true }, _ rule: @escaping Rule) {
        self.options = options
        self.rule = rule
        self.moments = (0..<moments).map { _ in ParameterBuffers(of: parameters, where: { options.trains($0) && isKept($0) }) }
    }

    func update(_ parameter: Parameter, _ gradients: Gradients, _ step: UpdateStep) {
        let parameters = gradients.parameters, rule = rule(step), scale = step.gradientScale
        parameters.backend.update(parameters.flat(parameter), gradients: gradients.flat(parameter), state: moments.map { $0.flat(parameter) }) { values in
            values.gradient *= scale
            rule(&values)
        }
    }
}
