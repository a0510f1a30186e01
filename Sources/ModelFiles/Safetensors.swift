import Foundation

/// One safetensors file: a length, a JSON header, and the bytes of the tensors without gap or overlap.
///
/// Source: the format's description in huggingface/safetensors. Two things that some readers accept are refused, because
/// two readers would then disagree about the content: a tensor named twice, and space before the header's `{`.
public final class SafetensorsFile: TensorFile {
    /// The format's own limit on the header.
    static let headerLimit = 100_000_000

    public var path: String { file.path }
    public let tensors: [TensorInfo]
    /// The header's `__metadata__`, empty when there is none.
    public let metadata: [String: String]

    private let file: MappedFile
    private let names: TensorNames

    /// Maps the file and checks everything its header says against its length.
    /// - Throws: `FileError`, or `JSONError` when the header is not JSON.
    public init(path: String) throws {
        file = try MappedFile(path: path)
        let header = try SafetensorsFile.header(of: file.bytes, path: path)
        let object = try JSON.parse(header.json, source: "\(path) (header)").object!  // it begins with '{'
        metadata = try SafetensorsFile.metadata(object["__metadata__"], path: path)

        var entries: [(info: TensorInfo, begin: Int, end: Int)] = []
        for (name, value) in object.members where !sameBytes(name, "__metadata__") {
            entries.append(try SafetensorsFile.tensor(name, value, dataStart: header.end, path: path))
        }
        // A stable order: empty tensors share their offset with their successor.
        let order = entries.indices.sorted { a, b in
            (entries[a].begin, entries[a].end, a) < (entries[b].begin, entries[b].end, b)
        }
        var position = 0
        var names = TensorNames()
        for (place, i) in order.enumerated() {
            let entry = entries[i]
            guard entry.begin == position else {
                throw SafetensorsFile.broken(
                    path, "'\(entry.info.name)' begins at byte \(entry.begin) of the data, where \(position) was due, "
                        + "so tensors overlap or leave a gap")
            }
            position = entry.end
            _ = names.insert(entry.info.name, place)  // the parser has refused duplicates
        }
        let dataCount = file.bytes.count - header.end
        guard position == dataCount else {
            throw SafetensorsFile.broken(
                path, "the tensors take \(position) bytes, but \(dataCount) follow the header")
        }
        tensors = order.map { entries[$0].info }
        self.names = names
    }

    public func info(_ name: String) -> TensorInfo? { names[name].map { tensors[$0] } }

    public func bytes(_ info: TensorInfo) -> UnsafeRawBufferPointer {
        guard info.byteCount > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(rebasing: file.bytes[info.byteOffset..<info.byteOffset + info.byteCount])
    }

    // MARK: The header

    private static func header(
        of bytes: UnsafeRawBufferPointer, path: String
    ) throws -> (json: UnsafeRawBufferPointer, end: Int) {
        guard bytes.count >= 8 else {
            throw broken(path, "has \(bytes.count) bytes, fewer than the 8 that give the length of the header")
        }
        let announced = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard announced <= UInt64(headerLimit) else {
            throw broken(path, "announces a header of \(announced) bytes; the format allows \(headerLimit)")
        }
        let count = Int(announced)
        guard count <= bytes.count - 8 else {
            throw broken(path, "announces a header of \(count) bytes, but only \(bytes.count - 8) follow")
        }
        guard count > 0, bytes[8] == UInt8(ascii: "{") else {
            throw broken(path, "the header does not begin with '{'")
        }
        return (UnsafeRawBufferPointer(rebasing: bytes[8..<8 + count]), 8 + count)
    }

    private static func metadata(_ value: JSON?, path: String) throws -> [String: String] {
        guard let value else { return [:] }
        guard let object = value.object else { throw broken(path, "__metadata__ is \(value.kind), not an object") }
        var metadata: [String: String] = [:]
        for (key, value) in object.members {
            guard let string = value.string else {
                throw broken(path, "'\(key)' in __metadata__ is \(value.kind), not a string")
            }
            guard metadata.updateValue(string, forKey: key) == nil else {
                throw broken(path, "'\(key)' stands in __metadata__ in two spellings of the same characters")
            }
        }
        return metadata
    }

    private static func tensor(
        _ name: String, _ value: JSON, dataStart: Int, path: String
    ) throws -> (info: TensorInfo, begin: Int, end: Int) {
        guard let object = value.object else {
            throw broken(path, "the entry of '\(name)' is \(value.kind), not an object")
        }
        guard let type = object["dtype"]?.string else { throw broken(path, "'\(name)' has no dtype") }
        guard let dtype = DType(safetensors: type) else {
            let nearest = nearestName(to: type.uppercased(), in: DType.allCases.filter(\.isSafetensors).map(\.name))
            throw broken(
                path, "'\(name)' has the unknown dtype '\(type)'\(nearest.map { "; the nearest is '\($0)'" } ?? "")")
        }
        let shape = try sizes(object["shape"], "shape", of: name, path: path)
        let offsets = try sizes(object["data_offsets"], "data_offsets", of: name, path: path)
        guard offsets.count == 2, offsets[0] <= offsets[1] else {
            throw broken(path, "data_offsets of '\(name)' are \(offsets), not a beginning and an end")
        }
        guard let elements = TensorInfo.elementCount(shape), let count = dtype.byteCount(elements: elements) else {
            throw broken(path, "'\(name)' cannot have the shape \(shape) with dtype \(type)")
        }
        guard offsets[1] - offsets[0] == count else {
            throw broken(
                path, "'\(name)' has \(offsets[1] - offsets[0]) bytes, but \(type) \(shape) needs \(count)")
        }
        let (begin, overflow) = dataStart.addingReportingOverflow(offsets[0])
        guard !overflow else { throw broken(path, "data_offsets of '\(name)' lie past the end of the file") }
        return (
            TensorInfo(name: name, dtype: dtype, shape: shape, byteOffset: begin, byteCount: count),
            offsets[0], offsets[1]
        )
    }

    /// A list of whole numbers that are not negative.
    private static func sizes(_ value: JSON?, _ field: String, of name: String, path: String) throws -> [Int] {
        guard let value else { throw broken(path, "'\(name)' has no \(field)") }
        guard let elements = value.array else {
            throw broken(path, "\(field) of '\(name)' is \(value.kind), not an array")
        }
        return try elements.map { element in
            guard let size = element.int, size >= 0 else {
                throw broken(path, "\(field) of '\(name)' holds \(element.text().prefix(40)), not a size")
            }
            return size
        }
    }

    private static func broken(_ path: String, _ problem: String) -> FileError {
        FileError(
            file: path, problem: problem,
            advice: "The file is damaged or was cut off while it was copied; fetch it again.")
    }
}
