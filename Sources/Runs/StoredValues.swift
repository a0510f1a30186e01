import Foundation
import GRDB
import ModelFiles

/// How values lie in the record: written here, read back through `StoredRow`.
enum Stored {
    /// Text, whole: SQLite's own text would end at U+0000, so such text is stored as a BLOB.
    static func text(_ text: String) -> DatabaseValue { text.utf8.contains(0) ? Data(text.utf8).databaseValue : text.databaseValue }

    static func text(_ text: String?) -> DatabaseValue { text.map { Self.text($0) } ?? .null }

    static func tokens(_ values: [Int32]) -> DatabaseValue { values.map(\.littleEndian).withUnsafeBytes { Data($0) }.databaseValue }

    static func numbers(_ values: [Float]) -> DatabaseValue { values.map(\.bitPattern.littleEndian).withUnsafeBytes { Data($0) }.databaseValue }

    static func flags(_ values: [Bool]) -> DatabaseValue { Data(values.map { $0 ? 1 : 0 }).databaseValue }

    /// Keys in order, so that equal values are equal text.
    static func json(_ value: some Encodable) throws -> DatabaseValue {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self).databaseValue
    }

    /// For `recordedAt` columns, which are never compared.
    static func now() -> DatabaseValue { Date().ISO8601Format().databaseValue }
}

/// A row of the record, which somebody else may have changed: every column is read as what it must be, or refused.
struct StoredRow {
    let row: Row
    let file: String
    let table: String

    func text(_ column: String) throws -> String {
        guard let text = try optionalText(column) else { throw wrong(column, "text") }
        return text
    }

    func optionalText(_ column: String) throws -> String? {
        switch value(column).storage {
        case .null: nil
        case .string(let text): text
        case .blob(let bytes): String(decoding: bytes, as: UTF8.self)
        default: throw wrong(column, "text")
        }
    }

    func int(_ column: String) throws -> Int {
        guard case .int64(let number) = value(column).storage, let number = Int(exactly: number) else { throw wrong(column, "a whole number") }
        return number
    }

    func double(_ column: String) throws -> Double {
        guard let number = try optionalDouble(column) else { throw wrong(column, "a number") }
        return number
    }

    func optionalDouble(_ column: String) throws -> Double? {
        switch value(column).storage {
        case .null: nil
        case .double(let number): number
        case .int64(let number): Double(number)
        default: throw wrong(column, "a number")
        }
    }

    func tokens(_ column: String) throws -> [Int32] {
        try words(column).map { Int32(bitPattern: $0) }
    }

    func numbers(_ column: String) throws -> [Float] { try words(column).map { Float(bitPattern: $0) } }

    func optionalTokens(_ column: String) throws -> [Int32]? { value(column).isNull ? nil : try tokens(column) }

    func optionalNumbers(_ column: String) throws -> [Float]? { value(column).isNull ? nil : try numbers(column) }

    func flags(_ column: String) throws -> [Bool] { try bytes(column).map { $0 != 0 } }

    func json<Value: Decodable>(_ type: Value.Type, _ column: String) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(try text(column).utf8))
        } catch is DecodingError {
            throw wrong(column, "the JSON of \(type)")
        }
    }

    func choice<Value: RawRepresentable>(_ type: Value.Type, _ column: String) throws -> Value where Value.RawValue == String {
        guard let value = Value(rawValue: try text(column)) else { throw wrong(column, "a \(type)") }
        return value
    }

    func wrong(_ column: String, _ expected: String) -> FileError { .damaged(file, "table \(table)", "column \(column) does not hold \(expected)") }

    private func value(_ column: String) -> DatabaseValue { row[column] ?? .null }

    private func bytes(_ column: String) throws -> Data {
        guard case .blob(let bytes) = value(column).storage else { throw wrong(column, "bytes") }
        return bytes
    }

    private func words(_ column: String) throws -> [UInt32] {
        let bytes = try bytes(column)
        guard bytes.count.isMultiple(of: 4) else { throw wrong(column, "4 bytes per token") }
        return bytes.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map { UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)) }
        }
    }
}
