import ModelFiles

extension TemplateValue {
    /// The value of a JSON text.
    /// - Throws: `TemplateProblem` when it goes over the limits.
    init(_ json: JSON, _ budget: TemplateBudget, depth: Int = 1) throws {
        try budget.spend()
        guard depth <= ChatTemplate.maximumValueDepth else { throw TemplateProblem.limit("\(ChatTemplate.maximumValueDepth) levels of values inside values") }
        switch json {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(Int128(value))
        case .number(let value): self = .float(value)
        case .string(let value):
            try budget.spend(bytes: value.utf8.count)
            self = .text(value)
        case .array(let elements): self = .list(try TemplateList(elements.map { try TemplateValue($0, budget, depth: depth + 1) }))
        case .object(let object):
            self = .dictionary(
                try TemplateDictionary(object.members.map { (.text($0.key), try TemplateValue($0.value, budget, depth: depth + 1)) }, budget))
        }
    }
}

/// Writes values as JSON, as `tojson` does.
struct TemplateJSONWriter {
    var isASCII = false
    var indent: TemplateText?
    var itemSeparator: TemplateText
    var keySeparator: TemplateText
    var sortsKeys = false
    let budget: TemplateBudget
    private(set) var bytes: [UInt8] = []

    init(isASCII: Bool, indent: TemplateText?, separators: (item: TemplateText, key: TemplateText)?, sortsKeys: Bool, _ budget: TemplateBudget) {
        (self.isASCII, self.indent, self.sortsKeys, self.budget) = (isASCII, indent, sortsKeys, budget)
        itemSeparator = separators?.item ?? (indent == nil ? ", " : ",")
        keySeparator = separators?.key ?? ": "
    }

    /// - Throws: `TemplateProblem` for what JSON has no form for: undefined values, iterators, macros.
    mutating func write(_ value: TemplateValue, depth: Int = 0) throws {
        try budget.spend()
        switch value {
        case .none: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .integer(let value): bytes += String(value).utf8
        case .float(let value): bytes += TemplateValue.written(value, infinity: "Infinity", notANumber: "NaN").utf8
        case .string(let text): try quote(text)
        case .list(let list), .tuple(let list):
            try write(list.items.count, "[", "]", depth: depth) { writer, index in try writer.write(list.items[index], depth: depth + 1) }
        case .dictionary(let dictionary):
            let members = try sorted(dictionary.members)
            try write(members.count, "{", "}", depth: depth) { writer, index in
                try writer.quote(writer.key(members[index].key))
                writer.bytes += writer.keySeparator.utf8
                try writer.write(members[index].value, depth: depth + 1)
            }
        default: throw TemplateProblem.refused("'\(value.typeName)' cannot be written as JSON")
        }
        guard bytes.count <= ChatTemplate.maximumOutputBytes else { throw TemplateProblem.limit("\(ChatTemplate.maximumOutputBytes) bytes of text") }
    }

    private mutating func write(_ count: Int, _ open: String, _ close: String, depth: Int, _ item: (inout TemplateJSONWriter, Int) throws -> Void) throws {
        bytes += open.utf8
        for index in 0..<count {
            if index > 0 { bytes += itemSeparator.utf8 }
            try newLine(depth + 1)
            try item(&self, index)
        }
        if count > 0 { try newLine(depth) }
        bytes += close.utf8
    }

    private mutating func newLine(_ depth: Int) throws {
        guard let indent else { return }
        try budget.spend(bytes: indent.utf8.count * depth)
        bytes.append(10)
        for _ in 0..<depth { bytes += indent.utf8 }
    }

    private func sorted(_ members: [(key: TemplateValue, value: TemplateValue)]) throws -> [(key: TemplateValue, value: TemplateValue)] {
        guard sortsKeys else { return members }
        try budget.spend(members.count * 4)
        return try members.sorted { try $0.key.isLess(than: $1.key, budget) }
    }

    private func key(_ key: TemplateValue) throws -> TemplateText {
        switch key {
        case .string(let text): text
        case .none: "null"
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): TemplateText(String(value))
        case .float(let value): TemplateText(TemplateValue.written(value, infinity: "Infinity", notANumber: "NaN"))
        default: throw TemplateProblem.refused("a key of type '\(key.typeName)' cannot be written as JSON")
        }
    }

    private mutating func quote(_ text: TemplateText) throws {
        try budget.spend(bytes: text.utf8.count)
        bytes.append(UInt8(ascii: "\""))
        func escape(_ unit: UInt16) -> String {
            let digits = String(unit, radix: 16)
            return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
        for scalar in text.scalars {
            switch scalar {
            case "\"": bytes += "\\\"".utf8
            case "\\": bytes += "\\\\".utf8
            case "\n": bytes += "\\n".utf8
            case "\r": bytes += "\\r".utf8
            case "\t": bytes += "\\t".utf8
            case "\u{8}": bytes += "\\b".utf8
            case "\u{C}": bytes += "\\f".utf8
            case _ where scalar.value < 0x20 || isASCII && scalar.value > 0x7E:
                for unit in UTF16.encode(scalar)! { bytes += escape(unit).utf8 }
            default: bytes += UTF8.encode(scalar)!
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
