/// Expressions, from the loosest to the tightest: choice, or, and, not, comparison, + −, ~, * / // %, **, signs, then what follows a value.
extension TemplateParser {
    /// One expression, or several with commas between them as a tuple.
    mutating func tuple(allowsChoice: Bool = true, endsAt end: String? = nil, isInBrackets: Bool = false) throws -> TemplateExpression {
        var items: [TemplateExpression] = []
        var isTuple = isInBrackets
        while true {
            if isTupleEnd(end) { break }
            items.append(try allowsChoice ? expression() : operators(from: .or))
            guard take(mark: ",") else {
                if items.count == 1 { return items[0] }
                break
            }
            isTuple = true
        }
        guard isTuple else { throw unexpected }
        return try make(.tuple(items))
    }

    mutating func expression() throws -> TemplateExpression {
        try deeper()
        defer { shallower() }
        let soft = softness
        defer { restore(soft) }
        var value = try operators(from: .or)
        while take(name: "if") {
            soften(since: soft)
            let condition = try operators(from: .or)
            value = try make(.choice(value, if: condition, otherwise: take(name: "else") ? try expression() : nil))
        }
        return value
    }

    // MARK: Operators

    enum Precedence: Int {
        case or, and, not, comparison, sum, concatenation, product, power, sign

        var next: Precedence { Precedence(rawValue: rawValue + 1)! }
    }

    /// An expression of operators that bind at least as tightly as `precedence`.
    private mutating func operators(from precedence: Precedence) throws -> TemplateExpression {
        try deeper()
        defer { shallower() }
        if precedence.rawValue <= Precedence.not.rawValue, take(name: "not") {
            var isNegated = true
            while take(name: "not") { isNegated.toggle() }
            let operand = try operators(from: .comparison)
            let value = try make(.not(operand))
            return try continued(isNegated ? value : make(.not(value)), from: precedence, loosest: .and)
        }
        return try continued(try signed(), from: precedence, loosest: .power)
    }

    /// Goes on behind a value that binds more tightly than `loosest`, up to `precedence`.
    private mutating func continued(_ first: TemplateExpression, from precedence: Precedence, loosest: Precedence) throws -> TemplateExpression {
        var value = first
        for level in (0...loosest.rawValue).reversed() where level >= precedence.rawValue {
            value = try chain(value, at: Precedence(rawValue: level)!)
        }
        return value
    }

    /// All operators of one level that follow a value.
    private mutating func chain(_ first: TemplateExpression, at level: Precedence) throws -> TemplateExpression {
        switch level {
        case .or, .and:
            var operands = [first]
            while take(name: level == .or ? "or" : "and") { operands.append(try operators(from: level.next)) }
            return operands.count == 1 ? first : try make(level == .or ? .any(operands) : .all(operands))
        case .comparison:
            var operands: [(mark: String, operand: TemplateExpression)] = []
            while let mark = comparison() { operands.append((mark, try operators(from: .sum))) }
            return operands.isEmpty ? first : try make(.comparison(first, operands))
        case .concatenation:
            var operands = [first]
            while take(mark: "~") { operands.append(try operators(from: .product)) }
            return operands.count == 1 ? first : try make(.concatenation(operands))
        case .sum, .product, .power:
            let marks = level == .sum ? ["+", "-"] : level == .product ? ["*", "/", "//", "%"] : ["**"]
            var operands: [(mark: String, operand: TemplateExpression)] = []
            while case .mark(let mark) = token.kind, marks.contains(mark) {
                advance()
                operands.append((mark, try operators(from: level.next)))
            }
            return operands.isEmpty ? first : try make(.arithmetic(first, operands))
        case .not, .sign: return first
        }
    }

    private mutating func comparison() -> String? {
        switch token.kind {
        case .mark(let mark) where ["==", "!=", "<", "<=", ">", ">="].contains(mark):
            advance()
            return mark
        case .name("in"):
            advance()
            return "in"
        case .name("not") where following.kind == .name("in"):
            advance()
            advance()
            return "not in"
        default: return nil
        }
    }

    /// A value with the signs before it and the filters and tests behind it, which apply to the signed value.
    private mutating func signed() throws -> TemplateExpression {
        var signs: [Bool] = []
        while token.kind == .mark("-") || token.kind == .mark("+") {
            signs.append(token.kind == .mark("-"))
            advance()
        }
        guard signs.count <= ChatTemplate.maximumDepth else { throw ChatTemplateError.limit("\(ChatTemplate.maximumDepth) signs", line: token.line) }
        var value = try postfix(try primary())
        for isNegative in signs.reversed() { value = try postfix(try make(.signed(value, isNegative: isNegative))) }
        while true {
            if token.kind == .mark("|") {
                value = try filters(around: value)
            } else if take(name: "is") {
                value = try test(of: value)
            } else if token.kind == .mark("(") {
                value = try make(.call(value, try arguments()))
            } else {
                return value
            }
        }
    }

    // MARK: Values

    private mutating func primary() throws -> TemplateExpression {
        let current = token
        switch current.kind {
        case .name(let name):
            advance()
            switch name {
            case "true", "True": return try make(.literal(.bool(true)))
            case "false", "False": return try make(.literal(.bool(false)))
            case "none", "None": return try make(.literal(.none))
            default:
                for macro in macroNames.indices { macroNames[macro].insert(name) }
                return try make(.variable(name))
            }
        case .string:
            var text: [UInt8] = []
            while case .string(let part) = token.kind {
                text += part
                advance()
            }
            return try make(.literal(.string(text)))
        case .integer(let value):
            advance()
            return try make(.literal(.integer(value)))
        case .float(let value):
            advance()
            return try make(.literal(.float(value)))
        case .mark("("):
            advance()
            let value = try tuple(isInBrackets: true)
            try expect(mark: ")")
            return value
        case .mark("["):
            advance()
            return try make(.list(try items(until: "]") { parser throws(any Error) in try parser.expression() }))
        case .mark("{"):
            advance()
            return try make(
                .dictionary(
                    try items(until: "}") { parser throws(any Error) in
                        let key = try parser.expression()
                        try parser.expect(mark: ":")
                        return (key, try parser.expression())
                    }))
        default: throw unexpected
        }
    }

    private mutating func items<Item>(until end: String, _ item: (inout TemplateParser) throws -> Item) throws -> [Item] {
        var items: [Item] = []
        while !take(mark: end) {
            if !items.isEmpty {
                try expect(mark: ",")
                if take(mark: end) { break }
            }
            items.append(try item(&self))
        }
        return items
    }

    private mutating func postfix(_ start: TemplateExpression) throws -> TemplateExpression {
        var value = start
        while true {
            if take(mark: ".") {
                switch token.kind {
                case .name(let name): value = try make(.attribute(value, name))
                case .integer(let index): value = try make(.item(value, try make(.literal(.integer(index)))))
                default: throw unexpected
                }
                advance()
            } else if take(mark: "[") {
                value = try subscripted(value)
            } else if token.kind == .mark("(") {
                value = try make(.call(value, try arguments()))
            } else {
                return value
            }
        }
    }

    private mutating func subscripted(_ value: TemplateExpression) throws -> TemplateExpression {
        if token.kind == .mark(":") || token.kind == .mark("]") {
            guard take(mark: ":") else { throw unexpected }
            return try sliced(value, from: nil)
        }
        let first = try expression()
        if take(mark: ":") { return try sliced(value, from: first) }
        var keys = [first]
        while take(mark: ",") { keys.append(try expression()) }
        try expect(mark: "]")
        return try make(.item(value, keys.count == 1 ? first : make(.tuple(keys))))
    }

    private mutating func sliced(_ value: TemplateExpression, from: TemplateExpression?) throws -> TemplateExpression {
        var (to, step): (TemplateExpression?, TemplateExpression?) = (nil, nil)
        if token.kind != .mark(":"), token.kind != .mark("]") { to = try expression() }
        if take(mark: ":"), token.kind != .mark("]") { step = try expression() }
        try expect(mark: "]")
        return try make(.slice(value, from: from, to: to, step: step))
    }

    // MARK: Calls, filters and tests

    private mutating func arguments() throws -> TemplateArgumentList {
        let line = token.line
        var list = TemplateArgumentList()
        try expect(mark: "(")
        var isFirst = true
        while !take(mark: ")") {
            if !isFirst {
                try expect(mark: ",")
                if take(mark: ")") { break }
            }
            isFirst = false
            let hasRest = list.positionalRest != nil || list.namedRest != nil
            var isMisplaced = list.namedRest != nil
            if take(mark: "*") {
                isMisplaced = hasRest
                list.positionalRest = try expression()
            } else if take(mark: "**") {
                list.namedRest = try expression()
            } else if case .name(let name) = token.kind, following.kind == .mark("=") {
                advance()
                advance()
                guard !list.named.contains(where: { $0.name == name }) else { throw ChatTemplateError.syntax(problem: "two arguments '\(name)'", line: line) }
                list.named.append((name, try expression()))
            } else {
                isMisplaced = hasRest || !list.named.isEmpty
                list.positional.append(try expression())
            }
            guard !isMisplaced else { throw ChatTemplateError.syntax(problem: "arguments in an order that no call has", line: line) }
        }
        return list
    }

    private mutating func dottedName() throws -> String {
        var name = try name()
        while take(mark: ".") { name += "." + (try self.name()) }
        return name
    }

    /// `| filter(…)` as often as it comes. `startsInline`: the first without its `|`, as in a filter block.
    mutating func filters(around start: TemplateExpression, startsInline: Bool = false) throws -> TemplateExpression {
        var value = start
        var isFirst = startsInline
        while isFirst || take(mark: "|") {
            isFirst = false
            let name = try dottedName()
            if TemplateFilters.table[name] == nil { noteUnknown("filter", name) }
            value = try make(.filter(value, name, token.kind == .mark("(") ? try arguments() : TemplateArgumentList()))
        }
        return value
    }

    /// What follows `is`.
    private mutating func test(of value: TemplateExpression) throws -> TemplateExpression {
        let line = token.line
        let isNegated = take(name: "not")
        let name = try dottedName()
        if TemplateTests.table[name] == nil { noteUnknown("test", name) }
        var list = TemplateArgumentList()
        switch token.kind {
        case .mark("("): list = try arguments()
        case .name("else"), .name("or"), .name("and"): break
        case .name("is"): throw ChatTemplateError.syntax(problem: "two tests in a row; join them with 'and'", line: line)
        case .name, .string, .integer, .float, .mark("["), .mark("{"): list.positional = [try postfix(try primary())]
        default: break
        }
        let test = try make(.test(value, name, list))
        return isNegated ? try make(.not(test)) : test
    }

    func make(_ kind: TemplateExpression.Kind) throws -> TemplateExpression {
        func tallest(_ list: TemplateArgumentList) -> Int {
            (list.positional + list.named.map(\.value) + [list.positionalRest, list.namedRest].compactMap { $0 }).map(\.height).max() ?? 0
        }
        let below: Int =
            switch kind {
            case .literal, .variable, .collected: 0
            case .list(let items), .tuple(let items), .all(let items), .any(let items), .concatenation(let items): items.map(\.height).max() ?? 0
            case .dictionary(let members): members.map { max($0.key.height, $0.value.height) }.max() ?? 0
            case .attribute(let a, _), .not(let a), .signed(let a, _): a.height
            case .item(let a, let b): max(a.height, b.height)
            case .slice(let a, let b, let c, let d): [a, b, c, d].compactMap { $0?.height }.max()!
            case .call(let a, let list), .filter(let a, _, let list), .test(let a, _, let list): max(a.height, tallest(list))
            case .arithmetic(let a, let others), .comparison(let a, let others): max(a.height, others.map(\.operand.height).max()!)
            case .choice(let a, let b, let c): max(a.height, b.height, c?.height ?? 0)
            }
        guard below < ChatTemplate.maximumExpressionHeight else {
            throw ChatTemplateError.limit("\(ChatTemplate.maximumExpressionHeight) operations inside each other in one expression", line: token.line)
        }
        return TemplateExpression(kind: kind, line: token.line, height: below + 1)
    }
}
