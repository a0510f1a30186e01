/// What may follow `is`.
enum TemplateTests {
    typealias Test = @Sendable (_ value: TemplateValue, _ arguments: inout TemplateArguments, _ budget: TemplateBudget) throws -> Bool

    static func run(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ budget: TemplateBudget) throws -> Bool {
        guard let test = table[name] else { throw TemplateProblem.refused("there is no test '\(name)'") }
        var arguments = arguments
        let result = try test(value, &arguments, budget)
        try arguments.finish()
        return result
    }

    static let table: [String: Test] = {
        var table = kinds.merging(values) { a, _ in a }
        for (mark, names) in comparisons {
            for name in names {
                table[name] = { value, arguments, budget in try TemplateOperators.compare(mark, value, arguments.takeRequired("other"), budget) }
            }
        }
        return table
    }()

    private static let comparisons: [(mark: String, names: [String])] = [
        ("==", ["==", "eq", "equalto"]), ("!=", ["!=", "ne"]), (">", [">", "gt", "greaterthan"]), (">=", [">=", "ge"]), ("<", ["<", "lt", "lessthan"]),
        ("<=", ["<=", "le"]), ("in", ["in"]),
    ]

    private static let kinds: [String: Test] = [
        "defined": { value, _, _ in !value.isUndefined },
        "undefined": { value, _, _ in value.isUndefined },
        "none": { value, _, _ in value.isNone },
        "boolean": { value, _, _ in if case .bool = value { true } else { false } },
        "true": { value, _, _ in if case .bool(true) = value { true } else { false } },
        "false": { value, _, _ in if case .bool(false) = value { true } else { false } },
        "integer": { value, _, _ in if case .integer = value { true } else { false } },
        "float": { value, _, _ in if case .float = value { true } else { false } },
        "number": { value, _, _ in value.double != nil },
        "string": { value, _, _ in value.text != nil },
        "mapping": { value, _, _ in if case .dictionary = value { true } else { false } },
        "sequence": { value, _, _ in
            switch value {
            case .undefined, .string, .list, .tuple, .dictionary, .range: true
            default: false
            }
        },
        "iterable": { value, _, _ in
            switch value {
            case .undefined, .string, .list, .tuple, .dictionary, .range, .view, .iterator, .loop: true
            default: false
            }
        },
        "callable": { value, _, _ in
            switch value {
            case .undefined, .macro, .function, .method, .joiner, .loop: true
            default: false
            }
        },
        "escaped": { value, _, _ in value.text?.isSafe ?? false },
        "filter": { value, _, _ in value.text.map { TemplateFilters.table[$0.string] != nil } ?? false },
        "test": { value, _, _ in value.text.map { TemplateTests.table[$0.string] != nil } ?? false },
    ]

    private static let values: [String: Test] = [
        "odd": { value, _, budget in try TemplateOperators.arithmetic("%", number(value), .integer(2), budget).equals(.integer(1), budget) },
        "even": { value, _, budget in try TemplateOperators.arithmetic("%", number(value), .integer(2), budget).equals(.integer(0), budget) },
        "divisibleby": { value, arguments, budget in
            try TemplateOperators.arithmetic("%", number(value), arguments.takeRequired("num"), budget).equals(.integer(0), budget)
        },
        "lower": { value, _, budget in try value.printed(budget).isAll(uppercase: false) },
        "upper": { value, _, budget in try value.printed(budget).isAll(uppercase: true) },
        "sameas": { value, arguments, budget in
            switch (value, try arguments.takeRequired("other")) {
            case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)): a === b
            case (.dictionary(let a), .dictionary(let b)): a === b
            case (.bool(let a), .bool(let b)): a == b
            case (.bool, _), (_, .bool), (.integer, .float), (.float, .integer): false
            case (let a, let b): try a.equals(b, budget)
            }
        },
    ]

    private static func number(_ value: TemplateValue) throws -> TemplateValue {
        if case .undefined(let undefined) = value { throw TemplateProblem.undefined(undefined) }
        guard value.double != nil else { throw TemplateProblem.refused("'\(value.typeName)' is no number") }
        return value
    }
}
