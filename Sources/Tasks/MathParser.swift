/// Reads an answer, from its tokens, by recursive descent: list, relation, set operation, sum, product, power; `MathParser+Atoms.swift` has the rest.
struct MathParser {
    /// Levels of nesting that an answer may have; those of MATH have six.
    static let maxDepth = 32

    let tokens: [MathToken]
    var place = 0
    private var depth = 0
    /// How many bars `|` are open.
    var bars = 0
    /// `±` was read as minus, `∓` as plus.
    private var takesLowerSign = false
    private var sawDoubleSign = false
    var budget: MathBudget

    /// The parts of a list of answers ("1, 2 and 3"); a single answer is a list of one.
    /// - Throws: `MathUnreadable` for what is no expression, or is too deep or too long.
    static func parse(_ text: String, budget: inout MathBudget) throws -> [MathExpression] {
        var parser = MathParser(tokens: try MathToken.tokens(of: text), budget: budget)
        defer { budget = parser.budget }
        let items = try parser.items(splittingSigns: true)
        guard parser.peek == nil, !items.isEmpty else { throw parser.unexpected() }
        return items
    }

    private init(tokens: [MathToken], budget: MathBudget) {
        self.tokens = tokens
        self.budget = budget
    }

    var peek: MathToken? { place < tokens.count ? tokens[place] : nil }

    func unexpected() -> MathUnreadable { MathUnreadable(reason: "unexpected \(peek.map { "\($0)" } ?? "end")") }

    mutating func accept(_ token: MathToken) -> Bool {
        guard peek == token else { return false }
        place += 1
        return true
    }

    mutating func expect(_ token: MathToken) throws {
        guard accept(token) else { throw unexpected() }
    }

    // MARK: Lists, relations, set operations

    /// - Parameter splittingSigns: `1 ± 2` becomes two items; otherwise the list around this one is split.
    mutating func items(splittingSigns: Bool) throws -> [MathExpression] {
        var items: [MathExpression] = []
        while true {
            while accept(.symbol(",")) || accept(.symbol(";")) {}
            guard let next = peek, !Self.closing.contains(next) else { return items }
            let (start, outer) = (place, (takesLowerSign, sawDoubleSign))
            if splittingSigns { (takesLowerSign, sawDoubleSign) = (false, false) }
            items.append(try relation())
            if splittingSigns {
                if sawDoubleSign {
                    (place, takesLowerSign) = (start, true)
                    items.append(try relation())
                }
                (takesLowerSign, sawDoubleSign) = outer
            }
            guard peek == .symbol(",") || peek == .symbol(";") else { return items }
        }
    }

    private static let closing: [MathToken] = [.symbol(")"), .symbol("]"), .symbol("}"), .command("}")]

    mutating func relation() throws -> MathExpression {
        var operands = [try setOperation()]
        var operators: [String] = []
        while let sign = relationSign() {
            operators.append(sign)
            operands.append(try setOperation())
        }
        return operators.isEmpty ? operands[0] : .relation(operands, operators: operators)
    }

    private mutating func relationSign() -> String? {
        let sign: String
        switch peek {
        case .symbol(let symbol) where "=<>:".contains(symbol): sign = String(symbol)
        case .command(let name) where ["le", "ge", "ne", "in"].contains(name): sign = name
        default: return nil
        }
        place += 1
        guard sign == "<" || sign == ">", accept(.symbol("=")) else { return sign }
        return sign == "<" ? "le" : "ge"
    }

    private mutating func setOperation() throws -> MathExpression {
        var result = try sum()
        while case .command(let name)? = peek, ["cup", "cap", "setminus"].contains(name) {
            place += 1
            let next = try sum()
            if case .setOperation(name, let parts) = result, name != "setminus" {
                result = .setOperation(name, parts + [next])
            } else {
                result = .setOperation(name, [result, next])
            }
            try budget.spend()
        }
        return result
    }

    // MARK: Arithmetic

    mutating func sum() throws -> MathExpression {
        var terms = [try product()]
        while let isNegative = sign() {
            let term = try product()
            terms.append(isNegative ? .negative(term) : term)
        }
        return terms.count == 1 ? terms[0] : .sum(terms)
    }

    /// A plus or minus sign, read over: whether it is minus; `nil` where there is none.
    private mutating func sign() -> Bool? {
        let isNegative: Bool
        switch peek {
        case .symbol("+"): isNegative = false
        case .symbol("-"): isNegative = true
        case .command("pm"): (isNegative, sawDoubleSign) = (takesLowerSign, true)
        case .command("mp"): (isNegative, sawDoubleSign) = (!takesLowerSign, true)
        default: return nil
        }
        place += 1
        return isNegative
    }

    private mutating func product() throws -> MathExpression {
        var factors = [try factor()]
        while true {
            try budget.spend()
            if accept(.symbol("*")) {
                factors.append(try factor())
            } else if accept(.symbol("/")) {
                factors.append(.reciprocal(try factor()))
            } else if case .word? = peek {
                try units()
            } else if beginsAtom {
                if case .number? = peek, case .number = tokens[place - 1] { throw unexpected() }
                factors.append(try postfixed())
            } else {
                return factors.count == 1 ? factors[0] : .product(factors)
            }
        }
    }

    /// Units behind a value change nothing: "12 cm^2", "5 miles / hour".
    private mutating func units() throws {
        while case .word(let word)? = peek {
            guard !["am", "pm"].contains(word.lowercased().filter({ $0 != "." })) else { throw unexpected() }
            place += 1
            if accept(.symbol("^")) { _ = try argument() }
            if peek == .symbol("/"), place + 1 < tokens.count, case .word = tokens[place + 1] { place += 1 }
        }
    }

    var beginsAtom: Bool {
        switch peek {
        case .number, .letter, .numeral, .begin: true
        case .symbol(let symbol): "([{".contains(symbol) || (symbol == "|" && bars == 0)
        case .command(let name):
            name == "{" || !["}", "cup", "cap", "setminus", "le", "ge", "ne", "in", "pm", "mp", "circ"].contains(name)
        case .word, .end, .newRow, nil: false
        }
    }

    mutating func factor() throws -> MathExpression {
        try nested { parser in
            guard let isNegative = parser.sign() else { return try parser.postfixed() }
            let factor = try parser.factor()
            return isNegative ? .negative(factor) : factor
        }
    }

    mutating func nested(_ body: (inout MathParser) throws -> MathExpression) throws -> MathExpression {
        guard depth < Self.maxDepth else { throw MathUnreadable(reason: "nested deeper than \(Self.maxDepth) levels") }
        try budget.spend()
        depth += 1
        defer { depth -= 1 }
        return try body(&self)
    }

    mutating func postfixed() throws -> MathExpression {
        var result = try atom()
        for _ in 0..<4 {
            if accept(.symbol("!")) {
                result = .function("!", result)
            } else if accept(.symbol("^")) {
                result = try acceptDegrees() ? .degrees(result) : .power(result, exponent())
            } else {
                return result
            }
        }
        throw unexpected()
    }

    private mutating func acceptDegrees() -> Bool {
        let rest = tokens[place...]
        if rest.starts(with: [.symbol("{"), .command("circ"), .symbol("}")]) { place += 3 } else if rest.first == .command("circ") { place += 1 } else { return false }
        return true
    }

    mutating func exponent() throws -> MathExpression {
        try nested { parser in
            if let isNegative = parser.sign() {
                let exponent = try parser.exponent()
                return isNegative ? .negative(exponent) : exponent
            }
            let base = try parser.argument()
            return parser.accept(.symbol("^")) ? .power(base, try parser.exponent()) : base
        }
    }

    /// What a command or an exponent takes: a group in braces, or one atom.
    mutating func argument() throws -> MathExpression {
        guard accept(.symbol("{")) else {
            // A fraction behind it is another factor: "x^2 \frac{1}{2}".
            if case .number(let digits) = peek {
                try budget.spend()
                place += 1
                return .number(digits)
            }
            return try nested { parser in try parser.atom() }
        }
        let content = try nested { parser in try parser.relation() }
        try expect(.symbol("}"))
        return content
    }
}
