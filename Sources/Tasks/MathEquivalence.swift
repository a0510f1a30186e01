/// Whether two answers mean the same: containers part by part, and what they hold by value.
///
/// Points, vectors, matrices and intervals are ordered; lists of answers, sets and unions are not. Values are compared in a finite field,
/// which is exact, and in double precision at deterministic points, which knows roots and functions that the field does not.
struct MathEquivalence {
    /// Points in the field; one would do.
    private static let residues = 2
    /// Points in double precision, of which at least three must have a value on both sides, and all such must agree.
    private static let approximations = 12
    private static let leastApproximations = 3
    /// Of an approximation, so that a difference of one is seen in the largest numbers.
    private static let largestError = 1e-6
    /// Digits of a number that double precision alone may call equal to something that is not rational.
    private static let mostDigits = 10

    var budget: MathBudget

    /// - Throws: `MathUnreadable` where a text is no expression, or the budget is spent.
    mutating func areEqual(_ a: String, _ b: String) throws -> Bool {
        let (a, b) = (try MathParser.parse(a, budget: &budget), try MathParser.parse(b, budget: &budget))
        if try areEqual(unordered: Self.members(a), Self.members(b)) { return true }
        let (left, right) = (Self.assigned(a), Self.assigned(b))
        guard left != nil || right != nil, left == nil || right == nil || left?.name == right?.name else { return false }
        return try areEqual(unordered: Self.members(left?.values ?? a), Self.members(right?.values ?? b))
    }

    /// A single set is the list of its members.
    private static func members(_ items: [MathExpression]) -> [MathExpression] {
        if items.count == 1, case .set(let members) = items[0] { members } else { items }
    }

    /// The values given to one name: 1 and 2 of "x = 1, 2" and of "x = 1 or x = 2"; `nil` where nothing is given a value, or several names are.
    private static func assigned(_ items: [MathExpression]) -> (name: MathExpression, values: [MathExpression])? {
        var name: MathExpression?
        var values: [MathExpression] = []
        for item in items {
            guard case .relation(let sides, let operators) = item else {
                values.append(item)
                continue
            }
            guard operators == ["="] || operators == ["in"] else { return nil }
            let isSwapped = operators == ["="] && !isName(sides[0]) && !sides[0].hasVariables
            let (side, value) = isSwapped ? (sides[1], sides[0]) : (sides[0], sides[1])
            guard isName(side), name == nil || name == side else { return nil }
            name = side
            values.append(value)
        }
        return name.map { ($0, values) }
    }

    /// A variable, a word, or a function of a variable such as f(x).
    private static func isName(_ side: MathExpression) -> Bool {
        switch side {
        case .name(let name): !MathExpression.constants.contains(name)
        case .word: true
        case .product(let factors): factors.count == 2 && factors.allSatisfy { if case .name = $0 { true } else { false } }
        default: false
        }
    }

    // MARK: Containers

    private mutating func areEqual(unordered a: [MathExpression], _ b: [MathExpression]) throws -> Bool {
        guard a.count == b.count else { return false }
        var rest = b
        for item in a {
            var match: Int?
            for (index, candidate) in rest.enumerated() where try areEqual(item, candidate) {
                match = index
                break
            }
            guard let match else { return false }
            rest.remove(at: match)
        }
        return true
    }

    private mutating func areEqual(ordered a: [MathExpression], _ b: [MathExpression]) throws -> Bool {
        guard a.count == b.count else { return false }
        for (x, y) in zip(a, b) where !(try areEqual(x, y)) { return false }
        return true
    }

    private mutating func areEqual(_ a: MathExpression, _ b: MathExpression) throws -> Bool {
        try budget.spend()
        switch (a, b) {
        case (.set(let x), .set(let y)): return try areEqual(unordered: x, y)
        case (.sequence(let open, let x, let close), .sequence(let otherOpen, let y, let otherClose)):
            return try open == otherOpen && close == otherClose && areEqual(ordered: x, y)
        case (.matrix(let x), .matrix(let y)): return try x.map(\.count) == y.map(\.count) && areEqual(ordered: a.parts, b.parts)
        case (.setOperation(let name, let x), .setOperation(let otherName, let y)):
            guard name == otherName else { return false }
            return try name == "setminus" ? areEqual(ordered: x, y) : areEqual(unordered: x, y)
        case (.numeral(let x, let base), .numeral(let y, let otherBase)): return base == otherBase && x.drop { $0 == "0" } == y.drop { $0 == "0" }
        case (.relation(let x, let operators), .relation(let y, let otherOperators)): return try areRelationsEqual((x, operators), (y, otherOperators))
        case (.set, _), (.sequence, _), (.matrix, _), (.setOperation, _), (.numeral, _), (.relation, _), (.word, _): return a == b
        default: return try areValuesEqual(a, b)
        }
    }

    private typealias Relation = (operands: [MathExpression], operators: [String])

    private mutating func areRelationsEqual(_ a: Relation, _ b: Relation) throws -> Bool {
        let (a, b) = (Self.ascending(a), Self.ascending(b))
        guard a.operators == b.operators else { return false }
        if try areEqual(ordered: a.operands, b.operands) { return true }
        guard a.operands.count == 2 else { return false }
        switch a.operators[0] {
        case "=", "ne": return try areEqual(ordered: a.operands.reversed(), b.operands) || areProportional(Self.difference(a), Self.difference(b), positively: false)
        case "<", "le": return try areProportional(Self.difference(a), Self.difference(b), positively: true)
        default: return false
        }
    }

    /// Written with < and ≤ where it was written with > and ≥ only.
    private static func ascending(_ relation: Relation) -> Relation {
        let swapped = relation.operators.compactMap { [">": "<", "ge": "le"][$0] }
        return swapped.count == relation.operators.count ? (relation.operands.reversed(), swapped.reversed()) : relation
    }

    private static func difference(_ relation: Relation) -> MathExpression { .sum([relation.operands[0], .negative(relation.operands[1])]) }

    // MARK: Values

    private struct Values {
        var residues: [ResidueNumber?]
        var approximations: [ApproximateNumber?]
    }

    private mutating func values(of expression: MathExpression, isComplex: Bool) throws -> Values {
        var values = Values(residues: [], approximations: [])
        for point in 0..<Self.residues { values.residues.append(try expression.residue(at: point, budget: &budget)) }
        for point in 0..<Self.approximations {
            let value = try expression.approximation(at: EvaluationPoint(index: point, isComplex: isComplex), budget: &budget)
            values.approximations.append(value.flatMap { $0.error <= Self.largestError ? $0 : nil })
        }
        return values
    }

    private static func isComplex(_ a: MathExpression, _ b: MathExpression) -> Bool { a.contains { $0 == .name("i") } || b.contains { $0 == .name("i") } }

    private mutating func areValuesEqual(_ a: MathExpression, _ b: MathExpression) throws -> Bool {
        let isComplex = Self.isComplex(a, b)
        let (x, y) = (try values(of: a, isComplex: isComplex), try values(of: b, isComplex: isComplex))
        return Self.agree(x, y, digits: max(Self.digits(a), Self.digits(b))) ?? (a == b)
    }

    /// Whether two equations or inequalities are one, multiplied by a constant: the values of their differences have one ratio everywhere.
    private mutating func areProportional(_ a: MathExpression, _ b: MathExpression, positively: Bool) throws -> Bool {
        let isComplex = Self.isComplex(a, b)
        var (x, y) = (try values(of: a, isComplex: isComplex), try values(of: b, isComplex: isComplex))
        guard let base = (0..<Self.approximations).first(where: { x.approximations[$0] != nil && y.approximations[$0] != nil }),
            let first = x.approximations[base], let second = y.approximations[base],
            first.magnitude > 16 * first.error, second.magnitude > 16 * second.error, !positively || first.real * second.real > 0
        else { return false }
        let (residue, otherResidue) = (x.residues[0], y.residues[0])
        x.residues = x.residues.map { value in value.flatMap { value in otherResidue.map { value * $0 } } }
        y.residues = y.residues.map { value in value.flatMap { value in residue.map { value * $0 } } }
        x.approximations = x.approximations.map { $0.map { $0 * second } }
        y.approximations = y.approximations.map { $0.map { $0 * first } }
        return Self.agree(x, y, digits: max(Self.digits(a), Self.digits(b))) ?? false
    }

    /// `nil` where neither kind of number can tell.
    private static func agree(_ a: Values, _ b: Values, digits: Int) -> Bool? {
        let residues = zip(a.residues, b.residues).compactMap { x, y in x.flatMap { x in y.map { x == $0 } } }
        let approximations = zip(a.approximations, b.approximations).compactMap { x, y in x.flatMap { x in y.map { x.agrees(with: $0) } } }
        if residues.contains(false) || approximations.contains(false) { return false }
        if !residues.isEmpty { return true }
        return approximations.count < leastApproximations ? nil : digits <= mostDigits
    }

    /// Of the longest number in an expression.
    private static func digits(_ expression: MathExpression) -> Int {
        if case .number(let digits) = expression { digits.count { $0 != "." && $0 != "0" } } else { expression.parts.map(digits).max() ?? 0 }
    }
}
