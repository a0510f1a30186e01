/// A file, or a set of them, that holds named tensors. Opening one has validated every size and offset in it.
public protocol TensorFile: AnyObject, Sendable {
    var path: String { get }
    /// In the order in which they lie in the file.
    var tensors: [TensorInfo] { get }
    /// The tensor with exactly these UTF-8 bytes as name.
    func info(_ name: String) -> TensorInfo?
    /// The bytes of a tensor as they lie on disk, at any alignment.
    ///
    /// Valid as long as this object lives: hold it in a property, or use `withExtendedLifetime`, while you read.
    /// - Precondition: `info` comes from this file.
    func bytes(_ info: TensorInfo) -> UnsafeRawBufferPointer
}

extension TensorFile {
    /// All elements of a tensor in row-major order.
    /// - Throws: `FileError` when there is none of that name, or its type does not expand to floats.
    public func floats(_ name: String) throws -> [Float] {
        let info = try require(name)
        try requireExpandable(info)
        return try [Float](unsafeUninitializedCapacity: info.elementCount) { buffer, count in
            try readFloats(info, into: UnsafeMutableBufferPointer(rebasing: buffer[..<info.elementCount]))
            count = info.elementCount
        }
    }

    /// Expands a whole tensor, in row-major order.
    /// - Precondition: `destination` has room for exactly the elements of the tensor.
    /// - Throws: `FileError` when the type of the tensor does not expand to floats.
    public func readFloats(_ info: TensorInfo, into destination: UnsafeMutableBufferPointer<Float>) throws {
        try requireExpandable(info)
        precondition(
            destination.count == info.elementCount,
            "room for \(destination.count) elements, but '\(info.name)' has \(info.elementCount)")
        guard info.elementCount > 0 else { return }
        info.dtype.expand(bytes(info).baseAddress!, count: info.elementCount, into: destination.baseAddress!)
    }

    /// Expands some slices of the first axis, in row-major order.
    /// - Precondition: `rows` lie inside the first axis, and `destination` has room for exactly their elements.
    /// - Throws: `FileError` when the type does not expand to floats, or the rows begin or end inside a block.
    public func readFloats(
        _ info: TensorInfo, rows: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>
    ) throws {
        try requireExpandable(info)
        let (source, blocks) = try blocks(info, rows: rows)
        let count = blocks * info.dtype.blockSize
        precondition(
            destination.count == count,
            "room for \(destination.count) elements, but rows \(rows) of '\(info.name)' have \(count)")
        if count > 0 { info.dtype.expand(source, count: count, into: destination.baseAddress!) }
    }

    /// Splits some slices of the first axis into codes, scales and offsets, in row-major order; see `DType.split`.
    /// - Precondition: `rows` lie inside the first axis, and the type has a `coding`.
    /// - Throws: `FileError` when the rows begin or end inside a block.
    public func readCodes(
        _ info: TensorInfo, rows: Range<Int>, codes: UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<Float>, offsets: UnsafeMutablePointer<Float>
    ) throws {
        let (source, blocks) = try blocks(info, rows: rows)
        info.dtype.split(source, blocks: blocks, codes: codes, scales: scales, offsets: offsets)
    }

    /// Where some slices of the first axis lie, and how many blocks they are.
    private func blocks(_ info: TensorInfo, rows: Range<Int>) throws -> (source: UnsafeRawPointer, count: Int) {
        let rowCount = info.shape.first ?? 1
        precondition(
            rows.lowerBound >= 0 && rows.upperBound <= rowCount,
            "rows \(rows) of '\(info.name)', which has \(rowCount)")
        let rowSize = rowCount == 0 ? 0 : info.elementCount / rowCount
        let (first, count, block) = (rows.lowerBound * rowSize, rows.count * rowSize, info.dtype.blockSize)
        guard first % block == 0, count % block == 0 else {
            throw FileError(
                file: path,
                problem: "rows \(rows) of '\(info.name)' begin or end inside a \(info.dtype.name) block of \(block)",
                advice: "Read the whole tensor.")
        }
        // A tensor without elements has no address, and nothing is read there.
        let base = bytes(info).baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
        return (base + first / block * info.dtype.bytesPerBlock, count / block)
    }

    /// All elements of a tensor of integers or truth values (as 0 and 1), in row-major order.
    /// - Throws: `FileError` when there is none of that name, it holds no integers, or one does not fit 64 signed bits.
    public func integers(_ name: String) throws -> [Int64] {
        let info = try require(name)
        let bytes = bytes(info)

        func read<Integer: FixedWidthInteger>(_: Integer.Type) throws -> [Int64] {
            try (0..<info.elementCount).map { i in
                let stored = bytes.loadUnaligned(fromByteOffset: i * MemoryLayout<Integer>.size, as: Integer.self)
                guard let value = Int64(exactly: Integer(littleEndian: stored)) else {
                    throw FileError(
                        file: path, problem: "element \(i) of '\(name)' is above 2^63 - 1",
                        advice: "Store the tensor as I64.")
                }
                return value
            }
        }
        switch info.dtype {
        case .u8: return try read(UInt8.self)
        case .i8: return try read(Int8.self)
        case .u16: return try read(UInt16.self)
        case .i16: return try read(Int16.self)
        case .u32: return try read(UInt32.self)
        case .i32: return try read(Int32.self)
        case .u64: return try read(UInt64.self)
        case .i64: return try read(Int64.self)
        case .bool: return bytes.map { $0 == 0 ? 0 : 1 }
        default:
            throw FileError(
                file: path, problem: "'\(name)' is of type \(info.dtype.name), which holds no integers",
                advice: "Check that the file belongs to this model.")
        }
    }

    /// - Throws: `FileError` that names the nearest tensor there is.
    private func require(_ name: String) throws -> TensorInfo {
        if let info = info(name) { return info }
        let nearest = nearestName(to: name, in: tensors.lazy.map(\.name))
        throw FileError(
            file: path,
            problem: "holds no tensor '\(name)'\(nearest.map { "; the nearest name is '\($0)'" } ?? "")",
            advice: "Check that the configuration and the weights come from the same model.")
    }

    private func requireExpandable(_ info: TensorInfo) throws {
        guard !info.dtype.isExpandable else { return }
        throw FileError(
            file: path, problem: "'\(info.name)' is of type \(info.dtype.name), which is not read as floats",
            advice: "Use a conversion of the model to F32, F16, BF16, Q8_0, Q4_K or another type that is.")
    }
}

/// From tensor name to place in a list of tensors.
struct TensorNames: Sendable {
    private var places: [UTF8Key: Int] = [:]

    /// - Returns: `false` when the name is already taken.
    mutating func insert(_ name: String, _ place: Int) -> Bool {
        places.updateValue(place, forKey: UTF8Key(name)) == nil
    }

    subscript(_ name: String) -> Int? { places[UTF8Key(name)] }
}
