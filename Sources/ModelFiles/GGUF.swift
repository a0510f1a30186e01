import Foundation

/// A GGUF file, version 2 or 3, little-endian: metadata, a table of tensors, and their data.
///
/// Source: ggml's `docs/gguf.md`. Everything the file says about itself is checked against its length before it is used,
/// so no count in it can cause a large allocation.
public final class GGUFFile: TensorFile {
    public var path: String { file.path }
    public let version: Int
    /// In the order of the file.
    public let metadata: [(key: String, value: GGUFValue)]
    public let tensors: [TensorInfo]

    /// ggml's limits (`GGML_MAX_DIMS`, and `GGML_MAX_NAME` without its terminating zero).
    static let axisLimit = 4, nameLimit = 63
    /// Arrays of arrays deeper than this are refused, so that a hostile file cannot exhaust the stack.
    static let nestingLimit = 16

    private let file: MappedFile
    private let names: TensorNames
    private let metadataPlaces: [UTF8Key: Int]

    /// - Throws: `FileError` when the file is not GGUF, or anything in it does not add up.
    public init(path: String) throws {
        file = try MappedFile(path: path)
        var reader = GGUFReader(file.bytes, path: path)
        let header = try reader.readHeader()
        version = header.version
        let (entries, places) = try reader.readMetadata(count: header.metadataCount)
        (metadata, metadataPlaces) = (entries, places)
        let alignment = try GGUFFile.alignment(
            places[UTF8Key("general.alignment")].map { entries[$0].value }, path: path, advice: "Convert the model again.")
        (tensors, names) = try reader.readTensors(count: header.tensorCount, alignment: alignment)
    }

    /// The metadata value of that key.
    public subscript(_ key: String) -> GGUFValue? { metadataPlaces[UTF8Key(key)].map { metadata[$0].value } }

    public func info(_ name: String) -> TensorInfo? { names[name].map { tensors[$0] } }

    public func bytes(_ info: TensorInfo) -> UnsafeRawBufferPointer {
        guard info.byteCount > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(rebasing: file.bytes[info.byteOffset..<info.byteOffset + info.byteCount])
    }
}

extension GGUFFile {
    /// The value of `general.alignment`, checked; 32 where there is none.
    static func alignment(_ value: GGUFValue?, path: String, advice: String) throws -> Int {
        guard let value else { return 32 }
        guard case .uint(let stored) = value, stored >= 8, stored <= 1 << 30, stored.nonzeroBitCount == 1 else {
            throw FileError(
                file: path, problem: "general.alignment is \(value); it must be a power of two from 8 to 2^30", advice: advice)
        }
        return Int(stored)
    }
}

/// A place in the bytes of a GGUF file that moves forward and never past the end.
private struct GGUFReader {
    private let bytes: UnsafeRawBufferPointer
    private let path: String
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer, path: String) {
        self.bytes = bytes
        self.path = path
    }

    private var remaining: Int { bytes.count - position }

    private func broken(_ problem: String) -> FileError {
        FileError(
            file: path, problem: problem,
            advice: "The file is damaged or was cut off while it was copied; fetch it again.")
    }

    // MARK: Header

    mutating func readHeader() throws -> (version: Int, tensorCount: Int, metadataCount: Int) {
        guard remaining >= 4 else { throw broken("has \(remaining) bytes, too few for a GGUF file") }
        let magic = Array(bytes[0..<4])
        if magic == Array("FUGG".utf8) {
            throw FileError(
                file: path, problem: "has its magic number in reverse, so its bytes are swapped",
                advice: "Convert the model on a little-endian machine.")
        }
        guard magic == Array("GGUF".utf8) else {
            throw FileError(
                file: path, problem: "does not begin with 'GGUF'",
                advice: "Check that it is a GGUF file; older GGML files must be converted anew.")
        }
        position = 4
        let version = try readInteger(UInt32.self, "the version")
        guard version == 2 || version == 3 else {
            if (1...3).contains(version.byteSwapped) {
                throw FileError(
                    file: path, problem: "is a big-endian GGUF file (version \(version.byteSwapped))",
                    advice: "Only little-endian files are read; convert the model again without --bigendian.")
            }
            throw FileError(
                file: path, problem: "has GGUF version \(version); versions 2 and 3 are read",
                advice: "Convert the model again with a current converter.")
        }
        let tensorCount = try readInteger(UInt64.self, "the number of tensors")
        let metadataCount = try readInteger(UInt64.self, "the number of metadata entries")
        // The shortest entry: a key of one byte and a value of one; a tensor without name and axes.
        guard metadataCount <= UInt64(remaining / (8 + 1 + 4 + 1)) else {
            throw broken("announces \(metadataCount) metadata entries, more than fit in its \(bytes.count) bytes")
        }
        guard tensorCount <= UInt64(remaining / (8 + 4 + 4 + 8)) else {
            throw broken("announces \(tensorCount) tensors, more than fit in its \(bytes.count) bytes")
        }
        return (Int(version), Int(tensorCount), Int(metadataCount))
    }

    // MARK: Metadata

    mutating func readMetadata(
        count: Int
    ) throws -> (entries: [(key: String, value: GGUFValue)], places: [UTF8Key: Int]) {
        var entries: [(key: String, value: GGUFValue)] = []
        var places: [UTF8Key: Int] = [:]
        for place in 0..<count {
            let key = try readString { "the key of metadata entry \(place)" }
            guard !key.isEmpty else { throw broken("the key of metadata entry \(place) is empty") }
            guard places.updateValue(place, forKey: UTF8Key(key)) == nil else {
                throw broken("the metadata key '\(key)' stands twice")
            }
            let type = try readInteger(UInt32.self, "the type of '\(key)'")
            entries.append((key: key, value: try readValue(type, key)))
        }
        return (entries, places)
    }

    private mutating func readValue(_ type: UInt32, _ key: String) throws -> GGUFValue {
        switch type {
        case 0: return .uint(UInt64(try readInteger(UInt8.self, key)))
        case 1: return .int(Int64(try readInteger(Int8.self, key)))
        case 2: return .uint(UInt64(try readInteger(UInt16.self, key)))
        case 3: return .int(Int64(try readInteger(Int16.self, key)))
        case 4: return .uint(UInt64(try readInteger(UInt32.self, key)))
        case 5: return .int(Int64(try readInteger(Int32.self, key)))
        case 6: return .float(Double(Float(bitPattern: try readInteger(UInt32.self, key))))
        case 7: return .bool(try readBool(key))
        case 8: return .string(try readString { "the value of '\(key)'" })
        case 9: return try readArray(key, depth: 1)
        case 10: return .uint(try readInteger(UInt64.self, key))
        case 11: return .int(try readInteger(Int64.self, key))
        case 12: return .float(Double(bitPattern: try readInteger(UInt64.self, key)))
        default: throw broken("'\(key)' has the unknown value type \(type)")
        }
    }

    private mutating func readArray(_ key: String, depth: Int) throws -> GGUFValue {
        guard depth <= GGUFFile.nestingLimit else {
            throw broken("'\(key)' nests arrays more than \(GGUFFile.nestingLimit) deep")
        }
        let type = try readInteger(UInt32.self, key)
        let announced = try readInteger(UInt64.self, key)
        let elementBytes: Int  // at least
        switch type {
        case 0, 1, 7: elementBytes = 1
        case 2, 3: elementBytes = 2
        case 4, 5, 6: elementBytes = 4
        case 8, 10, 11, 12: elementBytes = 8
        case 9: elementBytes = 12
        default: throw broken("'\(key)' is an array of the unknown value type \(type)")
        }
        guard announced <= UInt64(remaining / elementBytes) else {
            throw broken("'\(key)' announces \(announced) elements, more than fit in the rest of the file")
        }
        let count = Int(announced)
        switch type {
        case 0: return .bytes(try readIntegers(UInt8.self, count, key) { $0 })
        case 1: return .ints(try readIntegers(UInt8.self, count, key) { Int64(Int8(bitPattern: $0)) })
        case 2: return .ints(try readIntegers(UInt16.self, count, key) { Int64($0) })
        case 3: return .ints(try readIntegers(Int16.self, count, key) { Int64($0) })
        case 4: return .ints(try readIntegers(UInt32.self, count, key) { Int64($0) })
        case 5: return .ints(try readIntegers(Int32.self, count, key) { Int64($0) })
        case 6: return .floats(try readIntegers(UInt32.self, count, key) { Double(Float(bitPattern: $0)) })
        case 7: return .bools(try (0..<count).map { _ in try readBool(key) })
        case 8:
            var strings: [String] = []
            strings.reserveCapacity(count)
            for place in 0..<count { strings.append(try readString { "element \(place) of '\(key)'" }) }
            return .strings(strings)
        case 9: return .arrays(try (0..<count).map { _ in try readArray(key, depth: depth + 1) })
        case 10: return .uints(try readIntegers(UInt64.self, count, key) { $0 })
        case 11: return .ints(try readIntegers(Int64.self, count, key) { $0 })
        default: return .floats(try readIntegers(UInt64.self, count, key) { Double(bitPattern: $0) })
        }
    }

    // MARK: Tensors

    mutating func readTensors(count: Int, alignment: Int) throws -> (tensors: [TensorInfo], names: TensorNames) {
        var entries: [(name: String, dtype: DType, shape: [Int], offset: UInt64, byteCount: Int)] = []
        entries.reserveCapacity(count)
        for place in 0..<count { entries.append(try readTensor(place)) }

        // The data begins at the next multiple of the alignment; a file without data may end before it.
        let dataStart = (position + alignment - 1) / alignment * alignment
        let dataCount = max(0, bytes.count - dataStart)
        var tensors: [TensorInfo] = []
        tensors.reserveCapacity(count)
        for entry in entries {
            guard entry.offset % UInt64(alignment) == 0 else {
                throw broken("'\(entry.name)' begins at byte \(entry.offset) of the data, no multiple of \(alignment)")
            }
            guard entry.offset <= UInt64(dataCount), entry.byteCount <= dataCount - Int(entry.offset) else {
                throw broken(
                    "'\(entry.name)' needs \(entry.byteCount) bytes at \(entry.offset) of the data, which has \(dataCount)")
            }
            tensors.append(
                TensorInfo(
                    name: entry.name, dtype: entry.dtype, shape: entry.shape,
                    byteOffset: dataStart + Int(entry.offset), byteCount: entry.byteCount))
        }
        let order = tensors.indices.sorted {
            (tensors[$0].byteOffset, tensors[$0].byteCount, $0) < (tensors[$1].byteOffset, tensors[$1].byteCount, $1)
        }
        tensors = order.map { tensors[$0] }
        for (earlier, later) in zip(tensors, tensors.dropFirst())
        where earlier.byteOffset + earlier.byteCount > later.byteOffset {
            throw broken("'\(earlier.name)' and '\(later.name)' lie on the same bytes")
        }
        var names = TensorNames()
        for (place, tensor) in tensors.enumerated() where !names.insert(tensor.name, place) {
            throw broken("the tensor name '\(tensor.name)' stands twice")
        }
        return (tensors, names)
    }

    private mutating func readTensor(
        _ place: Int
    ) throws -> (name: String, dtype: DType, shape: [Int], offset: UInt64, byteCount: Int) {
        let name = try readString { "the name of tensor \(place)" }
        guard name.utf8.count <= GGUFFile.nameLimit else {
            throw broken("the name of tensor \(place) has \(name.utf8.count) bytes; the limit is \(GGUFFile.nameLimit)")
        }
        let axes = try readInteger(UInt32.self, name)
        guard axes <= UInt32(GGUFFile.axisLimit) else {
            throw broken("'\(name)' has \(axes) dimensions; the limit is \(GGUFFile.axisLimit)")
        }
        var sizes: [Int] = []  // fastest-varying first
        for _ in 0..<axes {
            let size = try readInteger(UInt64.self, name)
            guard let size = Int(exactly: size) else { throw broken("'\(name)' has a dimension of \(size)") }
            sizes.append(size)
        }
        let number = try readInteger(UInt32.self, name)
        guard let dtype = DType(ggml: number) else {
            if let removed = Self.removedTypes[number] {
                throw FileError(
                    file: path, problem: "'\(name)' has the type \(removed), which was removed from the format",
                    advice: "Convert the model again from its original weights.")
            }
            throw FileError(
                file: path, problem: "'\(name)' has the unknown type \(number)",
                advice: "The file is damaged, or newer than this reader; convert the model to a common type such as Q8_0.")
        }
        // A row is a whole number of blocks, even where the total would be one anyway.
        guard (sizes.first ?? 1) % dtype.blockSize == 0 else {
            throw broken(
                "'\(name)' has rows of \(sizes.first ?? 1) elements, no multiple of the \(dtype.name) block of \(dtype.blockSize)")
        }
        guard let elements = TensorInfo.elementCount(sizes), let byteCount = dtype.byteCount(elements: elements) else {
            throw broken("'\(name)' has the impossible shape \(sizes)")
        }
        let offset = try readInteger(UInt64.self, name)
        return (name, dtype, sizes.reversed(), offset, byteCount)
    }

    private static let removedTypes: [UInt32: String] = [
        4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8",
        36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8",
    ]

    // MARK: Bytes

    /// - Parameter what: what is being read, for the error: a key, a name or a description.
    private mutating func readInteger<Integer: FixedWidthInteger>(
        _: Integer.Type, _ what: @autoclosure () -> String
    ) throws -> Integer {
        let size = MemoryLayout<Integer>.size
        guard remaining >= size else { throw broken("ends at byte \(bytes.count), inside '\(what())'") }
        defer { position += size }
        return Integer(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Integer.self))
    }

    /// - Precondition: the elements lie inside the file.
    private mutating func readIntegers<Integer: FixedWidthInteger, Value>(
        _: Integer.Type, _ count: Int, _ key: String, _ convert: (Integer) -> Value
    ) throws -> [Value] {
        let size = MemoryLayout<Integer>.size
        let start = position
        position += count * size
        return (0..<count).map { i in
            convert(Integer(littleEndian: bytes.loadUnaligned(fromByteOffset: start + i * size, as: Integer.self)))
        }
    }

    private mutating func readBool(_ key: String) throws -> Bool {
        let byte = try readInteger(UInt8.self, key)
        guard byte <= 1 else { throw broken("'\(key)' is the truth value \(byte), neither 0 nor 1") }
        return byte == 1
    }

    private mutating func readString(_ what: () -> String) throws -> String {
        guard remaining >= 8 else { throw broken("ends at byte \(bytes.count), inside \(what())") }
        let announced = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
        guard announced <= UInt64(remaining - 8) else {
            throw broken("\(what()) announces \(announced) bytes, more than the rest of the file")
        }
        let start = position + 8
        position = start + Int(announced)
        let utf8 = bytes[start..<position]
        guard let string = String(validating: utf8, as: UTF8.self) else { throw broken("\(what()) is not UTF-8") }
        return string
    }
}
