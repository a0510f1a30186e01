/// What can be called on a value: `text.strip()`, `dictionary.items()`.
enum TemplateMethods {
    static func table(for value: TemplateValue) -> [String: TemplateOperation] {
        switch value {
        case .string: texts
        case .dictionary: dictionaries
        case .list: lists
        case .tuple, .range: sequences
        case .loop: loops
        case .cycler: cyclers
        case .integer, .bool: integers
        case .float: floats
        default: [:]
        }
    }

    /// Methods that would change the value, which templates may not call.
    static func unsafe(for value: TemplateValue) -> Set<String> {
        switch value {
        case .dictionary: ["clear", "pop", "popitem", "setdefault", "update"]
        case .list: ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"]
        default: []
        }
    }

    static func call(_ name: String, of value: TemplateValue, _ arguments: TemplateArguments, _ budget: TemplateBudget) throws -> TemplateValue {
        guard let method = table(for: value)[name] else { throw TemplateProblem.refused("'\(value.typeName)' has no method '\(name)'") }
        guard arguments.named.isEmpty || takingNames.contains(name) else { throw TemplateProblem.refused("\(name)() takes no arguments by name") }
        var arguments = arguments
        try budget.spend(handling: value)
        let result = try method(value, &arguments, budget)
        try arguments.finish()
        return result
    }

    /// The other methods take their arguments by place alone.
    private static let takingNames: Set<String> = ["split", "rsplit", "splitlines", "expandtabs", "format"]

    // MARK: Texts

    private typealias TextMethod = @Sendable (_ text: TemplateText, _ arguments: inout TemplateArguments, _ budget: TemplateBudget) throws -> TemplateValue

    private static let texts: [String: TemplateOperation] = changing.merging(searching) { a, _ in a }.merging(asking) { a, _ in a }.mapValues { method in
        { value, arguments, budget in try method(value.text!, &arguments, budget) }
    }

    private static let changing: [String: TextMethod] = [
        "strip": { text, arguments, _ in .string(text.stripped(try arguments.takeTextUnlessNone("chars"))) },
        "lstrip": { text, arguments, _ in .string(text.stripped(try arguments.takeTextUnlessNone("chars"), at: .start)) },
        "rstrip": { text, arguments, _ in .string(text.stripped(try arguments.takeTextUnlessNone("chars"), at: .end)) },
        "upper": { text, _, _ in .string(text.uppercased) },
        "lower": { text, _, _ in .string(text.lowercased) },
        "casefold": { text, _, _ in .string(text.like(text.lowercased.replacing("ß", with: "ss").replacing("ς", with: "σ").utf8)) },
        "title": { text, _, _ in .string(text.titled) },
        "capitalize": { text, _, _ in .string(text.capitalized) },
        "swapcase": { text, _, _ in .string(text.caseSwapped) },
        "replace": { text, arguments, budget in
            let (old, new) = try (arguments.takeText("old"), arguments.takeText("new"))
            let count = try arguments.takeInteger("count", otherwise: -1)
            return .string(try replaced(text, old, text.isSafe ? new.escaped : new, count: count, budget))
        },
        "removeprefix": { text, arguments, _ in
            let prefix = try arguments.takeText("prefix")
            return .string(text.hasPrefix(prefix) ? text.like(text.utf8.dropFirst(prefix.utf8.count)) : text)
        },
        "removesuffix": { text, arguments, _ in
            let suffix = try arguments.takeText("suffix")
            return .string(text.hasSuffix(suffix) ? text.like(text.utf8.dropLast(suffix.utf8.count)) : text)
        },
        "split": { text, arguments, budget in
            let (separator, limit) = try separator(&arguments)
            return try list(separator.map { text.split(on: $0, limit: limit) } ?? text.words(limit: limit), budget)
        },
        "rsplit": { text, arguments, budget in
            let (separator, limit) = try separator(&arguments)
            return try list(separator.map { text.splitFromEnd(on: $0, limit: limit) } ?? text.wordsFromEnd(limit: limit), budget)
        },
        "splitlines": { text, arguments, budget in try list(text.lines(keepingEnds: arguments.takeBool("keepends")), budget) },
        "partition": { text, arguments, _ in
            let separator = try notEmpty(arguments.takeText("sep"))
            let parts = text.split(on: separator, limit: 1)
            return .tuple(try TemplateList((parts.count == 2 ? [parts[0], separator, parts[1]] : [text, "", ""]).map { .string($0) }))
        },
        "rpartition": { text, arguments, _ in
            let separator = try notEmpty(arguments.takeText("sep"))
            let parts = text.splitFromEnd(on: separator, limit: 1)
            return .tuple(try TemplateList((parts.count == 2 ? [parts[0], separator, parts[1]] : ["", "", text]).map { .string($0) }))
        },
        "join": { text, arguments, budget in
            let parts = try arguments.takeRequired("iterable").items(budget).enumerated().map { index, item in
                guard let part = item.text else { throw TemplateProblem.refused("join() of texts, but item \(index) is a '\(item.typeName)'") }
                return part
            }
            try budget.spend(bytes: parts.reduce(0) { $0 + $1.utf8.count + text.utf8.count })
            return .string(text.joined(parts))
        },
        "center": { text, arguments, budget in
            let width = try width(&arguments)
            return .string(try padded(text, width, &arguments, budget) { missing in missing / 2 + (missing & width & 1) })
        },
        "ljust": { text, arguments, budget in .string(try padded(text, width(&arguments), &arguments, budget) { _ in 0 }) },
        "rjust": { text, arguments, budget in .string(try padded(text, width(&arguments), &arguments, budget) { $0 }) },
        "zfill": { text, arguments, budget in
            let missing = max(0, try width(&arguments) - text.count)
            let isSigned = text.utf8.first == UInt8(ascii: "-") || text.utf8.first == UInt8(ascii: "+")
            try budget.spend(handling: missing)
            return .string(text.like(text.utf8.prefix(isSigned ? 1 : 0) + TemplateText("0").repeated(missing).utf8 + text.utf8.dropFirst(isSigned ? 1 : 0)))
        },
        "expandtabs": { text, arguments, budget in
            let size = try arguments.takeInteger("tabsize", otherwise: 8)
            guard size <= TemplateFormatting.maximumWidth else { throw TemplateProblem.limit("a width of \(TemplateFormatting.maximumWidth)") }
            try budget.spend(handling: max(0, size) * text.utf8.count { $0 == 9 })
            var (scalars, column) = ([Unicode.Scalar](), 0)
            for scalar in text.scalars {
                if scalar == "\t" {
                    let count = size > 0 ? size - column % size : 0
                    scalars += repeatElement(" ", count: count)
                    column += count
                } else {
                    scalars.append(scalar)
                    column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
                }
            }
            return .string(text.like(scalars))
        },
        "format": { text, arguments, budget in
            defer { arguments = TemplateArguments() }
            return .string(try TemplateFormatting.braces(text, arguments, budget))
        },
        "format_map": { text, arguments, budget in
            guard case .dictionary(let dictionary) = try arguments.takeRequired("mapping") else { throw TemplateProblem.refused("format_map() needs a dictionary") }
            let named = dictionary.members.compactMap { member in member.key.text.map { (name: $0.string, value: member.value) } }
            return .string(try TemplateFormatting.braces(text, TemplateArguments(named: named), budget))
        },
    ]

    private static let searching: [String: TextMethod] = [
        "find": { text, arguments, _ in .whole(try place(in: text, &arguments, fromEnd: false) ?? -1) },
        "rfind": { text, arguments, _ in .whole(try place(in: text, &arguments, fromEnd: true) ?? -1) },
        "index": { text, arguments, _ in .whole(try place(in: text, &arguments, fromEnd: false) ?? notFound()) },
        "rindex": { text, arguments, _ in .whole(try place(in: text, &arguments, fromEnd: true) ?? notFound()) },
        "count": { text, arguments, _ in
            let part = try arguments.takeText("sub")
            let (inside, _) = try stretch(of: text, &arguments)
            guard let inside else { return .whole(0) }
            return .whole(part.isEmpty ? inside.count + 1 : inside.places(of: part).count)
        },
        "startswith": { text, arguments, _ in .bool(try matches(text, &arguments) { $0.hasPrefix($1) }) },
        "endswith": { text, arguments, _ in .bool(try matches(text, &arguments) { $0.hasSuffix($1) }) },
    ]

    private static let asking: [String: TextMethod] = [
        "isalnum": { text, _, _ in .bool(all(text) { $0.isLetter || isNumeric($0) }) },
        "isalpha": { text, _, _ in .bool(all(text) { $0.isLetter }) },
        "isascii": { text, _, _ in .bool(text.utf8.allSatisfy { $0 < 0x80 }) },
        "isdecimal": { text, _, _ in .bool(all(text) { $0.properties.numericType == .decimal }) },
        "isdigit": { text, _, _ in .bool(all(text) { $0.properties.numericType == .decimal || $0.properties.numericType == .digit }) },
        "isnumeric": { text, _, _ in .bool(all(text, isNumeric)) },
        "isidentifier": { text, _, _ in
            let first = text.scalars.first
            return .bool(first.map { $0 == "_" || $0.properties.isXIDStart } == true && text.scalars.allSatisfy(\.properties.isXIDContinue))
        },
        "islower": { text, _, _ in .bool(text.isAll(uppercase: false)) },
        "isupper": { text, _, _ in .bool(text.isAll(uppercase: true)) },
        "isprintable": { text, _, _ in .bool(text.scalars.allSatisfy { $0.isTemplatePrintable }) },
        "isspace": { text, _, _ in .bool(all(text) { $0.isTemplateSpace }) },
        "istitle": { text, _, _ in .bool(text.scalars.contains { $0.properties.isCased } && text == text.titled) },
    ]

    private static func all(_ text: TemplateText, _ condition: (Unicode.Scalar) -> Bool) -> Bool { !text.isEmpty && text.scalars.allSatisfy(condition) }
    private static func isNumeric(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.numericType != nil }
    private static func notFound() throws -> Int { throw TemplateProblem.refused("index() of what is not there") }

    private static func notEmpty(_ separator: TemplateText) throws -> TemplateText {
        guard !separator.isEmpty else { throw TemplateProblem.refused("an empty separator") }
        return separator
    }

    private static func separator(_ arguments: inout TemplateArguments) throws -> (TemplateText?, limit: Int) {
        let separator = try arguments.takeTextUnlessNone("sep").map { try notEmpty($0) }
        let limit = try arguments.takeInteger("maxsplit", otherwise: -1)
        return (separator, limit < 0 ? .max : limit)
    }

    private static func list(_ parts: [TemplateText], _ budget: TemplateBudget) throws -> TemplateValue {
        try budget.spend(parts.count)
        return .list(try TemplateList(parts.map { .string($0) }))
    }

    static func replaced(_ text: TemplateText, _ old: TemplateText, _ new: TemplateText, count: Int, _ budget: TemplateBudget) throws -> TemplateText {
        let limit = count < 0 ? Int.max : count
        let places = old.isEmpty ? min(text.count + 1, limit) : text.places(of: old, limit: limit).count
        let (added, overflow) = places.multipliedReportingOverflow(by: new.utf8.count)
        try budget.spend(bytes: overflow ? .max : added.addingReportingOverflow(text.utf8.count).partialValue)
        return text.replacing(old, with: new, count: limit)
    }

    private static func width(_ arguments: inout TemplateArguments) throws -> Int {
        let width = try arguments.takeInteger("width")
        guard width <= TemplateFormatting.maximumWidth else { throw TemplateProblem.limit("a width of \(TemplateFormatting.maximumWidth)") }
        return max(0, width)
    }

    private static func padded(
        _ text: TemplateText, _ width: Int, _ arguments: inout TemplateArguments, _ budget: TemplateBudget, before: (_ missing: Int) -> Int
    ) throws -> TemplateText {
        let fill = arguments.positional.isEmpty ? " " : try arguments.takeText("fillchar")
        guard fill.count == 1 else { throw TemplateProblem.refused("a filling of more than one character") }
        let missing = max(0, width - text.count)
        let left = before(missing)
        try budget.spend(handling: width)
        return text.like(fill.repeated(left).utf8 + text.utf8 + fill.repeated(missing - left).utf8)
    }

    /// The part of a text that `start` and `end` leave, nil where it starts behind the end; and how many scalars lie before it.
    private static func stretch(of text: TemplateText, _ arguments: inout TemplateArguments) throws -> (TemplateText?, before: Int) {
        guard !arguments.positional.isEmpty else { return (text, 0) }
        let count = text.count
        func bound(_ name: String, _ otherwise: Int) throws -> Int {
            guard let value = arguments.takeUnlessNone(name) else { return otherwise }
            guard let number = value.integer else { throw TemplateProblem.refused("'\(name)' must be a whole number, not '\(value.typeName)'") }
            let place = Int(clamping: number)
            return place < 0 ? max(0, place + count) : place
        }
        let (start, end) = try (bound("start", 0), min(bound("end", count), count))
        return start > count || start > end ? (nil, start) : (text.slice(start..<end), start)
    }

    private static func place(in text: TemplateText, _ arguments: inout TemplateArguments, fromEnd: Bool) throws -> Int? {
        let part = try arguments.takeText("sub")
        let (inside, before) = try stretch(of: text, &arguments)
        guard let inside else { return nil }
        if part.isEmpty { return before + (fromEnd ? inside.count : 0) }
        let places = fromEnd ? inside.placesFromEnd(of: part, limit: 1) : inside.places(of: part, limit: 1)
        return places.first.map { before + inside.scalar(ofByte: $0) }
    }

    private static func matches(_ text: TemplateText, _ arguments: inout TemplateArguments, _ condition: (TemplateText, TemplateText) -> Bool) throws -> Bool {
        let wanted = try arguments.takeRequired("prefix")
        let (inside, _) = try stretch(of: text, &arguments)
        let parts: [TemplateValue] = if case .tuple(let tuple) = wanted { tuple.items } else { [wanted] }
        return try parts.contains { part in
            guard let part = part.text else { throw TemplateProblem.refused("a text cannot start or end with a '\(part.typeName)'") }
            return inside.map { condition($0, part) } ?? false
        }
    }

    // MARK: Collections

    private static let dictionaries: [String: TemplateOperation] = [
        "get": { value, arguments, budget in
            let key = try arguments.takeRequired("key")
            let otherwise = arguments.take("default") ?? .none
            return try dictionary(value)[TemplateKey(key, budget)] ?? otherwise
        },
        "items": { value, _, budget in
            try budget.spend(dictionary(value).count)
            return .view(try TemplateList(dictionary(value).pairs()), kind: "dict_items")
        },
        "keys": { value, _, _ in .view(try TemplateList(dictionary(value).keys), kind: "dict_keys") },
        "values": { value, _, _ in .view(try TemplateList(dictionary(value).values), kind: "dict_values") },
        "copy": { value, _, _ in value },
        "fromkeys": { _, arguments, budget in
            let keys = try arguments.takeRequired("iterable").items(budget)
            let value = arguments.take("value") ?? .none
            return .dictionary(try TemplateDictionary(keys.map { ($0, value) }, budget))
        },
    ]

    private static func dictionary(_ value: TemplateValue) -> TemplateDictionary {
        guard case .dictionary(let dictionary) = value else { preconditionFailure("a dictionary's method of a \(value.typeName)") }
        return dictionary
    }

    private static let sequences: [String: TemplateOperation] = [
        "count": { value, arguments, budget in
            let wanted = try arguments.takeRequired("value")
            return .whole(try value.items(budget).count { try $0.equals(wanted, budget) })
        },
        "index": { value, arguments, budget in
            let wanted = try arguments.takeRequired("value")
            let items = try value.items(budget)
            func bound(_ name: String, _ otherwise: Int) throws -> Int {
                let place = try arguments.takeInteger(name, otherwise: otherwise)
                return min(place < 0 ? max(0, place + items.count) : place, items.count)
            }
            let (start, end) = try (bound("start", 0), bound("stop", items.count))
            guard let place = try items[start..<max(start, end)].firstIndex(where: { try $0.equals(wanted, budget) }) else {
                throw TemplateProblem.refused("index() of what is not there")
            }
            return .whole(place)
        },
    ]

    private static let lists: [String: TemplateOperation] = sequences.merging(["copy": { value, _, _ in value }]) { a, _ in a }

    private static let loops: [String: TemplateOperation] = [
        "cycle": { value, arguments, _ in
            guard case .loop(let loop) = value, !arguments.positional.isEmpty else { throw TemplateProblem.refused("loop.cycle() of nothing") }
            defer { arguments.positional = [] }
            return arguments.positional[loop.index0 % arguments.positional.count]
        },
        "changed": { value, arguments, budget in
            guard case .loop(let loop) = value else { return .none }
            defer { arguments.positional = [] }
            return .bool(try loop.changed(arguments.positional, budget))
        },
    ]

    private static let cyclers: [String: TemplateOperation] = [
        "next": { value, _, _ in
            guard case .cycler(let cycler) = value else { return .none }
            defer { cycler.position = (cycler.position + 1) % cycler.items.count }
            return cycler.items[cycler.position]
        },
        "reset": { value, _, _ in
            if case .cycler(let cycler) = value { cycler.position = 0 }
            return .none
        },
    ]

    // MARK: Numbers

    private static let integers: [String: TemplateOperation] = [
        "bit_length": { value, _, _ in .whole(128 - value.integer!.magnitude.leadingZeroBitCount) },
        "bit_count": { value, _, _ in .whole(value.integer!.magnitude.nonzeroBitCount) },
        "conjugate": { value, _, _ in .integer(value.integer!) },
        "is_integer": { _, _, _ in .bool(true) },
    ]

    private static let floats: [String: TemplateOperation] = [
        "conjugate": { value, _, _ in value },
        "is_integer": { value, _, _ in .bool(value.double!.isFinite && value.double! == value.double!.rounded()) },
    ]
}
