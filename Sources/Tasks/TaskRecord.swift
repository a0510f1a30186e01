import Foundation
import ModelFiles

/// One record of a task's JSON Lines file, which remembers where it stood.
struct TaskRecord {
    let fields: JSONObject
    let file: String
    /// Counted from 1.
    let line: Int

    /// Reads a file of one JSON object a line; blank lines are passed over.
    /// - Throws: `TaskError` that names the file and the line.
    static func read(_ url: URL) throws -> [TaskRecord] {
        let file = url.lastPathComponent
        let data: Data
        do {
            data = try Data(contentsOf: url)
        } catch {
            throw TaskError.unreadableFile(path: url.path, reason: (error as NSError).localizedDescription)
        }
        var records: [TaskRecord] = []
        for (index, bytes) in [UInt8](data).split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            let isBlank = bytes.allSatisfy { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\t") }
            if isBlank { continue }
            let value: JSON
            do {
                value = try bytes.withUnsafeBytes { try JSON.parse($0, source: file, firstLine: index + 1) }
            } catch {
                let problem = (error as? JSONError)?.problem ?? "\(error)"
                throw TaskError.badRecord(file: file, line: index + 1, reason: "not JSON: \(problem). Write one JSON object a line.")
            }
            guard let object = value.object else {
                throw TaskError.badRecord(file: file, line: index + 1, reason: "not a JSON object. Write one JSON object a line.")
            }
            records.append(TaskRecord(fields: object, file: file, line: index + 1))
        }
        guard !records.isEmpty else { throw TaskError.unreadableFile(path: url.path, reason: "it holds no record.") }
        return records
    }

    /// What is wrong with this record, and where it stands.
    func refused(_ reason: String) -> TaskError { .badRecord(file: file, line: line, reason: reason) }

    /// The field as text (a number or a truth value is written out); `nil` where it is absent or null.
    /// - Throws: `TaskError.badRecord` for a list or an object.
    func text(_ field: String) throws -> String? {
        switch fields[field] {
        case nil, .some(.null): return nil
        case .some(.string(let text)): return text
        case .some(.integer(let number)): return String(number)
        case .some(.number(let number)): return String(number)
        case .some(.bool(let flag)): return flag ? "true" : "false"
        default:
            throw TaskError.badRecord(file: file, line: line, reason: "the field '\(field)' is a list or an object, but text is needed. Name another field.")
        }
    }

    /// - Throws: `TaskError.badRecord` where the field is absent.
    func requiredText(_ field: String) throws -> String {
        if let text = try text(field) { return text }
        if fields[field] != nil { throw TaskError.badRecord(file: file, line: line, reason: "the field '\(field)' is null. Give it a value, or take the line out.") }
        let known = Array(fields.keys)
        let nearest = nearestName(to: field, in: known).map { "; did you mean '\($0)'?" } ?? "."
        throw TaskError.badRecord(
            file: file, line: line, reason: "no field '\(field)'\(nearest) The record has: \(known.joined(separator: ", ")).")
    }
}
