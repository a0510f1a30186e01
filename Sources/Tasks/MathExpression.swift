/// What a written answer means: a tree of numbers, names, operations and the containers that answers come in.
///
/// Sums and products are flat, and a fraction is a product with a reciprocal, so a long answer makes a wide tree, not a deep one.
indirect enum MathExpression: Equatable, Sendable {
    /// Digits with at most one point, as written.
    case number(String)
    /// A variable with its subscript, or one of the constants "pi", "e", "i" and "infty".
    case name(String)
    case word(String)
    /// Digits in another base ("1011_2"); equal only in the base that was asked for.
    case numeral(digits: String, base: String)
    case negative(MathExpression)
    case sum([MathExpression])
    case product([MathExpression])
    case reciprocal(MathExpression)
    case power(MathExpression, MathExpression)
    case root(MathExpression, index: MathExpression)
    /// "sin", "arctan", "ln", "!" (factorial), "|" (absolute value) …
    case function(String, MathExpression)
    case binomial(MathExpression, MathExpression)
    /// A number with a degree sign: an angle inside a trigonometric function, a plain number elsewhere.
    case degrees(MathExpression)
    /// A point, vector or interval: ordered, with the brackets it stands in.
    case sequence(open: String, [MathExpression], close: String)
    case set([MathExpression])
    case matrix([[MathExpression]])
    /// Union, intersection or difference of sets.
    case setOperation(String, [MathExpression])
    /// `a = b`, `a < b ≤ c`, a ratio `a : b`: one operator fewer than operands.
    case relation([MathExpression], operators: [String])

    static let constants: Set<String> = ["pi", "e", "i", "infty"]

    /// The parts directly below.
    var parts: [MathExpression] {
        switch self {
        case .number, .name, .word, .numeral: []
        case .negative(let x), .reciprocal(let x), .function(_, let x), .degrees(let x): [x]
        case .power(let x, let y), .root(let x, let y), .binomial(let x, let y): [x, y]
        case .sum(let parts), .product(let parts), .set(let parts), .setOperation(_, let parts), .sequence(_, let parts, _), .relation(let parts, _): parts
        case .matrix(let rows): rows.flatMap(\.self)
        }
    }

    /// Whether this or anything below is as described.
    func contains(where isSought: (MathExpression) -> Bool) -> Bool { isSought(self) || parts.contains { $0.contains(where: isSought) } }

    var hasVariables: Bool {
        contains { if case .name(let name) = $0 { !Self.constants.contains(name) } else { false } }
    }
}

/// An answer that is no expression known here, or that needs more work than allowed.
struct MathUnreadable: Error {
    var reason: String
}

/// How much work reading and comparing two answers may take, counted in steps, so that no text hangs a run.
struct MathBudget {
    let limit: Int
    private(set) var steps = 0

    init(limit: Int) { self.limit = limit }

    mutating func spend(_ count: Int = 1) throws {
        guard count <= limit - steps else {
            steps = limit
            throw MathUnreadable(reason: "more than \(limit) steps")
        }
        steps += count
    }
}
