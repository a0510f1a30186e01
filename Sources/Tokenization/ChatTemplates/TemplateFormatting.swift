import Foundation

/// Python's two ways to write values into a text: `'%s' % value` and `'{}'.format(value)`.
enum TemplateFormatting {
    /// How one value is to be written: `[[fill]align][sign][#][0][width][,][.precision][type]`.
    struct Specification {
        var fill: Unicode.Scalar = " "
        var alignment: Unicode.Scalar?  // < > ^ =
        var sign: Unicode.Scalar = "-"
        var isAlternate = false
        var width = 0
        var grouping: Unicode.Scalar?
        var precision: Int?
        var type: Unicode.Scalar?
    }

    static let maximumWidth = 100_000

    // MARK: %

    /// - Parameter arguments: a tuple, a dictionary for `%(name)s`, or the one value.
    static func percent(_ format: TemplateText, _ arguments: TemplateValue, _ budget: TemplateBudget) throws -> TemplateText {
        let scalars = Array(format.scalars)
        var (result, place, next) = ([UInt8](), 0, 0)
        var positional: [TemplateValue] = [arguments]
        if case .tuple(let tuple) = arguments { positional = tuple.items }
        var usesNames = false

        func take() throws -> TemplateValue {
            guard next < positional.count else { throw TemplateProblem.refused("not enough values for the format '\(format.string)'") }
            next += 1
            return positional[next - 1]
        }
        func current() throws -> Unicode.Scalar {
            guard place < scalars.count else { throw TemplateProblem.refused("the format '\(format.string)' ends within a '%'") }
            return scalars[place]
        }
        func number() throws -> Int? {
            if try current() == "*" {
                place += 1
                guard let value = try take().integer else { throw TemplateProblem.refused("'*' in a format needs a whole number") }
                return Int(clamping: value)
            }
            return try TemplateFormatting.number(scalars, &place)
        }

        while place < scalars.count {
            let scalar = scalars[place]
            place += 1
            guard scalar == "%" else {
                result += UTF8.encode(scalar)!
                continue
            }
            var named: TemplateValue?
            if try current() == "(" {
                var (name, nesting) = ([Unicode.Scalar](), 1)
                place += 1
                while true {
                    let scalar = try current()
                    place += 1
                    nesting += scalar == "(" ? 1 : scalar == ")" ? -1 : 0
                    if nesting == 0 { break }
                    name.append(scalar)
                }
                let key = TemplateText(name)
                guard case .dictionary(let dictionary) = arguments else { throw TemplateProblem.refused("a format with names needs a dictionary") }
                guard let value = dictionary[.text(key)] else { throw TemplateProblem.refused("nothing is called '\(key.string)' for the format") }
                named = value
                usesNames = true
            }
            var specification = Specification(alignment: ">")
            flags: while true {
                switch try current() {
                case "-": specification.alignment = "<"
                case "+": specification.sign = "+"
                case " ": if specification.sign != "+" { specification.sign = " " }
                case "#": specification.isAlternate = true
                case "0": if specification.alignment != "<" { (specification.fill, specification.alignment) = ("0", "=") }
                default: break flags
                }
                place += 1
            }
            if let width = try number() {
                if width < 0 { specification.alignment = "<" }
                guard width.magnitude <= maximumWidth else { throw TemplateProblem.limit("a width of \(maximumWidth) in a format") }
                specification.width = abs(width)
            }
            if try current() == "." {
                place += 1
                specification.precision = max(0, try number() ?? 0)
            }
            while try ["h", "l", "L"].contains(current()) { place += 1 }
            let type = try current()
            place += 1
            if type == "%" {
                result.append(UInt8(ascii: "%"))
                continue
            }
            let value = try named ?? take()
            let text = try self.percent(type, value, specification, budget)
            result += format.isSafe && !(text.isSafe) ? text.escaped.utf8 : text.utf8
            try budget.spend(handling: text.utf8.count)
            guard result.count <= ChatTemplate.maximumOutputBytes else { throw TemplateProblem.limit("\(ChatTemplate.maximumOutputBytes) bytes of text") }
        }
        if next < positional.count, !usesNames, !takesAnything(arguments) {
            throw TemplateProblem.refused("more values than the format '\(format.string)' writes")
        }
        return format.like(result)
    }

    /// Whether a format need not write it: Python accepts what has members.
    private static func takesAnything(_ arguments: TemplateValue) -> Bool {
        switch arguments {
        case .dictionary, .list, .range: true
        default: false
        }
    }

    private static func percent(_ type: Unicode.Scalar, _ value: TemplateValue, _ specification: Specification, _ budget: TemplateBudget) throws -> TemplateText {
        var specification = specification
        switch type {
        case "s", "r", "a":
            if specification.alignment == "=" { (specification.fill, specification.alignment) = (" ", ">") }
            var text = try type == "s" ? value.printed(budget) : value.quoted(budget)
            if type == "a" { text = ascii(text) }
            specification.type = "s"
            return try write(text, specification)
        case "c":
            if specification.alignment == "=" { (specification.fill, specification.alignment) = (" ", ">") }
            specification.precision = nil
            if let code = value.integer {
                guard let scalar = UInt32(exactly: code).flatMap({ Unicode.Scalar($0) }) else { throw TemplateProblem.refused("no character has the number \(code)") }
                return try write(TemplateText(CollectionOfOne(scalar)), specification)
            }
            guard let text = value.text, text.count == 1 else { throw TemplateProblem.refused("'%c' needs one character") }
            return try write(text, specification)
        case "d", "i", "u":
            guard let number = value.double else { throw undefined(value) ?? TemplateProblem.refused("'%\(type)' needs a number, not '\(value.typeName)'") }
            let whole = try value.integer ?? self.whole(number)
            return TemplateText(try integer(whole, radix: 10, specification))
        case "x", "X", "o":
            guard let whole = value.integer else { throw undefined(value) ?? TemplateProblem.refused("'%\(type)' needs a whole number, not '\(value.typeName)'") }
            specification.type = type
            return TemplateText(try integer(whole, radix: type == "o" ? 8 : 16, specification))
        case "e", "E", "f", "F", "g", "G":
            guard let number = value.double else { throw undefined(value) ?? TemplateProblem.refused("'%\(type)' needs a number, not '\(value.typeName)'") }
            specification.type = type
            return TemplateText(try float(number, specification))
        default: throw TemplateProblem.refused("a format has no '%\(type)'")
        }
    }

    private static func undefined(_ value: TemplateValue) -> TemplateProblem? {
        if case .undefined(let undefined) = value { .undefined(undefined) } else { nil }
    }

    static func whole(_ number: Double) throws -> Int128 {
        guard let whole = Int128(exactly: number.rounded(.towardZero)) else { throw TemplateProblem.refused("\(TemplateValue.written(number)) is no whole number of 128 bits") }
        return whole
    }

    private static func number(_ scalars: [Unicode.Scalar], _ place: inout Int) throws -> Int? {
        var value: Int?
        while place < scalars.count, ("0"..."9").contains(scalars[place]) {
            value = (value ?? 0) * 10 + Int(scalars[place].value - 48)
            guard value! <= maximumWidth else { throw TemplateProblem.limit("a width of \(maximumWidth) in a format") }
            place += 1
        }
        return value
    }

    private static func ascii(_ text: TemplateText) -> TemplateText {
        TemplateText(
            text.scalars.map { scalar in
                if scalar.value < 0x80 { return String(scalar) }
                let digits = scalar.value < 0x100 ? 2 : scalar.value < 0x10000 ? 4 : 8
                let hexadecimal = String(scalar.value, radix: 16)
                return "\\" + [2: "x", 4: "u", 8: "U"][digits]! + String(repeating: "0", count: digits - hexadecimal.count) + hexadecimal
            }.joined())
    }

    // MARK: format

    /// Fields have their numbers written, or are counted, but not both.
    private enum FieldNumbering {
        case none
        case written
        case counted(next: Int)

        mutating func next(given: Int?) throws -> Int {
            switch (self, given) {
            case (.none, let number?), (.written, let number?):
                self = .written
                return number
            case (.none, nil):
                self = .counted(next: 1)
                return 0
            case (.counted(let next), nil):
                self = .counted(next: next + 1)
                return next
            case (.written, nil), (.counted, _?): throw TemplateProblem.refused("a format with and without the numbers of its fields")
            }
        }
    }

    /// `format.format(…)`. Fields may look into values (`{0.name[key]}`), and specifications may hold fields once.
    static func braces(_ format: TemplateText, _ arguments: TemplateArguments, _ budget: TemplateBudget) throws -> TemplateText {
        var numbering = FieldNumbering.none
        return try braces(Array(format.scalars), arguments, &numbering, isSafe: format.isSafe, budget, nesting: 2)
    }

    private static func braces(
        _ scalars: [Unicode.Scalar], _ arguments: TemplateArguments, _ numbering: inout FieldNumbering, isSafe: Bool, _ budget: TemplateBudget, nesting: Int
    ) throws -> TemplateText {
        guard nesting >= 0 else { throw TemplateProblem.refused("fields inside of fields inside of fields of a format") }
        var (result, place) = ([UInt8](), 0)
        while place < scalars.count {
            let scalar = scalars[place]
            place += 1
            if (scalar == "{" || scalar == "}"), place < scalars.count, scalars[place] == scalar {
                result += UTF8.encode(scalar)!
                place += 1
                continue
            }
            guard scalar == "{" else {
                guard scalar != "}" else { throw TemplateProblem.refused("a single '}' in a format") }
                result += UTF8.encode(scalar)!
                continue
            }
            let start = place
            var depth = 1
            while place < scalars.count {
                depth += scalars[place] == "{" ? 1 : scalars[place] == "}" ? -1 : 0
                if depth == 0 { break }
                place += 1
            }
            guard depth == 0 else { throw TemplateProblem.refused("a '{' without its '}' in a format") }
            let field = scalars[start..<place]
            place += 1

            var isInBrackets = false
            let nameEnd =
                field.firstIndex {
                    isInBrackets = $0 == "[" || isInBrackets && $0 != "]"
                    return !isInBrackets && ($0 == "!" || $0 == ":")
                } ?? field.endIndex
            var value = try lookUp(Array(field[..<nameEnd]), arguments, &numbering, budget)
            var rest = field[nameEnd...]
            var conversion: Unicode.Scalar?
            if rest.first == "!" {
                conversion = rest.dropFirst().first
                rest = rest.dropFirst(2)
                guard rest.isEmpty || rest.first == ":" else { throw TemplateProblem.refused("a conversion of more than one letter in a format") }
            }
            switch conversion {
            case nil: break
            case "s": value = .string(try value.printed(budget))
            case "r": value = .string(try value.quoted(budget))
            case "a": value = .string(ascii(try value.quoted(budget)))
            case let other?: throw TemplateProblem.refused("a format has no conversion '!\(other)'")
            }
            let specification = try braces(Array(rest.dropFirst()), arguments, &numbering, isSafe: false, budget, nesting: nesting - 1)
            let text = try write(value, specification, budget)
            result += isSafe ? text.escaped.utf8 : text.utf8
            try budget.spend(handling: text.utf8.count)
            guard result.count <= ChatTemplate.maximumOutputBytes else { throw TemplateProblem.limit("\(ChatTemplate.maximumOutputBytes) bytes of text") }
        }
        return TemplateText(utf8: result, isSafe: isSafe)
    }

    private static func lookUp(_ field: [Unicode.Scalar], _ arguments: TemplateArguments, _ numbering: inout FieldNumbering, _ budget: TemplateBudget) throws -> TemplateValue {
        var place = field.firstIndex { $0 == "." || $0 == "[" } ?? field.count
        let first = TemplateText(field[..<place]).string
        var value: TemplateValue
        if first.isEmpty || first.utf8.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }) {
            let index = try numbering.next(given: first.isEmpty ? nil : Int(first) ?? .max)
            guard arguments.positional.indices.contains(index) else { throw TemplateProblem.refused("a format writes more values than it is given") }
            value = arguments.positional[index]
        } else {
            guard let named = arguments.named.first(where: { $0.name == first }) else { throw TemplateProblem.refused("nothing is called '\(first)' for the format") }
            value = named.value
        }
        while place < field.count {
            if field[place] == "." {
                let end = field[(place + 1)...].firstIndex { $0 == "." || $0 == "[" } ?? field.count
                value = try TemplateOperators.member(of: value, TemplateText(field[(place + 1)..<end]).string)
                place = end
            } else {
                guard field[place] == "[", let end = field[place...].firstIndex(of: "]") else { throw TemplateProblem.refused("a field of a format that cannot be read") }
                let key = TemplateText(field[(place + 1)..<end])
                value = try TemplateOperators.item(of: value, Int128(key.string).map { .integer($0) } ?? .string(key), budget)
                place = end + 1
            }
        }
        return value
    }

    /// `format(value, specification)`.
    private static func write(_ value: TemplateValue, _ text: TemplateText, _ budget: TemplateBudget) throws -> TemplateText {
        if text.isEmpty { return try value.printed(budget) }
        var specification = try read(text)
        switch value {
        case .string(let string):
            guard specification.type == nil || specification.type == "s" else { throw TemplateProblem.refused("a text cannot be written as '\(text.string)'") }
            if specification.alignment == nil { specification.alignment = "<" }
            return try write(string, specification)
        case .bool, .integer, .float:
            if specification.alignment == nil { specification.alignment = ">" }
            switch specification.type {
            case "e", "E", "f", "F", "g", "G", "%": return TemplateText(try float(value.double!, specification))
            case nil where value.integer == nil: return TemplateText(try float(value.double!, specification))
            case nil, "d", "n": break
            case "x", "X", "o", "b", "c": break
            default: throw TemplateProblem.refused("a number cannot be written as '\(text.string)'")
            }
            guard let whole = value.integer else { throw TemplateProblem.refused("a float cannot be written as '\(text.string)'") }
            if specification.type == "c" {
                guard let scalar = UInt32(exactly: whole).flatMap({ Unicode.Scalar($0) }) else { throw TemplateProblem.refused("no character has the number \(whole)") }
                return try write(TemplateText(CollectionOfOne(scalar)), specification)
            }
            let radix = specification.type == "b" ? 2 : specification.type == "o" ? 8 : specification.type == "x" || specification.type == "X" ? 16 : 10
            specification.precision = nil
            return TemplateText(try integer(whole, radix: radix, specification))
        default: throw TemplateProblem.refused("'\(value.typeName)' takes no format")
        }
    }

    private static func read(_ text: TemplateText) throws -> Specification {
        let scalars = Array(text.scalars)
        var (specification, place) = (Specification(), 0)
        func current() -> Unicode.Scalar? { place < scalars.count ? scalars[place] : nil }
        let alignments: Set<Unicode.Scalar> = ["<", ">", "^", "="]
        if scalars.count > 1, alignments.contains(scalars[1]) {
            (specification.fill, specification.alignment) = (scalars[0], scalars[1])
            place = 2
        } else if let first = scalars.first, alignments.contains(first) {
            specification.alignment = first
            place = 1
        }
        if let sign = current(), ["+", "-", " "].contains(sign) {
            specification.sign = sign
            place += 1
        }
        if current() == "#" {
            specification.isAlternate = true
            place += 1
        }
        if current() == "0" {
            if specification.alignment == nil { (specification.fill, specification.alignment) = ("0", "=") }
            place += 1
        }
        specification.width = try number(scalars, &place) ?? 0
        if let grouping = current(), [",", "_"].contains(grouping) {
            specification.grouping = grouping
            place += 1
        }
        if current() == "." {
            place += 1
            guard let precision = try number(scalars, &place) else { throw TemplateProblem.refused("a '.' without digits in the format '\(text.string)'") }
            specification.precision = precision
        }
        if let type = current() {
            specification.type = type
            place += 1
        }
        guard place == scalars.count else { throw TemplateProblem.refused("the format '\(text.string)' cannot be read") }
        return specification
    }

    // MARK: Writing

    private static func write(_ text: TemplateText, _ specification: Specification) throws -> TemplateText {
        guard specification.alignment != "=" || specification.fill == "0" else { throw TemplateProblem.refused("'=' in the format of a text") }
        let shown = specification.precision.map { text.slice(0..<min($0, text.count)) } ?? text
        let missing = max(0, specification.width - shown.count)
        let before = specification.alignment == ">" ? missing : specification.alignment == "^" ? missing / 2 : 0
        func padding(_ count: Int) -> TemplateText { TemplateText(CollectionOfOne(specification.fill)).repeated(count) }
        return shown.like(padding(before).utf8 + shown.utf8 + padding(missing - before).utf8)
    }

    private static func integer(_ value: Int128, radix: Int, _ specification: Specification) throws -> String {
        var digits = String(value.magnitude, radix: radix, uppercase: specification.type == "X")
        if let precision = specification.precision, digits.count < precision { digits = String(repeating: "0", count: precision - digits.count) + digits }
        let prefix = specification.isAlternate && radix != 10 ? "0" + (specification.type.map { String($0) } ?? "") : ""
        let sign = sign(value < 0, specification) + prefix
        return padded(sign, grouped(digits, specification, every: radix == 10 ? 3 : 4, others: sign.utf8.count), specification)
    }

    /// Inserts the grouping mark. Zeros that fill the width are grouped as well; `others` is how much of it signs and fractions take.
    private static func grouped(_ digits: String, _ specification: Specification, every size: Int, others: Int) -> String {
        guard let mark = specification.grouping else { return digits }
        let width = specification.fill == "0" && specification.alignment == "=" ? specification.width - others : 0
        var (rest, result, count) = (digits.unicodeScalars.reversed()[...], [Unicode.Scalar](), 0)
        while !rest.isEmpty || result.count < width {
            if count > 0, count % size == 0 { result.append(mark) }
            result.append(rest.popFirst() ?? "0")
            count += 1
        }
        return TemplateText(result.reversed()).string
    }

    private static func sign(_ isNegative: Bool, _ specification: Specification) -> String {
        isNegative ? "-" : specification.sign == "-" ? "" : String(specification.sign)
    }

    private static func padded(_ sign: String, _ digits: String, _ specification: Specification) -> String {
        let missing = max(0, specification.width - sign.unicodeScalars.count - digits.unicodeScalars.count)
        let fill = String(repeating: String(specification.fill), count: missing)
        switch specification.alignment {
        case "<": return sign + digits + fill
        case "^":
            let before = String(repeating: String(specification.fill), count: missing / 2)
            return before + sign + digits + String(repeating: String(specification.fill), count: missing - missing / 2)
        case "=": return sign + fill + digits
        default: return fill + sign + digits
        }
    }

    private static func float(_ value: Double, _ specification: Specification) throws -> String {
        let sign = sign(value.sign == .minus && !value.isNaN, specification)
        let size = abs(value)
        var text: String
        let precision = specification.precision ?? 6
        guard precision <= 400 else { throw TemplateProblem.limit("400 digits behind the point") }
        if !value.isFinite {
            text = value.isNaN ? "nan" : "inf"
            if let type = specification.type, type.properties.isUppercase { text = text.uppercased() }
        } else {
            switch specification.type {
            case "f", "F": text = String(format: "%.\(precision)f", size)
            case "e", "E": text = String(format: "%.\(precision)\(specification.type!)", size)
            case "g", "G": text = String(format: "%\(specification.isAlternate ? "#" : "").\(precision)\(specification.type!)", size)
            case "%": text = String(format: "%.\(precision)f", size * 100) + "%"
            default:
                if let given = specification.precision {
                    text = String(format: "%.\(max(1, given))g", size)
                    if !text.contains("."), !text.contains("e") { text += ".0" }
                } else {
                    text = TemplateValue.written(size)
                }
            }
        }
        let whole = String(text.prefix { $0.isNumber })
        let rest = text.dropFirst(whole.count)
        return padded(sign, grouped(whole, specification, every: 3, others: sign.utf8.count + rest.utf8.count) + rest, specification)
    }

    /// A number with a fixed count of digits behind the point.
    static func fixed(_ value: Double, digits: Int) -> String { String(format: "%.\(digits)f", value) }
}
