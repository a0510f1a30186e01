/// What a call, filter or test is given. Parameters are taken in the order of their declaration, by place or else by name.
struct TemplateArguments {
    var positional: [TemplateValue] = []
    var named: [(name: String, value: TemplateValue)] = []

    mutating func take(_ name: String) -> TemplateValue? {
        if !positional.isEmpty { return positional.removeFirst() }
        return named.firstIndex { $0.name == name }.map { named.remove(at: $0).value }
    }

    /// As `take`, where None is as good as nothing.
    mutating func takeUnlessNone(_ name: String) -> TemplateValue? {
        let value = take(name)
        return value?.isNone == true ? nil : value
    }

    mutating func takeRequired(_ name: String) throws -> TemplateValue {
        guard let value = take(name) else { throw TemplateProblem.refused("the argument '\(name)' is missing") }
        return value
    }

    mutating func takeText(_ name: String) throws -> TemplateText {
        let value = try takeRequired(name)
        guard let text = value.text else { throw TemplateProblem.refused("'\(name)' must be a text, not '\(value.typeName)'") }
        return text
    }

    mutating func takeTextUnlessNone(_ name: String) throws -> TemplateText? {
        guard let value = takeUnlessNone(name) else { return nil }
        guard let text = value.text else { throw TemplateProblem.refused("'\(name)' must be a text, not '\(value.typeName)'") }
        return text
    }

    mutating func takeInteger(_ name: String, otherwise: Int? = nil) throws -> Int {
        guard let value = take(name) else {
            guard let otherwise else { throw TemplateProblem.refused("the argument '\(name)' is missing") }
            return otherwise
        }
        guard let number = value.integer else { throw TemplateProblem.refused("'\(name)' must be a whole number, not '\(value.typeName)'") }
        return Int(clamping: number)
    }

    mutating func takeBool(_ name: String) -> Bool { take(name)?.isTrue ?? false }

    /// - Throws: `TemplateProblem` when something is left that no parameter took.
    func finish() throws {
        if let extra = named.first { throw TemplateProblem.refused("there is no argument '\(extra.name)'") }
        if !positional.isEmpty { throw TemplateProblem.refused("more arguments than are taken") }
    }
}

/// What a filter, a method or a function does with a value and its arguments.
typealias TemplateOperation = @Sendable (_ value: TemplateValue, _ arguments: inout TemplateArguments, _ budget: TemplateBudget) throws -> TemplateValue
