import Foundation

/// A unit of measurement: of what, and how many of the dimension's base units it is.
///
/// Months and years are a dimension of their own, for they hold no fixed number of days; volumes are those of the United States.
/// Source: National Institute of Standards and Technology, Special Publication 811, appendix B (exact factors).
public struct MeasuringUnit: Equatable, Sendable {
    public enum Dimension: String, Codable, Sendable, CaseIterable {
        case length, area, mass, time, calendar, volume, speed, dollars, euros, sterling, percent
    }
    /// In the singular.
    public let name: String
    public let dimension: Dimension
    /// In metres, square metres, grams, seconds, months, litres, metres per hour, dollars, euros, pounds sterling or percent.
    public let factor: Decimal

    /// The unit of a name, an abbreviation or a symbol, in the singular or the plural; `nil` for a word that is no unit known here.
    public static func named(_ text: String) -> MeasuringUnit? {
        let name = text.hasSuffix(".") ? String(text.dropLast()) : text
        if let unit = byName[name] { return unit }
        let small = name.lowercased()
        return [small, String(small.dropLast(small.hasSuffix("s") ? 1 : 0)), String(small.dropLast(small.hasSuffix("es") ? 2 : 0))].lazy.compactMap { byName[$0] }.first
    }

    private static let byName: [String: MeasuringUnit] = {
        let table: [(Dimension, [(names: String, factor: String)])] = [
            (.length, [
                ("millimeter millimetre mm", "0.001"), ("centimeter centimetre cm", "0.01"), ("meter metre m", "1"), ("kilometer kilometre km", "1000"),
                ("inch in \"", "0.0254"), ("foot feet ft '", "0.3048"), ("yard yd", "0.9144"), ("mile mi", "1609.344"),
            ]),
            (.area, [
                ("cm^2", "0.0001"), ("m^2", "1"), ("km^2", "1000000"), ("in^2", "0.00064516"), ("ft^2", "0.09290304"), ("yd^2", "0.83612736"),
                ("acre", "4046.8564224"), ("hectare ha", "10000"),
            ]),
            (.mass, [
                ("milligram mg", "0.001"), ("gram g", "1"), ("kilogram kilo kg", "1000"), ("tonne", "1000000"), ("ounce oz", "28.349523125"),
                ("pound lb", "453.59237"), ("ton", "907184.74"),
            ]),
            (.time, [
                ("millisecond ms", "0.001"), ("second sec s", "1"), ("minute min", "60"), ("hour hr h", "3600"), ("day", "86400"), ("week", "604800"),
            ]),
            (.calendar, [("month", "1"), ("year yr", "12"), ("decade", "120"), ("century centuries", "1200")]),
            (.volume, [
                ("milliliter millilitre ml mL cm^3", "0.001"), ("liter litre l L", "1"), ("m^3", "1000"), ("teaspoon tsp", "0.00492892159375"),
                ("tablespoon tbsp", "0.01478676478125"), ("cup", "0.2365882365"), ("pint pt", "0.473176473"), ("quart qt", "0.946352946"),
                ("gallon gal", "3.785411784"), ("in^3", "0.016387064"), ("ft^3", "28.316846592"),
            ]),
            (.speed, [("m/s", "3600"), ("mph", "1609.344"), ("kph", "1000")]),
            (.dollars, [("dollar $ buck", "1"), ("cent ¢ penny pennies", "0.01"), ("nickel", "0.05"), ("dime", "0.1")]),
            (.euros, [("euro €", "1")]),
            (.sterling, [("£", "1"), ("pence", "0.01")]),
            (.percent, [("percent %", "1")]),
        ]
        var units: [String: MeasuringUnit] = [:]
        for (dimension, rows) in table {
            for row in rows {
                let names = row.names.split(separator: " ").map(String.init)
                guard let factor = Decimal(string: row.factor) else { preconditionFailure("the factor of \(names[0]) is no number: \(row.factor)") }
                for name in names { units[name] = MeasuringUnit(name: names[0], dimension: dimension, factor: factor) }
            }
        }
        return units
    }()
}
