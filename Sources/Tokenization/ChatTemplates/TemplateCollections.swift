/// Items that never change, and how deep the values among them nest: limited, since printing, comparing and freeing descend.
final class TemplateList {
    let items: [TemplateValue]
    let depth: Int
    let fields: [String]  // the names of a named tuple's items

    init(_ items: [TemplateValue], fields: [String] = []) throws {
        self.items = items
        self.fields = fields
        depth = try TemplateValue.depth(around: items)
    }

    private init() { (items, fields, depth) = ([], [], 1) }
    static var empty: TemplateList { TemplateList() }
}

/// Members in the order of their making, found by key in constant time. Never changes.
final class TemplateDictionary {
    let keys: [TemplateValue]
    let values: [TemplateValue]
    private let places: [TemplateKey: Int]
    let depth: Int

    /// A key that comes again keeps its place and takes the later value.
    init(_ members: [(key: TemplateValue, value: TemplateValue)], _ budget: TemplateBudget) throws {
        var (keys, values, places) = ([TemplateValue](), [TemplateValue](), [TemplateKey: Int]())
        for (key, value) in members {
            let hashed = try TemplateKey(key, budget)
            if let place = places[hashed] {
                values[place] = value
            } else {
                places[hashed] = keys.count
                keys.append(key)
                values.append(value)
            }
        }
        (self.keys, self.values, self.places) = (keys, values, places)
        depth = try max(TemplateValue.depth(around: values), TemplateValue.depth(around: keys))
    }

    var count: Int { keys.count }
    var members: [(key: TemplateValue, value: TemplateValue)] { Array(zip(keys, values)) }

    subscript(_ key: TemplateKey) -> TemplateValue? { places[key].map { values[$0] } }
    subscript(_ key: String) -> TemplateValue? { self[.text(TemplateText(key))] }

    func pairs() throws -> [TemplateValue] { try zip(keys, values).map { .tuple(try TemplateList([$0, $1])) } }
}

/// What a value is found by in a dictionary: 1, 1.0 and True are the same key.
enum TemplateKey: Hashable {
    case none
    case undefined
    case integer(Int128)
    case float(Double)
    case text(TemplateText)
    case tuple([TemplateKey])
    case object(ObjectIdentifier)
    case name(String)

    init(_ value: TemplateValue, _ budget: TemplateBudget) throws {
        try budget.spend()
        switch value {
        case .none: self = .none
        case .undefined: self = .undefined
        case .bool(let value): self = .integer(value ? 1 : 0)
        case .integer(let value): self = .integer(value)
        case .float(let value): self = Int128(exactly: value).map { .integer($0) } ?? .float(value)
        case .string(let text):
            try budget.spend(text.utf8.count >> 10)
            self = .text(text)
        case .tuple(let tuple): self = .tuple(try tuple.items.map { try TemplateKey($0, budget) })
        case .namespace(let object): self = .object(ObjectIdentifier(object))
        case .iterator(let object): self = .object(ObjectIdentifier(object))
        case .loop(let object): self = .object(ObjectIdentifier(object))
        case .cycler(let object): self = .object(ObjectIdentifier(object))
        case .joiner(let object): self = .object(ObjectIdentifier(object))
        case .macro(let object): self = .object(ObjectIdentifier(object))
        case .function(let name): self = .name(name)
        case .range(let range): self = .tuple(range.indices.isEmpty ? [] : [.integer(range.start), .integer(range.step), .integer(Int128(range.count))])
        case .list, .dictionary, .view, .method: throw TemplateProblem.refused("a '\(value.typeName)' cannot be a key")
        }
    }
}

/// The whole numbers of `range(start, stop, step)`.
struct TemplateRange: Equatable {
    /// As in the sandbox that templates are written for.
    static let maximumCount = 100_000

    let start, stop, step: Int128
    let count: Int

    init(start: Int128, stop: Int128, step: Int128) throws {
        guard step != 0 else { throw TemplateProblem.refused("range() with a step of zero") }
        (self.start, self.stop, self.step) = (start, stop, step)
        let (distance, overflow) = stop.subtractingReportingOverflow(start)
        guard !overflow, step > 0 || step != .min else { throw TemplateProblem.refused("a range() that is too big") }
        let steps = step > 0 ? (distance > 0 ? (distance - 1) / step + 1 : 0) : (distance < 0 ? (-(distance + 1)) / -step + 1 : 0)
        guard steps <= Int128(TemplateRange.maximumCount) else {
            throw TemplateProblem.refused("a range() of more than \(TemplateRange.maximumCount) numbers")
        }
        count = Int(steps)
    }

    var indices: Range<Int> { 0..<count }
    subscript(_ index: Int) -> TemplateValue { .integer(start + Int128(index) * step) }
    var items: [TemplateValue] { indices.map { self[$0] } }
}

/// Items that are made when they are asked for, once.
final class TemplateIterator {
    let kind: String
    let depth: Int
    private let step: () throws -> TemplateValue?

    /// - Parameter source: what the items come from. Iterators over iterators run inside each other, so one counts as several levels of values.
    init(over source: TemplateValue, kind: String = "generator", next step: @escaping () throws -> TemplateValue?) throws {
        self.kind = kind
        self.step = step
        depth = try TemplateValue.depth(around: [source]) + 7
    }

    /// The items of a list that is computed when the first is asked for.
    convenience init(over source: TemplateValue, kind: String = "generator", items: @escaping () throws -> [TemplateValue]) throws {
        var rest: IndexingIterator<[TemplateValue]>?
        try self.init(over: source, kind: kind) {
            if rest == nil { rest = try items().makeIterator() }
            return rest!.next()
        }
    }

    func next() throws -> TemplateValue? { try step() }
}
