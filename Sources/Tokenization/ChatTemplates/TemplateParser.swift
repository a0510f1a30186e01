/// What a template consists of.
indirect enum TemplateNode: Sendable {
    case text([UInt8])
    case print(TemplateExpression)
    case conditional(branches: [(condition: TemplateExpression, body: [TemplateNode])], otherwise: [TemplateNode])
    case loop(variable: String, over: TemplateExpression, body: [TemplateNode], otherwise: [TemplateNode], line: Int)
    case set(String, TemplateExpression)
}

struct TemplateExpression: Sendable {
    indirect enum Kind: Sendable {
        case value(TemplateValue)
        case variable(String)
        case item(TemplateExpression, TemplateExpression)  // a[b] and a.b
        case slice(TemplateExpression, from: TemplateExpression?, to: TemplateExpression?)
        case not(TemplateExpression)
        case negative(TemplateExpression)
        case both(TemplateExpression, TemplateExpression)
        case either(TemplateExpression, TemplateExpression)
        case binary(String, TemplateExpression, TemplateExpression)
        case choice(TemplateExpression, if: TemplateExpression, otherwise: TemplateExpression?)
        case filter(String, TemplateExpression)
        case test(String, TemplateExpression)
        case raise(TemplateExpression)
    }

    var kind: Kind
    var line: Int
    var height: Int  // of the tree, which evaluation descends recursively
}

/// Recursive descent, with Jinja's precedences: choice, or, and, not, comparison, + −, ~, unary minus, then postfix.
struct TemplateParser {
    private static let filters: Set<String> = ["trim", "length", "count", "upper", "lower"]
    private static let tests: Set<String> = ["defined", "undefined", "none", "string"]

    private let tokens: [TemplateToken]
    private var position = 0
    private var depth = 0

    init(_ tokens: [TemplateToken]) { self.tokens = tokens }

    private var token: TemplateToken { tokens[position] }
    private mutating func advance() { position = min(position + 1, tokens.count - 1) }

    mutating func template() throws -> [TemplateNode] {
        let (body, end) = try nodes(until: [])
        precondition(end == nil)
        return body
    }

    /// - Returns: the nodes, and the name of the tag that ended them; its tag is read up to the name.
    private mutating func nodes(until ends: [String]) throws -> ([TemplateNode], end: String?) {
        try deeper()
        defer { depth -= 1 }
        let start = token.line
        var nodes: [TemplateNode] = []
        while true {
            switch token.kind {
            case .text(let text):
                nodes.append(.text(text))
                advance()
            case .openPrint:
                advance()
                nodes.append(.print(try expression()))
                try close(.closePrint)
            case .openBlock:
                advance()
                let line = token.line
                guard case .name(let tag) = token.kind else { throw ChatTemplateError.syntax(problem: "a block without a name", line: line) }
                advance()
                if ends.contains(tag) { return (nodes, tag) }
                switch tag {
                case "if": nodes.append(try conditional())
                case "for": nodes.append(try loop(line: line))
                case "set": nodes.append(try assignment(line: line))
                case "elif", "else", "endif", "endfor": throw ChatTemplateError.syntax(problem: "'\(tag)' where no block is open for it", line: line)
                default: throw ChatTemplateError.unsupported(construct: "the tag '\(tag)'", line: line)
                }
            case .end:
                if ends.isEmpty { return (nodes, nil) }
                throw ChatTemplateError.syntax(problem: "the block that starts here has no \(ends.last!)", line: start)
            default: throw ChatTemplateError.syntax(problem: "unexpected \(shown(token.kind))", line: token.line)
            }
        }
    }

    private mutating func conditional() throws -> TemplateNode {
        var branches: [(condition: TemplateExpression, body: [TemplateNode])] = []
        while true {
            let condition = try expression()
            try close(.closeBlock)
            let (body, end) = try nodes(until: ["elif", "else", "endif"])
            branches.append((condition, body))
            if end == "elif" { continue }
            var otherwise: [TemplateNode] = []
            if end == "else" {
                try close(.closeBlock)
                (otherwise, _) = try nodes(until: ["endif"])
            }
            try close(.closeBlock)
            return .conditional(branches: branches, otherwise: otherwise)
        }
    }

    private mutating func loop(line: Int) throws -> TemplateNode {
        let variable = try name()
        if case .mark(",") = token.kind { throw ChatTemplateError.unsupported(construct: "a loop over several variables", line: line) }
        guard case .name("in") = token.kind else { throw ChatTemplateError.syntax(problem: "'for' without 'in'", line: line) }
        advance()
        let list = try either()
        if case .name(let word) = token.kind { throw ChatTemplateError.unsupported(construct: "'\(word)' in a for tag", line: line) }
        try close(.closeBlock)
        var (body, end) = try nodes(until: ["else", "endfor"])
        var otherwise: [TemplateNode] = []
        if end == "else" {
            try close(.closeBlock)
            (otherwise, end) = try nodes(until: ["endfor"])
        }
        try close(.closeBlock)
        return .loop(variable: variable, over: list, body: body, otherwise: otherwise, line: line)
    }

    private mutating func assignment(line: Int) throws -> TemplateNode {
        let variable = try name()
        guard case .mark("=") = token.kind else {
            throw ChatTemplateError.unsupported(construct: "'set' of anything but one variable", line: line)
        }
        advance()
        let value = try expression()
        try close(.closeBlock)
        return .set(variable, value)
    }

    private mutating func name() throws -> String {
        guard case .name(let name) = token.kind else { throw ChatTemplateError.syntax(problem: "no variable name", line: token.line) }
        advance()
        return name
    }

    private mutating func close(_ kind: TemplateToken.Kind) throws {
        guard token.kind == kind else { throw ChatTemplateError.syntax(problem: "unexpected \(shown(token.kind))", line: token.line) }
        advance()
    }

    private func shown(_ kind: TemplateToken.Kind) -> String {
        switch kind {
        case .name(let name): "'\(name)'"
        case .mark(let mark): "'\(mark)'"
        case .string: "string"
        case .integer(let value): "number \(value)"
        case .text: "text"
        case .openPrint: "'{{'"
        case .closePrint: "'}}'"
        case .openBlock: "'{%'"
        case .closeBlock: "'%}'"
        case .end: "end of the template"
        }
    }

    private mutating func deeper() throws {
        depth += 1
        if depth > ChatTemplate.maximumDepth { throw ChatTemplateError.limit("\(ChatTemplate.maximumDepth) levels of nesting") }
    }

    // MARK: Expressions

    private mutating func expression() throws -> TemplateExpression {
        try deeper()
        defer { depth -= 1 }
        var value = try either()
        while take(name: "if") {
            let condition = try either()
            let otherwise = take(name: "else") ? try expression() : nil
            value = try make(.choice(value, if: condition, otherwise: otherwise))
        }
        return value
    }

    private mutating func either() throws -> TemplateExpression {
        var left = try both()
        while take(name: "or") { left = try make(.either(left, try both())) }
        return left
    }

    private mutating func both() throws -> TemplateExpression {
        var left = try not()
        while take(name: "and") { left = try make(.both(left, try not())) }
        return left
    }

    private mutating func not() throws -> TemplateExpression {
        guard take(name: "not") else { return try comparison() }
        try deeper()
        defer { depth -= 1 }
        return try make(.not(try not()))
    }

    private mutating func comparison() throws -> TemplateExpression {
        var left = try sum()
        var count = 0
        while true {
            if let mark = take(marks: ["==", "!=", "<", ">", "<=", ">="]) {
                left = try make(.binary(mark, left, try sum()))
            } else if take(name: "in") {
                left = try make(.binary("in", left, try sum()))
            } else if case .name("not") = token.kind, case .name("in") = tokens[min(position + 1, tokens.count - 1)].kind {
                advance()
                advance()
                left = try make(.not(try make(.binary("in", left, try sum()))))
            } else {
                return left
            }
            count += 1
            if count > 1 { throw ChatTemplateError.unsupported(construct: "a chain of comparisons", line: token.line) }
        }
    }

    private mutating func sum() throws -> TemplateExpression {
        var left = try joined()
        while let mark = take(marks: ["+", "-"]) { left = try make(.binary(mark, left, try joined())) }
        return left
    }

    private mutating func joined() throws -> TemplateExpression {
        var left = try product()
        while take(marks: ["~"]) != nil { left = try make(.binary("~", left, try product())) }
        return left
    }

    private mutating func product() throws -> TemplateExpression {
        var left = try unary()
        while let mark = take(marks: ["%"]) { left = try make(.binary(mark, left, try unary())) }
        if case .mark(let mark) = token.kind, ["*", "/", "//", "**"].contains(mark) {
            throw ChatTemplateError.unsupported(construct: "the operator '\(mark)'", line: token.line)
        }
        return left
    }

    private mutating func unary() throws -> TemplateExpression {
        guard take(marks: ["-"]) != nil else { return try postfix(try primary()) }
        try deeper()
        defer { depth -= 1 }
        return try make(.negative(try unary()))
    }

    private mutating func primary() throws -> TemplateExpression {
        let line = token.line
        switch token.kind {
        case .string(let text):
            advance()
            var whole = text
            while case .string(let more) = token.kind {  // neighbouring strings are one
                whole += more
                advance()
            }
            return try make(.value(.string(String(decoding: whole, as: UTF8.self))))
        case .integer(let value):
            advance()
            return try make(.value(.integer(value)))
        case .name(let name):
            advance()
            switch name {
            case "true", "True": return try make(.value(.bool(true)))
            case "false", "False": return try make(.value(.bool(false)))
            case "none", "None": return try make(.value(.none))
            default: break
            }
            guard case .mark("(") = token.kind else { return try make(.variable(name)) }
            guard name == "raise_exception" else { throw ChatTemplateError.unsupported(construct: "the function '\(name)'", line: line) }
            advance()
            let message = try expression()
            try expect(")")
            return try make(.raise(message))
        case .mark("("):
            advance()
            let inner = try expression()
            try expect(")")
            return inner
        case .mark("["), .mark("{"): throw ChatTemplateError.unsupported(construct: "a list or dictionary literal", line: line)
        default: throw ChatTemplateError.syntax(problem: "unexpected \(shown(token.kind))", line: line)
        }
    }

    private mutating func postfix(_ start: TemplateExpression) throws -> TemplateExpression {
        var value = start
        while true {
            let line = token.line
            if take(marks: ["."]) != nil {
                let attribute = try name()
                if case .mark("(") = token.kind { throw ChatTemplateError.unsupported(construct: "the method '\(attribute)'", line: line) }
                value = try make(.item(value, try make(.value(.string(attribute)))))
            } else if take(marks: ["["]) != nil {
                let from = token.kind == .mark(":") ? nil : try expression()
                if take(marks: [":"]) != nil {
                    let to = token.kind == .mark("]") ? nil : try expression()
                    if token.kind == .mark(":") { throw ChatTemplateError.unsupported(construct: "a slice with a step", line: line) }
                    value = try make(.slice(value, from: from, to: to))
                } else {
                    value = try make(.item(value, from!))
                }
                try expect("]")
            } else if take(marks: ["|"]) != nil {
                let filter = try name()
                guard TemplateParser.filters.contains(filter) else { throw ChatTemplateError.unsupported(construct: "the filter '\(filter)'", line: line) }
                if take(marks: ["("]) != nil {
                    guard token.kind == .mark(")") else { throw ChatTemplateError.unsupported(construct: "the filter '\(filter)' with arguments", line: line) }
                    advance()
                }
                value = try make(.filter(filter, value))
            } else if take(name: "is") {
                let isNegated = take(name: "not")
                let test = try name().lowercased()
                guard TemplateParser.tests.contains(test) else { throw ChatTemplateError.unsupported(construct: "the test '\(test)'", line: line) }
                value = try make(.test(test, value))
                if isNegated { value = try make(.not(value)) }
            } else if case .mark("(") = token.kind {
                throw ChatTemplateError.unsupported(construct: "a call", line: line)
            } else {
                return value
            }
        }
    }

    private func make(_ kind: TemplateExpression.Kind) throws -> TemplateExpression {
        let parts: [TemplateExpression?] =
            switch kind {
            case .value, .variable: []
            case .item(let a, let b), .both(let a, let b), .either(let a, let b), .binary(_, let a, let b): [a, b]
            case .slice(let a, let b, let c): [a, b, c]
            case .choice(let a, let b, let c): [a, b, c]
            case .not(let a), .negative(let a), .filter(_, let a), .test(_, let a), .raise(let a): [a]
            }
        let height = 1 + (parts.map { $0?.height ?? 0 }.max() ?? 0)
        guard height <= ChatTemplate.maximumExpressionHeight else {
            throw ChatTemplateError.limit("\(ChatTemplate.maximumExpressionHeight) operations in one expression")
        }
        return TemplateExpression(kind: kind, line: tokens[max(position - 1, 0)].line, height: height)
    }

    private mutating func expect(_ mark: String) throws {
        guard take(marks: [mark]) != nil else {
            throw ChatTemplateError.syntax(problem: "'\(mark)' expected before \(shown(token.kind))", line: token.line)
        }
    }

    private mutating func take(marks: [String]) -> String? {
        guard case .mark(let mark) = token.kind, marks.contains(mark) else { return nil }
        advance()
        return mark
    }

    private mutating func take(name wanted: String) -> Bool {
        guard case .name(wanted) = token.kind else { return false }
        advance()
        return true
    }
}
