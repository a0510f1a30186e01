import Foundation

/// Reads the fields of a configuration, checks each against what is permitted, and knows which were never asked for.
///
/// A field that changes the mathematics and is ignored makes a model that is wrong without a word. So a family reads what
/// it implements and ends with `refuseUnread(except:)`.
public final class ConfigFields {
    /// The file, for errors.
    public let file: String
    /// The path of this object inside the file, such as `rope_scaling.`; empty at the top.
    private let prefix: String
    private let object: JSONObject
    private var asked: Set<UTF8Key> = []

    public init(_ object: JSONObject, file: String) {
        self.object = object
        self.file = file
        prefix = ""
    }

    private init(_ object: JSONObject, file: String, prefix: String) {
        self.object = object
        self.file = file
        self.prefix = prefix
    }

    // MARK: Numbers

    /// A whole number.
    /// - Throws: `FileError` when it is missing, no whole number, or out of range.
    public func int(_ name: String, range: ClosedRange<Int>) throws -> Int {
        try int(name, try required(name), range)
    }

    /// A whole number; `nil` where the field is missing or null.
    public func optionalInt(_ name: String, range: ClosedRange<Int>) throws -> Int? {
        try json(name).map { try int(name, $0, range) }
    }

    /// Whole numbers.
    public func ints(_ name: String, range: ClosedRange<Int>) throws -> [Int] {
        try list(name, try required(name)) { try int($0, $1, range) }
    }

    /// A number.
    public func double(_ name: String, range: ClosedRange<Double> = .finite) throws -> Double {
        try double(name, try required(name), range)
    }

    /// A number; `nil` where the field is missing or null.
    public func optionalDouble(_ name: String, range: ClosedRange<Double> = .finite) throws -> Double? {
        try json(name).map { try double(name, $0, range) }
    }

    /// Numbers.
    public func doubles(_ name: String, range: ClosedRange<Double> = .finite) throws -> [Double] {
        try list(name, try required(name)) { try double($0, $1, range) }
    }

    // MARK: Words

    public func bool(_ name: String) throws -> Bool { try bool(name, try required(name)) }

    /// `nil` where the field is missing or null.
    public func optionalBool(_ name: String) throws -> Bool? { try json(name).map { try bool(name, $0) } }

    /// A string, one of `choices`; `nil` permits all.
    public func string(_ name: String, oneOf choices: [String]? = nil) throws -> String {
        try string(name, try required(name), choices)
    }

    /// `nil` where the field is missing or null.
    public func optionalString(_ name: String, oneOf choices: [String]? = nil) throws -> String? {
        try json(name).map { try string(name, $0, choices) }
    }

    public func strings(_ name: String, oneOf choices: [String]? = nil) throws -> [String] {
        try list(name, try required(name)) { try string($0, $1, choices) }
    }

    /// `nil` where the field is missing or null.
    public func optionalStrings(_ name: String, oneOf choices: [String]? = nil) throws -> [String]? {
        try json(name).map { try list(name, $0) { try string($0, $1, choices) } }
    }

    // MARK: Structure

    /// The fields of an object inside this one; its unread fields are its own affair.
    public func fields(_ name: String) throws -> ConfigFields { try fields(name, try required(name)) }

    /// `nil` where the field is missing or null.
    public func optionalFields(_ name: String) throws -> ConfigFields? { try json(name).map { try fields(name, $0) } }

    /// The value as it stands, unchecked; `nil` where the field is missing or null.
    public func json(_ name: String) -> JSON? {
        asked.insert(UTF8Key(name))
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    /// Everything in the file, read or not.
    public var members: JSONObject { object }

    /// Whether the field is there and not null. Does not count as reading it.
    public func has(_ name: String) -> Bool { object[name].map { !$0.isNull } ?? false }

    // MARK: What nobody asked for

    /// The fields that were never asked for, in the order of the file, without those that are null.
    public var unread: [String] {
        object.members.filter { !$0.value.isNull && !asked.contains(UTF8Key($0.key)) }.map(\.key)
    }

    /// - Parameter harmless: names that do not change what the model computes.
    /// - Throws: `FileError` that names every field that is neither read nor harmless.
    public func refuseUnread(except harmless: Set<String> = []) throws {
        let unknown = unread.filter { !harmless.contains($0) }
        guard !unknown.isEmpty else { return }
        let list = unknown.map { "'\(prefix)\($0)' (\(object[$0]!.text().prefix(60)))" }.joined(separator: ", ")
        throw FileError(
            file: file, problem: "has \(unknown.count == 1 ? "a field" : "fields") not understood here: \(list)",
            advice: "Ignoring such a field could change what the model computes. "
                + "If it is harmless, remove it or add it to the family's list of harmless names.")
    }

    /// An error about a field, for checks that involve more than one.
    public func error(_ name: String, _ problem: String, advice: String = "Compare the file with the model card.")
        -> FileError
    {
        FileError(file: file, problem: "'\(prefix)\(name)' \(problem)", advice: advice)
    }

    // MARK: Checks

    private func required(_ name: String) throws -> JSON {
        if let value = json(name) { return value }
        let nearest = nearestName(to: name, in: unread)
        throw error(name, "is missing\(nearest.map { "; the nearest name is '\(prefix)\($0)'" } ?? "")")
    }

    private func mismatch(_ name: String, _ value: JSON, _ expected: String) -> FileError {
        error(name, "is \(value.text().prefix(60)), but must be \(expected)")
    }

    private func int(_ name: String, _ value: JSON, _ range: ClosedRange<Int>) throws -> Int {
        guard let number = value.int, range.contains(number) else {
            throw mismatch(name, value, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private func double(_ name: String, _ value: JSON, _ range: ClosedRange<Double>) throws -> Double {
        guard let number = value.double, range.contains(number) else {
            let expected =
                switch range {
                case .finite: "a number"
                case .positive: "a number above 0"
                case .nonnegative: "a number of at least 0"
                default: "a number from \(range.lowerBound) to \(range.upperBound)"
                }
            throw mismatch(name, value, expected)
        }
        return number
    }

    private func bool(_ name: String, _ value: JSON) throws -> Bool {
        guard let bool = value.bool else { throw mismatch(name, value, "true or false") }
        return bool
    }

    private func string(_ name: String, _ value: JSON, _ choices: [String]?) throws -> String {
        guard let string = value.string else { throw mismatch(name, value, "a string") }
        guard let choices, !choices.contains(string) else { return string }
        let nearest = nearestName(to: string, in: choices).map { "; the nearest is '\($0)'" } ?? ""
        throw mismatch(name, value, "one of \(choices.joined(separator: ", "))\(nearest)")
    }

    private func list<Element>(
        _ name: String, _ value: JSON, _ check: (String, JSON) throws -> Element
    ) throws -> [Element] {
        guard let elements = value.array else { throw mismatch(name, value, "an array") }
        return try elements.enumerated().map { try check("\(name)[\($0)]", $1) }
    }

    private func fields(_ name: String, _ value: JSON) throws -> ConfigFields {
        guard let object = value.object else { throw mismatch(name, value, "an object") }
        return ConfigFields(object, file: file, prefix: "\(prefix)\(name).")
    }
}

extension ClosedRange<Double> {
    /// Every number a JSON text can hold.
    public static var finite: Self { -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude }
    /// Above 0.
    public static var positive: Self { Double.leastNonzeroMagnitude...Double.greatestFiniteMagnitude }
    /// 0 and above.
    public static var nonnegative: Self { 0...Double.greatestFiniteMagnitude }
}
