import Tensors

/// The learning rate over a training, as a multiple of the base rate: warm-up from 0, then one of three shapes.
public struct Schedule: Sendable, Codable, Equatable {
    public enum Shape: String, Sendable, Codable, CaseIterable { case constant, linear, cosine }
    public var shape: Shape
    public var warmupSteps: Int

    public init(_ shape: Shape, warmupSteps: Int = 0) {
        self.shape = shape
        self.warmupSteps = warmupSteps
    }

    /// - Parameters:
    ///   - step: counted from 0.
    ///   - steps: of the whole training.
    public func multiplier(step: Int, of steps: Int) -> Double {
        if step < warmupSteps { return Double(step) / Double(max(1, warmupSteps)) }
        let progress = min(1, Double(step - warmupSteps) / Double(max(1, steps - warmupSteps)))
        return switch shape {
        case .constant: 1
        case .linear: 1 - progress
        case .cosine: 0.5 * (1 + fixedCos(.pi * progress))
        }
    }
}
