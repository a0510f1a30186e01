/// Runs a template's statements. What its expressions mean is in `TemplateInterpreter+Expressions.swift`.
///
/// The recursion of the two follows the template's own nesting and its macros' calls, and is limited by `ChatTemplate.maximumCallDepth`.
/// Frames on that path are kept small: what needs room is not inlined into them.
final class TemplateInterpreter {
    let budget = TemplateBudget()
    let clock: TemplateClock
    /// The line of what is being done, for errors.
    var line = 1
    private(set) var assistantSpans: [Range<Int>] = []

    /// What is written: the text itself, then the parts that macros, blocks and the like are collecting.
    private var outputs: [[UInt8]] = [[]]
    private var depth = 0
    private var counted = (bytes: 0, scalars: 0)

    /// Variables and where to look on. A scope is dropped when its statement ends, unless a macro was made that may still look into it.
    private var scopes: [(variables: [String: TemplateValue], parent: Int?)]
    private var scope = 0
    private var macroCount = 0
    private var namespaces: [TemplateNamespace] = []

    init(variables: [String: TemplateValue], clock: TemplateClock) {
        scopes = [(variables, nil)]
        self.clock = clock
    }

    /// The text that a template writes.
    /// - Throws: `ChatTemplateError`.
    func render(_ nodes: [TemplateNode]) throws -> String {
        // Namespaces, iterators and scopes may hold each other; nothing is to be left of them.
        defer {
            for namespace in namespaces { namespace.members = [:] }
            scopes = []
        }
        do {
            _ = try run(nodes)
        } catch TemplateProblem.refused(let problem) {
            throw ChatTemplateError.rendering(problem: problem, line: line)
        } catch TemplateProblem.limit(let limit) {
            throw ChatTemplateError.limit(limit, line: line)
        } catch TemplateProblem.raised(let message) {
            throw ChatTemplateError.raised(message: message)
        }
        return String(decoding: outputs[0], as: UTF8.self)
    }

    // MARK: Statements

    /// How a body ended: at its end, or with `break` or `continue`.
    enum Flow { case end, leave, again }

    func run(_ nodes: [TemplateNode]) throws -> Flow {
        try deeper()
        defer { depth -= 1 }
        for node in nodes {
            try budget.spend()
            let flow: Flow
            switch node {
            case .text(let text):
                try write(text)
                continue
            case .print(let expression):
                try write(evaluate(expression).printed(budget).utf8)
                continue
            case .conditional(let branches, let otherwise): flow = try runConditional(branches, otherwise)
            case .loop(let loop): flow = try runLoop(loop)
            case .leave: return .leave
            case .again: return .again
            default: flow = try runOther(node)
            }
            if flow != .end { return flow }
        }
        return .end
    }

    @inline(never)
    private func runConditional(_ branches: [(condition: TemplateExpression, body: [TemplateNode])], _ otherwise: [TemplateNode]) throws -> Flow {
        for branch in branches where try evaluate(branch.condition).isTrue { return try run(branch.body) }
        return try run(otherwise)
    }

    @inline(never)
    private func runOther(_ node: TemplateNode) throws -> Flow {
        switch node {
        case .set(let target, let expression): try assign(evaluate(expression), to: target)
        case .setBlock(let target, let filter, let body): return try runSetBlock(target, filter, body)
        case .filterBlock(let filter, let body): return try runFilterBlock(filter, body)
        case .with(let targets, let body): return try runWith(targets, body)
        case .macro(let declaration): try define(declaration)
        case .callBlock(let callee, let arguments, let body, let line): try runCallBlock(callee, arguments, body, line)
        case .generation(let body): try runGeneration(body)
        case .block(let body, let isScoped): try runBlock(body, isScoped: isScoped)
        case .unavailable(let construct, let line): throw ChatTemplateError.unsupported(construct: construct, line: line)
        case .text, .print, .conditional, .loop, .leave, .again: preconditionFailure("run() has handled it")
        }
        return .end
    }

    @inline(never)
    private func runSetBlock(_ target: TemplateTarget, _ filter: TemplateExpression, _ body: [TemplateNode]) throws -> Flow {
        let (text, flow) = try collected(body)
        guard flow == .end else { return flow }
        try assign(.string(filtered(text, by: filter)), to: target)
        return .end
    }

    @inline(never)
    private func runFilterBlock(_ filter: TemplateExpression, _ body: [TemplateNode]) throws -> Flow {
        let (text, flow) = try collected(body)
        guard flow == .end else { return flow }
        try write(filtered(text, by: filter).utf8)
        return .end
    }

    private func filtered(_ text: TemplateText, by filter: TemplateExpression) throws -> TemplateText {
        let place = enter()
        defer { leave(place) }
        scopes[scope].variables[TemplateInterpreter.collectedName] = .string(text)
        return try evaluate(filter).printed(budget)
    }

    /// A name that no template can write.
    static let collectedName = "{collected}"

    @inline(never)
    private func runWith(_ targets: [(target: TemplateTarget, value: TemplateExpression)], _ body: [TemplateNode]) throws -> Flow {
        let values = try targets.map { try evaluate($0.value) }
        let place = enter()
        defer { leave(place) }
        for (target, value) in zip(targets, values) { try assign(value, to: target.target) }
        return try run(body)
    }

    @inline(never)
    private func runBlock(_ body: [TemplateNode], isScoped: Bool) throws {
        let place = enter(parent: isScoped ? nil : 0)
        defer { leave(place) }
        _ = try run(body)
    }

    private func define(_ declaration: TemplateMacroDeclaration) throws {
        guard let name = declaration.name else { return }
        scopes[scope].variables[name] = .macro(try macro(declaration))
    }

    private func macro(_ declaration: TemplateMacroDeclaration) throws -> TemplateMacro {
        macroCount += 1
        guard macroCount <= ChatTemplate.maximumMacros else { throw TemplateProblem.limit("\(ChatTemplate.maximumMacros) macros and call blocks") }
        return TemplateMacro(declaration, scope: scope)
    }

    @inline(never)
    private func runCallBlock(_ callee: TemplateExpression, _ arguments: TemplateArgumentList, _ body: TemplateMacroDeclaration, _ line: Int) throws {
        let function = try evaluate(callee)
        var given = try evaluate(arguments)
        given.named.append(("caller", .macro(try macro(body))))
        self.line = line
        try write(call(function, given).printed(budget).utf8)
    }

    @inline(never)
    private func runGeneration(_ body: [TemplateNode]) throws {
        let text = try collected(body).text
        // Counted from what has reached the text: parts that are still being collected do not count, as in transformers.
        counted.scalars += outputs[0][counted.bytes...].reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
        counted.bytes = outputs[0].count
        assistantSpans.append(counted.scalars..<(counted.scalars + text.count))
        try write(text.utf8)
    }

    // MARK: Loops

    @inline(never)
    private func runLoop(_ loop: TemplateForLoop) throws -> Flow {
        let value = try evaluate(loop.iterable)
        return try run(loop, over: value, depth: 0)
    }

    /// - Parameter depth: how many passes of the same loop, which is `recursive`, are around it.
    @inline(never)
    private func run(_ loop: TemplateForLoop, over value: TemplateValue, depth: Int) throws -> Flow {
        let items = try value.items(budget).filter { try loop.condition == nil || accepts($0, loop) }
        let state = try TemplateLoop(items, depth0: depth, recursion: loop.isRecursive ? (loop, scope) : nil)
        defer { state.finish() }
        var hasCompletedPass = false
        for index in items.indices {
            try budget.spend()
            state.index0 = index
            let flow = try runPass(loop, state)
            if flow == .end { hasCompletedPass = true }
            if flow == .leave { break }
        }
        // `else` belongs to loops of which no pass came to its end.
        return hasCompletedPass ? .end : try runPass(loop, nil)
    }

    @inline(never)
    private func accepts(_ item: TemplateValue, _ loop: TemplateForLoop) throws -> Bool {
        let place = enter()
        defer { leave(place) }
        try assign(item, to: loop.target)
        return try evaluate(loop.condition!).isTrue
    }

    /// One pass, or the loop's `else` without a state.
    @inline(never)
    private func runPass(_ loop: TemplateForLoop, _ state: TemplateLoop?) throws -> Flow {
        let place = enter()
        defer { leave(place) }
        guard let state else { return try run(loop.otherwise) }
        scopes[scope].variables["loop"] = .loop(state)
        try assign(state.items[state.index0], to: loop.target)
        return try run(loop.body)
    }

    /// `loop(items)` inside of a loop that is marked `recursive`.
    @inline(never)
    func recurse(_ loop: TemplateLoop, _ arguments: TemplateArguments) throws -> TemplateValue {
        var arguments = arguments
        let value = try arguments.takeRequired("iterable")
        try arguments.finish()
        guard let (declaration, home) = loop.recursion else { throw TemplateProblem.refused("loop() of a loop that is not marked 'recursive'") }
        try deeper()
        let outer = scope
        scope = home
        defer {
            scope = outer
            shallower()
        }
        outputs.append([])
        _ = try run(declaration, over: value, depth: loop.depth0 + 1)
        return .string(TemplateText(utf8: outputs.removeLast()))
    }

    // MARK: Variables

    /// Where to return to when a statement with variables of its own ends.
    private struct Return {
        let scope, scopeCount, macroCount: Int
    }

    /// Begins variables of their own, on top of those of `parent` or of the current scope. To be ended with `leave`.
    private func enter(parent: Int? = nil) -> Return {
        let place = Return(scope: scope, scopeCount: scopes.count, macroCount: macroCount)
        scopes.append(([:], parent ?? scope))
        scope = place.scopeCount
        return place
    }

    private func leave(_ place: Return) {
        scope = place.scope
        if place.macroCount == macroCount { scopes.removeLast(scopes.count - place.scopeCount) }
    }

    func variable(_ name: String) -> TemplateValue {
        var next: Int? = scope
        while let current = next {
            if let value = scopes[current].variables[name] { return value }
            next = scopes[current].parent
        }
        return TemplateFunctions.table[name] != nil ? .function(name) : .undefined(TemplateUndefined(name: name))
    }

    @inline(never)
    private func assign(_ value: TemplateValue, to target: TemplateTarget) throws {
        switch target {
        case .name(let name): scopes[scope].variables[name] = value
        case .member(let name, let member):
            guard case .namespace(let namespace) = variable(name) else { throw TemplateProblem.refused("'\(name).\(member)' is set, but '\(name)' is no namespace") }
            try namespace.set(member, value)
        case .tuple(let targets):
            let items = try value.items(budget)
            guard items.count == targets.count else { throw TemplateProblem.refused("\(items.count) values for \(targets.count) variables") }
            for (target, item) in zip(targets, items) { try assign(item, to: target) }
        }
    }

    /// Remembers a namespace, to empty it when the rendering ends.
    func keep(_ namespace: TemplateNamespace) { namespaces.append(namespace) }

    // MARK: Macros

    @inline(never)
    func call(_ macro: TemplateMacro, _ arguments: TemplateArguments) throws -> TemplateValue {
        let outer = scope
        scope = macro.scope
        let place = enter()
        defer {
            leave(place)
            scope = outer
        }
        try deeper()
        defer { shallower() }
        for (name, otherwise) in try bind(arguments, of: macro.declaration) { scopes[scope].variables[name] = try evaluate(otherwise) }
        return .string(try collected(macro.declaration.body, inScope: false).text)
    }

    /// Makes arguments the variables of a macro's body.
    /// - Returns: the parameters that are given nothing, and what they are otherwise.
    @inline(never)
    private func bind(_ arguments: TemplateArguments, of declaration: TemplateMacroDeclaration) throws -> [(name: String, otherwise: TemplateExpression)] {
        let shown = "macro '\(declaration.name ?? "caller")'"
        var named = arguments.named
        func takeNamed(_ name: String) -> TemplateValue? { named.firstIndex { $0.name == name }.map { named.remove(at: $0).value } }

        let count = declaration.parameters.count
        let given = declaration.parameters.enumerated().map { place, parameter in
            place < arguments.positional.count ? arguments.positional[place] : takeNamed(parameter.name)
        }
        if declaration.usesCaller { scopes[scope].variables["caller"] = takeNamed("caller") ?? .undefined(TemplateUndefined("there is no caller")) }
        guard declaration.usesNamed || named.isEmpty else { throw TemplateProblem.refused("\(shown) takes no argument '\(named[0].name)'") }
        guard declaration.usesPositional || arguments.positional.count <= count else { throw TemplateProblem.refused("\(shown) takes no more than \(count) arguments") }
        if declaration.usesNamed {
            scopes[scope].variables["kwargs"] = .dictionary(try TemplateDictionary(named.map { (.text($0.name), $0.value) }, budget))
        }
        if declaration.usesPositional { scopes[scope].variables["varargs"] = .tuple(try TemplateList(Array(arguments.positional.dropFirst(count)))) }
        var missing: [(name: String, otherwise: TemplateExpression)] = []
        for (parameter, value) in zip(declaration.parameters, given) {
            if value == nil, let otherwise = parameter.otherwise { missing.append((parameter.name, otherwise)) }
            scopes[scope].variables[parameter.name] = value ?? .undefined(TemplateUndefined("parameter '\(parameter.name)' was not provided"))
        }
        return missing
    }

    // MARK: Writing

    private func write(_ text: [UInt8]) throws {
        let place = outputs.count - 1
        guard outputs[place].count + text.count <= ChatTemplate.maximumOutputBytes else { throw TemplateProblem.limit("\(ChatTemplate.maximumOutputBytes) bytes of text") }
        try budget.spend(bytes: text.count)
        outputs[place] += text
    }

    /// What a body writes, as a text instead. It is lost when the body ends with `break` or `continue`.
    @inline(never)
    private func collected(_ body: [TemplateNode], inScope: Bool = true) throws -> (text: TemplateText, Flow) {
        let place = inScope ? enter() : nil
        defer { if let place { leave(place) } }
        outputs.append([])
        let flow = try run(body)
        return (TemplateText(utf8: outputs.removeLast()), flow)
    }

    func deeper() throws {
        depth += 1
        guard depth <= ChatTemplate.maximumCallDepth else {
            throw TemplateProblem.limit("\(ChatTemplate.maximumCallDepth) statements, expressions and macros inside each other; a macro that calls itself must come to an end")
        }
    }
    func shallower() { depth -= 1 }
}
