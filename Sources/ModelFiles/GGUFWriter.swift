/// Writes a GGUF file, version 3, tensor by tensor, so that a model never lies in memory twice.
///
/// It is there and complete after `finish()`, and until then an older file of that name stays as it is. Equal calls write equal bytes.
/// Source: ggml's `docs/gguf.md`.
public final class GGUFWriter {
    private let data: TensorDataWriter

    /// - Parameters:
    ///   - path: of the finished file, in a folder that exists.
    ///   - tensors: in the order in which `append` will deliver them; shapes are row-major, the last axis being that of neighbours.
    ///   - metadata: written in this order. Whole numbers take 32 bits, and 64 where one does not fit; floats are rounded to f32, which
    ///     readers look for, and are f64 where that would make one 0 or infinite; arrays of u8 and of u64 stay what they are.
    ///     Where there is a `general.alignment`, the data is aligned to it, else to 32 bytes.
    /// - Throws: `FileError` for a name or key given twice, what the format cannot hold, or the system's refusal.
    public init(
        path: String, tensors: [(name: String, dtype: DType, shape: [Int])], metadata: [(key: String, value: GGUFValue)] = []
    ) throws {
        let (header, places, bytes) = try GGUFHeader.encode(tensors, metadata, path: path)
        data = try TensorDataWriter(path: path, header: header, tensors: places, leastBytes: bytes)
    }

    /// Writes the next bytes of the current tensor as they are; it may come in several pieces.
    /// - Throws: `FileError` when it has no room for them, or the system cannot write them; the file is gone then.
    public func append(_ bytes: UnsafeRawBufferPointer) throws { try data.append(bytes) }

    /// Writes the next values of the current tensor as its type, F32, F16, BF16 or one that `DType.quantize` makes; it may come in
    /// several pieces, each a whole number of blocks.
    /// - Throws: `FileError` when it has no room for them, is of a type not made from values, or cannot hold one (see `DType.encode`), or
    ///   the system cannot write them; the file is gone then.
    public func append(_ values: UnsafeBufferPointer<Float>) throws { try data.append(values) }

    /// Writes the next values of the current tensor as its type.
    public func append(_ values: [Float]) throws { try values.withUnsafeBufferPointer { try data.append($0) } }

    /// Brings the file to disk and gives it its name.
    /// - Throws: `FileError` when bytes are missing or the system refuses; the temporary file goes then.
    public func finish() throws { try data.finish() }
}

/// The bytes before the data, as they grow.
private struct GGUFHeader {
    private(set) var bytes = Array("GGUF".utf8)

    static func encode(
        _ tensors: [(name: String, dtype: DType, shape: [Int])], _ metadata: [(key: String, value: GGUFValue)], path: String
    ) throws -> (bytes: [UInt8], places: [TensorInfo], fileBytes: Int) {
        func refused(_ problem: String, _ advice: String) -> FileError { FileError(file: path, problem: problem, advice: advice) }

        var header = GGUFHeader()
        header.append(UInt32(3))
        header.append(UInt64(tensors.count))
        header.append(UInt64(metadata.count))
        var keys: Set<UTF8Key> = []
        for (key, value) in metadata {
            guard !key.isEmpty else { throw refused("would hold metadata without a key", "Give every entry a key.") }
            guard keys.insert(UTF8Key(key)).inserted else { throw refused("would hold the metadata key '\(key)' twice", "Give every entry its own key.") }
            guard let depth = value.depth, depth <= GGUFFile.nestingLimit else {
                throw refused(
                    "cannot hold '\(key)', an array with elements that are no arrays or with too many arrays in one another",
                    "Nest arrays at most \(GGUFFile.nestingLimit) deep.")
            }
            header.append(key)
            header.append(value.type.rawValue)
            header.append(value)
        }
        let alignment = try GGUFFile.alignment(
            metadata.first { sameBytes($0.key, "general.alignment") }?.value, path: path, advice: "Leave it out, for the usual 32.")
        func aligned(_ place: Int) -> Int? {
            let (end, overflow) = place.addingReportingOverflow(alignment - 1)
            return overflow ? nil : end / alignment * alignment
        }

        var names: Set<UTF8Key> = []
        var places: [(offset: Int, byteCount: Int)] = []  // from the beginning of the data
        var dataBytes = 0
        for (name, dtype, shape) in tensors {
            guard names.insert(UTF8Key(name)).inserted else { throw refused("would hold two tensors named '\(name)'", "Give every tensor its own name.") }
            guard name.utf8.count <= GGUFFile.nameLimit else {
                throw refused("cannot hold the name '\(name)' of \(name.utf8.count) bytes", "Shorten it to \(GGUFFile.nameLimit).")
            }
            guard let number = dtype.ggmlNumber else { throw refused("cannot hold '\(name)' as \(dtype.name)", "Write F32, F16, BF16 or a block type.") }
            guard shape.count <= GGUFFile.axisLimit else {
                throw refused("cannot hold '\(name)' of shape \(shape)", "Reshape it to \(GGUFFile.axisLimit) axes or fewer.")
            }
            guard (shape.last ?? 1) % dtype.blockSize == 0 else {
                throw refused(
                    "cannot hold '\(name)' of shape \(shape) as \(dtype.name), whose rows are whole blocks of \(dtype.blockSize)",
                    "Write this tensor as a type of smaller blocks, or as F16.")
            }
            guard let elements = TensorInfo.elementCount(shape), let count = dtype.byteCount(elements: elements),
                case let (end, overflow) = dataBytes.addingReportingOverflow(count), !overflow, let next = aligned(end)
            else { throw refused("cannot hold '\(name)' of shape \(shape)", "Check the shape.") }
            header.append(name)
            header.append(UInt32(shape.count))
            for size in shape.reversed() { header.append(UInt64(size)) }
            header.append(number)
            header.append(UInt64(dataBytes))
            places.append((dataBytes, count))
            dataBytes = next
        }
        header.bytes += repeatElement(0, count: (alignment - header.bytes.count % alignment) % alignment)
        let dataStart = header.bytes.count
        guard dataBytes <= Int.max - dataStart else { throw refused("would have more bytes than a file may", "Check the shapes.") }
        let infos = zip(tensors, places).map {
            TensorInfo(name: $0.name, dtype: $0.dtype, shape: $0.shape, byteOffset: dataStart + $1.offset, byteCount: $1.byteCount)
        }
        return (header.bytes, infos, dataStart + dataBytes)  // readers expect zeros after the last tensor too
    }

    private mutating func append(_ integer: some FixedWidthInteger) { withUnsafeBytes(of: integer.littleEndian) { bytes += $0 } }

    private mutating func append(_ string: String) {
        append(UInt64(string.utf8.count))
        bytes += string.utf8
    }

    /// The value without its type; of an array, the type and number of its elements first.
    private mutating func append(_ value: GGUFValue) {
        switch value {
        case .uint(let value): if let short = UInt32(exactly: value) { append(short) } else { append(value) }
        case .int(let value): if let short = Int32(exactly: value) { append(short) } else { append(value) }
        case .float(let value): append(value, as: isFloat(value) ? .f32 : .f64)
        case .bool(let value): append(UInt8(value ? 1 : 0))
        case .string(let value): append(value)
        case .strings(let values): appendArray(.string, values) { $0.append($1) }
        case .bytes(let values): appendArray(.u8, values) { $0.append($1) }
        case .uints(let values): appendArray(.u64, values) { $0.append($1) }
        case .bools(let values): appendArray(.bool, values) { $0.append(UInt8($1 ? 1 : 0)) }
        case .arrays(let values): appendArray(.array, values) { $0.append($1) }
        case .ints(let values):
            if values.allSatisfy({ Int32(exactly: $0) != nil }) {
                appendArray(.i32, values) { $0.append(Int32($1)) }
            } else {
                appendArray(.i64, values) { $0.append($1) }
            }
        case .floats(let values):
            let type: ValueType = values.allSatisfy(isFloat) ? .f32 : .f64
            appendArray(type, values) { $0.append($1, as: type) }
        }
    }

    private mutating func append(_ value: Double, as type: ValueType) {
        if type == .f32 { append(Float(value).bitPattern) } else { append(value.bitPattern) }
    }

    private mutating func appendArray<Element>(_ type: ValueType, _ elements: [Element], _ append: (inout GGUFHeader, Element) -> Void) {
        self.append(type.rawValue)
        self.append(UInt64(elements.count))
        for element in elements { append(&self, element) }
    }
}

/// The format's numbers for the types of values.
private enum ValueType: UInt32 {
    case u8, i8, u16, i16, u32, i32, f32, bool, string, array, u64, i64, f64
}

extension GGUFValue {
    fileprivate var type: ValueType {
        switch self {
        case .uint(let value): UInt32(exactly: value) == nil ? .u64 : .u32
        case .int(let value): Int32(exactly: value) == nil ? .i64 : .i32
        case .float(let value): isFloat(value) ? .f32 : .f64
        case .bool: .bool
        case .string: .string
        case .strings, .ints, .uints, .bytes, .floats, .bools, .arrays: .array
        }
    }

    /// How many arrays lie in one another, 0 for a single value; nil where the elements of an array of arrays are none.
    fileprivate var depth: Int? {
        guard case .arrays(let elements) = self else { return type == .array ? 1 : 0 }
        var deepest = 0
        for element in elements {
            guard let depth = element.depth, depth > 0 else { return nil }
            deepest = max(deepest, depth)
        }
        return deepest + 1
    }
}

/// Whether f32 holds the value but for rounding.
private func isFloat(_ value: Double) -> Bool {
    let float = Float(value)
    return float.isInfinite == value.isInfinite && (float == 0) == (value == 0)
}
