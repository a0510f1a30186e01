/// Tokens into statements, by recursive descent. Expressions are in `TemplateParser+Expressions.swift`.
struct TemplateParser {
    private let tokens: [TemplateToken]
    private var position = 0
    private var depth = 0
    /// Loops around the current place that `break` and `continue` could mean.
    private var loops = 0
    private(set) var hasGeneration = false
    /// Whether the current place is one that may never be reached, where unknown filters and tests are no error before it is.
    private var isSoft = false
    /// Unknown filters and tests so far, in places that are not soft.
    private var unknown: [ChatTemplateError] = []

    /// Whether a place is soft, and what was unknown before it.
    struct Softness {
        let isSoft: Bool
        let unknownCount: Int
    }
    var softness: Softness { Softness(isSoft: isSoft, unknownCount: unknown.count) }
    mutating func restore(_ softness: Softness) { isSoft = softness.isSoft }
    /// For every macro around the current place, which of the names it may be given its body speaks of.
    var macroNames: [Set<String>] = []

    init(_ tokens: [TemplateToken]) { self.tokens = tokens }

    mutating func template() throws -> [TemplateNode] {
        let nodes = try nodes(until: [], opener: "").0
        if let first = unknown.first { throw first }
        return nodes
    }

    // MARK: Statements

    /// - Returns: the nodes, and the name of the tag that ended them; its tag is read up to the name.
    private mutating func nodes(until ends: [String], opener: String) throws -> ([TemplateNode], end: String) {
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
                nodes.append(.print(try tuple()))
                try expect(.closePrint)
            case .openBlock:
                advance()
                guard case .name(let tag) = token.kind else { throw unexpected }
                if ends.contains(tag) {
                    advance()
                    return (nodes, tag)
                }
                nodes.append(try statement(tag))
                try expect(.closeBlock)
            case .end:
                if ends.isEmpty { return (nodes, "") }
                throw ChatTemplateError.syntax(problem: "'\(opener)' without its '\(ends.last!)'", line: start)
            default: throw unexpected
            }
        }
    }

    /// The body of a tag, from the end of the tag itself to the name in the tag that ends the body.
    private mutating func body(of opener: String, until ends: [String]) throws -> ([TemplateNode], end: String) {
        _ = take(mark: ":")
        try expect(.closeBlock)
        return try nodes(until: ends, opener: opener)
    }

    /// The body of a tag with variables of its own, or with its own place to write to.
    private mutating func innerBody(of opener: String, until end: String, keepsLoops: Bool = true) throws -> [TemplateNode] {
        let outer = (loops, isSoft)
        if !keepsLoops { loops = 0 }
        isSoft = false
        defer { (loops, isSoft) = outer }
        return try body(of: opener, until: [end]).0
    }

    private mutating func statement(_ tag: String) throws -> TemplateNode {
        let line = token.line
        advance()
        guard let parse = TemplateParser.statements[tag] else {
            let isEnd = tag == "elif" || tag == "else" || tag.hasPrefix("end")
            throw ChatTemplateError.syntax(problem: isEnd ? "'\(tag)' where no tag is open for it" : "there is no tag '\(tag)'", line: line)
        }
        return try parse(&self, line)
    }

    /// How each tag goes on behind its name, which stands on `line`.
    private static let statements: [String: @Sendable (_ parser: inout TemplateParser, _ line: Int) throws -> TemplateNode] = [
        "if": { parser, _ in try parser.conditional() },
        "for": { parser, _ in try parser.loop() },
        "set": { parser, _ in try parser.assignment() },
        "macro": { parser, _ in try parser.macro() },
        "call": { parser, _ in try parser.callBlock() },
        "filter": { parser, _ in try parser.filterBlock() },
        "with": { parser, _ in try parser.with() },
        "generation": { parser, _ in try parser.generation() },
        "block": { parser, _ in try parser.block() },
        "print": { parser, _ in try parser.printed() },
        "autoescape": { parser, line in try parser.autoescape(line) },
        "break": { parser, line in try parser.leap(.leave, line) },
        "continue": { parser, line in try parser.leap(.again, line) },
        "include": { parser, line in parser.otherTemplate("include", line) },
        "import": { parser, line in parser.otherTemplate("import", line) },
        "from": { parser, line in parser.otherTemplate("from", line) },
        "extends": { parser, line in parser.otherTemplate("extends", line) },
    ]

    private func leap(_ node: TemplateNode, _ line: Int) throws -> TemplateNode {
        guard loops > 0 else { throw ChatTemplateError.syntax(problem: "'break' or 'continue' outside of a loop", line: line) }
        return node
    }

    /// A tag that reads another template, which is no error as long as it is not reached.
    private mutating func otherTemplate(_ tag: String, _ line: Int) -> TemplateNode {
        while token.kind != .closeBlock, token.kind != .end { advance() }
        return .unavailable(construct: "the tag '\(tag)', which reads another template,", line: line)
    }

    private mutating func printed() throws -> TemplateNode {
        var printed: [TemplateNode] = []
        while token.kind != .closeBlock {
            if !printed.isEmpty { try expect(mark: ",") }
            printed.append(.print(try expression()))
        }
        return .with([], body: printed)
    }

    private mutating func autoescape(_ line: Int) throws -> TemplateNode {
        guard case .literal(.bool(false)) = try expression().kind else {
            throw ChatTemplateError.unsupported(construct: "'autoescape' of anything but false", line: line)
        }
        return .with([], body: try innerBody(of: "autoescape", until: "endautoescape"))
    }

    private mutating func generation() throws -> TemplateNode {
        hasGeneration = true
        return .generation(try innerBody(of: "generation", until: "endgeneration", keepsLoops: false))
    }

    private mutating func filterBlock() throws -> TemplateNode {
        let filter = try filters(around: make(.collected), startsInline: true)
        return .filterBlock(filter, body: try innerBody(of: "filter", until: "endfilter"))
    }

    private mutating func conditional() throws -> TemplateNode {
        let wasSoft = isSoft
        isSoft = true
        defer { isSoft = wasSoft }
        var branches: [(condition: TemplateExpression, body: [TemplateNode])] = []
        while true {
            let condition = try tuple(allowsChoice: false)
            let (nodes, end) = try body(of: "if", until: ["elif", "else", "endif"])
            branches.append((condition, nodes))
            if end == "elif" { continue }
            let otherwise = end == "else" ? try body(of: "else", until: ["endif"]).0 : []
            return .conditional(branches: branches, otherwise: otherwise)
        }
    }

    private mutating func loop() throws -> TemplateNode {
        let target = try target(endsAt: "in")
        guard take(name: "in") else { throw ChatTemplateError.syntax(problem: "'for' without 'in'", line: token.line) }
        let iterable = try tuple(allowsChoice: false, endsAt: "recursive")
        let outer = (loops, isSoft)
        isSoft = false
        defer { (loops, isSoft) = outer }
        let condition = take(name: "if") ? try expression() : nil
        let isRecursive = take(name: "recursive")
        loops += 1
        let (nodes, end) = try body(of: "for", until: ["else", "endfor"])
        loops -= 1
        let otherwise = end == "else" ? try body(of: "else", until: ["endfor"]).0 : []
        return .loop(
            TemplateForLoop(target: target, iterable: iterable, condition: condition, isRecursive: isRecursive, body: nodes, otherwise: otherwise))
    }

    private mutating func assignment() throws -> TemplateNode {
        let target = try target(allowsMembers: true)
        if take(mark: "=") { return .set(target, try tuple()) }
        let filter = try filters(around: make(.collected))
        return .setBlock(target, filter: filter, body: try innerBody(of: "set", until: "endset"))
    }

    private mutating func with() throws -> TemplateNode {
        var targets: [(target: TemplateTarget, value: TemplateExpression)] = []
        while token.kind != .closeBlock {
            if !targets.isEmpty { try expect(mark: ",") }
            let target = try target()
            try expect(mark: "=")
            targets.append((target, try expression()))
        }
        return .with(targets, body: try innerBody(of: "with", until: "endwith"))
    }

    private mutating func block() throws -> TemplateNode {
        let name = try name()
        let isScoped = take(name: "scoped")
        _ = take(name: "required")
        let body = try innerBody(of: "block", until: "endblock", keepsLoops: false)
        _ = take(name: name)
        return .block(body: body, isScoped: isScoped)
    }

    private mutating func macro() throws -> TemplateNode {
        let name = try name()
        return .macro(try declaration(name, parameters: try parameters(), until: "endmacro"))
    }

    private mutating func callBlock() throws -> TemplateNode {
        let line = token.line
        let parameters = token.kind == .mark("(") ? try parameters() : []
        guard case .call(let callee, let arguments) = try expression().kind else { throw ChatTemplateError.syntax(problem: "'call' without a call", line: line) }
        return .callBlock(callee, arguments, body: try declaration(nil, parameters: parameters, until: "endcall"), line: line)
    }

    private mutating func parameters() throws -> [(name: String, otherwise: TemplateExpression?)] {
        var parameters: [(name: String, otherwise: TemplateExpression?)] = []
        try expect(mark: "(")
        while token.kind != .mark(")") {
            if !parameters.isEmpty { try expect(mark: ",") }
            let line = token.line
            let name = try name()
            let otherwise = take(mark: "=") ? try expression() : nil
            guard otherwise != nil || parameters.last?.otherwise == nil else {
                throw ChatTemplateError.syntax(problem: "the parameter '\(name)' needs a default, since the one before it has one", line: line)
            }
            guard !parameters.contains(where: { $0.name == name }) else { throw ChatTemplateError.syntax(problem: "two parameters '\(name)'", line: line) }
            guard name != "caller" || otherwise != nil else { throw ChatTemplateError.syntax(problem: "the parameter 'caller' needs a default", line: line) }
            parameters.append((name, otherwise))
        }
        try expect(mark: ")")
        return parameters
    }

    private mutating func declaration(
        _ name: String?, parameters: [(name: String, otherwise: TemplateExpression?)], until end: String
    ) throws -> TemplateMacroDeclaration {
        macroNames.append([])
        let body = try innerBody(of: name == nil ? "call" : "macro", until: end, keepsLoops: false)
        let names = macroNames.removeLast()
        return TemplateMacroDeclaration(name: name, parameters: parameters, body: body, names: names.subtracting(parameters.map(\.name)))
    }

    // MARK: Targets

    /// One target, or several as a tuple.
    private mutating func target(endsAt end: String? = nil, allowsMembers: Bool = false) throws -> TemplateTarget {
        var targets: [TemplateTarget] = []
        var isTuple = false
        while true {
            if isTuple, isTupleEnd(end) || token.kind == .mark("=") { break }
            targets.append(try singleTarget(allowsMembers: allowsMembers))
            guard take(mark: ",") else { break }
            isTuple = true
        }
        return isTuple ? .tuple(targets) : targets[0]
    }

    private mutating func singleTarget(allowsMembers: Bool) throws -> TemplateTarget {
        if take(mark: "(") {
            try deeper()
            defer { depth -= 1 }
            let target = try target(allowsMembers: false)
            try expect(mark: ")")
            return target
        }
        let line = token.line
        let name = try name()
        guard !TemplateParser.constants.contains(name) else { throw ChatTemplateError.syntax(problem: "'\(name)' cannot be set", line: line) }
        guard allowsMembers, take(mark: ".") else { return .name(name) }
        return .member(of: name, try self.name())
    }

    static let constants: Set<String> = ["true", "false", "none", "True", "False", "None"]

    // MARK: Tokens

    var token: TemplateToken { tokens[position] }
    var following: TemplateToken { tokens[min(position + 1, tokens.count - 1)] }
    mutating func advance() { position = min(position + 1, tokens.count - 1) }

    mutating func deeper() throws {
        depth += 1
        guard depth <= ChatTemplate.maximumDepth else {
            throw ChatTemplateError.limit("\(ChatTemplate.maximumDepth) tags and brackets inside each other", line: token.line)
        }
    }
    mutating func shallower() { depth -= 1 }

    mutating func noteUnknown(_ kind: String, _ name: String) {
        if !isSoft { unknown.append(.syntax(problem: "there is no \(kind) '\(name)'", line: token.line)) }
    }

    /// Makes what was parsed since `start` and what follows a place that may never be reached.
    mutating func soften(since start: Softness) {
        unknown.removeLast(max(0, unknown.count - start.unknownCount))
        isSoft = true
    }

    mutating func name() throws -> String {
        guard case .name(let name) = token.kind else { throw unexpected }
        advance()
        return name
    }

    mutating func expect(_ kind: TemplateToken.Kind) throws {
        guard token.kind == kind else { throw unexpected }
        advance()
    }

    mutating func expect(mark: String) throws {
        guard take(mark: mark) else { throw ChatTemplateError.syntax(problem: "'\(mark)' expected before \(shown)", line: token.line) }
    }

    mutating func take(mark: String) -> Bool {
        guard token.kind == .mark(mark) else { return false }
        advance()
        return true
    }

    mutating func take(name: String) -> Bool {
        guard token.kind == .name(name) else { return false }
        advance()
        return true
    }

    func isTupleEnd(_ end: String?) -> Bool {
        switch token.kind {
        case .closePrint, .closeBlock, .mark(")"): true
        case .name(let name): name == end
        default: false
        }
    }

    var unexpected: ChatTemplateError { .syntax(problem: "\(shown) is not expected here", line: token.line) }

    private var shown: String {
        switch token.kind {
        case .name(let name): "'\(name)'"
        case .mark(let mark): "'\(mark)'"
        case .string: "a string"
        case .integer, .float: "a number"
        case .text: "text"
        case .openPrint: "'{{'"
        case .closePrint: "'}}'"
        case .openBlock: "'{%'"
        case .closeBlock: "'%}'"
        case .end: "the end of the template"
        }
    }
}
