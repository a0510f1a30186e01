import Tensors

/// A number with its derivatives by up to two others, so that a loss is written as its formula and nothing else.
struct Dual: Sendable {
    var value: Double
    var slopes: SIMD2<Double>

    init(_ value: Double, _ slopes: SIMD2<Double> = .zero) {
        self.value = value
        self.slopes = slopes
    }

    /// One of the numbers by which derivatives are taken.
    static func variable(_ value: Double, _ index: Int) -> Dual {
        var slopes = SIMD2<Double>.zero
        slopes[index] = 1
        return Dual(value, slopes)
    }

    static func + (a: Dual, b: Dual) -> Dual { Dual(a.value + b.value, a.slopes + b.slopes) }
    static func - (a: Dual, b: Dual) -> Dual { Dual(a.value - b.value, a.slopes - b.slopes) }
    static prefix func - (a: Dual) -> Dual { Dual(-a.value, -a.slopes) }
    static func * (a: Dual, b: Dual) -> Dual { Dual(a.value * b.value, a.slopes * b.value + b.slopes * a.value) }
    static func + (a: Dual, b: Double) -> Dual { Dual(a.value + b, a.slopes) }
    static func - (a: Dual, b: Double) -> Dual { Dual(a.value - b, a.slopes) }
    static func - (a: Double, b: Dual) -> Dual { Dual(a - b.value, -b.slopes) }
    static func * (a: Double, b: Dual) -> Dual { Dual(a * b.value, a * b.slopes) }
    static func / (a: Dual, b: Double) -> Dual { Dual(a.value / b, a.slopes / b) }

    var squared: Dual { self * self }

    /// 1 / (1 + e⁻ˣ)
    var sigmoid: Dual {
        let s = value < 0 ? fixedExp(value) / (1 + fixedExp(value)) : 1 / (1 + fixedExp(-value))
        return Dual(s, s * (1 - s) * slopes)
    }

    /// ln(1 / (1 + e⁻ˣ))
    var logSigmoid: Dual { Dual(min(value, 0) - fixedLog(1 + fixedExp(-abs(value))), (-self).sigmoid.value * slopes) }

    /// -y ln σ(x) - (1 - y) ln σ(-x) with a label y from 0 to 1.
    func logisticLoss(_ label: Double) -> Dual { Dual(-label) * logSigmoid - Dual(1 - label) * (-self).logSigmoid }

    /// max(x, 0)
    var positive: Dual { value > 0 ? self : Dual(0) }

    /// ln(1 - eˣ) of a log-probability, which is taken as -10⁻⁶ where it is nearer to 0.
    var logOfRest: Dual {
        guard value < -1e-6 else { return Dual(fixedLog(1 - fixedExp(-1e-6))) }
        let p = fixedExp(value)
        return Dual(fixedLog(1 - p), (-p / (1 - p)) * slopes)
    }
}
