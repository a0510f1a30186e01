import Foundation

/// A number with its unit, as word problems answer: "3 1/2 hours", "$1,250.50", "5 feet 6 inches", "-7", "twelve", "5e3".
///
/// The number is kept as a fraction of decimals, so that 1/3 is not 0.333 and 1 inch is exactly 2.54 cm.
public struct Quantity: Equatable, Sendable, CustomStringConvertible {
    public let numerator: Decimal
    public let denominator: Decimal
    /// `nil` where none is given, or the word behind the number is no unit ("12 apples").
    public let unit: MeasuringUnit?

    /// How far a number may be from the right one.
    public struct Tolerance: Codable, Equatable, Sendable {
        /// In the unit of the right answer.
        public var absolute: Double
        /// As a fraction of the right answer.
        public var relative: Double

        public static let exact = Tolerance()

        public init(absolute: Double = 0, relative: Double = 0) {
            precondition(absolute >= 0 && relative >= 0, "a tolerance cannot be negative, but it is \(absolute) and \(relative)")
            self.absolute = absolute
            self.relative = relative
        }
    }

    /// The last quantity in a text; `nil` where it has none.
    public init?(lastIn text: String) {
        guard let last = Self.all(in: text).last else { return nil }
        self = last
    }

    private init(_ numerator: Decimal, over denominator: Decimal = 1, unit: MeasuringUnit?) {
        (self.numerator, self.denominator, self.unit) = (numerator, denominator, unit)
    }

    /// The quantities of a text in order; "1 hour and 30 minutes" is one.
    public static func all(in text: String) -> [Quantity] {
        let text = scaled(NumberWords.spelled(plain(text.replacing("−", with: "-")).replacing("\\$", with: "$").replacing("\\%", with: "%")))
        var quantities: [Quantity] = []
        var end = text.startIndex
        guard let expression = try? NSRegularExpression(pattern: pattern) else { preconditionFailure("the pattern of a quantity is no regular expression") }
        for match in expression.matches(in: text, range: NSRange(text.startIndex..., in: text)) {
            let groups = (0...4).map { Range(match.range(at: $0), in: text).map { text[$0] } }
            guard let whole = groups[0], let number = groups[3], let quantity = Quantity(sign: groups[1], currency: groups[2], number: number, unit: groups[4]) else { continue }
            let gap = text[end..<whole.startIndex].trimming { $0.isWhitespace || $0 == "," || $0 == "." }
            if gap.isEmpty || gap == "and", let sum = quantities.last?.continued(by: quantity) {
                quantities[quantities.count - 1] = sum
            } else {
                quantities.append(quantity)
            }
            end = whole.endIndex
        }
        return quantities
    }

    public var description: String {
        let isWhole = Decimal(string: "\(denominator)")?.exponent ?? 0 >= 0
        let number = denominator == 1 ? "\(numerator)" : isWhole ? "\(numerator)/\(denominator)" : "\(numerator / denominator)"
        return unit.map { "\(number) \($0.name)" } ?? number
    }

    /// Whether this is `right`: the same number, in the same unit or one that converts to it.
    ///
    /// A unit that one side does not give is not compared, unless `requiringUnit`; another dimension is never equal. 50% is not 0.5.
    /// - Parameters:
    ///   - right: the gold answer.
    ///   - tolerance: how far this may be from it; none by default.
    ///   - requiringUnit: whether this must name a unit where the gold answer does.
    public func matches(_ right: Quantity, tolerance: Tolerance = .exact, requiringUnit: Bool = false) -> Bool {
        if unit == nil, right.unit != nil, requiringUnit { return false }
        var (factor, rightFactor) = (Decimal(1), Decimal(1))
        if let unit, let other = right.unit {
            guard unit.dimension == other.dimension else { return false }
            (factor, rightFactor) = (unit.factor, other.factor)
        }
        let (found, expected) = (numerator * factor * right.denominator, right.numerator * rightFactor * denominator)
        if found == expected { return !found.isNaN }
        guard tolerance != .exact else { return false }
        let value = Double(truncating: numerator * factor / denominator / rightFactor as NSNumber)
        let rightValue = Double(truncating: right.numerator / right.denominator as NSNumber)
        return abs(value - rightValue) <= max(tolerance.absolute, tolerance.relative * abs(rightValue))
    }

    /// The sum with a smaller part of the same dimension behind it: 5 feet, 6 inches.
    private func continued(by part: Quantity) -> Quantity? {
        guard let unit, let small = part.unit, unit.dimension == small.dimension, small.factor < unit.factor, part.numerator >= 0 else { return nil }
        // n/d + (p/q)(s/u) = (n q u + p d s) / (d q u)
        return Quantity(
            numerator * part.denominator * unit.factor + part.numerator * denominator * small.factor, over: denominator * part.denominator * unit.factor, unit: unit)
    }

    // MARK: Reading

    /// As it would be written without LaTeX, "$12\text{ km}$" as "12 km" and "\frac{7}{2}" as "7/2"; and speeds by one name each.
    private static func plain(_ text: String) -> String {
        let ofTeX = [
            (#"(?<!\\)\$(?=\S)((?:[^$\n\\A-Za-z]|\\[A-Za-z]+(?:\{[^{}$]*\})?|\\[^A-Za-z\n]|[A-Za-z](?![A-Za-z])){1,200})(?<=\S)(?<!\\)\$(?![0-9])"#, "$1"),
            (#"\\(?:text|mathrm|mbox) ?\{([^{}]*)\}"#, "$1"), (#"([0-9]) ?\\[dt]?frac ?\{([0-9]+)\} ?\{([0-9]+)\}"#, "$1 $2/$3"), (#"\\[dt]?frac ?\{([0-9]+)\} ?\{([0-9]+)\}"#, "$1/$2"),
            (#"\{,\}|,\\!|(?<=[0-9])\\,(?=[0-9]{3}(?![0-9]))"#, ","), (#"\\[,; ]|~"#, " "),
        ]
        let speeds = [("mi|miles?", "hour|hr|h", "mph"), ("km|kilomet(?:er|re)s?", "hour|hr|h", "kph"), ("m|met(?:er|re)s?", "second|sec|s", "m/s")].map { length, time, name in
            ("(?<![A-Za-z])(?:\(length)) ?(?:per|an|/) ?(?:\(time))(?![A-Za-z])", name)
        }
        return (ofTeX + speeds).reduce(text) { text, rule in
            text.replacingOccurrences(of: rule.0, with: rule.1, options: [.regularExpression, .caseInsensitive])
        }
    }

    /// "6.02 × 10^23" and "6.02 \cdot 10^{23}" become "6.02e23", "10²³" becomes "1e23", and "2.5 million" becomes "2.5e6".
    private static func scaled(_ text: String) -> String {
        var plain = "", isRaised = false
        for character in text {
            let isTen = plain.hasSuffix("10") && !(plain.dropLast(2).last.map { $0.isNumber || ".,".contains($0) } ?? false)
            if let digit = superscripts[character], isRaised || isTen {
                plain += isRaised ? String(digit) : "^\(digit)"
                isRaised = true
            } else {
                plain.append(character)
                isRaised = false
            }
        }
        func replace(_ pattern: String, _ template: String) {
            plain = plain.replacingOccurrences(of: pattern, with: template, options: [.regularExpression, .caseInsensitive])
        }
        let power = #"10\s*(?:\^|\*\*)\s*(?:\{\s*)?([-+]?[0-9]{1,2})(?:\s*\})?(?![0-9])"#, times = #"(?<=[0-9])\s*(?:×|x|\*|·|\\times|\\cdot)\s*"#
        for (before, kept) in [(times, "e$1"), ("(?<![0-9.,])", "1e$1")] {
            // "10^3m" has its unit behind it.
            replace(before + power + "(?=[a-z])(?!e[-+]?[0-9])", "\(kept) ")
            replace(before + power, kept)
        }
        for (word, exponent) in [("hundred", 2), ("thousand", 3), ("million", 6), ("billion", 9), ("trillion", 12)] {
            // Of a fraction the word would belong to the whole, and "3 million-dollar homes" are three.
            replace(#"(?<=[0-9])(?<!/[0-9]{1,9})[ -]"# + word + #"s?\b(?!-[a-z])"#, "e\(exponent)")
        }
        while let match = plain.firstMatch(of: /e([-+]?[0-9]{1,3})e([-+]?[0-9]{1,3})/), let a = Int(match.1), let b = Int(match.2) {
            plain.replaceSubrange(match.range, with: "e\(a + b)")
        }
        return plain
    }

    private static let superscripts = Dictionary(uniqueKeysWithValues: zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-"))

    // Groups: sign, currency, number, unit.
    private static let pattern =
        #"((?<![\w)])[-+])?([$€£])?(?<![\w.])([0-9]+ [0-9]+/[0-9]+|[0-9]+/[0-9]+"#
        + #"|(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2}(?![0-9A-Za-z]))?|\.[0-9]+(?:[eE][-+]?[0-9]{1,2}(?![0-9A-Za-z]))?)"#
        + #"(?:[ -]?(%|¢|[$€£](?![0-9])|(?!in [a-z])(?:square |cubic )?[A-Za-z]+(?:\^?[23](?![0-9])|²|³|/s)?))?"#

    private init?(sign: Substring?, currency: Substring?, number: Substring, unit: Substring?) {
        guard let (numerator, denominator) = Self.number(number) else { return nil }
        let unit = currency.map(String.init) ?? unit.flatMap(Self.unitName)
        self.init(sign == "-" ? -numerator : numerator, over: denominator, unit: unit.flatMap(MeasuringUnit.named))
    }

    /// "square feet", "ft2" and "ft²" are "ft^2".
    private static func unitName(_ text: Substring) -> String? {
        for (word, power) in [("square ", "^2"), ("cubic ", "^3")] where text.hasPrefix(word) {
            let short = ["meter": "m", "metre": "m", "centimeter": "cm", "centimetre": "cm", "kilometer": "km", "kilometre": "km", "inch": "in", "foot": "ft", "yard": "yd"]
            guard let unit = MeasuringUnit.named(String(text.dropFirst(word.count))) else { return nil }
            return (short[unit.name] ?? unit.name) + power
        }
        let plain = String(text).replacing("²", with: "^2").replacing("³", with: "^3")
        return plain.replacing(/([A-Za-z])([23])$/) { "\($0.1)^\($0.2)" }
    }

    private static func number(_ text: Substring) -> (numerator: Decimal, denominator: Decimal)? {
        guard text.count <= 30 else { return nil }
        let parts = text.filter { $0 != "," }.split { $0 == " " || $0 == "/" }.compactMap { Decimal(string: String($0)) }
        switch parts.count {
        case 1: return (parts[0], 1)
        case 2 where parts[1] != 0: return (parts[0], parts[1])
        case 3 where parts[2] != 0: return (parts[0] * parts[2] + parts[1], parts[2])
        default: return nil
        }
    }
}
