import Architectures
import Tensors

/// An exponential moving average of the weights: `average = decay · average + (1 - decay) · weights` after every update. At the
/// end of the training the average takes the weights' place. Source: Polyak and Juditsky 1992; Morales-Brotons et al. 2024,
/// arXiv:2411.18704.
public final class WeightAverage: StepPlugin {
    public let name = "weight-average"
    public let decay: Double
    /// By parameter, row-major.
    public var state: [String: [Float]] = [:]

    public init(decay: Double) { self.decay = decay }

    public func afterUpdate(_ decoder: Transformer, step: Int) {
        let share = 1 - decay
        for parameter in averaged(decoder) {
            let weights = decoder.parameters.read(parameter)
            // The first update begins the average: it has no zeros to forget. In Double, and from the difference: what does not move keeps its bits.
            state[parameter.name] = state[parameter.name].map { average in
                zip(average, weights).map { (own: Float, new: Float) -> Float in Float(Double(own) + share * (Double(new) - Double(own))) }
            } ?? weights
        }
    }

    /// What is stored in codes is never trained.
    private func averaged(_ decoder: Transformer) -> [Parameter] { decoder.parameters.parameters.filter { $0.format == .float32 } }

    public func iterationEnd(_ decoder: Transformer) {
        for parameter in averaged(decoder) {
            state[parameter.name]?.withUnsafeBufferPointer { decoder.parameters.write($0, to: parameter) }
        }
    }
}
