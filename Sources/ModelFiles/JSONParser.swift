import Foundation

/// A text that is not JSON, and where it stops being so.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    /// The file, or whatever the caller called the text.
    public let source: String
    /// Both counted from 1; the column in Unicode scalars.
    public let line: Int, column: Int
    /// What is wrong there, without a full stop.
    public let problem: String

    public init(source: String, line: Int, column: Int, problem: String) {
        self.source = source
        self.line = line
        self.column = column
        self.problem = problem
    }

    public var description: String {
        "\(source), line \(line), column \(column): \(problem). Correct the file, or fetch it again."
    }
    public var errorDescription: String? { description }
}

/// A recursive-descent scanner over the bytes of one JSON text.
///
/// The bytes are checked to be UTF-8 once, before the scan, so that cutting strings out of them cannot repair anything.
struct JSONParser {
    /// Deeper nesting is refused, so that a hostile text cannot exhaust the stack.
    static let depthLimit = 128

    private let bytes: UnsafeBufferPointer<UInt8>
    private let source: String
    private let firstLine: Int
    private var position = 0
    private var depth = 0
    private var unescaped: [UInt8] = []  // reused by every string with an escape in it

    /// - Parameter bytes: must outlive the parser.
    init(_ bytes: UnsafeRawBufferPointer, source: String, firstLine: Int) {
        self.bytes = bytes.bindMemory(to: UInt8.self)
        self.source = source
        self.firstLine = firstLine
    }

    mutating func parseDocument() throws -> JSON {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            throw error(at: 0, "the text begins with a byte-order mark, which JSON does not allow")
        }
        if let place = firstInvalidUTF8(bytes) { throw error(at: place, "these bytes are not UTF-8") }
        skipSpace()
        let value = try parseValue()
        skipSpace()
        if position < bytes.count { throw error(at: position, "there is more text after the end of the JSON value") }
        return value
    }

    // MARK: Values

    private mutating func parseValue() throws -> JSON {
        guard position < bytes.count else { throw error(at: position, "the text ends where a value should stand") }
        switch bytes[position] {
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "{"): return try nested { try $0.parseObject() }
        case UInt8(ascii: "["): return try nested { try $0.parseArray() }
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
        case UInt8(ascii: "t"): return try parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try parseWord("null", .null)
        default: throw error(at: position, "a value should stand here")
        }
    }

    private mutating func nested(_ parse: (inout JSONParser) throws -> JSON) throws -> JSON {
        guard depth < Self.depthLimit else {
            throw error(at: position, "arrays and objects are nested more than \(Self.depthLimit) deep")
        }
        depth += 1
        defer { depth -= 1 }
        return try parse(&self)
    }

    private mutating func parseWord(_ word: StaticString, _ value: JSON) throws -> JSON {
        let count = word.utf8CodeUnitCount
        guard bytes.count - position >= count, memcmp(bytes.baseAddress! + position, word.utf8Start, count) == 0 else {
            throw error(at: position, "a value should stand here; the words of JSON are true, false and null")
        }
        position += count
        return value
    }

    private mutating func parseArray() throws -> JSON {
        position += 1
        var elements: [JSON] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            elements.append(try parseValue())
            skipSpace()
            if take(UInt8(ascii: ",")) {
                skipSpace()
            } else if take(UInt8(ascii: "]")) {
                return .array(elements)
            } else {
                throw error(at: position, position < bytes.count ? "',' or ']' should stand here" : "an array is not closed")
            }
        }
    }

    private mutating func parseObject() throws -> JSON {
        position += 1
        var members: [(key: String, value: JSON)] = []
        var index: [UTF8Key: Int] = [:]
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(JSONObject()) }
        while true {
            let start = position
            guard start < bytes.count, bytes[start] == UInt8(ascii: "\"") else {
                throw error(at: start, start < bytes.count ? "a key in quotes should stand here" : "an object is not closed")
            }
            let key = try parseString()
            if !remember(key, members, &index) {
                throw error(at: start, "the key '\(key)' stands twice in one object")
            }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error(at: position, "':' should stand here") }
            skipSpace()
            members.append((key: key, value: try parseValue()))
            skipSpace()
            if take(UInt8(ascii: ",")) {
                skipSpace()
            } else if take(UInt8(ascii: "}")) {
                return .object(JSONObject(members: members, index: index))
            } else {
                throw error(at: position, position < bytes.count ? "',' or '}' should stand here" : "an object is not closed")
            }
        }
    }

    /// Notes the key that is about to become the next member.
    /// - Returns: `false` when an earlier member has it.
    private func remember(
        _ key: String, _ members: [(key: String, value: JSON)], _ index: inout [UTF8Key: Int]
    ) -> Bool {
        let place = members.count
        if place + 1 < JSONObject.indexedFrom { return !members.contains { sameBytes($0.key, key) } }
        if index.isEmpty {
            for (place, member) in members.enumerated() { index[UTF8Key(member.key)] = place }
        }
        return index.updateValue(place, forKey: UTF8Key(key)) == nil
    }

    // MARK: Strings

    private mutating func parseString() throws -> String {
        let quote = position
        position += 1
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                let string = String(decoding: UnsafeBufferPointer(rebasing: bytes[quote + 1..<position]), as: UTF8.self)
                position += 1
                return string
            }
            if byte == UInt8(ascii: "\\") { return try parseEscapedString(quote) }
            if byte < 0x20 { throw error(at: position, "a control character stands in a string; write it as an escape") }
            position += 1
        }
        throw error(at: quote, "this string is not closed")
    }

    /// Continues a string at its first backslash.
    private mutating func parseEscapedString(_ quote: Int) throws -> String {
        unescaped.removeAll(keepingCapacity: true)
        unescaped.append(contentsOf: bytes[quote + 1..<position])
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return String(decoding: unescaped, as: UTF8.self)
            }
            if byte < 0x20 { throw error(at: position, "a control character stands in a string; write it as an escape") }
            if byte == UInt8(ascii: "\\") {
                try parseEscape()
            } else {
                unescaped.append(byte)
                position += 1
            }
        }
        throw error(at: quote, "this string is not closed")
    }

    private mutating func parseEscape() throws {
        let backslash = position
        guard backslash + 1 < bytes.count else { throw error(at: backslash, "the text ends inside an escape") }
        position += 2
        switch bytes[backslash + 1] {
        case UInt8(ascii: "\""): unescaped.append(UInt8(ascii: "\""))
        case UInt8(ascii: "\\"): unescaped.append(UInt8(ascii: "\\"))
        case UInt8(ascii: "/"): unescaped.append(UInt8(ascii: "/"))
        case UInt8(ascii: "b"): unescaped.append(0x08)
        case UInt8(ascii: "f"): unescaped.append(0x0C)
        case UInt8(ascii: "n"): unescaped.append(0x0A)
        case UInt8(ascii: "r"): unescaped.append(0x0D)
        case UInt8(ascii: "t"): unescaped.append(0x09)
        case UInt8(ascii: "u"):
            var code = UInt32(try parseHex(backslash))
            if (0xD800..<0xDC00).contains(code), position + 1 < bytes.count,
                bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u")
            {
                position += 2
                let low = UInt32(try parseHex(backslash))
                guard (0xDC00..<0xE000).contains(low) else {
                    throw error(at: backslash, "this escape is half of a surrogate pair")
                }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else {
                throw error(at: backslash, "this escape is half of a surrogate pair")
            }
            unescaped.append(contentsOf: UTF8.encode(scalar)!)
        default: throw error(at: backslash, "JSON has no such escape")
        }
    }

    private mutating func parseHex(_ backslash: Int) throws -> UInt16 {
        guard bytes.count - position >= 4 else { throw error(at: backslash, "four hexadecimal digits should follow \\u") }
        var value: UInt16 = 0
        for _ in 0..<4 {
            let digit: UInt8
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw error(at: backslash, "four hexadecimal digits should follow \\u")
            }
            value = value << 4 | UInt16(digit)
            position += 1
        }
        return value
    }

    // MARK: Numbers

    private mutating func parseNumber() throws -> JSON {
        let start = position
        let negative = take(UInt8(ascii: "-"))
        var mantissa: UInt64 = 0
        var exact = true  // whether `mantissa` still holds every digit
        var isInteger = true
        var exponent = 0

        func digits(_ parser: inout JSONParser) throws -> Int {
            let first = parser.position
            while parser.position < parser.bytes.count {
                let digit = parser.bytes[parser.position] &- UInt8(ascii: "0")
                guard digit <= 9 else { break }
                let (shifted, overflow) = mantissa.multipliedReportingOverflow(by: 10)
                let (sum, carry) = shifted.addingReportingOverflow(UInt64(digit))
                if overflow || carry { exact = false } else { mantissa = sum }
                parser.position += 1
            }
            guard parser.position > first else { throw parser.error(at: parser.position, "a digit should stand here") }
            return parser.position - first
        }

        let leadingZero = position < bytes.count && bytes[position] == UInt8(ascii: "0")
        if try digits(&self) > 1, leadingZero { throw error(at: start, "a number does not begin with a superfluous 0") }
        if take(UInt8(ascii: ".")) {
            isInteger = false
            exponent -= try digits(&self)
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            let down = take(UInt8(ascii: "-"))
            if !down { _ = take(UInt8(ascii: "+")) }
            let first = position
            var power = 0
            while position < bytes.count, case let digit = bytes[position] &- UInt8(ascii: "0"), digit <= 9 {
                power = min(power * 10 + Int(digit), 1_000_000)
                position += 1
            }
            guard position > first else { throw error(at: position, "a digit should stand here") }
            exponent += down ? -power : power
        }
        if isInteger, exact, !(negative && mantissa == 0) {  // -0 keeps its sign as a number
            if !negative, let value = Int64(exactly: mantissa) { return .integer(value) }
            if negative, mantissa <= UInt64(Int64.max) + 1 { return .integer(Int64(truncatingIfNeeded: 0 &- mantissa)) }
        }
        // Both factors are exact, so the one rounding is the right one (Clinger 1990).
        if exact, mantissa < 1 << 53, abs(exponent) <= 22 {
            let scale = Self.powersOfTen[abs(exponent)]
            let magnitude = exponent < 0 ? Double(mantissa) / scale : Double(mantissa) * scale
            return .number(negative ? -magnitude : magnitude)
        }
        let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
        guard let value = Double(text), value.isFinite else {
            throw error(at: start, "the number \(text.prefix(40)) is too large for 64-bit floating point")
        }
        return .number(value)
    }

    private static let powersOfTen: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ]

    // MARK: Bytes

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private func error(at place: Int, _ problem: String) -> JSONError {
        var (line, column) = (firstLine, 1)
        for byte in bytes.prefix(place) {
            if byte == 0x0A {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        return JSONError(source: source, line: line, column: column, problem: problem)
    }
}

/// Where bytes stop being UTF-8 (Unicode 16, table 3-7), `nil` when they are all well formed.
func firstInvalidUTF8(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
    let raw = UnsafeRawBufferPointer(bytes)
    let count = bytes.count
    var i = 0
    while i < count {
        if count - i >= 8, raw.loadUnaligned(fromByteOffset: i, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
            i += 8
            continue
        }
        let lead = bytes[i]
        if lead < 0x80 {
            i += 1
            continue
        }
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch lead {
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return i
        }
        guard count - i >= length, second.contains(bytes[i + 1]) else { return i }
        for k in 2..<max(2, length) where bytes[i + k] & 0xC0 != 0x80 { return i }
        i += length
    }
    return nil
}
