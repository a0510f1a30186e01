import Foundation
import ModelFiles
import Testing

@Suite("GGUF files are written as they are read")
struct GGUFWriterTests {
    typealias Tensors = [(name: String, dtype: DType, shape: [Int])]
    typealias Metadata = [(key: String, value: GGUFValue)]

    /// Every kind of value, with the extremes of both widths.
    let metadata: Metadata = [
        ("general.architecture", .string("llama")),
        ("z.before.a", .uint(4_294_967_295)), ("u64", .uint(.max)),
        ("i32", .int(-2_147_483_648)), ("i64", .int(.min)),
        ("eps", .float(Double(Float(1e-5)))), ("tiny", .float(1e-300)), ("infinite", .float(-.infinity)),
        ("yes", .bool(true)), ("no", .bool(false)),
        ("empty", .string("")), ("text", .string("ключ \"\n\0")),
        ("tokens", .strings(["a", "", "é", "e\u{301}"])), ("none", .strings([])),
        ("types", .ints([-1, 6])), ("wide", .ints([1, 1 << 40])), ("u64s", .uints([0, .max])), ("bytes", .bytes([0, 255])),
        ("scores", .floats([-0.5, 0])), ("doubles", .floats([1, 1e300])), ("bools", .bools([true, false])),
        ("nested", .arrays([.strings(["x"]), .arrays([.ints([]), .bytes([7])])])),
    ]

    func values(_ count: Int) -> [Float] {
        var generator = SplitMix64(state: UInt64(count))
        return (0..<count).map { _ in .random(in: -2...2, using: &generator) }
    }

    func write(_ path: String, _ tensors: Tensors, _ metadata: Metadata = [], _ append: (GGUFWriter) throws -> Void = { _ in }) throws {
        let writer = try GGUFWriter(path: path, tensors: tensors, metadata: metadata)
        try append(writer)
        try writer.finish()
    }

    @Test("metadata of every kind comes back in its order")
    func metadataRoundTrip() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m.gguf"
            try write(path, [], metadata)
            let file = try GGUFFile(path: path)
            #expect(file.version == 3 && file.tensors.isEmpty)
            #expect(file.metadata.map(\.key) == metadata.map(\.key))
            for (found, wanted) in zip(file.metadata, metadata) { #expect(found.value == wanted.value, "\(wanted.key)") }
        }
    }

    @Test("numbers take the widths that readers look for")
    func widths() throws {
        typealias B = GGUFBuilder
        try withTemporaryFolder { folder in
            let path = folder + "/m.gguf"
            try write(path, [], [("a", .uint(7)), ("b", .int(-7)), ("c", .float(1e-5)), ("d", .ints([3]))])
            var expected = GGUFBuilder()
            expected.metadata = [
                ("a", 4, B.bytes(UInt32(7))), ("b", 5, B.bytes(Int32(-7))), ("c", 6, B.bytes(Float(1e-5).bitPattern)),
                ("d", 9, B.bytes(UInt32(5)) + B.bytes(UInt64(1)) + B.bytes(Int32(3))),
            ]
            #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: path))) == expected.build())
        }
    }

    static let encodable = DType.allCases.filter(\.isEncodable)

    @Test("tensors of every type made from values come back, whole or in pieces", arguments: encodable)
    func tensorRoundTrip(type: DType) throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m.gguf"
            let tensors: Tensors = [("first", type, [3, 2, 256]), ("none", .f32, [0, 4]), ("norm", .f32, [5]), ("scalar", .f32, []), ("last", type, [256])]
            let (first, last) = (values(1536), values(256))
            var files: [[UInt8]] = []
            for step in [1536, 512] {
                try write(path, tensors, metadata) { writer in
                    for start in stride(from: 0, to: 1536, by: step) { try writer.append(Array(first[start..<start + step])) }
                    try writer.append([])
                    try writer.append([1, 2, 3])
                    try writer.append([4, 5])
                    try writer.append([-0.0])
                    try writer.append(last)
                }
                files.append([UInt8](try Data(contentsOf: URL(fileURLWithPath: path))))
                #expect(files.last!.count % 32 == 0)
            }
            #expect(files[0] == files[1], "the same calls write the same bytes")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["m.gguf"])

            let file = try GGUFFile(path: path)
            #expect(file.tensors.map(\.name) == tensors.map(\.name) && file.tensors.map(\.dtype) == tensors.map(\.dtype))
            #expect(file.tensors.map(\.shape) == tensors.map(\.shape))
            #expect(file.tensors.allSatisfy { $0.byteOffset % 32 == 0 })
            #expect(try file.floats("norm") == [1, 2, 3, 4, 5])
            #expect(try file.floats("scalar").map(\.bitPattern) == [(-0.0 as Float).bitPattern])
            let exact: Float = type == .f32 ? 0 : type == .f16 ? 0x1p-11 : type == .bf16 ? 0x1p-8 : 0.3
            for (name, wanted) in [("first", first), ("last", last)] {
                let found = try file.floats(name)
                #expect(found.count == wanted.count && zip(found, wanted).allSatisfy { abs($0 - $1) <= exact })
                if type.isQuantizable { #expect(Array(file.bytes(file.info(name)!)) == type.quantize(wanted)) }
            }
        }
    }

    @Test("bytes are written as they are, so that a file can be copied tensor by tensor with its metadata")
    func copy() throws {
        try withTemporaryFolder { folder in
            let (a, b) = (folder + "/a.gguf", folder + "/b.gguf")
            let aligned = metadata + [("general.alignment", .uint(128))]
            try write(a, [("q", .iq2_xxs, [2, 256]), ("i", .i64, [3]), ("w", .q6_K, [256])], aligned) { writer in
                try [UInt8](1...132).withUnsafeBytes { bytes in
                    try writer.append(UnsafeRawBufferPointer(rebasing: bytes[..<50]))
                    try writer.append(UnsafeRawBufferPointer(rebasing: bytes[50...]))
                }
                try [Int64(-1), 5, .max].withUnsafeBytes { try writer.append($0) }
                try writer.append(values(256))
            }
            let file = try GGUFFile(path: a)
            #expect(file.tensors.allSatisfy { $0.byteOffset % 128 == 0 })
            #expect(try file.integers("i") == [-1, 5, .max])
            try write(b, file.tensors.map { ($0.name, $0.dtype, $0.shape) }, file.metadata) { writer in
                for tensor in file.tensors { try writer.append(file.bytes(tensor)) }
            }
            #expect(FileManager.default.contentsEqual(atPath: a, andPath: b))
        }
    }

    @Test("what does not fit the announcement is refused by name, and no file is left")
    func mismatches() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m.gguf"
            let tensors: Tensors = [("a", .q8_0, [2, 32]), ("b", .i8, [2])]
            func expectRefusal(_ wanted: String, _ append: (GGUFWriter) throws -> Void) throws {
                let message = ownError { try write(path, tensors, [], append) }
                #expect(message?.contains(wanted) == true, "\(wanted): \(message ?? "nothing was thrown")")
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
            }
            try expectRefusal("was given 70 bytes too few, from 'a' on") { _ in }
            try expectRefusal("was given 36 bytes too few, from 'a' on") { try $0.append(values(32)) }
            try expectRefusal("96 values for 'a', which has room for 64") { try $0.append(values(96)) }
            try expectRefusal("begin or end inside a Q8_0 block of 32") { try $0.append(values(33)) }
            try expectRefusal("values for 'b', but I8 is written only as bytes") {
                try $0.append(values(64))
                try $0.append([1, 2])
            }
            try expectRefusal("3 bytes for 'b', which has room for 2") {
                try $0.append(values(64))
                try [Int8](repeating: 0, count: 3).withUnsafeBytes($0.append)
            }
            try expectRefusal("1 values after the last tensor was complete") {
                try $0.append(values(64))
                try [Int8](repeating: 0, count: 2).withUnsafeBytes($0.append)
                try $0.append([1])
            }
            try expectRefusal("'a' has the value nan at 63, which Q8_0 cannot hold") {
                try $0.append(values(32))
                try $0.append(values(31) + [.nan])
            }
        }
    }

    @Test("what the format cannot hold is refused before a file is made")
    func refusals() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m.gguf"
            func expectRefusal(_ wanted: String, _ tensors: Tensors, _ metadata: Metadata = []) throws {
                let message = ownError { _ = try GGUFWriter(path: path, tensors: tensors, metadata: metadata) }
                #expect(message?.contains(wanted) == true, "\(wanted): \(message ?? "nothing was thrown")")
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
            }
            try expectRefusal("two tensors named 'a'", [("a", .f32, [1]), ("a", .f32, [1])])
            try expectRefusal("of 64 bytes", [(String(repeating: "n", count: 64), .f32, [1])])
            try expectRefusal("'a' as BOOL", [("a", .bool, [1])])
            try expectRefusal("4 axes", [("a", .f32, [1, 1, 1, 1, 1])])
            try expectRefusal("rows are whole blocks of 256", [("a", .q4_K, [256, 32])])
            try expectRefusal("'a' of shape", [("a", .f32, [Int.max, 2])])
            try expectRefusal("'a' of shape", [("a", .i8, [Int.max])])
            try expectRefusal("'k' twice", [], [("k", .bool(true)), ("k", .bool(true))])
            try expectRefusal("without a key", [], [("", .bool(true))])
            try expectRefusal("cannot hold 'k'", [], [("k", .arrays([.ints([1]), .int(1)]))])
            try expectRefusal("cannot hold 'k'", [], [("k", (0..<20).reduce(GGUFValue.ints([1])) { value, _ in .arrays([value]) })])
            try expectRefusal("power of two", [], [("general.alignment", .uint(33))])
        }
    }
}
