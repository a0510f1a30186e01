import Foundation

/// Writes a safetensors file tensor by tensor, so that a model never lies in memory twice.
///
/// A `DurableFile`: it is there and complete after `finish()`, and until then an older file of that name stays as it is.
public final class SafetensorsWriter {
    private let file: DurableFile
    private let expectedBytes: Int
    private var writtenBytes = 0

    /// - Parameters:
    ///   - path: of the finished file, in a folder that exists.
    ///   - tensors: in the order in which `append` will deliver them; types are those of safetensors.
    ///   - metadata: strings for the header, written in the order of their keys.
    /// - Throws: `FileError` for a name given twice, a type the format does not know, or the system's refusal.
    public init(
        path: String, tensors: [(name: String, dtype: DType, shape: [Int])], metadata: [String: String] = [:]
    ) throws {
        let (header, dataBytes) = try SafetensorsWriter.header(tensors, metadata, path: path)
        expectedBytes = dataBytes
        file = try DurableFile(path)
        try header.withUnsafeBytes { try file.append($0) }
    }

    /// Writes the next bytes; a tensor may come in several pieces.
    /// - Throws: `FileError` when the system cannot write them; the file is gone then.
    /// - Precondition: not more bytes than the tensors have.
    public func append(_ bytes: UnsafeRawBufferPointer) throws {
        precondition(
            bytes.count <= expectedBytes - writtenBytes,
            "\(bytes.count) more bytes for \(file.path), which has room for \(expectedBytes - writtenBytes)")
        try file.append(bytes)
        writtenBytes += bytes.count
    }

    /// Writes the next values of F32 tensors.
    public func append(_ values: UnsafeBufferPointer<Float>) throws { try append(UnsafeRawBufferPointer(values)) }

    /// Writes the next values of F32 tensors.
    public func append(_ values: [Float]) throws { try values.withUnsafeBytes { try append($0) } }

    /// Brings the file to disk and gives it its name.
    /// - Throws: `FileError` when bytes are missing or the system refuses; the temporary file goes then.
    public func finish() throws {
        guard writtenBytes == expectedBytes else {
            file.discard()
            throw FileError(
                file: file.path, problem: "was given \(expectedBytes - writtenBytes) bytes too few", advice: "Append every tensor before finish().")
        }
        try file.finish()
    }

    // MARK: The header

    private static func header(
        _ tensors: [(name: String, dtype: DType, shape: [Int])], _ metadata: [String: String], path: String
    ) throws -> (bytes: [UInt8], dataBytes: Int) {
        func refused(_ problem: String, _ advice: String) -> FileError {
            FileError(file: path, problem: problem, advice: advice)
        }
        var members: [(key: String, value: JSON)] = []
        if !metadata.isEmpty {
            let entries = metadata.sorted { $0.key < $1.key }.map { (key: $0.key, value: JSON.string($0.value)) }
            members.append((key: "__metadata__", value: .object(JSONObject(entries))))
        }
        var names: Set<UTF8Key> = [UTF8Key("__metadata__")]
        var offset = 0
        for (name, dtype, shape) in tensors {
            guard names.insert(UTF8Key(name)).inserted else {
                throw refused("would hold two tensors named '\(name)'", "Give every tensor its own name.")
            }
            guard dtype.isSafetensors else {
                throw refused("cannot hold '\(name)' as \(dtype.name)", "Write F32; block types belong in GGUF.")
            }
            guard let elements = TensorInfo.elementCount(shape), let count = dtype.byteCount(elements: elements),
                case let (end, overflow) = offset.addingReportingOverflow(count), !overflow
            else {
                throw refused("cannot hold '\(name)' of shape \(shape)", "Check the shape.")
            }
            let entry: JSON = [
                "dtype": .string(dtype.name),
                "shape": .array(shape.map { .integer(Int64($0)) }),
                "data_offsets": [.integer(Int64(offset)), .integer(Int64(end))],
            ]
            members.append((key: name, value: entry))
            offset = end
        }
        var json = Array(JSON.object(JSONObject(members)).text().utf8)
        json += repeatElement(UInt8(ascii: " "), count: (8 - json.count % 8) % 8)  // the data begins at a multiple of 8
        guard json.count <= SafetensorsFile.headerLimit else {
            throw refused("would have a header of \(json.count) bytes", "Write the model in several files.")
        }
        let length = withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) }
        return (length + json, offset)
    }
}
