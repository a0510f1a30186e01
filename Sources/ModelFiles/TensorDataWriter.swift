/// Streams the data of announced tensors into a `DurableFile`, in their order and in pieces: what the writers of all formats share.
///
/// A piece belongs to one tensor. After an error the file is given up.
final class TensorDataWriter {
    private let file: DurableFile
    private var tensors: ArraySlice<TensorInfo>  // those with room left, in the order of their places
    private let leastBytes: Int
    private var position: Int  // in the file
    private var encoded: [UInt8] = []
    /// Values encoded at a time: a whole number of blocks of every type.
    private static let valuesAtOnce = 1 << 16

    /// - Parameters:
    ///   - header: the bytes before the first tensor.
    ///   - tensors: by increasing place; gaps between them become zeros.
    ///   - leastBytes: the file goes on after the last tensor, with zeros, until it has so many.
    init(path: String, header: [UInt8], tensors: [TensorInfo], leastBytes: Int = 0) throws {
        self.tensors = tensors.filter { $0.byteCount > 0 }[...]
        self.leastBytes = leastBytes
        position = header.count
        file = try DurableFile(path)
        try header.withUnsafeBytes { try file.append($0) }
    }

    /// Writes the next bytes, as they are.
    func append(_ bytes: UnsafeRawBufferPointer) throws {
        guard !bytes.isEmpty else { return }
        let (tensor, room) = try current("\(bytes.count) bytes")
        guard bytes.count <= room else { throw mismatch("\(bytes.count) bytes for '\(tensor.name)', which has room for \(room)") }
        try write(bytes)
    }

    /// Writes the next values, as the type of their tensor.
    func append(_ values: UnsafeBufferPointer<Float>) throws {
        guard !values.isEmpty else { return }
        let (tensor, roomBytes) = try current("\(values.count) values")
        let dtype = tensor.dtype
        guard dtype.isEncodable else { throw mismatch("values for '\(tensor.name)', but \(dtype.name) is written only as bytes") }
        guard roomBytes % dtype.bytesPerBlock == 0, values.count % dtype.blockSize == 0 else {
            throw mismatch("\(values.count) values for '\(tensor.name)' that begin or end inside a \(dtype.name) block of \(dtype.blockSize)")
        }
        let room = roomBytes / dtype.bytesPerBlock * dtype.blockSize
        guard values.count <= room else { throw mismatch("\(values.count) values for '\(tensor.name)', which has room for \(room)") }
        if dtype == .f32 { return try write(UnsafeRawBufferPointer(values)) }

        for start in stride(from: 0, to: values.count, by: Self.valuesAtOnce) {
            let piece = UnsafeBufferPointer(rebasing: values[start..<min(values.count, start + Self.valuesAtOnce)])
            let count = piece.count / dtype.blockSize * dtype.bytesPerBlock
            if encoded.count < count { encoded = [UInt8](repeating: 0, count: count) }
            do {
                try encoded.withUnsafeMutableBytes { buffer in
                    try dtype.encode(
                        piece, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), tensor: tensor.name,
                        offset: tensor.elementCount - room + start, file: file.path)
                }
            } catch {
                file.discard()
                throw error
            }
            try encoded.withUnsafeBytes { try write(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    /// Brings the file to disk and gives it its name.
    func finish() throws {
        if let tensor = tensors.first {
            let missing = tensors.reduce(room(in: tensor) - tensor.byteCount) { $0 + $1.byteCount }
            throw givenUp("was given \(missing) bytes too few, from '\(tensor.name)' on", "Append every tensor before finish().")
        }
        try pad(to: leastBytes)
        try file.finish()
    }

    // MARK: Places

    private func room(in tensor: TensorInfo) -> Int { tensor.byteOffset + tensor.byteCount - max(position, tensor.byteOffset) }

    /// The tensor that the next piece belongs to, and the bytes it still lacks.
    private func current(_ piece: @autoclosure () -> String) throws -> (TensorInfo, room: Int) {
        guard let tensor = tensors.first else { throw mismatch("\(piece()) after the last tensor was complete") }
        return (tensor, room(in: tensor))
    }

    /// - Precondition: the bytes fit in the current tensor.
    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        let tensor = tensors.first!
        try pad(to: tensor.byteOffset)
        try file.append(bytes)
        position += bytes.count
        if room(in: tensor) == 0 { tensors.removeFirst() }
    }

    private func pad(to place: Int) throws {
        guard position < place else { return }
        try [UInt8](repeating: 0, count: place - position).withUnsafeBytes { try file.append($0) }
        position = place
    }

    private func mismatch(_ given: String) -> FileError {
        givenUp("was given \(given)", "Append the tensors in the order and sizes in which they were announced.")
    }

    private func givenUp(_ problem: String, _ advice: String) -> FileError {
        file.discard()
        return FileError(file: file.path, problem: problem, advice: advice)
    }
}
