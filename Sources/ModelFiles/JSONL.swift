import Foundation

/// Files with one JSON value to a line, or standard input under the path "-". Blank lines are passed over.
public enum JSONL {
    /// Calls `body` with every value and the number of its line, counted from 1.
    /// - Throws: `FileError` when the file cannot be read or holds no values, `JSONError` with the line of the first
    ///   one that is not JSON, and whatever `body` throws.
    public static func forEach(path: String, _ body: (_ line: Int, _ value: JSON) throws -> Void) throws {
        if path == "-" {
            let input = try FileHandle.standardInput.readToEnd() ?? Data()
            try input.withUnsafeBytes { try forEach(in: $0, source: "standard input", body) }
        } else {
            let file = try MappedFile(path: path)
            try withExtendedLifetime(file) { try forEach(in: file.bytes, source: path, body) }
        }
    }

    private static func forEach(in bytes: UnsafeRawBufferPointer, source: String, _ body: (_ line: Int, _ value: JSON) throws -> Void) throws {
        var found = false
        var line = 1
        // Some editors begin files with a mark of their encoding.
        var rest = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes[3...] : bytes[...]
        while !rest.isEmpty {
            let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
            let bytes = UnsafeRawBufferPointer(rebasing: rest[rest.startIndex..<end])
            if bytes.contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) {
                found = true
                try body(line, try JSON.parse(bytes, source: source, firstLine: line))
            }
            rest = rest[min(end + 1, rest.endIndex)...]
            line += 1
        }
        guard found else {
            throw FileError(file: source, problem: "holds no examples", advice: "Write one JSON object to a line.")
        }
    }

    /// All objects of a file, with their lines.
    /// - Throws: as `forEach`, and `FileError` for a line that holds another kind of value.
    public static func objects(path: String) throws -> [(line: Int, object: JSONObject)] {
        var objects: [(line: Int, object: JSONObject)] = []
        try forEach(path: path) { line, value in
            guard let object = value.object else {
                throw FileError(
                    file: "\(path == "-" ? "standard input" : path), line \(line)", problem: "is \(value.kind), not an object",
                    advice: "Write one JSON object to a line.")
            }
            objects.append((line: line, object: object))
        }
        return objects
    }
}
