/// A number of the field of residues modulo a prime, in which identities between expressions are decided without rounding.
///
/// The map from roots, fractions and variables to residues keeps every identity; two expressions that differ agree at random values with
/// a chance of about degree / 2⁶². π, e and variables become random residues, i and √2, √3, √5 … fixed ones.
/// Sources: Schwartz 1980, "Fast probabilistic algorithms for verification of polynomial identities"; Zippel 1979.
struct ResidueNumber: Equatable, Sendable {
    /// The largest prime below 2⁶² that is 1 modulo 8 and modulo every odd prime up to 43, so that −1 and the primes up to 43 have square roots.
    static let modulus: UInt64 = 4_552_800_943_421_170_441

    let value: UInt64

    init(_ value: UInt64) { self.value = value % Self.modulus }
    init(_ value: Int) { self.value = value < 0 ? Self.modulus - UInt64(-value) % Self.modulus : UInt64(value) % Self.modulus }

    static let zero = ResidueNumber(0 as UInt64)
    static let one = ResidueNumber(1 as UInt64)

    static func + (a: ResidueNumber, b: ResidueNumber) -> ResidueNumber { ResidueNumber(a.value + b.value) }
    static prefix func - (a: ResidueNumber) -> ResidueNumber { ResidueNumber(modulus - a.value) }
    static func * (a: ResidueNumber, b: ResidueNumber) -> ResidueNumber {
        ResidueNumber(modulus.dividingFullWidth(a.value.multipliedFullWidth(by: b.value)).remainder)
    }

    func power(_ exponent: UInt64) -> ResidueNumber {
        var (result, square, rest) = (Self.one, self, exponent)
        while rest > 0 {
            if rest & 1 == 1 { result = result * square }
            square = square * square
            rest >>= 1
        }
        return result
    }

    func power(_ exponent: Int) -> ResidueNumber? {
        exponent >= 0 ? (exponent == 0 && self == .zero ? nil : power(UInt64(exponent))) : reciprocal?.power(UInt64(exponent.magnitude))
    }

    var reciprocal: ResidueNumber? { self == .zero ? nil : power(Self.modulus - 2) }

    /// The whole number of magnitude below 2⁴⁰ that this stands for, if one does.
    var integer: Int? {
        if value < 1 << 40 { return Int(value) }
        return Self.modulus - value < 1 << 40 ? -Int(Self.modulus - value) : nil
    }

    /// The fraction with terms below 2²⁰ that this stands for, if one does. Source: Wang 1981, rational reconstruction.
    var fraction: (numerator: Int, denominator: Int)? {
        var (previous, current) = ((remainder: Int(Self.modulus), factor: 0), (remainder: Int(value), factor: 1))
        while current.remainder >= 1 << 20 {
            let quotient = previous.remainder / current.remainder
            (previous, current) = (current, (previous.remainder - quotient * current.remainder, previous.factor - quotient * current.factor))
        }
        guard current.factor.magnitude < 1 << 20, current.factor != 0 else { return nil }
        return current.factor < 0 ? (-current.remainder, -current.factor) : (current.remainder, current.factor)
    }

    /// The principal root of a fraction, made from one fixed root for each prime, so that √2 √3 is √6 and √(−1) is i.
    var squareRoot: ResidueNumber? {
        guard let (numerator, denominator) = fraction else { return nil }
        // √(n/d) = √(n d) / d
        var result = ResidueNumber(denominator).reciprocal
        if numerator < 0 { result = result.map { $0 * .imaginaryUnit } }
        for part in [Int(numerator.magnitude), denominator] {
            var (rest, prime) = (part, 2)
            if rest == 0 { return .zero }
            while rest > 1 {
                if prime * prime > rest { prime = rest }
                while rest % prime == 0 {
                    guard let root = ResidueNumber(prime).anySquareRoot else { return nil }
                    result = result.map { $0 * root }
                    rest /= prime
                }
                prime += 1
            }
        }
        return result
    }

    static let imaginaryUnit = nonResidue.power((modulus - 1) / 4)

    private static let nonResidue: ResidueNumber = {
        var candidate = ResidueNumber(2)
        while candidate.power((modulus - 1) / 2) == .one { candidate = candidate + .one }
        return candidate
    }()

    /// One of the two roots, always the same; `nil` for a non-residue. Source: Tonelli 1891, Shanks 1973.
    private var anySquareRoot: ResidueNumber? {
        guard power((Self.modulus - 1) / 2) == .one else { return nil }
        let twos = (Self.modulus - 1).trailingZeroBitCount
        let odd = (Self.modulus - 1) >> UInt64(twos)
        var (order, generator) = (twos, Self.nonResidue.power(odd))
        var (root, error) = (power((odd + 1) / 2), power(odd))
        while error != .one {
            var (level, square) = (0, error)
            while square != .one { (level, square) = (level + 1, square * square) }
            let correction = generator.power(UInt64(1) << UInt64(order - level - 1))
            (order, generator) = (level, correction * correction)
            (root, error) = (root * correction, error * generator)
        }
        return root
    }
}

extension MathExpression {
    /// The value at one of a sequence of random points; `nil` where the field has none (a division by zero, a logarithm, the root of a variable).
    /// - Throws: `MathUnreadable` when the budget is spent.
    func residue(at point: Int, budget: inout MathBudget) throws -> ResidueNumber? {
        try budget.spend()
        switch self {
        case .number(let digits): return Self.residue(of: digits)
        case .name("i"): return .imaginaryUnit
        case .name("infty"): return nil
        case .name(let name): return ResidueNumber(StableHash.mix(StableHash.fnv1a(name) &+ UInt64(point)))
        case .degrees(let x): return try x.residue(at: point, budget: &budget)
        case .negative(let x): return try x.residue(at: point, budget: &budget).map { -$0 }
        case .reciprocal(let x): return try x.residue(at: point, budget: &budget)?.reciprocal
        case .sum(let terms):
            var sum = ResidueNumber.zero
            for term in terms {
                guard let value = try term.residue(at: point, budget: &budget) else { return nil }
                sum = sum + value
            }
            return sum
        case .product(let factors):
            var product = ResidueNumber.one
            for factor in factors {
                guard let value = try factor.residue(at: point, budget: &budget) else { return nil }
                product = product * value
            }
            return product
        case .root(let x, let index):
            guard index == .number("2") else { return nil }
            try budget.spend(100)
            return try x.residue(at: point, budget: &budget)?.squareRoot
        case .power(let base, let exponent):
            guard let base = try base.residue(at: point, budget: &budget), let exponent = try exponent.residue(at: point, budget: &budget) else { return nil }
            if let whole = exponent.integer { return base.power(whole) }
            guard let fraction = exponent.fraction, fraction.denominator == 2 else { return nil }
            try budget.spend(100)
            return base.squareRoot?.power(fraction.numerator)
        case .function("!", let x):
            guard let number = try x.residue(at: point, budget: &budget)?.integer, number >= 0 else { return nil }
            try budget.spend(number)
            return (0..<number).reduce(.one) { $0 * ResidueNumber($1 + 1) }
        case .function("|", let x):
            guard let value = try x.residue(at: point, budget: &budget), let fraction = value.fraction else { return nil }
            return fraction.numerator < 0 ? -value : value
        case .binomial(let above, let below):
            guard let n = try above.residue(at: point, budget: &budget), let k = try below.residue(at: point, budget: &budget)?.integer, k >= 0 else { return nil }
            try budget.spend(k)
            let (product, factorial) = (0..<k).reduce((ResidueNumber.one, ResidueNumber.one)) { ($0.0 * (n + ResidueNumber(-$1)), $0.1 * ResidueNumber($1 + 1)) }
            return factorial.reciprocal.map { product * $0 }
        case .function, .word, .numeral, .sequence, .set, .matrix, .setOperation, .relation: return nil
        }
    }

    private static func residue(of digits: String) -> ResidueNumber? {
        let places = digits.firstIndex(of: ".").map { digits.distance(from: $0, to: digits.endIndex) - 1 } ?? 0
        let whole = digits.reduce(ResidueNumber.zero) { sum, digit in digit.wholeNumberValue.map { sum * ResidueNumber(10) + ResidueNumber($0) } ?? sum }
        return ResidueNumber(10).power(-places).map { whole * $0 }
    }
}
