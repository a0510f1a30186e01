/// How values are written: as text (`str`) and inside of other values (`repr`).
extension TemplateValue {
    /// As printed by `{{ }}`.
    /// - Throws: `TemplateProblem` when the text goes over the limits.
    func printed(_ budget: TemplateBudget) throws -> TemplateText {
        switch self {
        case .string(let text): return text
        case .undefined: return ""
        default:
            var bytes: [UInt8] = []
            try write(to: &bytes, budget, depth: 0)
            return TemplateText(utf8: bytes)
        }
    }

    /// As written in a list: strings are quoted.
    func quoted(_ budget: TemplateBudget) throws -> TemplateText {
        var bytes: [UInt8] = []
        try write(to: &bytes, budget, depth: 0)
        return TemplateText(utf8: bytes)
    }

    private func write(to bytes: inout [UInt8], _ budget: TemplateBudget, depth: Int) throws {
        try budget.spend()
        guard depth < 2 * ChatTemplate.maximumValueDepth else { throw TemplateProblem.limit("\(ChatTemplate.maximumValueDepth) levels of values inside values") }
        switch self {
        case .undefined: bytes += "Undefined".utf8
        case .none: bytes += "None".utf8
        case .bool(let value): bytes += (value ? "True" : "False").utf8
        case .integer(let value): bytes += String(value).utf8
        case .float(let value): bytes += TemplateValue.written(value).utf8
        case .string(let text):
            try budget.spend(bytes: text.utf8.count)
            bytes += text.isSafe ? "Markup(\(TemplateValue.quote(text).string))".utf8.map { $0 } : TemplateValue.quote(text).utf8
        case .list(let list): try TemplateValue.write(list.items, "[", "]", to: &bytes, budget, depth: depth)
        case .tuple(let list): try TemplateValue.write(list.items, "(", list.items.count == 1 ? ",)" : ")", to: &bytes, budget, depth: depth)
        case .dictionary(let dictionary): try TemplateValue.write(dictionary.members, to: &bytes, budget, depth: depth)
        case .range(let range): bytes += "range(\(range.start), \(range.stop)\(range.step == 1 ? "" : ", \(range.step)"))".utf8
        case .view(let list, let kind):
            bytes += "\(kind)(".utf8
            try TemplateValue.write(list.items, "[", "]", to: &bytes, budget, depth: depth)
            bytes += ")".utf8
        case .iterator(let iterator): bytes += "<\(iterator.kind) object>".utf8
        case .namespace(let namespace):
            bytes += "<Namespace ".utf8
            let members = namespace.names.map { (key: TemplateValue.text($0), value: namespace.members[$0]!) }
            try TemplateValue.write(members, to: &bytes, budget, depth: depth)
            bytes += ">".utf8
        case .loop(let loop): bytes += "<LoopContext \(loop.index0 + 1)/\(loop.items.count)>".utf8
        case .cycler: bytes += "<Cycler>".utf8
        case .joiner: bytes += "<Joiner>".utf8
        case .macro(let macro): bytes += "<Macro \(macro.declaration.name.map { "'\($0)'" } ?? "anonymous")>".utf8
        case .function(let name): bytes += "<function \(name)>".utf8
        case .method(let receiver, let name): bytes += "<built-in method \(name) of \(receiver.typeName) object>".utf8
        }
        guard bytes.count <= ChatTemplate.maximumOutputBytes else { throw TemplateProblem.limit("\(ChatTemplate.maximumOutputBytes) bytes of text") }
    }

    private static func write(_ items: [TemplateValue], _ open: String, _ close: String, to bytes: inout [UInt8], _ budget: TemplateBudget, depth: Int) throws {
        bytes += open.utf8
        for (index, item) in items.enumerated() {
            if index > 0 { bytes += ", ".utf8 }
            try item.write(to: &bytes, budget, depth: depth + 1)
        }
        bytes += close.utf8
    }

    private static func write(_ members: [(key: TemplateValue, value: TemplateValue)], to bytes: inout [UInt8], _ budget: TemplateBudget, depth: Int) throws {
        bytes += "{".utf8
        for (index, member) in members.enumerated() {
            if index > 0 { bytes += ", ".utf8 }
            try member.key.write(to: &bytes, budget, depth: depth + 1)
            bytes += ": ".utf8
            try member.value.write(to: &bytes, budget, depth: depth + 1)
        }
        bytes += "}".utf8
    }

    /// A string between quotes, double ones only where it holds single ones and no double ones.
    static func quote(_ text: TemplateText) -> TemplateText {
        let quote = text.utf8.contains(UInt8(ascii: "'")) && !text.utf8.contains(UInt8(ascii: "\"")) ? UInt8(ascii: "\"") : UInt8(ascii: "'")
        func hexadecimal(_ value: UInt32, digits: Int) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: digits - text.count) + text
        }
        var bytes = [quote]
        for scalar in text.scalars {
            switch scalar {
            case "\\": bytes += "\\\\".utf8
            case "\n": bytes += "\\n".utf8
            case "\r": bytes += "\\r".utf8
            case "\t": bytes += "\\t".utf8
            case _ where scalar.value == UInt32(quote): bytes += [UInt8(ascii: "\\"), quote]
            case _ where scalar.isTemplatePrintable: bytes += UTF8.encode(scalar)!
            case _ where scalar.value < 0x100: bytes += "\\x\(hexadecimal(scalar.value, digits: 2))".utf8
            case _ where scalar.value < 0x10000: bytes += "\\u\(hexadecimal(scalar.value, digits: 4))".utf8
            default: bytes += "\\U\(hexadecimal(scalar.value, digits: 8))".utf8
            }
        }
        bytes.append(quote)
        return TemplateText(utf8: bytes)
    }

    /// The fewest digits that read back as the same number, with an exponent below 1e-4 and from 1e16 on.
    static func written(_ value: Double, infinity: String = "inf", notANumber: String = "nan") -> String {
        guard value.isFinite else { return value.isNaN ? notANumber : (value < 0 ? "-" : "") + infinity }
        let (digits, point) = digits(of: abs(value))
        let sign = value.sign == .minus ? "-" : ""
        if point > -4, point <= 16 {
            if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
            if digits.count <= point { return sign + digits + String(repeating: "0", count: point - digits.count) + ".0" }
            return sign + digits.prefix(point) + "." + digits.dropFirst(point)
        }
        let exponent = point - 1
        return sign + digits.prefix(1) + (digits.count > 1 ? "." : "") + digits.dropFirst() + "e" + (exponent < 0 ? "-" : "+") + (abs(exponent) < 10 ? "0" : "")
            + String(abs(exponent))
    }

    /// The shortest digits of a number that is not negative, and where its decimal point stands among them.
    private static func digits(of value: Double) -> (digits: String, point: Int) {
        let parts = value.description.split(separator: "e")
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        var digits = String(mantissa[0]) + (mantissa.count > 1 ? String(mantissa[1]) : "")
        var point = mantissa[0].count + (parts.count > 1 ? Int(parts[1])! : 0)
        while digits.count > 1, digits.hasPrefix("0") {
            digits.removeFirst()
            point -= 1
        }
        while digits.count > 1, digits.hasSuffix("0") { digits.removeLast() }
        return (digits, digits == "0" ? 1 : point)
    }
}

extension Unicode.Scalar {
    /// Whether `repr` leaves it as it is.
    var isTemplatePrintable: Bool {
        if value < 0x7F { return value >= 0x20 }
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator, .spaceSeparator: return false
        default: return true
        }
    }
}
