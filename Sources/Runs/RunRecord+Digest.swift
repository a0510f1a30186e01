import Foundation
import GRDB

extension RunRecord {
    /// A hash of everything recorded, in order of primary keys, without the columns that hold time (`…seconds`, `…At`).
    ///
    /// Equal for two runs that did the same, however often and wherever either was killed and resumed.
    /// - Returns: 32 hexadecimal digits.
    public func digest() throws -> String {
        try read { db in
            var hash = ContentHash()
            for table in RunSchema.tables {
                // `table_info` leaves out generated columns.
                let names = try String.fetchAll(db, sql: "SELECT name FROM pragma_table_info(?) ORDER BY cid", arguments: [table])
                let kept = names.filter { !$0.hasSuffix("seconds") && !$0.hasSuffix("At") }
                let key = try String.fetchAll(db, sql: "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", arguments: [table])
                hash.combine(table)
                let rows = try Row.fetchCursor(
                    db, sql: "SELECT \(kept.joined(separator: ", ")) FROM \(table) ORDER BY \(key.joined(separator: ", "))")
                while let row = try rows.next() {
                    for name in kept {
                        let value = row[name] as DatabaseValue
                        if value.isNull, RunSchema.addedColumns.contains(name) { continue }
                        hash.combine(value)
                    }
                }
            }
            return hash.hex
        }
    }
}

extension ContentHash {
    fileprivate mutating func combine(_ value: DatabaseValue) {
        switch value.storage {
        case .null: combine(0)
        case .int64(let number):
            combine(1)
            combine(UInt64(bitPattern: number))
        case .double(let number):
            combine(2)
            combine(number.bitPattern)
        case .string(let text):
            combine(3)
            combine(text)
        case .blob(let bytes):
            combine(4)
            combine(UInt64(bytes.count))
            combine(bytes: bytes)
        }
    }
}
