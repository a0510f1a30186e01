/// What can be called by its name alone, unless a variable has that name: `range(3)`, `namespace(x=0)`.
enum TemplateFunctions {
    typealias Function = @Sendable (_ arguments: inout TemplateArguments, _ budget: TemplateBudget, _ clock: TemplateClock) throws -> TemplateValue

    static func call(_ name: String, _ arguments: TemplateArguments, _ budget: TemplateBudget, _ clock: TemplateClock) throws -> TemplateValue {
        var arguments = arguments
        let result = try table[name]!(&arguments, budget, clock)
        try arguments.finish()
        return result
    }

    static let table: [String: Function] = [
        "range": { arguments, _, _ in
            let bounds = try arguments.positional.map { value in
                guard let number = value.integer else { throw TemplateProblem.refused("range() of a '\(value.typeName)'") }
                return number
            }
            arguments.positional = []
            switch bounds.count {
            case 1: return .range(try TemplateRange(start: 0, stop: bounds[0], step: 1))
            case 2: return .range(try TemplateRange(start: bounds[0], stop: bounds[1], step: 1))
            case 3: return .range(try TemplateRange(start: bounds[0], stop: bounds[1], step: bounds[2]))
            default: throw TemplateProblem.refused("range() takes one, two or three numbers")
            }
        },
        "dict": { arguments, budget, _ in .dictionary(try TemplateDictionary(members(&arguments, budget), budget)) },
        "namespace": { arguments, budget, _ in
            let namespace = TemplateNamespace()
            for member in try members(&arguments, budget) {
                guard let name = member.key.text else { throw TemplateProblem.refused("a namespace's names are texts") }
                try namespace.set(name.string, member.value)
            }
            return .namespace(namespace)
        },
        "cycler": { arguments, _, _ in
            guard !arguments.positional.isEmpty else { throw TemplateProblem.refused("cycler() of nothing") }
            defer { arguments.positional = [] }
            return .cycler(try TemplateCycler(arguments.positional))
        },
        "joiner": { arguments, _, _ in .joiner(try TemplateJoiner(arguments.take("sep") ?? .text(", "))) },
        "raise_exception": { arguments, budget, _ in throw TemplateProblem.raised(try arguments.takeRequired("message").printed(budget).string) },
        "strftime_now": { arguments, budget, clock in
            let format = try arguments.takeText("format")
            try budget.spend(bytes: format.utf8.count * 4)
            return .text(clock.text(format.string))
        },
        "lipsum": { _, _, _ in throw TemplateProblem.refused("lipsum() would render the same messages differently") },
    ]

    /// The members that `dict(mapping or pairs, name=value, …)` makes.
    private static func members(_ arguments: inout TemplateArguments, _ budget: TemplateBudget) throws -> [(key: TemplateValue, value: TemplateValue)] {
        var members: [(key: TemplateValue, value: TemplateValue)] = []
        if !arguments.positional.isEmpty {
            let first = arguments.positional.removeFirst()
            if case .dictionary(let dictionary) = first {
                try budget.spend(dictionary.count)
                members = dictionary.members
            } else {
                members = try first.items(budget).map { pair in
                    let items = try pair.items(budget)
                    guard items.count == 2 else { throw TemplateProblem.refused("a dictionary is made of pairs") }
                    return (items[0], items[1])
                }
            }
        }
        members += arguments.named.map { (.text($0.name), $0.value) }
        arguments.named = []
        return members
    }
}
