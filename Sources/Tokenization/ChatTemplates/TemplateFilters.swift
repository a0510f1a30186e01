/// What may follow `|`.
enum TemplateFilters {
    static func run(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, _ budget: TemplateBudget) throws -> TemplateValue {
        guard let filter = table[name] else { throw TemplateProblem.refused("there is no filter '\(name)'") }
        var arguments = arguments
        try budget.spend(handling: value)
        let result = try filter(value, &arguments, budget)
        try arguments.finish()
        return result
    }

    static let table: [String: TemplateOperation] = [texts, layout, html, numbers, sequences, selections, orders, conversions].reduce(into: [:]) { table, part in
        table.merge(part) { _, _ in preconditionFailure("two filters of one name") }
    }

    static func refused(_ value: TemplateValue, _ filter: String) -> TemplateProblem {
        if case .undefined(let undefined) = value { .undefined(undefined) } else { .refused("'\(value.typeName)' cannot be used for \(filter)") }
    }

    // MARK: Sequences

    private static let sequences: [String: TemplateOperation] = [
        "length": { value, _, _ in .whole(try value.length()) },
        "count": { value, _, _ in .whole(try value.length()) },
        "list": { value, _, budget in .list(try TemplateList(value.items(budget))) },
        "first": { value, _, budget in
            if case .iterator(let iterator) = value { return try iterator.next() ?? .undefined(TemplateUndefined("there is no first item")) }
            return try value.items(budget).first ?? .undefined(TemplateUndefined("there is no first item"))
        },
        "last": { value, _, budget in
            if case .iterator(let iterator) = value { throw TemplateProblem.refused("a '\(iterator.kind)' has no last item before it is a list") }
            return try value.items(budget).last ?? .undefined(TemplateUndefined("there is no last item"))
        },
        "reverse": { value, _, budget in
            if let text = value.text { return .string(text.like(text.scalars.reversed())) }
            switch value {
            case .list, .tuple, .dictionary, .range, .view, .undefined:
                return .iterator(try TemplateIterator(over: value, kind: "reversed", items: { try value.items(budget).reversed() }))
            default: return .list(try TemplateList(value.items(budget).reversed()))
            }
        },
        "items": { value, _, budget in
            .iterator(
                try TemplateIterator(over: value, items: {
                    switch value {
                    case .undefined: return []
                    case .dictionary(let dictionary):
                        try budget.spend(dictionary.count)
                        return try dictionary.pairs()
                    default: throw TemplateProblem.refused("'items' of a '\(value.typeName)', which is no dictionary")
                    }
                }))
        },
        "batch": { value, arguments, budget in
            let (count, filling) = (try arguments.takeInteger("linecount"), arguments.takeUnlessNone("fill_with"))
            return .iterator(
                try TemplateIterator(over: value, items: {
                    var (batches, batch) = ([TemplateValue](), [TemplateValue]())
                    for item in try value.items(budget) {
                        if batch.count == count {
                            batches.append(.list(try TemplateList(batch)))
                            batch = []
                        }
                        batch.append(item)
                    }
                    if !batch.isEmpty {
                        if let filling, batch.count < count {
                            try budget.spend(count)
                            batch += repeatElement(filling, count: count - batch.count)
                        }
                        batches.append(.list(try TemplateList(batch)))
                    }
                    return batches
                }))
        },
        "slice": { value, arguments, budget in
            let (slices, filling) = (try arguments.takeInteger("slices"), arguments.takeUnlessNone("fill_with"))
            return .iterator(
                try TemplateIterator(over: value, items: {
                    let items = try value.items(budget)
                    guard slices != 0 else { throw TemplateProblem.refused("a division by zero") }
                    guard slices > 0 else { return [] }
                    try budget.spend(slices)
                    let (size, extra) = items.count.quotientAndRemainder(dividingBy: slices)
                    var start = 0
                    return try (0..<slices).map { slice in
                        let end = start + size + (slice < extra ? 1 : 0)
                        defer { start = end }
                        return .list(try TemplateList(Array(items[start..<end]) + (slice >= extra ? filling.map { [$0] } ?? [] : [])))
                    }
                }))
        },
        "sum": { value, arguments, budget in
            let attribute = arguments.takeUnlessNone("attribute")
            let start = arguments.take("start") ?? .integer(0)
            guard start.text == nil else { throw TemplateProblem.refused("a sum of texts; join them") }
            let attributeOf = try attribute.map { try getter($0, budget) }
            return try value.items(budget).reduce(start) { sum, item in
                try TemplateOperators.arithmetic("+", sum, attributeOf.map { try $0(item) } ?? item, budget)
            }
        },
        "random": { _, _, _ in throw TemplateProblem.refused("'random' would render the same messages differently") },
        "unique": { value, arguments, budget in
            let isCaseSensitive = arguments.takeBool("case_sensitive")
            let key = try getter(arguments.take("attribute") ?? .none, isCaseSensitive: isCaseSensitive, budget)
            return .iterator(
                try TemplateIterator(over: value, items: {
                    var seen: Set<TemplateKey> = []
                    return try value.items(budget).filter { seen.insert(try TemplateKey(key($0), budget)).inserted }
                }))
        },
        "attr": { value, arguments, budget in
            let name = try arguments.takeText("name").string
            if case .undefined(let undefined) = value { throw TemplateProblem.undefined(undefined) }
            return TemplateOperators.attribute(value, name) ?? .undefined(TemplateUndefined("'\(value.typeName) object' has no attribute '\(name)'"))
        },
    ]

    // MARK: Selecting

    private static let selections: [String: TemplateOperation] = [
        "map": { value, arguments, budget in
            let given = arguments
            arguments = TemplateArguments()
            return try lazily(value, budget) {
                var given = given
                if given.positional.isEmpty, given.named.contains(where: { $0.name == "attribute" }) {
                    let attribute = try given.takeRequired("attribute")
                    let otherwise = given.takeUnlessNone("default")
                    try given.finish()
                    return try getter(attribute, otherwise: otherwise, budget)
                }
                guard !given.positional.isEmpty else { throw TemplateProblem.refused("map without the name of a filter") }
                let name = try given.takeText("name").string
                return { item in try run(name, item, given, budget) }
            }
        },
        "select": { value, arguments, budget in try selecting(value, &arguments, keeps: true, byAttribute: false, budget) },
        "reject": { value, arguments, budget in try selecting(value, &arguments, keeps: false, byAttribute: false, budget) },
        "selectattr": { value, arguments, budget in try selecting(value, &arguments, keeps: true, byAttribute: true, budget) },
        "rejectattr": { value, arguments, budget in try selecting(value, &arguments, keeps: false, byAttribute: true, budget) },
    ]

    /// An iterator over what `transform` makes of the items, nil dropped. Nothing happens before the first item is asked for.
    private static func lazily(
        _ value: TemplateValue, _ budget: TemplateBudget, _ transform: @escaping () throws -> (TemplateValue) throws -> TemplateValue?
    ) throws -> TemplateValue {
        var state: (rest: IndexingIterator<[TemplateValue]>, transform: (TemplateValue) throws -> TemplateValue?)?
        return .iterator(
            try TemplateIterator(over: value) {
                guard value.isTrue else { return nil }
                if state == nil { state = (try value.items(budget).makeIterator(), try transform()) }
                while let item = state!.rest.next() {
                    try budget.spend()
                    if let result = try state!.transform(item) { return result }
                }
                return nil
            })
    }

    private static func selecting(
        _ value: TemplateValue, _ arguments: inout TemplateArguments, keeps: Bool, byAttribute: Bool, _ budget: TemplateBudget
    ) throws -> TemplateValue {
        let given = arguments
        arguments = TemplateArguments()
        return try lazily(value, budget) {
            var given = given
            let tested: (TemplateValue) throws -> TemplateValue = byAttribute ? try getter(given.takeRequired("attribute"), budget) : { $0 }
            guard !given.positional.isEmpty else { return { item in try tested(item).isTrue == keeps ? item : nil } }
            let name = try given.takeText("test").string
            return { item in try TemplateTests.run(name, tested(item), given, budget) == keeps ? item : nil }
        }
    }

    /// What an attribute with dots, `function.name` or `0.name`, is of a value; the value itself for none.
    static func getter(
        _ attribute: TemplateValue, isCaseSensitive: Bool = true, otherwise: TemplateValue? = nil, _ budget: TemplateBudget
    ) throws -> (TemplateValue) throws -> TemplateValue {
        var keys: [TemplateValue] = []
        if let text = attribute.text {
            keys = text.split(on: ".", limit: .max).map { part in
                let isNumber = !part.isEmpty && part.utf8.allSatisfy { $0 &- UInt8(ascii: "0") < 10 }
                return isNumber ? Int128(part.string).map { .integer($0) } ?? .string(part) : .string(part)
            }
        } else if !attribute.isNone {
            keys = [attribute]
        }
        return { value in
            var value = value
            for key in keys {
                value = try TemplateOperators.item(of: value, key, budget)
                if let otherwise, value.isUndefined { value = otherwise }
            }
            return isCaseSensitive ? value : ignoringCase(value)
        }
    }

    private static func ignoringCase(_ value: TemplateValue) -> TemplateValue { value.text.map { .string($0.lowercased) } ?? value }

    // MARK: Orders

    private static let orders: [String: TemplateOperation] = [
        "sort": { value, arguments, budget in
            let (isReversed, isCaseSensitive) = (arguments.takeBool("reverse"), arguments.takeBool("case_sensitive"))
            let attribute = arguments.take("attribute") ?? .none
            let attributes = attribute.text.map { $0.split(on: ",", limit: .max).map { TemplateValue.string($0) } } ?? [attribute]
            let getters = try attributes.map { try getter($0, isCaseSensitive: isCaseSensitive, budget) }
            return .list(
                try TemplateList(
                    sorted(value.items(budget), isReversed: isReversed, budget) { item in
                        .list(try TemplateList(getters.map { try $0(item) }))
                    }))
        },
        "dictsort": { value, arguments, budget in
            let isCaseSensitive = arguments.takeBool("case_sensitive")
            let by = try arguments.take("by")?.printed(budget).string ?? "key"
            let isReversed = arguments.takeBool("reverse")
            guard by == "key" || by == "value" else { throw TemplateProblem.refused("dictsort by '\(by)', which is not key or value") }
            guard case .dictionary(let dictionary) = value else { throw refused(value, "dictsort") }
            return .list(
                try TemplateList(
                    sorted(dictionary.pairs(), isReversed: isReversed, budget) { pair in
                        guard case .tuple(let pair) = pair else { return pair }
                        let key = pair.items[by == "key" ? 0 : 1]
                        return isCaseSensitive ? key : ignoringCase(key)
                    }))
        },
        "groupby": { value, arguments, budget in
            let attribute = try arguments.takeRequired("attribute")
            let otherwise = arguments.takeUnlessNone("default")
            let isCaseSensitive = arguments.takeBool("case_sensitive")
            let key = try getter(attribute, isCaseSensitive: isCaseSensitive, otherwise: otherwise, budget)
            let shown = try getter(attribute, otherwise: otherwise, budget)
            var groups: [(key: TemplateValue, items: [TemplateValue])] = []
            for item in try sorted(value.items(budget), isReversed: false, budget, by: key) {
                let itemKey = try key(item)
                if let last = groups.last, try last.key.equals(itemKey, budget) {
                    groups[groups.count - 1].items.append(item)
                } else {
                    groups.append((itemKey, [item]))
                }
            }
            return .list(
                try TemplateList(
                    groups.map { .tuple(try TemplateList([shown($0.items[0]), .list(try TemplateList($0.items))], fields: ["grouper", "list"])) }))
        },
        "min": { value, arguments, budget in try extreme(value, &arguments, budget) { try $0.isLess(than: $1, budget) } },
        "max": { value, arguments, budget in try extreme(value, &arguments, budget) { try $1.isLess(than: $0, budget) } },
    ]

    /// In the order of their keys, items of equal keys as they came.
    private static func sorted(
        _ items: [TemplateValue], isReversed: Bool, _ budget: TemplateBudget, by key: (TemplateValue) throws -> TemplateValue
    ) throws -> [TemplateValue] {
        let keyed = try items.enumerated().map { (place: $0, key: try key($1), item: $1) }
        return try keyed.sorted { a, b in
            if try (isReversed ? b.key : a.key).isLess(than: isReversed ? a.key : b.key, budget) { return true }
            if try (isReversed ? a.key : b.key).isLess(than: isReversed ? b.key : a.key, budget) { return false }
            return a.place < b.place
        }.map(\.item)
    }

    private static func extreme(
        _ value: TemplateValue, _ arguments: inout TemplateArguments, _ budget: TemplateBudget, comesBefore: (TemplateValue, TemplateValue) throws -> Bool
    ) throws -> TemplateValue {
        let isCaseSensitive = arguments.takeBool("case_sensitive")
        let keyOf = try getter(arguments.take("attribute") ?? .none, isCaseSensitive: isCaseSensitive, budget)
        var best: (key: TemplateValue, item: TemplateValue)?
        for item in try value.items(budget) {
            let key = try keyOf(item)
            if try best.map({ try comesBefore(key, $0.key) }) ?? true { best = (key, item) }
        }
        return best?.item ?? .undefined(TemplateUndefined("there is no item, the sequence was empty"))
    }

    // MARK: Conversions

    private static let conversions: [String: TemplateOperation] = [
        "default": defaulting, "d": defaulting,
        "tojson": { value, arguments, budget in
            let isASCII = arguments.takeBool("ensure_ascii")
            let indent = try arguments.takeUnlessNone("indent").map { value -> TemplateText in
                if let text = value.text { return text }
                guard let width = value.integer else { throw refused(value, "an indent") }
                guard width <= Int128(TemplateFormatting.maximumWidth) else { throw TemplateProblem.limit("a width of \(TemplateFormatting.maximumWidth)") }
                return TemplateText(String(repeating: " ", count: Int(max(0, width))))
            }
            let separators = try arguments.takeUnlessNone("separators").map { value -> (item: TemplateText, key: TemplateText) in
                let items = try value.items(budget).map(\.text)
                guard items.count == 2, let item = items[0], let key = items[1] else { throw refused(value, "separators, which are two texts") }
                return (item, key)
            }
            var writer = TemplateJSONWriter(
                isASCII: isASCII, indent: indent, separators: separators, sortsKeys: arguments.takeBool("sort_keys"), budget)
            try writer.write(value)
            return .string(TemplateText(utf8: writer.bytes))
        },
    ]

    private static let defaulting: TemplateOperation = { value, arguments, _ in
        let otherwise = arguments.take("default_value") ?? .text("")
        let replacesFalse = arguments.takeBool("boolean")
        return value.isUndefined || replacesFalse && !value.isTrue ? otherwise : value
    }
}
