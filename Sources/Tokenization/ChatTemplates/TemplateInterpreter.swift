/// A value in a template, as Python's would behave.
indirect enum TemplateValue: Sendable {
    case undefined(String)
    case none
    case bool(Bool)
    case integer(Int)
    case string(String)
    case list([TemplateValue])
    case record([(key: String, value: TemplateValue)])

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .string(let text): !text.utf8.isEmpty
        case .list(let items): !items.isEmpty
        case .record(let members): !members.isEmpty
        }
    }

    /// Python's name of the type, for messages.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .integer: "int"
        case .string: "str"
        case .list: "list"
        case .record: "dict"
        }
    }

    /// Strings by their bytes: Swift's `==` would equate canonically equivalent ones.
    func equals(_ other: TemplateValue) -> Bool {
        switch (self, other) {
        case (.undefined, .undefined), (.none, .none): true
        case (.string(let a), .string(let b)): a.utf8.elementsEqual(b.utf8)
        case (.list(let a), .list(let b)): a.count == b.count && zip(a, b).allSatisfy { $0.equals($1) }
        case (.record(let a), .record(let b)):
            a.count == b.count && a.allSatisfy { left in b.contains { $0.key == left.key && $0.value.equals(left.value) } }
        default:
            if let a = number, let b = other.number { a == b } else { false }
        }
    }

    /// Python counts True as 1.
    var number: Int? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): value
        default: nil
        }
    }
}

struct TemplateInterpreter {
    private(set) var output: [UInt8] = []
    private var scopes: [[String: TemplateValue]]  // a loop's assignments end with its pass
    private var steps = 0

    init(variables: [String: TemplateValue]) { scopes = [variables] }

    mutating func run(_ nodes: [TemplateNode]) throws {
        for node in nodes {
            try step()
            switch node {
            case .text(let text): try write(text)
            case .print(let expression): try write(Array(text(try evaluate(expression), line: expression.line).utf8))
            case .set(let name, let expression): scopes[scopes.count - 1][name] = try evaluate(expression)
            case .conditional(let branches, let otherwise):
                var chosen = otherwise
                for branch in branches where try evaluate(branch.condition).isTrue {
                    chosen = branch.body
                    break
                }
                try run(chosen)
            case .loop(let variable, let over, let body, let otherwise, let line):
                let items: [TemplateValue]
                switch try evaluate(over) {
                case .list(let list): items = list
                case .undefined: items = []
                case .record: throw ChatTemplateError.unsupported(construct: "a loop over a dictionary", line: line)
                case .string: throw ChatTemplateError.unsupported(construct: "a loop over a string", line: line)
                case let value: throw ChatTemplateError.rendering(problem: "'\(value.typeName)' cannot be looped over", line: line)
                }
                for (index, item) in items.enumerated() {
                    try step()
                    scopes.append([variable: item, "loop": loopRecord(index, items.count)])
                    try run(body)
                    scopes.removeLast()
                }
                if items.isEmpty { try run(otherwise) }
            }
        }
    }

    private func loopRecord(_ index: Int, _ count: Int) -> TemplateValue {
        .record([
            ("first", .bool(index == 0)), ("last", .bool(index == count - 1)), ("index", .integer(index + 1)), ("index0", .integer(index)),
            ("revindex", .integer(count - index)), ("revindex0", .integer(count - index - 1)), ("length", .integer(count)),
        ])
    }

    private mutating func step() throws {
        steps += 1
        if steps > ChatTemplate.maximumSteps { throw ChatTemplateError.limit("\(ChatTemplate.maximumSteps) steps") }
    }

    private mutating func write(_ text: [UInt8]) throws {
        guard output.count + text.count <= ChatTemplate.maximumOutputBytes else { throw tooLong }
        output += text
    }

    private var tooLong: ChatTemplateError { .limit("\(ChatTemplate.maximumOutputBytes) bytes of text") }

    private mutating func evaluate(_ expression: TemplateExpression) throws -> TemplateValue {
        try step()
        let line = expression.line
        switch expression.kind {
        case .value(let value): return value
        case .variable(let name):
            for scope in scopes.reversed() {
                if let value = scope[name] { return value }
            }
            return .undefined(name)
        case .item(let container, let key): return try item(of: evaluate(container), at: evaluate(key), line: line)
        case .slice(let container, let from, let to):
            let value = try evaluate(container)
            let bounds = try (from.map { try index($0) }, to.map { try index($0) })
            switch value {
            case .list(let items): return .list(Array(items[range(bounds, count: items.count)]))
            case .string(let text):
                let scalars = Array(text.unicodeScalars)
                return .string(String(String.UnicodeScalarView(scalars[range(bounds, count: scalars.count)])))
            default: throw ChatTemplateError.rendering(problem: "'\(value.typeName)' cannot be sliced", line: line)
            }
        case .not(let operand): return .bool(!(try evaluate(operand).isTrue))
        case .negative(let operand):
            guard let value = try evaluate(operand).number else { throw ChatTemplateError.rendering(problem: "minus before something that is not a number", line: line) }
            return .integer(0 &- value)
        case .both(let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? try evaluate(right) : value
        case .either(let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? value : try evaluate(right)
        case .choice(let value, let condition, let otherwise):
            if try evaluate(condition).isTrue { return try evaluate(value) }
            return try otherwise.map { try evaluate($0) } ?? .undefined("the inline if without else")
        case .binary(let mark, let left, let right): return try binary(mark, evaluate(left), evaluate(right), line: line)
        case .filter(let name, let operand): return try filter(name, evaluate(operand), line: line)
        case .test(let name, let operand):
            let value = try evaluate(operand)
            switch (name, value) {
            case ("defined", .undefined), ("none", .undefined), ("string", .undefined): return .bool(false)
            case ("undefined", .undefined), ("none", .none), ("string", .string), ("defined", _): return .bool(true)
            default: return .bool(false)
            }
        case .raise(let message): throw ChatTemplateError.raised(message: text(try evaluate(message), line: line))
        }
    }

    private mutating func index(_ expression: TemplateExpression) throws -> Int? {
        let value = try evaluate(expression)
        if case .none = value { return nil }
        guard let number = value.number else { throw ChatTemplateError.rendering(problem: "a slice needs whole numbers", line: expression.line) }
        return number
    }

    /// Python's slices: negative bounds count from the end, and all are clamped.
    private func range(_ bounds: (from: Int??, to: Int??), count: Int) -> Range<Int> {
        func place(_ bound: Int) -> Int { min(max(bound < 0 ? bound + count : bound, 0), count) }
        let from = (bounds.from ?? nil).map(place) ?? 0
        let to = (bounds.to ?? nil).map(place) ?? count
        return from..<max(from, to)
    }

    private func item(of container: TemplateValue, at key: TemplateValue, line: Int) throws -> TemplateValue {
        switch (container, key) {
        case (.undefined(let name), _): throw ChatTemplateError.rendering(problem: "'\(name)' is undefined", line: line)
        case (.record(let members), .string(let key)): return members.first { $0.key == key }?.value ?? .undefined(key)
        case (.list(let items), _) where key.number != nil:
            let index = key.number! < 0 ? key.number! + items.count : key.number!
            return items.indices.contains(index) ? items[index] : .undefined("item \(key.number!)")
        case (.string(let text), _) where key.number != nil:
            let scalars = Array(text.unicodeScalars)
            let index = key.number! < 0 ? key.number! + scalars.count : key.number!
            return scalars.indices.contains(index) ? .string(String(scalars[index])) : .undefined("item \(key.number!)")
        default: return .undefined(text(key, line: line))
        }
    }

    private func binary(_ mark: String, _ left: TemplateValue, _ right: TemplateValue, line: Int) throws -> TemplateValue {
        func refuse(_ problem: String) -> ChatTemplateError { .rendering(problem: problem, line: line) }
        switch mark {
        case "==": return .bool(left.equals(right))
        case "!=": return .bool(!left.equals(right))
        case "~": return .string(try bounded(text(left, line: line), text(right, line: line)))
        case "in":
            switch right {
            case .list(let items): return .bool(items.contains { $0.equals(left) })
            case .record(let members):
                guard case .string(let key) = left else { return .bool(false) }
                return .bool(members.contains { $0.key == key })
            case .string(let whole):
                guard case .string(let part) = left else { throw refuse("'\(left.typeName)' cannot be in a text") }
                return .bool(Array(whole.utf8).contains(Array(part.utf8)))
            case .undefined: return .bool(false)
            default: throw refuse("nothing can be in '\(right.typeName)'")
            }
        default: break
        }
        if case .undefined(let name) = left { throw refuse("'\(name)' is undefined") }
        if case .undefined(let name) = right { throw refuse("'\(name)' is undefined") }
        if let a = left.number, let b = right.number {
            switch mark {
            case "<": return .bool(a < b)
            case ">": return .bool(a > b)
            case "<=": return .bool(a <= b)
            case ">=": return .bool(a >= b)
            case "%":
                guard b != 0 else { throw refuse("a division by zero") }
                let remainder = b == -1 ? 0 : a % b
                return .integer(remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder)
            default:
                let (value, overflow) = mark == "+" ? a.addingReportingOverflow(b) : a.subtractingReportingOverflow(b)
                guard !overflow else { throw refuse("a number too large") }
                return .integer(value)
            }
        }
        switch (left, right) {
        case (.string(let a), .string(let b)):
            let (a8, b8) = (a.unicodeScalars, b.unicodeScalars)
            switch mark {
            case "+": return .string(try bounded(a, b))
            case "<": return .bool(a8.lexicographicallyPrecedes(b8))
            case ">": return .bool(b8.lexicographicallyPrecedes(a8))
            case "<=": return .bool(!b8.lexicographicallyPrecedes(a8))
            case ">=": return .bool(!a8.lexicographicallyPrecedes(b8))
            case "%": throw ChatTemplateError.unsupported(construct: "text formatting with '%'", line: line)
            default: break
            }
        case (.list(let a), .list(let b)) where mark == "+":
            guard a.count + b.count <= ChatTemplate.maximumSteps else { throw ChatTemplateError.limit("\(ChatTemplate.maximumSteps) list items") }
            return .list(a + b)
        default: break
        }
        throw refuse("'\(mark)' between '\(left.typeName)' and '\(right.typeName)'")
    }

    private func bounded(_ left: String, _ right: String) throws -> String {
        guard left.utf8.count + right.utf8.count <= ChatTemplate.maximumOutputBytes else { throw tooLong }
        return left + right
    }

    private func filter(_ name: String, _ value: TemplateValue, line: Int) throws -> TemplateValue {
        switch name {
        case "length", "count":
            switch value {
            case .list(let items): return .integer(items.count)
            case .record(let members): return .integer(members.count)
            case .string(let text): return .integer(text.unicodeScalars.count)
            case .undefined: return .integer(0)
            default: throw ChatTemplateError.rendering(problem: "'\(value.typeName)' has no length", line: line)
            }
        case "upper": return .string(text(value, line: line).uppercased())
        case "lower": return .string(text(value, line: line).lowercased())
        default:  // trim
            var scalars = Array(text(value, line: line).unicodeScalars)[...]
            // Python's str.strip also takes the separators U+001C…U+001F.
            func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar.isSpace || 0x1C...0x1F ~= scalar.value }
            while let first = scalars.first, isBlank(first) { scalars.removeFirst() }
            while let last = scalars.last, isBlank(last) { scalars.removeLast() }
            return .string(String(String.UnicodeScalarView(scalars)))
        }
    }

    /// As Python's `str` prints it.
    private func text(_ value: TemplateValue, line: Int) -> String {
        switch value {
        case .undefined: ""
        case .none: "None"
        case .bool(let value): value ? "True" : "False"
        case .integer(let value): String(value)
        case .string(let text): text
        case .list(let items): "[" + items.map { quoted($0, line: line) }.joined(separator: ", ") + "]"
        case .record(let members): "{" + members.map { "\(quoted(.string($0.key), line: line)): \(quoted($0.value, line: line))" }.joined(separator: ", ") + "}"
        }
    }

    /// As Python's `repr`, for the text inside lists.
    private func quoted(_ value: TemplateValue, line: Int) -> String {
        guard case .string(let string) = value else { return text(value, line: line) }
        let quote: Unicode.Scalar = string.unicodeScalars.contains("'") && !string.unicodeScalars.contains("\"") ? "\"" : "'"
        var output = String.UnicodeScalarView([quote])
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\\": output.append(contentsOf: "\\\\".unicodeScalars)
            case "\n": output.append(contentsOf: "\\n".unicodeScalars)
            case "\r": output.append(contentsOf: "\\r".unicodeScalars)
            case "\t": output.append(contentsOf: "\\t".unicodeScalars)
            case quote: output.append(contentsOf: ["\\", quote])
            default: output.append(scalar)
            }
        }
        output.append(quote)
        return String(output)
    }
}
