import Architectures
import Tensors

/// A reference that follows the policy: after every update `average = decay · average + (1 - decay) · weights`.
///
/// A policy that is held to it is held back from haste, not from going far. Only what is trained is averaged: beside an adapter that is each of its factors, and the base stays shared. It takes the memory
/// of what is trained once more, and the same on disk in a save. Source: Ramé et al. 2024, arXiv:2406.16768, section 3.1.
public final class MovingReference: StepPlugin {
    public let name = "moving-reference"
    public let decay: Double
    /// The weights that it began with, then their average with the policy's.
    public let average: Transformer
    private let trains: (Parameter) -> Bool

    /// - Parameters:
    ///   - start: what the average begins with, of the policy's architecture and with an adapter of the same kind; it is owned from here on.
    ///   - decay: of an update; 0 follows at once, 1 never.
    ///   - trains: what is averaged.
    public init(_ start: Transformer, decay: Double, trains: @escaping (Parameter) -> Bool) {
        precondition((0...1).contains(decay), "a reference cannot keep \(decay) of itself")
        (average, self.decay, self.trains) = (start, decay, trains)
    }

    private var averaged: [Parameter] { average.parameters.parameters.filter(trains) }

    public func afterUpdate(_ decoder: Transformer, step: Int) {
        for parameter in averaged {
            guard let trained = decoder.parameters[parameter.name] else { preconditionFailure("the policy has no '\(parameter.name)', which its reference has") }
            // In Double, and from the difference: what does not move keeps its bits.
            let share = 1 - decay
            let mixed = zip(average.parameters.read(parameter), decoder.parameters.read(trained)).map { (own: Float, new: Float) -> Float in
                Float(Double(own) + share * (Double(new) - Double(own)))
            }
            mixed.withUnsafeBufferPointer { average.parameters.write($0, to: parameter) }
        }
    }

    public var state: [String: [Float]] {
        get { Dictionary(uniqueKeysWithValues: averaged.map { ($0.name, average.parameters.read($0)) }) }
        set { for parameter in averaged { newValue[parameter.name]?.withUnsafeBufferPointer { average.parameters.write($0, to: parameter) } } }
    }
}
