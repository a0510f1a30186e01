/// What expressions mean.
///
/// Evaluation descends as deep as the template nests, so the functions on that path keep their frames small: what needs room is not inlined into them.
extension TemplateInterpreter {
    func evaluate(_ expression: TemplateExpression) throws -> TemplateValue {
        try budget.spend()
        switch expression.kind {
        case .literal(let literal): return TemplateInterpreter.value(literal)
        case .variable(let name): return variable(name)
        default: break
        }
        try deeper()
        defer { shallower() }
        switch expression.kind {
        case .attribute(let operand, let name): return try evaluateAttribute(operand, name, line: expression.line)
        case .item(let operand, let key): return try evaluateItem(operand, key, line: expression.line)
        case .call(let callee, let arguments): return try evaluateCall(callee, arguments, line: expression.line)
        case .filter(let operand, let name, let arguments): return try evaluateFilter(operand, name, arguments, line: expression.line)
        case .test(let operand, let name, let arguments): return try evaluateTest(operand, name, arguments, line: expression.line)
        case .arithmetic(let first, let others): return try evaluateArithmetic(first, others, line: expression.line)
        case .comparison(let first, let others): return try evaluateComparison(first, others, line: expression.line)
        case .choice(let value, let condition, let otherwise):
            if try evaluate(condition).isTrue { return try evaluate(value) }
            return try otherwise.map { try evaluate($0) } ?? .undefined(TemplateUndefined("the inline if was false and has no else"))
        default: return try evaluateOther(expression)
        }
    }

    @inline(never)
    private func evaluateAttribute(_ operand: TemplateExpression, _ name: String, line: Int) throws -> TemplateValue {
        let value = try evaluate(operand)
        self.line = line
        return try TemplateOperators.member(of: value, name)
    }

    @inline(never)
    private func evaluateItem(_ operand: TemplateExpression, _ key: TemplateExpression, line: Int) throws -> TemplateValue {
        let value = try evaluate(operand)
        let key = try evaluate(key)
        self.line = line
        return try TemplateOperators.item(of: value, key, budget)
    }

    @inline(never)
    private func evaluateFilter(_ operand: TemplateExpression, _ name: String, _ arguments: TemplateArgumentList, line: Int) throws -> TemplateValue {
        let value = try evaluate(operand)
        let given = try evaluate(arguments)
        self.line = line
        return try TemplateFilters.run(name, value, given, budget)
    }

    @inline(never)
    private func evaluateTest(_ operand: TemplateExpression, _ name: String, _ arguments: TemplateArgumentList, line: Int) throws -> TemplateValue {
        let value = try evaluate(operand)
        let given = try evaluate(arguments)
        self.line = line
        return .bool(try TemplateTests.run(name, value, given, budget))
    }

    private static func value(_ literal: TemplateLiteral) -> TemplateValue {
        switch literal {
        case .none: .none
        case .bool(let value): .bool(value)
        case .integer(let value): .integer(value)
        case .float(let value): .float(value)
        case .string(let bytes): .string(TemplateText(utf8: bytes))
        }
    }

    @inline(never)
    private func evaluateOther(_ expression: TemplateExpression) throws -> TemplateValue {
        line = expression.line
        switch expression.kind {
        case .list(let items): return .list(try TemplateList(evaluate(items)))
        case .tuple(let items): return .tuple(try TemplateList(evaluate(items)))
        case .dictionary(let members): return try evaluateDictionary(members)
        case .slice(let operand, let from, let to, let step): return try evaluateSlice(operand, from, to, step)
        case .not(let operand): return .bool(try !evaluate(operand).isTrue)
        case .signed(let operand, let isNegative): return try TemplateOperators.signed(evaluate(operand), isNegative: isNegative)
        case .all(let operands): return try decided(by: operands, wanted: false)
        case .any(let operands): return try decided(by: operands, wanted: true)
        case .concatenation(let operands): return try evaluateConcatenation(operands)
        case .collected: return variable(TemplateInterpreter.collectedName)
        case .literal, .variable, .attribute, .item, .call, .filter, .test, .arithmetic, .comparison, .choice: preconditionFailure("evaluate() has handled it")
        }
    }

    private func evaluate(_ expressions: [TemplateExpression]) throws -> [TemplateValue] {
        var values: [TemplateValue] = []
        for expression in expressions { values.append(try evaluate(expression)) }
        return values
    }

    @inline(never)
    private func evaluateDictionary(_ members: [(key: TemplateExpression, value: TemplateExpression)]) throws -> TemplateValue {
        .dictionary(try TemplateDictionary(members.map { try (evaluate($0.key), evaluate($0.value)) }, budget))
    }

    @inline(never)
    private func evaluateSlice(_ operand: TemplateExpression, _ from: TemplateExpression?, _ to: TemplateExpression?, _ step: TemplateExpression?) throws -> TemplateValue {
        let value = try evaluate(operand)
        let bounds = try [from, to, step].map { try $0.map { try evaluate($0) } ?? .none }
        return try TemplateOperators.slice(value, from: bounds[0], to: bounds[1], step: bounds[2], budget)
    }

    @inline(never)
    private func evaluateConcatenation(_ operands: [TemplateExpression]) throws -> TemplateValue {
        var text = TemplateText(utf8: [])
        for operand in operands {
            text.utf8 += try evaluate(operand).printed(budget).utf8
            try budget.spend(bytes: text.utf8.count)
        }
        return .string(text)
    }

    /// The first operand that is as true as `wanted`, else the last.
    private func decided(by operands: [TemplateExpression], wanted: Bool) throws -> TemplateValue {
        for operand in operands.dropLast() {
            let value = try evaluate(operand)
            if value.isTrue == wanted { return value }
        }
        return try evaluate(operands.last!)
    }

    @inline(never)
    private func evaluateArithmetic(_ first: TemplateExpression, _ others: [(mark: String, operand: TemplateExpression)], line: Int) throws -> TemplateValue {
        var value = try evaluate(first)
        for (mark, operand) in others {
            let right = try evaluate(operand)
            self.line = line
            value = try TemplateOperators.arithmetic(mark, value, right, budget)
        }
        return value
    }

    @inline(never)
    private func evaluateComparison(_ first: TemplateExpression, _ others: [(mark: String, operand: TemplateExpression)], line: Int) throws -> TemplateValue {
        var left = try evaluate(first)
        for (mark, operand) in others {
            let right = try evaluate(operand)
            self.line = line
            guard try TemplateOperators.compare(mark, left, right, budget) else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    // MARK: Calls

    @inline(never)
    func evaluate(_ list: TemplateArgumentList) throws -> TemplateArguments {
        var arguments = TemplateArguments()
        if list.isEmpty { return arguments }
        arguments.positional = try evaluate(list.positional)
        if let rest = list.positionalRest { arguments.positional += try evaluate(rest).items(budget) }
        for (name, value) in list.named { arguments.named.append((name, try evaluate(value))) }
        if let rest = list.namedRest {
            guard case .dictionary(let dictionary) = try evaluate(rest) else { throw TemplateProblem.refused("'**' before something that is no dictionary") }
            for member in dictionary.members {
                guard let name = member.key.text?.string, !arguments.named.contains(where: { $0.name == name }) else {
                    throw TemplateProblem.refused("'**' before a dictionary whose keys are no names of further arguments")
                }
                arguments.named.append((name, member.value))
            }
        }
        return arguments
    }

    @inline(never)
    private func evaluateCall(_ callee: TemplateExpression, _ arguments: TemplateArgumentList, line: Int) throws -> TemplateValue {
        let function = try evaluate(callee)
        let given = try evaluate(arguments)
        self.line = line
        return try call(function, given)
    }

    @inline(never)
    func call(_ function: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
        switch function {
        case .function(let name):
            let result = try TemplateFunctions.call(name, arguments, budget, clock)
            if case .namespace(let namespace) = result { keep(namespace) }
            return result
        case .method(let value, let name): return try TemplateMethods.call(name, of: value, arguments, budget)
        case .macro(let macro): return try call(macro, arguments)
        case .loop(let loop): return try recurse(loop, arguments)
        case .joiner(let joiner):
            defer { joiner.isUsed = true }
            return joiner.isUsed ? joiner.separator : .text("")
        case .undefined(let undefined): throw TemplateProblem.undefined(undefined)
        default: throw TemplateProblem.refused("'\(function.typeName)' cannot be called")
        }
    }
}
