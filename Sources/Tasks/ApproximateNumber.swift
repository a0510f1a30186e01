import Foundation

/// A complex number in double precision with a bound on what rounding may have done to it.
///
/// Two values are told apart only by more than their bounds, and nothing else makes them equal: no fixed tolerance turns 0.333 into 1/3.
/// Source: Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 3.3 (running error analysis).
struct ApproximateNumber: Sendable {
    var real: Double
    var imaginary = 0.0
    /// Absolute.
    var error: Double

    init(_ real: Double, _ imaginary: Double = 0, error: Double = 0) {
        (self.real, self.imaginary) = (real, imaginary + 0)  // −0 is below the logarithm's cut
        self.error = error + 0x1p-52 * (real.magnitude + imaginary.magnitude)
    }

    var magnitude: Double { (real * real + imaginary * imaginary).squareRoot() }
    var isUsable: Bool { (real + imaginary + error).isFinite && error <= 1e-6 * max(1, magnitude) }

    func agrees(with other: ApproximateNumber) -> Bool {
        max((real - other.real).magnitude, (imaginary - other.imaginary).magnitude) <= 16 * (error + other.error)
    }

    static func + (a: ApproximateNumber, b: ApproximateNumber) -> ApproximateNumber {
        ApproximateNumber(a.real + b.real, a.imaginary + b.imaginary, error: a.error + b.error)
    }
    static prefix func - (a: ApproximateNumber) -> ApproximateNumber { ApproximateNumber(-a.real, -a.imaginary, error: a.error) }
    static func * (a: ApproximateNumber, b: ApproximateNumber) -> ApproximateNumber {
        ApproximateNumber(
            a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real, error: a.magnitude * b.error + b.magnitude * a.error + a.error * b.error)
    }

    var reciprocal: ApproximateNumber? {
        let square = real * real + imaginary * imaginary
        guard error < magnitude / 2 else { return nil }
        return ApproximateNumber(real / square, -imaginary / square, error: 2 * error / square)
    }

    var exponential: ApproximateNumber {
        let length = exp(real)
        return ApproximateNumber(length * cos(imaginary), length * sin(imaginary), error: 2 * length * error)
    }

    /// The principal logarithm; `nil` near zero.
    var logarithm: ApproximateNumber? {
        guard error < magnitude / 2 else { return nil }
        return ApproximateNumber(log(magnitude), atan2(imaginary, real), error: 2 * error / magnitude)
    }

    /// The principal power; of a negative number to a broken power only where complex numbers are allowed.
    func power(_ exponent: ApproximateNumber, isComplex: Bool) -> ApproximateNumber? {
        if exponent.imaginary == 0, exponent.real == exponent.real.rounded(), exponent.real.magnitude < 0x1p20 {
            if exponent.real == 0 { return error < magnitude ? ApproximateNumber(1) : nil }
            var (result, square, rest) = (ApproximateNumber(1), self, Int(exponent.real.magnitude))
            while rest > 0 {
                if rest & 1 == 1 { result = result * square }
                square = square * square
                rest >>= 1
            }
            return exponent.real < 0 ? result.reciprocal : result
        }
        if real.magnitude <= error, imaginary == 0 { return error == 0 && exponent.real > 0 ? self : nil }
        guard isComplex || (imaginary == 0 && real > 0) else { return nil }
        return logarithm.map { ($0 * exponent).exponential }
    }

    /// A real function of a real number; its error is what the argument's makes of it.
    func applying(_ function: (Double) -> Double) -> ApproximateNumber? {
        guard imaginary == 0 else { return nil }
        let value = function(real)
        let spread = max((function(real + error) - value).magnitude, (function(real - error) - value).magnitude)
        return ApproximateNumber(value, error: spread.isFinite ? 2 * spread : 0)
    }
}

/// Where and how an expression is evaluated.
struct EvaluationPoint {
    /// Which of the sequence of points.
    let index: Int
    /// Negative numbers have roots; so where an answer holds i.
    let isComplex: Bool

    /// From 0.2 to 15; the second half of the points has both signs.
    func value(of name: String) -> Double {
        let hash = StableHash.mix(StableHash.fnv1a(name) &+ UInt64(index))
        let size = [0.8, 3, 12][index % 3] * (0.25 + StableHash.fraction(hash))
        return index >= 6 && hash & 1 == 1 ? -size : size
    }
}

extension MathExpression {
    /// The value at a point; `nil` where there is none, or none that rounding has left meaningful.
    /// - Throws: `MathUnreadable` when the budget is spent.
    func approximation(at point: EvaluationPoint, inAngle: Bool = false, budget: inout MathBudget) throws -> ApproximateNumber? {
        guard let value = try unchecked(at: point, inAngle: inAngle, budget: &budget), value.isUsable else { return nil }
        return value
    }

    private func unchecked(at point: EvaluationPoint, inAngle: Bool, budget: inout MathBudget) throws -> ApproximateNumber? {
        try budget.spend()
        switch self {
        case .number(let digits): return Double(digits).map { ApproximateNumber($0) }
        case .name("pi"): return ApproximateNumber(.pi)
        case .name("e"): return ApproximateNumber(M_E)
        case .name("i"): return ApproximateNumber(0, 1)
        case .name("infty"): return nil
        case .name(let name): return ApproximateNumber(point.value(of: name))
        case .degrees(let x):
            guard let value = try x.approximation(at: point, inAngle: inAngle, budget: &budget) else { return nil }
            return inAngle ? value * ApproximateNumber(.pi / 180) : value
        case .negative(let x): return try x.approximation(at: point, inAngle: inAngle, budget: &budget).map { -$0 }
        case .reciprocal(let x): return try x.approximation(at: point, inAngle: inAngle, budget: &budget)?.reciprocal
        case .sum(let terms):
            var sum = ApproximateNumber(0)
            for term in terms {
                guard let value = try term.approximation(at: point, inAngle: inAngle, budget: &budget) else { return nil }
                sum = sum + value
            }
            return sum
        case .product(let factors):
            var product = ApproximateNumber(1)
            for factor in factors {
                guard let value = try factor.approximation(at: point, inAngle: inAngle, budget: &budget) else { return nil }
                product = product * value
            }
            return product
        case .power(let base, let exponent):
            guard let base = try base.approximation(at: point, inAngle: inAngle, budget: &budget),
                let exponent = try exponent.approximation(at: point, budget: &budget)
            else { return nil }
            return base.power(exponent, isComplex: point.isComplex)
        case .root(let x, let index):
            guard let value = try x.approximation(at: point, budget: &budget), let index = try index.approximation(at: point, budget: &budget),
                let exponent = index.reciprocal
            else { return nil }
            // An odd root of a negative number is negative.
            if index.real.truncatingRemainder(dividingBy: 2).magnitude == 1, value.imaginary == 0, value.real < 0 {
                return (-value).power(exponent, isComplex: false).map { -$0 }
            }
            return value.power(exponent, isComplex: point.isComplex)
        case .binomial(let above, let below):
            guard let n = try above.approximation(at: point, budget: &budget), let k = try below.approximation(at: point, budget: &budget), k.imaginary == 0,
                k.real == k.real.rounded(), (0...1000).contains(k.real)
            else { return nil }
            try budget.spend(Int(k.real))
            return (0..<Int(k.real)).reduce(ApproximateNumber(1)) { $0 * (n + ApproximateNumber(-Double($1))) * ApproximateNumber(1 / Double($1 + 1)) }
        case .function(let name, let x):
            let isAngle = ["sin", "cos", "tan", "cot", "sec", "csc"].contains(name)
            guard let value = try x.approximation(at: point, inAngle: isAngle, budget: &budget) else { return nil }
            return Self.apply(name, to: value)
        case .word, .numeral, .sequence, .set, .matrix, .setOperation, .relation: return nil
        }
    }

    private static func apply(_ name: String, to value: ApproximateNumber) -> ApproximateNumber? {
        switch name {
        case "|": ApproximateNumber(value.magnitude, error: value.error)
        case "!": value.real >= 0 ? value.applying { tgamma($0 + 1) } : nil
        case "ln": value.imaginary == 0 && value.real > 0 ? value.logarithm : nil
        case "sin": value.applying { sin($0) }
        case "cos": value.applying { cos($0) }
        case "tan": value.applying { tan($0) }
        case "cot": value.applying { tan($0) }?.reciprocal
        case "sec": value.applying { cos($0) }?.reciprocal
        case "csc": value.applying { sin($0) }?.reciprocal
        case "arcsin": value.applying { asin($0) }
        case "arccos": value.applying { acos($0) }
        case "arctan": value.applying { atan($0) }
        case "sinh": value.applying { sinh($0) }
        case "cosh": value.applying { cosh($0) }
        case "tanh": value.applying { tanh($0) }
        default: nil
        }
    }
}
