/// Numbers, names, brackets, matrices, commands and functions.
extension MathParser {
    mutating func atom() throws -> MathExpression {
        guard let token = peek else { throw unexpected() }
        try budget.spend()
        place += 1
        switch token {
        case .number(let digits): return try number(digits)
        case .numeral(let digits, "10") where digits.allSatisfy { $0.isASCII && ($0.isNumber || $0 == ".") }: return try number(digits)
        case .numeral(let digits, let base): return .numeral(digits: digits, base: base)
        case .letter(let letter): return .name(letter + (try subscripted()))
        case .word(let word): return word.count == 1 ? .name(word) : .word(word.lowercased())
        case .begin(let environment): return try matrix(environment)
        case .symbol("{"):
            place -= 1
            return try argument()
        case .symbol("("), .symbol("["): return try sequence(open: token)
        case .symbol("|"):
            bars += 1
            let content = try nested { parser in try parser.sum() }
            bars -= 1
            try expect(.symbol("|"))
            return .function("|", content)
        case .command(let name): return try command(name)
        case .symbol, .end, .newRow:
            place -= 1
            throw unexpected()
        }
    }

    /// A number, with the digits that repeat ("0.\overline{3}") or the fraction behind it ("3 \frac{1}{2}", "3 1/2").
    private mutating func number(_ digits: String) throws -> MathExpression {
        if let point = digits.firstIndex(of: "."), accept(.command("overline")) {
            guard case .number(let period) = try argument(), !period.contains(".") else { throw unexpected() }
            let shift = "1" + String(repeating: "0", count: digits.distance(from: point, to: digits.endIndex) - 1)
            let repeated = MathExpression.product([.number(period), .reciprocal(.product([.number(shift), .number(String(repeating: "9", count: period.count))]))])
            return .sum([.number(digits), repeated])
        }
        guard !digits.contains("."), let fraction = properFraction() else { return .number(digits) }
        return .sum([.number(digits), fraction])
    }

    /// A fraction of two whole numbers, the lower one larger, if one begins here.
    private mutating func properFraction() -> MathExpression? {
        let parts: [MathToken]
        switch peek {
        case .command("frac"): parts = tokens[(place + 1)...].prefix(6).filter { $0 != .symbol("{") && $0 != .symbol("}") }
        case .number where place + 2 < tokens.count && tokens[place + 1] == .symbol("/"): parts = [tokens[place], tokens[place + 2]]
        default: return nil
        }
        guard parts.count >= 2, case .number(let above) = parts[0], case .number(let below) = parts[1], let numerator = Int(above), let denominator = Int(below),
            numerator < denominator
        else { return nil }
        let start = place
        place += 1
        if tokens[start] != .command("frac") {
            place += 2
        } else if (try? argument()) != .number(above) || (try? argument()) != .number(below) {
            place = start
            return nil
        }
        return .product([.number(above), .reciprocal(.number(below))])
    }

    private mutating func subscripted() throws -> String {
        guard accept(.symbol("_")) else { return "" }
        let start = place
        _ = try argument()
        return "_" + tokens[start..<place].filter { $0 != .symbol("{") && $0 != .symbol("}") }.map { "\($0)" }.joined()
    }

    private mutating func sequence(open: MathToken) throws -> MathExpression {
        let outerBars = bars
        bars = 0
        defer { bars = outerBars }
        var parts: [MathExpression] = []
        _ = try nested { parser in
            parts = try parser.items(splittingSigns: false)
            return .set([])
        }
        guard let close = peek, close == .symbol(")") || close == .symbol("]") else { throw unexpected() }
        place += 1
        if parts.count == 1 { return parts[0] }
        guard !parts.isEmpty else { throw unexpected() }
        return .sequence(open: open == .symbol("(") ? "(" : "[", parts, close: close == .symbol(")") ? ")" : "]")
    }

    private mutating func matrix(_ environment: String) throws -> MathExpression {
        guard ["pmatrix", "bmatrix", "matrix", "array"].contains(environment) else { throw MathUnreadable(reason: "unknown environment \(environment)") }
        if environment == "array" { _ = try argument() }
        var rows: [[MathExpression]] = [[]]
        while !accept(.end(environment)) {
            rows[rows.count - 1].append(try nested { parser in try parser.relation() })
            if accept(.newRow) { if peek != .end(environment) { rows.append([]) } } else if peek != .end(environment) { try expect(.symbol("&")) }
        }
        return .matrix(rows)
    }

    private mutating func command(_ name: String) throws -> MathExpression {
        switch name {
        case "frac": return .product([try argument(), .reciprocal(try argument())])
        case "binom": return .binomial(try argument(), try argument())
        case "pi", "infty": return .name(name)
        case "emptyset": return .set([])
        case "sqrt":
            guard accept(.symbol("[")) else { return .root(try argument(), index: .number("2")) }
            let index = try nested { parser in try parser.sum() }
            try expect(.symbol("]"))
            return .root(try argument(), index: index)
        case "{":
            var parts: [MathExpression] = []
            _ = try nested { parser in
                parts = try parser.items(splittingSigns: true)
                return .set([])
            }
            try expect(.command("}"))
            return .set(parts)
        case "overline", "vec", "hat", "bar", "widehat", "angle", "triangle":
            let start = place
            _ = try argument()
            return .name(name + tokens[start..<place].map { "\($0)" }.joined())
        case _ where MathToken.functions.contains(name): return try function(name)
        case _ where Self.greek.contains(name): return .name(name + (try subscripted()))
        default: throw MathUnreadable(reason: "unknown command \\\(name)")
        }
    }

    private static let greek: Set<String> = [
        "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "rho", "sigma", "tau",
        "phi", "varphi", "chi", "psi", "omega", "Delta", "Gamma", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega", "ell",
    ]

    private mutating func function(_ name: String) throws -> MathExpression {
        var (base, power): (MathExpression?, MathExpression?)
        if name == "log", accept(.symbol("_")) { base = try argument() }
        if accept(.symbol("^")) { power = try exponent() }
        var argument = try nested { parser in
            if parser.peek == .symbol("(") || parser.peek == .symbol("{") { return try parser.atom() }
            var factors = [try parser.factor()]
            while parser.beginsAtom, parser.peek != .symbol("("), !parser.beginsFunction { factors.append(try parser.postfixed()) }
            return factors.count == 1 ? factors[0] : .product(factors)
        }
        if name == "log" || name == "lg" {
            return .product([raised(.function("ln", argument), to: power), .reciprocal(.function("ln", base ?? .number("10")))])
        }
        if power == .negative(.number("1")), !name.hasPrefix("arc") { return .function("arc" + name, argument) }
        if name == "exp" { argument = .power(.name("e"), argument) }
        return raised(name == "exp" ? argument : .function(name, argument), to: power)
    }

    private func raised(_ value: MathExpression, to power: MathExpression?) -> MathExpression { power.map { .power(value, $0) } ?? value }

    private var beginsFunction: Bool {
        if case .command(let name)? = peek { name != "sqrt" && MathToken.functions.contains(name) } else { false }
    }
}
