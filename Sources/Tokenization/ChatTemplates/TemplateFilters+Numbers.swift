import Foundation

/// Filters for numbers, and numbers read from texts as Python reads them.
extension TemplateFilters {
    // MARK: Numbers

    static let numbers: [String: TemplateOperation] = [
        "abs": { value, _, budget in
            if let whole = value.integer { return whole < 0 ? try TemplateOperators.signed(.integer(whole), isNegative: true) : .integer(whole) }
            guard let number = value.double else { throw refused(value, "abs") }
            return .float(abs(number))
        },
        "int": { value, arguments, budget in
            let otherwise = arguments.take("default") ?? .integer(0)
            let base = try arguments.takeInteger("base", otherwise: 10)
            if case .undefined(let undefined) = value { throw TemplateProblem.undefined(undefined) }
            if let whole = value.integer { return .integer(whole) }
            if let text = value.text, let whole = try whole(text, base: base) { return .integer(whole) }
            guard let number = try float(value, budget), number.isFinite else { return otherwise }
            return .integer(try TemplateFormatting.whole(number))
        },
        "float": { value, arguments, budget in
            let otherwise = arguments.take("default") ?? .float(0)
            if case .undefined(let undefined) = value { throw TemplateProblem.undefined(undefined) }
            return try float(value, budget).map { .float($0) } ?? otherwise
        },
        "round": { value, arguments, budget in
            let precision = try arguments.takeInteger("precision", otherwise: 0)
            let method = try arguments.take("method")?.printed(budget).string ?? "common"
            guard precision.magnitude <= 400 else { throw TemplateProblem.limit("400 digits") }
            guard let number = value.double else { throw refused(value, "round") }
            switch method {
            case "common":
                if let whole = value.integer {
                    guard precision < 0 else { return .integer(whole) }
                    guard precision > -38 else { return .integer(0) }
                    let unit = (0..<(-precision)).reduce(Int128(1)) { power, _ in power * 10 }
                    let (quotient, remainder) = whole.quotientAndRemainder(dividingBy: unit)
                    let twice = remainder.magnitude * 2
                    let isUp = twice > unit.magnitude || twice == unit.magnitude && quotient % 2 != 0
                    return .integer((quotient + (isUp ? whole.signum() : 0)) * unit)
                }
                if !number.isFinite { return value }
                if precision >= 0 { return .float(Double(TemplateFormatting.fixed(number, digits: precision))!) }
                let unit = pow(10, Double(-precision))
                return .float((number / unit).rounded(.toNearestOrEven) * unit)
            case "ceil", "floor":
                let unit = pow(10, Double(precision))
                return .float((number * unit).rounded(method == "ceil" ? .up : .down) / unit)
            default: throw TemplateProblem.refused("round by '\(method)', which is not common, ceil or floor")
            }
        },
    ]

    /// A whole number as it is written in Python, nil for what is none.
    private static func whole(_ text: TemplateText, base: Int) throws -> Int128? {
        guard base == 0 || 2...36 ~= base else { return nil }
        var digits = text.stripped().string
        let isNegative = digits.hasPrefix("-")
        if isNegative || digits.hasPrefix("+") { digits.removeFirst() }
        var base = base
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where (base == radix || base == 0) && digits.lowercased().hasPrefix(prefix) {
            digits.removeFirst(2)
            if digits.hasPrefix("_") { digits.removeFirst() }
            base = radix
        }
        if base == 0 {
            base = 10
            guard !digits.hasPrefix("0") || digits.allSatisfy({ $0 == "0" || $0 == "_" }) else { return nil }
        }
        guard let plain = withoutUnderscores(digits), plain.utf8.first.map({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) == true else { return nil }
        guard let value = Int128((isNegative ? "-" : "") + plain, radix: base) else {
            guard plain.allSatisfy({ $0.isASCII && ($0.hexDigitValue ?? 99) < base }) else { return nil }
            throw TemplateProblem.limit("whole numbers of 128 bits")
        }
        return value
    }

    /// Digits without the single underscores between them, nil where one is elsewhere. Decimal digits of all scripts become ASCII ones.
    private static func withoutUnderscores(_ text: String) -> String? {
        var (result, last): (String, Unicode.Scalar) = ("", "_")
        for scalar in text.unicodeScalars {
            if scalar == "_", last == "_" { return nil }
            if scalar.properties.numericType == .decimal, let digit = scalar.properties.numericValue {
                result += String(Int(digit))
            } else if scalar != "_" {
                result.unicodeScalars.append(scalar)
            }
            last = scalar
        }
        return last == "_" ? nil : result
    }

    static func float(_ value: TemplateValue, _ budget: TemplateBudget) throws -> Double? {
        if case .undefined(let undefined) = value { throw TemplateProblem.undefined(undefined) }
        if let number = value.double { return number }
        guard let text = value.text, let digits = withoutUnderscores(text.stripped().string.lowercased()) else { return nil }
        let unsigned = digits.hasPrefix("-") || digits.hasPrefix("+") ? String(digits.dropFirst()) : digits
        let sign = digits.hasPrefix("-") ? -1.0 : 1.0
        switch unsigned {
        case "inf", "infinity": return sign * .infinity
        case "nan": return .nan
        default:
            guard unsigned.utf8.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 || ".e+-".utf8.contains($0) }), unsigned.utf8.first != UInt8(ascii: "+"),
                unsigned.utf8.first != UInt8(ascii: "-")
            else { return nil }
            return Double(unsigned.hasPrefix(".") ? "0" + unsigned : unsigned).map { sign * $0 }
        }
    }
}
