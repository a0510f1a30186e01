import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Writes a safetensors file tensor by tensor, so that a model never lies in memory twice.
///
/// The bytes go to `<path>.tmp`, which takes the name `path` in `finish()`, after they have reached the disk. Until then
/// an older file of that name stays as it is. When anything fails, or the writer is dropped early, the temporary file goes.
public final class SafetensorsWriter {
    public let path: String
    private let temporaryPath: String
    private var descriptor: Int32
    private let expectedBytes: Int
    private var writtenBytes = 0

    /// - Parameters:
    ///   - path: of the finished file, in a folder that exists.
    ///   - tensors: in the order in which `append` will deliver them; types are those of safetensors.
    ///   - metadata: strings for the header, written in the order of their keys.
    /// - Throws: `ModelFileError` for a name given twice, a type the format does not know, or the system's refusal.
    public init(
        path: String, tensors: [(name: String, dtype: DType, shape: [Int])], metadata: [String: String] = [:]
    ) throws {
        self.path = path
        temporaryPath = path + ".tmp"
        let (header, dataBytes) = try SafetensorsWriter.header(tensors, metadata, path: path)
        expectedBytes = dataBytes
        descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw ModelFileError(
                file: temporaryPath, problem: "cannot be created: \(reason(errno))",
                advice: "Check that the folder exists and may be written to.")
        }
        try header.withUnsafeBytes { try write($0) }
    }

    deinit { discard() }

    /// Writes the next bytes; a tensor may come in several pieces.
    /// - Throws: `ModelFileError` when the system cannot write them; the file is gone then.
    /// - Precondition: not more bytes than the tensors have.
    public func append(_ bytes: UnsafeRawBufferPointer) throws {
        precondition(
            bytes.count <= expectedBytes - writtenBytes,
            "\(bytes.count) more bytes for \(path), which has room for \(expectedBytes - writtenBytes)")
        try write(bytes)
        writtenBytes += bytes.count
    }

    /// Writes the next values of F32 tensors.
    public func append(_ values: UnsafeBufferPointer<Float>) throws { try append(UnsafeRawBufferPointer(values)) }

    /// Writes the next values of F32 tensors.
    public func append(_ values: [Float]) throws { try values.withUnsafeBytes { try append($0) } }

    /// Brings the file to disk and gives it its name.
    /// - Throws: `ModelFileError` when bytes are missing or the system refuses; the temporary file is gone then.
    public func finish() throws {
        guard writtenBytes == expectedBytes else {
            let missing = expectedBytes - writtenBytes
            discard()
            throw ModelFileError(
                file: path, problem: "was given \(missing) bytes too few", advice: "Append every tensor before finish().")
        }
        guard fsync(descriptor) == 0 else { throw failure("cannot be brought to disk", errno) }
        let closed = close(descriptor)
        descriptor = -1
        guard closed == 0 else { throw failure("cannot be closed", errno) }
        guard rename(temporaryPath, path) == 0 else { throw failure("cannot be given its name", errno) }
        // The new name lies in the folder, which has a disk page of its own. Some file systems refuse this; the data is safe.
        let folder = (path as NSString).deletingLastPathComponent
        let folderDescriptor = open(folder.isEmpty ? "." : folder, O_RDONLY | O_CLOEXEC)
        if folderDescriptor >= 0 {
            _ = fsync(folderDescriptor)
            close(folderDescriptor)
        }
    }

    // MARK: Writing

    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        precondition(descriptor >= 0, "\(path) is finished, or failed earlier")
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: rest)
            #if canImport(Glibc)
                let count = Glibc.write(descriptor, piece.baseAddress, piece.count)
            #else
                let count = Darwin.write(descriptor, piece.baseAddress, min(piece.count, Int(Int32.max)))
            #endif
            if count < 0 {
                if errno == EINTR { continue }
                throw failure("cannot be written", errno)
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Removes the temporary file and says why.
    private func failure(_ what: String, _ code: Int32) -> ModelFileError {
        discard(always: true)
        return ModelFileError(
            file: path, problem: "\(what): \(reason(code))",
            advice: code == ENOSPC || code == EDQUOT
                ? "Make room on the disk; an earlier file of that name is untouched."
                : "Check the disk; an earlier file of that name is untouched.")
    }

    private func discard(always: Bool = false) {
        guard descriptor >= 0 || always else { return }
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        unlink(temporaryPath)
    }

    // MARK: The header

    private static func header(
        _ tensors: [(name: String, dtype: DType, shape: [Int])], _ metadata: [String: String], path: String
    ) throws -> (bytes: [UInt8], dataBytes: Int) {
        func refused(_ problem: String, _ advice: String) -> ModelFileError {
            ModelFileError(file: path, problem: problem, advice: advice)
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
