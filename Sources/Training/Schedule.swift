import Tensors

/// The learning rate over a training, as a multiple of the base rate: it rises from 0, and then follows one of these shapes.
public struct Schedule: Sendable, Codable, Equatable {
    public enum Shape: String, Sendable, Codable, CaseIterable {
        case constant, linear
        /// In `cycles` that each begin anew. Source: Loshchilov and Hutter 2017, arXiv:1608.03983.
        case cosine
        /// The straight line to the power `power`.
        case polynomial
        /// Source: Zhai et al. 2022, arXiv:2106.04560, as transformers.
        case inverseSqrt = "inverse_sqrt"
        /// Not a multiple but the rate itself, of a model that is `width` wide. Source: Vaswani et al. 2017, arXiv:1706.03762.
        case noam
        /// Rises from `floor` and falls back to it. Source: Howard and Ruder 2018, arXiv:1801.06146.
        case slantedTriangular = "slanted_triangular"
        /// Rises from `floor`, stays at 1, and falls to `floor` in the last `decaySteps`. Source: Hu et al. 2024, arXiv:2404.06395.
        case wsdLinear = "wsd_linear", wsdCosine = "wsd_cosine", wsdSqrt = "wsd_1-sqrt"
    }
    public var shape: Shape
    public var warmupSteps: Int
    /// The multiple at which a decay ends.
    public var floor: Double
    public var cycles: Int
    public var power: Double
    /// Steps over which `inverse_sqrt` counts; 0 for as many as warm up, or 10,000 where none do.
    public var timescale: Int
    /// Of the shapes that stay first; 0 for a tenth of the training.
    public var decaySteps: Int
    public var width: Int

    /// - Parameters:
    ///   - shape: of the rate after the warm-up.
    ///   - warmupSteps: in which the rate rises.
    ///   - floor: where a decay ends; when nil a 32nd for the slanted triangle, else 0.
    ///   - cycles: of the cosine.
    ///   - power: of the polynomial.
    ///   - timescale: of `inverse_sqrt`.
    ///   - decaySteps: of the shapes that stay first.
    ///   - width: of `noam`.
    public init(
        _ shape: Shape, warmupSteps: Int = 0, floor: Double? = nil, cycles: Int = 1, power: Double = 1, timescale: Int = 0, decaySteps: Int = 0, width: Int = 512
    ) {
        self.shape = shape
        self.warmupSteps = warmupSteps
        self.floor = floor ?? (shape == .slantedTriangular ? 1 / 32 : 0)
        self.cycles = cycles
        self.power = power
        self.timescale = timescale
        self.decaySteps = decaySteps
        self.width = width
    }

    /// Another shape after as long a warm-up, with what is usual for it.
    public func with(_ shape: Shape) -> Schedule { shape == self.shape ? self : Schedule(shape, warmupSteps: warmupSteps) }

    /// - Parameters:
    ///   - step: counted from 0.
    ///   - steps: of the whole training.
    public func multiplier(step: Int, of steps: Int) -> Double {
        let warmup = Double(max(1, warmupSteps))
        if shape == .noam {
            let number = Double(max(1, step))
            return min(1 / number.squareRoot(), number / (warmup * warmup.squareRoot())) / Double(width).squareRoot()
        }
        let isRising = step < warmupSteps, rise = Double(step) / warmup
        let progress = min(1, Double(step - warmupSteps) / Double(max(1, steps - warmupSteps)))
        func floored(_ share: Double) -> Double { floor + (1 - floor) * share }
        switch shape {
        case .slantedTriangular: return floored(isRising ? rise : 1 - progress)
        case .wsdLinear, .wsdCosine, .wsdSqrt:
            if isRising { return floored(rise) }
            let length = decaySteps > 0 ? decaySteps : max(1, steps / 10), gone = min(1, max(0, Double(step - (steps - length)) / Double(length)))
            return floored(shape == .wsdLinear ? 1 - gone : shape == .wsdCosine ? 0.5 * (1 + fixedCos(.pi * gone)) : 1 - gone.squareRoot())
        default: if isRising { return rise }
        }
        return switch shape {
        case .linear: floored(1 - progress)
        case .polynomial: floored(progress == 1 ? 0 : fixedExp(power * fixedLog(1 - progress)))
        case .inverseSqrt:
            (1 / (1 + Double(step - warmupSteps) / Double(timescale > 0 ? timescale : warmupSteps > 0 ? warmupSteps : 10_000))).squareRoot()
        case .cosine:
            floored(progress == 1 ? 0 : 0.5 * (1 + fixedCos(.pi * (Double(cycles) * progress).truncatingRemainder(dividingBy: 1))))
        default: 1
        }
    }
}
