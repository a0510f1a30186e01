import Foundation
import ModelFiles
import Testing

@Suite("GGUF files are validated and read")
struct GGUFTests {
    func sample() -> GGUFBuilder {
        typealias B = GGUFBuilder
        var file = GGUFBuilder()
        file.add("general.architecture", "llama")
        file.metadata.append(("small", 1, [0xFE]))
        file.metadata.append(("wide", 10, B.bytes(UInt64.max)))
        file.metadata.append(("eps", 6, B.bytes(Float(1e-5).bitPattern)))
        file.metadata.append(("yes", 7, [1]))
        file.metadata.append(("tokens", 9, B.bytes(UInt32(8)) + B.bytes(UInt64(2)) + B.string("a") + B.string("é")))
        file.metadata.append(("types", 9, B.bytes(UInt32(5)) + B.bytes(UInt64(2)) + B.bytes(Int32(-1)) + B.bytes(Int32(6))))
        file.metadata.append(("scores", 9, B.bytes(UInt32(6)) + B.bytes(UInt64(1)) + B.bytes(Float(-0.5).bitPattern)))
        file.metadata.append(
            ("nested", 9, B.bytes(UInt32(9)) + B.bytes(UInt64(1)) + B.bytes(UInt32(0)) + B.bytes(UInt64(2)) + [3, 4]))
        let values = (0..<8).flatMap { B.bytes(Float($0).bitPattern) }
        file.tensors.append(("w", [4, 2], 0, values))
        file.tensors.append(("q", [32], 8, DType.q8_0.quantize((0..<32).map { Float($0 - 16) })))
        return file
    }

    func open(_ bytes: [UInt8], _ body: (GGUFFile) throws -> Void = { _ in }) throws {
        try withTemporaryFolder { folder in
            try write(bytes, to: folder + "/m.gguf")
            try body(try GGUFFile(path: folder + "/m.gguf"))
        }
    }

    @Test("metadata and tensors are read, in versions 2 and 3", arguments: [2, 3])
    func reads(version: UInt32) throws {
        var builder = sample()
        builder.version = version
        try open(builder.build()) { (file: GGUFFile) throws in
            #expect(file["general.architecture"]?.string == "llama")
            #expect(file["small"]?.int == -2)
            #expect(file["wide"] == .uint(.max) && file["wide"]?.int == nil)
            #expect(file["eps"]?.double == Double(Float(1e-5)))
            #expect(file["yes"]?.bool == true)
            #expect(file["tokens"]?.strings == ["a", "é"])
            #expect(file["types"]?.ints == [-1, 6])
            #expect(file["scores"]?.floats == [-0.5])
            #expect(file["nested"] == .arrays([.bytes([3, 4])]))
            #expect(file["absent"] == nil)
            #expect(file.info("w")?.shape == [2, 4])
            #expect(try file.floats("w") == [0, 1, 2, 3, 4, 5, 6, 7])
            #expect(try file.floats("q").count == 32)
        }
    }

    @Test("a valid type that cannot be expanded is refused by name, and only when its floats are asked for")
    func unexpandable() throws {
        var builder = sample()
        builder.tensors.append(("iq", [256], 16, [UInt8](repeating: 0, count: 66)))
        try open(builder.build()) { (file: GGUFFile) throws in
            #expect(ownError { _ = try file.floats("iq") }?.contains("IQ2_XXS") == true)
            #expect(file.bytes(file.info("iq")!).count == 66)
        }
    }

    @Test("rows that end inside a block are refused")
    func blockRows() throws {
        try open(sample().build()) { file in
            let info = file.info("q")!
            var some = [Float](repeating: 0, count: 3)
            #expect(
                throws: FileError.self,
                performing: { try some.withUnsafeMutableBufferPointer { try file.readFloats(info, rows: 0..<3, into: $0) } })
        }
    }

    @Test("a string array of fifty thousand tokens is read whole")
    func manyTokens() throws {
        var builder = GGUFBuilder()
        let tokens = (0..<50_000).map { "token\($0)" }
        let value = GGUFBuilder.bytes(UInt32(8)) + GGUFBuilder.bytes(UInt64(tokens.count)) + tokens.flatMap(GGUFBuilder.string)
        builder.metadata.append(("tokenizer.ggml.tokens", 9, value))
        try open(builder.build()) { #expect($0["tokenizer.ggml.tokens"]?.strings == tokens) }
    }

    @Test("random changes to a file never crash the reader")
    func fuzz() throws {
        let valid = sample().build()
        var generator = SplitMix64(state: 17)
        try withTemporaryFolder { folder in
            let path = folder + "/m.gguf"
            for _ in 0..<1500 {
                try write(mutated(valid, using: &generator), to: path)
                do {
                    let unexpected = readEverything(try GGUFFile(path: path))
                    #expect(unexpected == nil)
                } catch { #expect(error is FileError) }
            }
        }
    }
}
