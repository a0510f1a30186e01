import Foundation

/// Writes a safetensors file tensor by tensor, so that a model never lies in memory twice.
///
/// A `DurableFile`: it is there and complete after `finish()`, and until then an older file of that name stays as it is.
public final class SafetensorsWriter {
    private let data: TensorDataWriter

    /// - Parameters:
    ///   - path: of the finished file, in a folder that exists.
    ///   - tensors: in the order in which `append` will deliver them; types are those of safetensors.
    ///   - metadata: strings for the header, written in the order of their keys.
    /// - Throws: `FileError` for a name given twice, a type the format does not know, or the system's refusal.
    public init(
        path: String, tensors: [(name: String, dtype: DType, shape: [Int])], metadata: [String: String] = [:]
    ) throws {
        let (header, places) = try SafetensorsWriter.header(tensors, metadata, path: path)
        data = try TensorDataWriter(path: path, header: header, tensors: places)
    }

    /// Writes the next bytes of the current tensor as they are; it may come in several pieces.
    /// - Throws: `FileError` when it has no room for them, or the system cannot write them; the file is gone then.
    public func append(_ bytes: UnsafeRawBufferPointer) throws { try data.append(bytes) }

    /// Writes the next values of the current tensor as its type, F32, F16 or BF16, rounded to nearest, ties to even; it may come in
    /// several pieces.
    /// - Throws: `FileError` when it has no room for them, is of another type, or cannot hold one (see `DType.encode`), or the system
    ///   cannot write them; the file is gone then.
    public func append(_ values: UnsafeBufferPointer<Float>) throws { try data.append(values) }

    /// Writes the next values of the current tensor as its type.
    public func append(_ values: [Float]) throws { try values.withUnsafeBufferPointer { try data.append($0) } }

    /// Brings the file to disk and gives it its name.
    /// - Throws: `FileError` when bytes are missing or the system refuses; the temporary file goes then.
    public func finish() throws { try data.finish() }

    // MARK: The header

    private static func header(
        _ tensors: [(name: String, dtype: DType, shape: [Int])], _ metadata: [String: String], path: String
    ) throws -> (bytes: [UInt8], places: [TensorInfo]) {
        func refused(_ problem: String, _ advice: String) -> FileError {
            FileError(file: path, problem: problem, advice: advice)
        }
        var members: [(key: String, value: JSON)] = []
        if !metadata.isEmpty {
            let entries = metadata.sorted { $0.key < $1.key }.map { (key: $0.key, value: JSON.string($0.value)) }
            members.append((key: "__metadata__", value: .object(JSONObject(entries))))
        }
        var names: Set<UTF8Key> = [UTF8Key("__metadata__")]
        var places: [(offset: Int, byteCount: Int)] = []  // from the beginning of the data
        var offset = 0
        for (name, dtype, shape) in tensors {
            guard names.insert(UTF8Key(name)).inserted else {
                throw refused("would hold two tensors named '\(name)'", "Give every tensor its own name.")
            }
            guard dtype.isSafetensors else {
                throw refused("cannot hold '\(name)' as \(dtype.name)", "Write F32, F16 or BF16; block types belong in GGUF.")
            }
            guard let elements = TensorInfo.elementCount(shape), let count = dtype.byteCount(elements: elements),
                case let (end, overflow) = offset.addingReportingOverflow(count), !overflow, end <= Int.max - 8 - SafetensorsFile.headerLimit
            else {
                throw refused("cannot hold '\(name)' of shape \(shape)", "Check the shape.")
            }
            let entry: JSON = [
                "dtype": .string(dtype.name),
                "shape": .array(shape.map { .integer(Int64($0)) }),
                "data_offsets": [.integer(Int64(offset)), .integer(Int64(end))],
            ]
            members.append((key: name, value: entry))
            places.append((offset, count))
            offset = end
        }
        var json = Array(JSON.object(JSONObject(members)).text().utf8)
        json += repeatElement(UInt8(ascii: " "), count: (8 - json.count % 8) % 8)  // the data begins at a multiple of 8
        guard json.count <= SafetensorsFile.headerLimit else {
            throw refused("would have a header of \(json.count) bytes", "Write the model in several files.")
        }
        let length = withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) }
        let start = length.count + json.count
        let infos = zip(tensors, places).map {
            TensorInfo(name: $0.name, dtype: $0.dtype, shape: $0.shape, byteOffset: start + $1.offset, byteCount: $1.byteCount)
        }
        return (length + json, infos)
    }
}
