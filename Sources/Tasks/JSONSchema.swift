import Foundation
import ModelFiles

/// A JSON Schema: which JSON values are allowed. A subset of draft 2020-12 (https://json-schema.org/draft/2020-12).
///
/// Understood: `type`, `enum`, `const`; `properties`, `required`, `additionalProperties`, `minProperties`, `maxProperties`; `items`, `prefixItems`,
/// `minItems`, `maxItems`, `uniqueItems`; `minLength`, `maxLength`, `pattern` (ICU's); `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`,
/// `multipleOf`; `anyOf`, `oneOf`, `allOf`, `not`; `$ref` within the schema, with `$defs` and `definitions`; annotations, and keys that begin with
/// "x-". Any other key is refused at the start, because passing over it would allow what the schema forbids: `format` and `patternProperties`, say.
public struct JSONSchema: Sendable {
    public enum Finding: Sendable, Equatable {
        case valid
        case violated(Violation)
        /// The check took more steps than its budget, or the schema refers to itself without end.
        case gaveUp(String)
    }

    /// The first thing in a value that the schema forbids.
    public struct Violation: Sendable, Equatable, CustomStringConvertible {
        /// A JSON Pointer (RFC 6901) into the value; empty for the whole.
        public let pointer: String
        public let reason: String

        public var description: String { "\(pointer.isEmpty ? "the whole value" : pointer): \(reason)" }
    }

    private let root: JSON
    var text: String { root.text() }
    /// What each `$ref` refers to.
    private var targets: [String: JSON] = [:]
    private var patterns: [String: BoundedPattern] = [:]

    /// - Throws: `TaskError.badSchema` that names the keyword and where it stands.
    public init(_ schema: JSON) throws {
        func refused(_ pointer: String, _ reason: String) -> TaskError { .badSchema(pointer: pointer, reason: reason) }
        root = schema
        var pending = [(node: schema, pointer: "#")]
        while let (node, pointer) = pending.popLast() {
            guard node.bool == nil else { continue }
            guard let members = node.object?.members else { throw refused(pointer, "a schema is an object, true or false, but this is \(node.kind).") }
            for (key, value) in members where !key.hasPrefix("x-") {
                let place = "\(pointer)/\(Self.escaped(key))"
                guard let form = Keyword.forms[key] else {
                    let nearest = nearestName(to: key, in: Array(Keyword.forms.keys)).map { "; did you mean '\($0)'?" } ?? "."
                    throw refused(pointer, "the keyword '\(key)' is not understood\(nearest) Take it out, or say it with: \(Keyword.known).")
                }
                guard form.accepts(value) else { throw refused(place, "'\(key)' must be \(form.rawValue), but it is \(shortened(value.text())).") }
                switch form {
                case .schema: pending.append((value, place))
                case .schemas: pending += value.array!.enumerated().map { ($1, "\(place)/\($0)") }
                case .namedSchemas: pending += value.object!.members.map { ($0.value, "\(place)/\(Self.escaped($0.key))") }
                case .pattern:
                    guard let pattern = BoundedPattern(value.string!) else { throw refused(place, "'\(value.string!)' is no regular expression.") }
                    patterns[value.string!] = pattern
                case .reference where targets[value.string!] == nil:
                    guard let target = Self.target(value.string!, in: schema) else {
                        throw refused(place, "'\(value.string!)' refers to nothing within this schema. Write '#', or '#/$defs/NAME'.")
                    }
                    targets[value.string!] = target
                    pending.append((target, value.string!))
                default: break
                }
            }
        }
    }

    /// - Throws: `JSONError`, and what `init(_:)` throws.
    public init(parsing text: String) throws { try self.init(JSON.parse(text, source: "JSON Schema")) }

    public func check(_ value: JSON) -> Finding {
        var effort = Effort()
        do {
            return try violation(value, root, "", &effort).map(Finding.violated) ?? .valid
        } catch {
            return .gaveUp(error.reason)
        }
    }

    // MARK: - Checking

    private struct GaveUp: Error { let reason: String }

    /// Steps and depth of one check: alternatives that refer to themselves can take exponentially many steps.
    private struct Effort {
        var steps = 200_000
        var depth = 256

        mutating func take(_ count: Int) throws(GaveUp) {
            steps -= count
            if steps < 0 { throw GaveUp(reason: "the check of the schema took too many steps") }
            if depth < 0 { throw GaveUp(reason: "the schema is applied more than 256 levels deep") }
        }
    }

    private func violation(_ value: JSON, _ schema: JSON, _ pointer: String, _ effort: inout Effort) throws(GaveUp) -> Violation? {
        effort.depth -= 1
        defer { effort.depth += 1 }
        try effort.take(1)
        guard let keywords = schema.object else { return schema.bool == false ? Violation(pointer: pointer, reason: "nothing is allowed here") : nil }
        if let name = keywords["$ref"]?.string, let target = targets[name], let found = try violation(value, target, pointer, &effort) { return found }
        if let type = keywords["type"] {
            let names = type.string.map { [$0] } ?? type.array?.compactMap(\.string) ?? []
            if !names.contains(where: { Self.has($0, value) }) {
                return Violation(
                    pointer: pointer,
                    reason: "is \(value.kind), must be \(names.joined(separator: " or "))")
            }
        }
        for allowed in [keywords["enum"]?.array, keywords["const"].map { [$0] }].compactMap(\.self) {
            let own = Self.identity(of: value)
            try effort.take(own.count / 64 + allowed.count)
            if !allowed.contains(where: { Self.identity(of: $0) == own }) {
                return Violation(pointer: pointer, reason: "is \(shortened(value.text())), must be \(shortened(allowed.map { $0.text() }.joined(separator: " or ")))")
            }
        }
        if let found = try combined(value, keywords, pointer, &effort) { return found }
        return switch value {
        case .integer, .number: number(value, keywords, pointer)
        case .string(let text): try string(text, keywords, pointer)
        case .array(let items): try array(items, keywords, pointer, &effort)
        case .object(let object): try members(object, keywords, pointer, &effort)
        case .null, .bool: nil
        }
    }

    private func combined(_ value: JSON, _ keywords: JSONObject, _ pointer: String, _ effort: inout Effort) throws(GaveUp) -> Violation? {
        for schema in keywords["allOf"]?.array ?? [] {
            if let found = try violation(value, schema, pointer, &effort) { return found }
        }
        if let schemas = keywords["anyOf"]?.array {
            var first: Violation?
            var isMet = false
            for schema in schemas where !isMet {
                let found = try violation(value, schema, pointer, &effort)
                isMet = found == nil
                first = first ?? found
            }
            if !isMet, let first { return Violation(pointer: pointer, reason: "fits none of the \(schemas.count) schemas of anyOf; of the first, \(first)") }
        }
        if let schemas = keywords["oneOf"]?.array {
            var met = 0
            for schema in schemas where try violation(value, schema, pointer, &effort) == nil { met += 1 }
            if met != 1 { return Violation(pointer: pointer, reason: "fits \(met) of the \(schemas.count) schemas of oneOf, must fit one") }
        }
        if let schema = keywords["not"], try violation(value, schema, pointer, &effort) == nil { return Violation(pointer: pointer, reason: "fits the schema of not") }
        return nil
    }

    private func number(_ value: JSON, _ keywords: JSONObject, _ pointer: String) -> Violation? {
        let bounds: [(keyword: String, words: String, isMet: (JSON, JSON) -> Bool)] = [
            ("minimum", "at least", { !Self.isLess($0, $1) }), ("maximum", "at most", { !Self.isLess($1, $0) }),
            ("exclusiveMinimum", "more than", { Self.isLess($1, $0) }), ("exclusiveMaximum", "less than", { Self.isLess($0, $1) }),
            ("multipleOf", "a multiple of", Self.isMultiple),
        ]
        for (keyword, words, isMet) in bounds {
            if let bound = keywords[keyword], !isMet(value, bound) { return Violation(pointer: pointer, reason: "is \(value.text()), must be \(words) \(bound.text())") }
        }
        return nil
    }

    private func string(_ text: String, _ keywords: JSONObject, _ pointer: String) throws(GaveUp) -> Violation? {
        if let found = count(text.unicodeScalars.count, "characters", "minLength", "maxLength", keywords, pointer) { return found }
        guard let name = keywords["pattern"]?.string, let pattern = patterns[name] else { return nil }
        switch pattern.find(in: text) {
        case .found: return nil
        case .notFound: return Violation(pointer: pointer, reason: "'\(shortened(text))' does not match /\(shortened(name))/")
        case .gaveUp(let reason): throw GaveUp(reason: reason)
        }
    }

    private func array(_ items: [JSON], _ keywords: JSONObject, _ pointer: String, _ effort: inout Effort) throws(GaveUp) -> Violation? {
        if let found = count(items.count, "elements", "minItems", "maxItems", keywords, pointer) { return found }
        if keywords["uniqueItems"]?.bool == true {
            var seen: Set<[UInt8]> = []
            for (index, item) in items.enumerated() {
                let own = Self.identity(of: item)
                try effort.take(own.count / 64 + 1)
                if !seen.insert(own).inserted { return Violation(pointer: "\(pointer)/\(index)", reason: "stands twice in an array of unique elements") }
            }
        }
        let first = keywords["prefixItems"]?.array ?? []
        for (index, item) in items.enumerated() {
            guard let schema = index < first.count ? first[index] : keywords["items"] else { break }
            if let found = try violation(item, schema, "\(pointer)/\(index)", &effort) { return found }
        }
        return nil
    }

    private func members(_ object: JSONObject, _ keywords: JSONObject, _ pointer: String, _ effort: inout Effort) throws(GaveUp) -> Violation? {
        if let name = keywords["required"]?.array?.compactMap(\.string).first(where: { object[$0] == nil }) {
            return Violation(pointer: pointer, reason: "has no member '\(name)'")
        }
        if let found = count(object.count, "members", "minProperties", "maxProperties", keywords, pointer) { return found }
        let properties = keywords["properties"]?.object
        for (key, value) in object.members {
            guard let schema = properties?[key] ?? keywords["additionalProperties"] else { continue }
            let place = "\(pointer)/\(Self.escaped(key))"
            if properties?[key] == nil, schema.bool == false { return Violation(pointer: place, reason: "no such member is allowed") }
            if let found = try violation(value, schema, place, &effort) { return found }
        }
        return nil
    }

    private func count(_ count: Int, _ what: String, _ least: String, _ most: String, _ keywords: JSONObject, _ pointer: String) -> Violation? {
        let number = JSON.integer(Int64(count)), found = "has \(count) \(what), must have"
        if let bound = keywords[least], Self.isLess(number, bound) { return Violation(pointer: pointer, reason: "\(found) at least \(bound.text())") }
        if let bound = keywords[most], Self.isLess(bound, number) { return Violation(pointer: pointer, reason: "\(found) at most \(bound.text())") }
        return nil
    }
}
