import Foundation

/// What operators do, with Python's rules for numbers: `/` gives a float, `//` and `%` go towards minus infinity.
enum TemplateOperators {
    static func arithmetic(_ mark: String, _ left: TemplateValue, _ right: TemplateValue, _ budget: TemplateBudget) throws -> TemplateValue {
        if case .undefined(let undefined) = left { throw TemplateProblem.undefined(undefined) }
        switch (mark, left, right) {
        case ("%", .string(let format), _):
            return .string(try TemplateFormatting.percent(format, right, budget))
        case (_, _, .undefined(let undefined)): throw TemplateProblem.undefined(undefined)
        case ("+", .string(let a), .string(let b)):
            try budget.spend(bytes: a.utf8.count + b.utf8.count)
            return .string(a + b)
        case ("+", .list(let a), .list(let b)):
            try budget.spend(a.items.count + b.items.count)
            return .list(try TemplateList(a.items + b.items))
        case ("+", .tuple(let a), .tuple(let b)):
            try budget.spend(a.items.count + b.items.count)
            return .tuple(try TemplateList(a.items + b.items))
        case ("*", _, _) where right.integer != nil && left.integer == nil && left.double == nil: return try repeated(left, right.integer!, budget)
        case ("*", _, _) where left.integer != nil && right.integer == nil && right.double == nil: return try repeated(right, left.integer!, budget)
        case ("-", .view(let a, let kind), .view(let b, _)) where kind != "dict_values":
            return .list(try TemplateList(a.items.filter { item in try !b.items.contains { try $0.equals(item, budget) } }))
        default: break
        }
        if let a = left.integer, let b = right.integer { return try whole(mark, a, b) }
        guard let a = left.double, let b = right.double else { throw TemplateProblem.refused("'\(mark)' between '\(left.typeName)' and '\(right.typeName)'") }
        return .float(try floating(mark, a, b))
    }

    private static func repeated(_ value: TemplateValue, _ count: Int128, _ budget: TemplateBudget) throws -> TemplateValue {
        let count = Int(clamping: max(0, count))
        func size(_ one: Int) throws -> Int {
            let (total, overflow) = one.multipliedReportingOverflow(by: count)
            guard !overflow, total <= ChatTemplate.maximumOutputBytes else { throw TemplateProblem.limit("\(ChatTemplate.maximumOutputBytes) bytes of text") }
            return total
        }
        func items(_ list: TemplateList) throws -> TemplateList {
            try budget.spend(size(list.items.count))
            return try TemplateList(list.items.isEmpty ? [] : Array(repeatElement(list.items, count: count).joined()))
        }
        switch value {
        case .string(let text):
            try budget.spend(bytes: size(text.utf8.count))
            return .string(text.repeated(count))
        case .list(let list): return .list(try items(list))
        case .tuple(let list): return .tuple(try items(list))
        default: throw TemplateProblem.refused("'*' between '\(value.typeName)' and 'int'")
        }
    }

    private static let tooLarge = TemplateProblem.limit("whole numbers of 128 bits")

    private static func whole(_ mark: String, _ a: Int128, _ b: Int128) throws -> TemplateValue {
        func checked(_ result: (partialValue: Int128, overflow: Bool)) throws -> TemplateValue {
            guard !result.overflow else { throw tooLarge }
            return .integer(result.partialValue)
        }
        switch mark {
        case "+": return try checked(a.addingReportingOverflow(b))
        case "-": return try checked(a.subtractingReportingOverflow(b))
        case "*": return try checked(a.multipliedReportingOverflow(by: b))
        case "**":
            guard b >= 0 else { return .float(try floating("**", Double(a), Double(b))) }
            var (result, base, exponent) = (Int128(1), a, b)
            while exponent > 0 {
                if exponent & 1 == 1 {
                    let (product, overflow) = result.multipliedReportingOverflow(by: base)
                    guard !overflow else { throw tooLarge }
                    result = product
                }
                exponent >>= 1
                if exponent > 0 {
                    let (square, overflow) = base.multipliedReportingOverflow(by: base)
                    guard !overflow else { throw tooLarge }
                    base = square
                }
            }
            return .integer(result)
        default:
            guard b != 0 else { throw TemplateProblem.refused("a division by zero") }
            if mark == "/" { return .float(Double(a) / Double(b)) }
            if b == -1 { return mark == "%" ? .integer(0) : try checked(Int128(0).subtractingReportingOverflow(a)) }
            let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
            let isBelow = remainder != 0 && (remainder < 0) != (b < 0)
            return .integer(mark == "%" ? (isBelow ? remainder + b : remainder) : (isBelow ? quotient - 1 : quotient))
        }
    }

    private static func floating(_ mark: String, _ a: Double, _ b: Double) throws -> Double {
        switch mark {
        case "+": return a + b
        case "-": return a - b
        case "*": return a * b
        case "**":
            guard a != 0 || b >= 0 else { throw TemplateProblem.refused("a division by zero") }
            guard a >= 0 || b == b.rounded() || !b.isFinite else { throw TemplateProblem.refused("a root of a number below zero") }
            let result = pow(a, b)
            guard result.isFinite || !a.isFinite || !b.isFinite else { throw TemplateProblem.refused("a number too large for a float") }
            return result
        default:
            guard b != 0 else { throw TemplateProblem.refused("a division by zero") }
            if mark == "/" { return a / b }
            var remainder = fmod(a, b)
            if remainder != 0, (remainder < 0) != (b < 0) { remainder += b }
            if remainder == 0 { remainder = b.sign == .minus ? -0.0 : 0.0 }
            guard mark == "//" else { return remainder }
            let quotient = (a - remainder) / b
            guard quotient != 0 else { return (a / b).sign == .minus ? -0.0 : 0.0 }
            let floored = quotient.rounded(.down)
            return quotient - floored > 0.5 ? floored + 1 : floored
        }
    }

    static func compare(_ mark: String, _ left: TemplateValue, _ right: TemplateValue, _ budget: TemplateBudget) throws -> Bool {
        switch mark {
        case "==": return try left.equals(right, budget)
        case "!=": return try !left.equals(right, budget)
        case "in": return try right.contains(left, budget)
        case "not in": return try !right.contains(left, budget)
        case "<": return try left.isLess(than: right, budget)
        case ">": return try right.isLess(than: left, budget)
        default:
            // Not the opposite of the strict one where NaN is around.
            let (a, b) = mark == "<=" ? (left, right) : (right, left)
            return try a.isLess(than: b, budget) || a.equals(b, budget)
        }
    }

    static func signed(_ value: TemplateValue, isNegative: Bool) throws -> TemplateValue {
        if case .undefined(let undefined) = value { throw TemplateProblem.undefined(undefined) }
        if let whole = value.integer {
            guard isNegative else { return .integer(whole) }
            let (result, overflow) = Int128(0).subtractingReportingOverflow(whole)
            guard !overflow else { throw tooLarge }
            return .integer(result)
        }
        guard let number = value.double else { throw TemplateProblem.refused("a sign before '\(value.typeName)'") }
        return .float(isNegative ? -number : number)
    }

    // MARK: Places in values

    /// `value[from:to:step]`: places below zero count from the end, and all are clamped.
    static func slice(_ value: TemplateValue, from: TemplateValue, to: TemplateValue, step: TemplateValue, _ budget: TemplateBudget) throws -> TemplateValue {
        func bound(_ value: TemplateValue) throws -> Int? {
            if value.isNone { return nil }
            guard let number = value.integer else { throw TemplateProblem.refused("a slice needs whole numbers, not '\(value.typeName)'") }
            return Int(clamping: number)
        }
        let step = min(max(try bound(step) ?? 1, -1 << 40), 1 << 40)
        guard step != 0 else { throw TemplateProblem.refused("a slice with a step of zero") }
        let bounds = try SliceBounds(from: bound(from), to: bound(to))
        func places(_ count: Int) throws -> [Int] {
            let places = Array(stride(from: bounds.start(count, step), to: bounds.end(count, step), by: step))
            try budget.spend(places.count)
            return places
        }
        switch value {
        case .string(let text):
            try budget.spend(bytes: text.utf8.count)
            let count = text.count
            if step == 1 {
                let start = bounds.start(count, 1)
                return .string(text.slice(start..<max(start, bounds.end(count, 1))))
            }
            let scalars = Array(text.scalars)
            return .string(text.like(try places(count).map { scalars[$0] }))
        case .list(let list): return .list(try TemplateList(places(list.items.count).map { list.items[$0] }))
        case .tuple(let list): return .tuple(try TemplateList(places(list.items.count).map { list.items[$0] }))
        case .range(let range):
            let chosen = try places(range.count).map { range[$0] }
            return .list(try TemplateList(chosen))
        case .undefined(let undefined): throw TemplateProblem.undefined(undefined)
        default: throw TemplateProblem.refused("'\(value.typeName)' cannot be sliced")
        }
    }

    /// `value[key]`: the member or the item, else what `value.key` is, else undefined.
    static func item(of value: TemplateValue, _ key: TemplateValue, _ budget: TemplateBudget) throws -> TemplateValue {
        func place(_ count: Int) -> Int? {
            guard let number = key.integer else { return nil }
            let index = number < 0 ? number + Int128(count) : number
            return index >= 0 && index < Int128(count) ? Int(index) : nil
        }
        switch value {
        case .undefined(let undefined): throw TemplateProblem.undefined(undefined)
        case .dictionary(let dictionary):
            if let hashed = try? TemplateKey(key, budget), let member = dictionary[hashed] { return member }
        case .list(let list), .tuple(let list):
            if let place = place(list.items.count) { return list.items[place] }
        case .range(let range):
            if let place = place(range.count) { return range[place] }
        case .string(let text):
            if key.integer != nil {
                try budget.spend(bytes: text.utf8.count)
                if let place = place(text.count) { return .string(text.slice(place..<(place + 1))) }
            }
        default: break
        }
        if let name = key.text {
            if let attribute = attribute(value, name.string) { return attribute }
            return .undefined(TemplateUndefined("'\(value.typeName) object' has no attribute '\(name.string)'"))
        }
        return .undefined(TemplateUndefined("\(value.typeName) object has no element \(try key.quoted(budget).string)"))
    }

    /// `value.name`: what the value itself can do, else its member of that name, else undefined.
    static func member(of value: TemplateValue, _ name: String) throws -> TemplateValue {
        if case .undefined(let undefined) = value { throw TemplateProblem.undefined(undefined) }
        if let attribute = attribute(value, name) { return attribute }
        if case .dictionary(let dictionary) = value, let member = dictionary[name] { return member }
        return .undefined(TemplateUndefined("'\(value.typeName) object' has no attribute '\(name)'"))
    }

    /// What the value itself can do or tell under that name, its members aside.
    static func attribute(_ value: TemplateValue, _ name: String) -> TemplateValue? {
        switch value {
        case .namespace(let namespace): return namespace.members[name]
        case .loop(let loop): return loop[name]
        case .cycler(let cycler) where name == "current": return cycler.items[cycler.position]
        case .tuple(let list):
            if let place = list.fields.firstIndex(of: name) { return list.items[place] }
        case .range(let range):
            switch name {
            case "start": return .integer(range.start)
            case "stop": return .integer(range.stop)
            case "step": return .integer(range.step)
            default: break
            }
        case .macro(let macro):
            switch name {
            case "name": return macro.declaration.name.map { .text($0) } ?? TemplateValue.none
            case "arguments": return (try? TemplateList(macro.declaration.parameters.map { .text($0.name) })).map { .tuple($0) }
            case "catch_kwargs": return .bool(macro.declaration.usesNamed)
            case "catch_varargs": return .bool(macro.declaration.usesPositional)
            case "caller": return .bool(macro.declaration.usesCaller)
            default: break
            }
        case .integer, .bool:
            switch name {
            case "real", "numerator": return value.integer.map { .integer($0) }
            case "imag": return .integer(0)
            case "denominator": return .integer(1)
            default: break
            }
        case .float(let number):
            if name == "real" { return .float(number) }
            if name == "imag" { return .float(0) }
        default: break
        }
        if TemplateMethods.unsafe(for: value).contains(name) {
            return .undefined(TemplateUndefined("'\(name)' would change a '\(value.typeName)', which templates may not do"))
        }
        return TemplateMethods.table(for: value)[name] != nil ? .method(of: value, name) : nil
    }
}

/// The bounds of a slice as they are written.
private struct SliceBounds {
    let from, to: Int?

    func start(_ count: Int, _ step: Int) -> Int { place(from, count, step) ?? (step > 0 ? 0 : count - 1) }
    func end(_ count: Int, _ step: Int) -> Int { place(to, count, step) ?? (step > 0 ? count : -1) }

    private func place(_ bound: Int?, _ count: Int, _ step: Int) -> Int? {
        guard let bound else { return nil }
        let place = bound < 0 ? bound + count : bound
        return step > 0 ? min(max(place, 0), count) : min(max(place, -1), count - 1)
    }
}
