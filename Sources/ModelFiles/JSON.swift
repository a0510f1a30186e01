import Foundation

/// A JSON value (RFC 8259). Objects keep the order of their members.
public enum JSON: Sendable {
    case null
    case bool(Bool)
    /// A number written without fraction or exponent that fits 64 bits.
    case integer(Int64)
    /// Every other number; never infinite, never NaN when it was parsed.
    case number(Double)
    case string(String)
    case array([JSON])
    case object(JSONObject)

    /// Parses one JSON text: strict RFC 8259, UTF-8, no byte-order mark, no duplicate keys, at most 128 levels.
    ///
    /// Errors call the text `source`, usually the path of the file, and count its lines from `firstLine`, which is not 1 where
    /// `bytes` are one line of a longer file.
    /// - Throws: `JSONError` with line and column.
    public static func parse(_ bytes: UnsafeRawBufferPointer, source: String, firstLine: Int = 1) throws -> JSON {
        var parser = JSONParser(bytes, source: source, firstLine: firstLine)
        return try parser.parseDocument()
    }

    public static func parse(_ bytes: [UInt8], source: String) throws -> JSON {
        try bytes.withUnsafeBytes { try parse($0, source: source) }
    }

    public static func parse(_ data: Data, source: String) throws -> JSON {
        try data.withUnsafeBytes { try parse($0, source: source) }
    }

    public static func parse(_ text: String, source: String) throws -> JSON {
        var text = text
        return try text.withUTF8 { try parse(UnsafeRawBufferPointer($0), source: source) }
    }

    /// Parses a file.
    /// - Throws: `FileError` when the file cannot be read, `JSONError` when it is not JSON.
    public static func read(path: String) throws -> JSON {
        let file = try MappedFile(path: path)
        return try withExtendedLifetime(file) { try parse(file.bytes, source: path) }
    }
}

// MARK: - Looking inside

extension JSON {
    public var isNull: Bool {
        if case .null = self { true } else { false }
    }

    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The value of an `integer`; `nil` for `2.0`, which a careful reader does not take for a size.
    public var int: Int? {
        if case .integer(let value) = self { Int(exactly: value) } else { nil }
    }

    /// The value of an `integer` or a `number`.
    public var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    public var array: [JSON]? {
        if case .array(let value) = self { value } else { nil }
    }

    public var object: JSONObject? {
        if case .object(let value) = self { value } else { nil }
    }

    /// The member of that name, `nil` where this is no object or has none.
    public subscript(_ key: String) -> JSON? { object?[key] }

    /// What kind of value this is, for error messages: "a string", "an object".
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .integer: "a whole number"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// Strings and keys compare by their bytes, objects without regard to order, `1` and `1.0` as different values.
extension JSON: Equatable {
    public static func == (a: JSON, b: JSON) -> Bool {
        switch (a, b) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.number(let a), .number(let b)): a == b
        case (.string(let a), .string(let b)): sameBytes(a, b)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a == b
        default: false
        }
    }
}

extension JSON: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(JSONObject(elements.map { (key: $0.0, value: $0.1) }))
    }
}

// MARK: - Objects

/// The members of a JSON object, in the order of the text, found by the bytes of their keys in constant time.
public struct JSONObject: Sendable {
    public private(set) var members: [(key: String, value: JSON)]
    /// From key to place in `members`; empty while there are fewer members than `indexedFrom`.
    private var index: [UTF8Key: Int]

    /// Below this many members a walk through them is faster than a dictionary.
    static let indexedFrom = 16

    public init() {
        members = []
        index = [:]
    }

    /// - Precondition: no key occurs twice.
    public init(_ members: [(key: String, value: JSON)]) {
        self.members = members
        index = [:]
        precondition(rebuildIndex() == nil, "a JSON object holds every key once")
    }

    /// For the parser, which has already looked for duplicates.
    init(members: [(key: String, value: JSON)], index: [UTF8Key: Int]) {
        self.members = members
        self.index = index
    }

    public var keys: [String] { members.map(\.key) }
    public var count: Int { members.count }
    public var isEmpty: Bool { members.isEmpty }

    /// The member with exactly these UTF-8 bytes as key. Setting adds a new member at the end; setting `nil` removes.
    public subscript(_ key: String) -> JSON? {
        get { place(of: key).map { members[$0].value } }
        set {
            switch (place(of: key), newValue) {
            case (let place?, let value?): members[place].value = value
            case (let place?, nil):
                members.remove(at: place)
                _ = rebuildIndex()
            case (nil, let value?):
                members.append((key: key, value: value))
                if members.count > Self.indexedFrom {
                    index[UTF8Key(key)] = members.count - 1
                } else if members.count == Self.indexedFrom {
                    _ = rebuildIndex()
                }
            case (nil, nil): break
            }
        }
    }

    private func place(of key: String) -> Int? {
        guard index.isEmpty else { return index[UTF8Key(key)] }
        return members.firstIndex { sameBytes($0.key, key) }
    }

    /// - Returns: the first key that occurs twice.
    private mutating func rebuildIndex() -> String? {
        index = [:]
        guard members.count >= Self.indexedFrom else {
            for (place, member) in members.enumerated()
            where members[..<place].contains(where: { sameBytes($0.key, member.key) }) {
                return member.key
            }
            return nil
        }
        index.reserveCapacity(members.count)
        for (place, member) in members.enumerated() {
            if index.updateValue(place, forKey: UTF8Key(member.key)) != nil { return member.key }
        }
        return nil
    }
}

extension JSONObject: Equatable {
    public static func == (a: JSONObject, b: JSONObject) -> Bool {
        a.count == b.count && a.members.allSatisfy { b[$0.key] == $0.value }
    }
}

// MARK: - Writing

extension JSON {
    /// This value as JSON text.
    ///
    /// Numbers are written with the fewest digits that read back as the same value. JSON has no word for infinity
    /// or NaN; they are written as `null`, so that no reader takes them for a number.
    /// - Parameter pretty: one member or element to a line, indented by two spaces.
    public func text(pretty: Bool = false) -> String {
        var bytes: [UInt8] = []
        write(to: &bytes, pretty: pretty, depth: 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func write(to bytes: inout [UInt8], pretty: Bool, depth: Int) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .integer(let value): bytes += String(value).utf8
        case .number(let value): bytes += (value.isFinite ? value.description : "null").utf8
        case .string(let value): JSON.quote(value, to: &bytes)
        case .array(let elements):
            JSON.list(elements, "[", "]", to: &bytes, pretty: pretty, depth: depth) { element, bytes in
                element.write(to: &bytes, pretty: pretty, depth: depth + 1)
            }
        case .object(let object):
            JSON.list(object.members, "{", "}", to: &bytes, pretty: pretty, depth: depth) { member, bytes in
                JSON.quote(member.key, to: &bytes)
                bytes += (pretty ? ": " : ":").utf8
                member.value.write(to: &bytes, pretty: pretty, depth: depth + 1)
            }
        }
    }

    private static func list<Element>(
        _ elements: [Element], _ open: String, _ close: String, to bytes: inout [UInt8], pretty: Bool, depth: Int,
        write: (Element, inout [UInt8]) -> Void
    ) {
        func newLine(_ depth: Int) {
            bytes.append(UInt8(ascii: "\n"))
            bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * depth))
        }
        bytes += open.utf8
        for (place, element) in elements.enumerated() {
            if place > 0 { bytes.append(UInt8(ascii: ",")) }
            if pretty { newLine(depth + 1) }
            write(element, &bytes)
        }
        if pretty, !elements.isEmpty { newLine(depth) }
        bytes += close.utf8
    }

    private static func quote(_ string: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""): bytes += "\\\"".utf8
            case UInt8(ascii: "\\"): bytes += "\\\\".utf8
            case 0x08: bytes += "\\b".utf8
            case 0x09: bytes += "\\t".utf8
            case 0x0A: bytes += "\\n".utf8
            case 0x0C: bytes += "\\f".utf8
            case 0x0D: bytes += "\\r".utf8
            case 0..<0x20: bytes += ((byte < 0x10 ? "\\u000" : "\\u00") + String(byte, radix: 16)).utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
