import Foundation
import ModelFiles

/// How JSON Schema sees values and names: 1 and 1.0 are one number, and places are JSON Pointers.
extension JSONSchema {
    /// What may stand behind each keyword.
    enum Keyword: String {
        case schema = "a schema", schemas = "a list of schemas", namedSchemas = "an object of schemas"
        case type = "a type or a list of types", values = "a list of values", value = "a value", names = "a list of different texts"
        case count = "a whole number, 0 or more", number = "a number", divisor = "a number above 0", flag = "true or false"
        case pattern = "a regular expression as a text", reference = "a text that begins with '#'", annotation = "anything"

        static let forms: [String: Keyword] = [
            "type": .type, "enum": .values, "const": .value,
            "properties": .namedSchemas, "required": .names, "additionalProperties": .schema, "minProperties": .count, "maxProperties": .count,
            "items": .schema, "prefixItems": .schemas, "minItems": .count, "maxItems": .count, "uniqueItems": .flag,
            "minLength": .count, "maxLength": .count, "pattern": .pattern,
            "minimum": .number, "maximum": .number, "exclusiveMinimum": .number, "exclusiveMaximum": .number, "multipleOf": .divisor,
            "anyOf": .schemas, "oneOf": .schemas, "allOf": .schemas, "not": .schema,
            "$ref": .reference, "$defs": .namedSchemas, "definitions": .namedSchemas,
            "$schema": .annotation, "$comment": .annotation, "title": .annotation, "description": .annotation, "default": .annotation,
            "examples": .annotation, "deprecated": .annotation, "readOnly": .annotation, "writeOnly": .annotation,
        ]
        static var known: String { forms.filter { $0.value != .annotation }.keys.sorted().joined(separator: ", ") }
        static let types = ["null", "boolean", "integer", "number", "string", "array", "object"]

        func accepts(_ value: JSON) -> Bool {
            switch self {
            // Their own turn comes: they may be no schemas.
            case .schema, .value, .annotation: true
            case .schemas: value.array?.isEmpty == false
            case .namedSchemas: value.object != nil
            case .type: (value.array ?? [value]).allSatisfy { $0.string.map(Self.types.contains) ?? false } && value.array?.isEmpty != true
            case .values: value.array?.isEmpty == false
            case .names: value.array.map { names in names.allSatisfy { $0.string != nil } && Set(names.compactMap(\.string)).count == names.count } ?? false
            case .count: (value.double ?? -1) >= 0 && JSONSchema.has("integer", value)
            case .number: value.double != nil
            case .divisor: (value.double ?? 0) > 0
            case .flag: value.bool != nil
            case .pattern: value.string != nil
            case .reference: value.string?.hasPrefix("#") ?? false
            }
        }
    }

    /// Whether a value is of a type that a schema names.
    static func has(_ type: String, _ value: JSON) -> Bool {
        switch (type, value) {
        case ("null", .null), ("boolean", .bool), ("string", .string), ("array", .array), ("object", .object): true
        case ("integer", .integer), ("number", .integer), ("number", .number): true
        case ("integer", .number(let number)): number == number.rounded()
        default: false
        }
    }

    /// The same bytes for equal values: 1.0 is 1, and the order of members does not count.
    static func identity(of value: JSON) -> [UInt8] { Array(canonical(value).utf8) }

    private static func canonical(_ value: JSON) -> String {
        switch value {
        case .number(let number): Int64(exactly: number).map { String($0) } ?? number.description
        case .array(let items): "[\(items.map(canonical).joined(separator: ","))]"
        case .object(let object): "{\(object.members.map { "\(JSON.string($0.key).text()):\(canonical($0.value))" }.sorted().joined(separator: ","))}"
        case .null, .bool, .integer, .string: value.text()
        }
    }

    static func isLess(_ a: JSON, _ b: JSON) -> Bool {
        if case (.integer(let a), .integer(let b)) = (a, b) { return a < b }
        return (a.double ?? .nan) < (b.double ?? .nan)
    }

    /// In decimal, as it is written: 0.3 is a multiple of 0.1. Where decimals end (38 digits, exponents to 127), in binary.
    static func isMultiple(_ value: JSON, of divisor: JSON) -> Bool {
        if case (.integer(let value), .integer(let divisor)) = (value, divisor) { return value % divisor == 0 }
        let (a, b) = (value.double ?? .nan, divisor.double ?? .nan)
        guard abs(a) < 1e20, b > 1e-15, let exact = Decimal(string: value.text()), let unit = Decimal(string: divisor.text()), abs(a / b) < 1e30 else {
            return a.truncatingRemainder(dividingBy: b) == 0
        }
        var quotient = exact / unit
        var whole = Decimal()
        NSDecimalRound(&whole, &quotient, 0, .plain)
        return whole * unit == exact
    }

    static func escaped(_ key: String) -> String { key.replacingOccurrences(of: "~", with: "~0").replacingOccurrences(of: "/", with: "~1") }

    /// What "#/$defs/name" refers to.
    static func target(_ reference: String, in root: JSON) -> JSON? {
        guard let path = reference.dropFirst().description.removingPercentEncoding else { return nil }
        guard !path.isEmpty else { return root }
        guard path.hasPrefix("/") else { return nil }
        return path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).reduce(root as JSON?) { node, step in
            let key = step.replacingOccurrences(of: "~1", with: "/").replacingOccurrences(of: "~0", with: "~")
            if let items = node?.array { return Int(key).flatMap { items.indices.contains($0) ? items[$0] : nil } }
            return node?[key]
        }
    }
}
