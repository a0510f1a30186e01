/// A value in a template: what Python calls an object, with the behaviour that templates rely on.
///
/// Lists, tuples and dictionaries never change (templates may not call what would change them); namespaces, iterators and loops do.
enum TemplateValue {
    case undefined(TemplateUndefined)
    case none
    case bool(Bool)
    case integer(Int128)
    case float(Double)
    case string(TemplateText)
    case list(TemplateList)
    case tuple(TemplateList)
    case dictionary(TemplateDictionary)
    case range(TemplateRange)
    /// The keys, values or items of a dictionary: counted and looped over, but no list.
    case view(TemplateList, kind: String)
    case iterator(TemplateIterator)
    case namespace(TemplateNamespace)
    case loop(TemplateLoop)
    case cycler(TemplateCycler)
    case joiner(TemplateJoiner)
    case macro(TemplateMacro)
    case function(String)
    indirect case method(of: TemplateValue, String)

    static func text(_ string: String) -> TemplateValue { .string(TemplateText(string)) }
    static func whole(_ number: Int) -> TemplateValue { .integer(Int128(number)) }
}

/// What a name or an attribute that is missing stands for: printed as nothing, an error in most other uses.
struct TemplateUndefined {
    let problem: String
    init(_ problem: String) { self.problem = problem }
    init(name: String) { problem = "'\(name)' is undefined" }
}

// MARK: - What values have in common

extension TemplateValue {
    /// How deep values nest that have `values` in them.
    /// - Throws: `TemplateProblem.limit`.
    static func depth(around values: [TemplateValue]) throws -> Int {
        let deepest = values.reduce(0) { max($0, $1.depth) }
        guard deepest < ChatTemplate.maximumValueDepth else { throw TemplateProblem.limit("\(ChatTemplate.maximumValueDepth) levels of values inside values") }
        return deepest + 1
    }

    /// Namespaces count as flat: they may hold themselves, and are emptied when the rendering ends.
    private var depth: Int {
        switch self {
        case .list(let list), .tuple(let list), .view(let list, _): list.depth
        case .dictionary(let dictionary): dictionary.depth
        case .iterator(let iterator): iterator.depth
        case .cycler(let cycler): cycler.depth
        case .joiner(let joiner): joiner.depth
        case .loop(let loop): loop.depth
        case .method(let value, _): value.depth
        default: 0
        }
    }

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .float(let value): value != 0
        case .string(let text): !text.isEmpty
        case .list(let list), .tuple(let list), .view(let list, _): !list.items.isEmpty
        case .dictionary(let dictionary): dictionary.count > 0
        case .range(let range): range.count > 0
        case .loop(let loop): !loop.items.isEmpty
        default: true
        }
    }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }
    var isNone: Bool { if case .none = self { true } else { false } }

    /// Python's name of the type, for messages.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .integer: "int"
        case .float: "float"
        case .string: "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dictionary: "dict"
        case .range: "range"
        case .view(_, let kind): kind
        case .iterator(let iterator): iterator.kind
        case .namespace: "Namespace"
        case .loop: "LoopContext"
        case .cycler: "Cycler"
        case .joiner: "Joiner"
        case .macro: "Macro"
        case .function: "function"
        case .method: "method"
        }
    }

    /// True counts as 1.
    var integer: Int128? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): value
        default: nil
        }
    }

    var double: Double? {
        switch self {
        case .float(let value): value
        default: integer.map { Double($0) }
        }
    }

    var text: TemplateText? { if case .string(let text) = self { text } else { nil } }

    func equals(_ other: TemplateValue, _ budget: TemplateBudget) throws -> Bool {
        try budget.spend()
        switch (self, other) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.string(let a), .string(let b)):
            try budget.spend(min(a.utf8.count, b.utf8.count) >> 10)
            return a == b
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)): return try a === b || TemplateValue.equal(a.items, b.items, budget)
        case (.view(let a, let kind), .view(let b, let other)) where kind == other && kind != "dict_values": return try TemplateValue.equal(a.items, b.items, budget)
        case (.dictionary(let a), .dictionary(let b)):
            if a === b { return true }
            guard a.count == b.count else { return false }
            return try zip(a.keys, a.values).allSatisfy { key, value in try b[TemplateKey(key, budget)]?.equals(value, budget) ?? false }
        case (.range, .range), (.namespace, .namespace), (.iterator, .iterator), (.loop, .loop), (.cycler, .cycler), (.joiner, .joiner), (.macro, .macro),
            (.function, .function):
            return try TemplateKey(self, budget) == TemplateKey(other, budget)
        case (.method(let a, let name), .method(let b, let otherName)): return try name == otherName && a.equals(b, budget)
        default:
            if let a = integer, let b = other.integer { return a == b }
            guard let a = double, let b = other.double else { return false }
            return a == b
        }
    }

    static func equal(_ a: [TemplateValue], _ b: [TemplateValue], _ budget: TemplateBudget) throws -> Bool {
        try a.count == b.count && zip(a, b).allSatisfy { try $0.equals($1, budget) }
    }

    /// - Throws: `TemplateProblem` for values that have no order.
    func isLess(than other: TemplateValue, _ budget: TemplateBudget) throws -> Bool {
        try budget.spend()
        switch (self, other) {
        case (.string(let a), .string(let b)):
            try budget.spend(min(a.utf8.count, b.utf8.count) >> 8)
            return a < b
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            for (a, b) in zip(a.items, b.items) where try !a.equals(b, budget) { return try a.isLess(than: b, budget) }
            return a.items.count < b.items.count
        case (.undefined(let undefined), _), (_, .undefined(let undefined)): throw TemplateProblem.undefined(undefined)
        default:
            if let a = integer, let b = other.integer { return a < b }
            guard let a = double, let b = other.double else { throw TemplateProblem.refused("'<' between '\(typeName)' and '\(other.typeName)'") }
            return a < b
        }
    }

    /// What a loop goes through. An iterator is empty afterwards.
    /// - Throws: `TemplateProblem` for what cannot be looped over.
    func items(_ budget: TemplateBudget) throws -> [TemplateValue] {
        let items: [TemplateValue]
        switch self {
        case .undefined: return []
        case .list(let list), .tuple(let list), .view(let list, _): items = list.items
        case .dictionary(let dictionary): items = dictionary.keys
        case .string(let text):
            try budget.spend(text.utf8.count)
            return text.scalars.map { .string(TemplateText(CollectionOfOne($0))) }
        case .range(let range):
            try budget.spend(range.count)
            return range.items
        case .iterator(let iterator):
            var all: [TemplateValue] = []
            while let item = try iterator.next() {
                try budget.spend()
                all.append(item)
            }
            return all
        default: throw TemplateProblem.refused("'\(typeName)' cannot be looped over")
        }
        try budget.spend(items.count >> 2)
        return items
    }

    /// - Throws: `TemplateProblem` for what has no length.
    func length() throws -> Int {
        switch self {
        case .undefined: return 0
        case .string(let text): return text.count
        case .list(let list), .tuple(let list), .view(let list, _): return list.items.count
        case .dictionary(let dictionary): return dictionary.count
        case .range(let range): return range.count
        case .loop(let loop): return loop.items.count
        default: throw TemplateProblem.refused("'\(typeName)' has no length")
        }
    }

    func contains(_ wanted: TemplateValue, _ budget: TemplateBudget) throws -> Bool {
        switch self {
        case .string(let text):
            guard let part = wanted.text else { throw TemplateProblem.refused("'\(wanted.typeName)' cannot be in a text") }
            try budget.spend(bytes: text.utf8.count)
            return text.contains(part)
        case .dictionary(let dictionary): return try dictionary[TemplateKey(wanted, budget)] != nil
        case .iterator(let iterator):
            while let item = try iterator.next() {
                try budget.spend()
                if try item.equals(wanted, budget) { return true }
            }
            return false
        case .undefined, .list, .tuple, .view, .range: return try items(budget).contains { try $0.equals(wanted, budget) }
        default: throw TemplateProblem.refused("nothing can be in '\(typeName)'")
        }
    }
}
