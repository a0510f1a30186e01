import Foundation
import ModelFiles
import Testing

@Suite("Safetensors files are validated, read and written")
struct SafetensorsTests {
    @Test("what the writer wrote, the reader reads")
    func roundTrip() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/model.safetensors"
            let writer = try SafetensorsWriter(
                path: path,
                tensors: [("w", .f32, [2, 3]), ("empty", .f32, [0, 4]), ("ключ \"\n", .i32, [2]), ("scalar", .f32, [])],
                metadata: ["format": "pt", "about": "ü"])
            try writer.append([1, -2, 0.5])
            try writer.append([Float.infinity, -0.0, .leastNonzeroMagnitude])
            try [Int32(-7), 9].withUnsafeBytes { try writer.append($0) }
            try writer.append([2.5])
            try writer.finish()
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["model.safetensors"])

            let file = try SafetensorsFile(path: path)
            #expect(file.tensors.map(\.name) == ["w", "empty", "ключ \"\n", "scalar"])
            #expect(file.metadata == ["format": "pt", "about": "ü"])
            #expect(file.info("w")?.shape == [2, 3])
            #expect((file.info("w")?.byteOffset ?? 1) % 8 == 0)
            let expected: [Float] = [1, -2, 0.5, .infinity, -0.0, .leastNonzeroMagnitude]
            #expect(try file.floats("w").map(\.bitPattern) == expected.map(\.bitPattern))
            #expect(try file.floats("empty") == [])
            #expect(try file.integers("ключ \"\n") == [-7, 9])
            #expect(try file.floats("scalar") == [2.5])

            var row = [Float](repeating: 0, count: 3)
            try row.withUnsafeMutableBufferPointer { try file.readFloats(file.info("w")!, rows: 1..<2, into: $0) }
            #expect(row == [.infinity, -0.0, .leastNonzeroMagnitude])
        }
    }

    @Test("an asked-for tensor that is not there is answered with the nearest name")
    func nearest() throws {
        try withTemporaryFolder { folder in
            let writer = try SafetensorsWriter(path: folder + "/m.safetensors", tensors: [("lm_head.weight", .i8, [1])])
            try [Int8(3)].withUnsafeBytes { try writer.append($0) }
            try writer.finish()
            let file = try SafetensorsFile(path: folder + "/m.safetensors")
            #expect(ownError { _ = try file.floats("lm_head.wieght") }?.contains("'lm_head.weight'") == true)
            #expect(ownError { _ = try file.floats("lm_head.weight") }?.contains("I8") == true)
        }
    }

    @Test("a tensor may be F16 or BF16, rounded to nearest, and says what it cannot hold")
    func halves() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m.safetensors"
            let tensors: [(name: String, dtype: DType, shape: [Int])] = [("h", .f16, [3]), ("b", .bf16, [2]), ("f", .f32, [1])]
            let writer = try SafetensorsWriter(path: path, tensors: tensors)
            try writer.append([1 + 0x1p-11, 0.1])
            try writer.append([-.infinity])
            try writer.append([1 + 0x3p-8, 0.1])
            try writer.append([0.1])
            try writer.finish()
            let file = try SafetensorsFile(path: path)
            #expect(try file.floats("h") == [1, 0.0999755859375, -.infinity])
            #expect(try file.floats("b") == [1.015625, 0.10009765625])
            #expect(try file.floats("f") == [0.1])

            let overflowing = try SafetensorsWriter(path: path, tensors: tensors)
            try overflowing.append([1])
            #expect(ownError { try overflowing.append([2, 1e5]) }?.contains("'h' has the value 100000.0 at 2, whose magnitude F16 cannot hold") == true)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["m.safetensors"])
            #expect(try SafetensorsFile(path: path).floats("f") == [0.1])  // the older file is as it was
        }
    }

    @Test("an unfinished or incomplete file never takes its name")
    func unfinished() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/model.safetensors"
            do {
                let writer = try SafetensorsWriter(path: path, tensors: [("a", .f32, [2])])
                try writer.append([1])
                #expect(ownError { try writer.finish() }?.contains("4 bytes too few") == true)
            }
            do { _ = try SafetensorsWriter(path: path, tensors: [("a", .f32, [2])]) }
            do {
                let writer = try SafetensorsWriter(path: path, tensors: [("a", .f32, [2]), ("b", .i8, [2])])
                #expect(ownError { try writer.append([1, 2, 3]) }?.contains("3 values for 'a', which has room for 2") == true)
            }
            do {
                let writer = try SafetensorsWriter(path: path, tensors: [("b", .i8, [2])])
                #expect(ownError { try writer.append([1, 2]) }?.contains("I8 is written only as bytes") == true)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
            #expect(ownError { _ = try SafetensorsWriter(path: folder + "/no/m", tensors: []) } != nil)
            #expect(ownError { _ = try SafetensorsWriter(path: path, tensors: [("a", .f32, []), ("a", .f32, [])]) } != nil)
            #expect(ownError { _ = try SafetensorsWriter(path: path, tensors: [("a", .q8_0, [32])]) } != nil)
        }
    }

    // Linux has a device that is always full; writing past the name of the temporary file reaches it through a link.
    @Test(
        "a full disk is an error with the system's reason",
        .enabled(if: FileManager.default.fileExists(atPath: "/dev/full"), "/dev/full exists on Linux only"))
    func fullDisk() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/model.safetensors"
            try FileManager.default.createSymbolicLink(atPath: path + ".tmp", withDestinationPath: "/dev/full")
            let message = ownError {
                let writer = try SafetensorsWriter(path: path, tensors: [("a", .f32, [2])])
                try writer.append([1, 2])
            }
            #expect(message?.contains(path) == true && message?.contains("No space left") == true)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
        }
    }

    @Test("shards are found through their index, and only in its folder")
    func shards() throws {
        try withTemporaryFolder { folder in
            for (shard, name) in [("a.safetensors", "x"), ("b.safetensors", "y")] {
                let writer = try SafetensorsWriter(path: "\(folder)/\(shard)", tensors: [(name, .f32, [1])])
                try writer.append([name == "x" ? 1 : 2])
                try writer.finish()
            }
            let index = folder + "/model.safetensors.index.json"
            try write(#"{"weight_map":{"y":"b.safetensors","x":"a.safetensors"}}"#, to: index)
            let model = try ModelFolder(folder).openWeights()
            #expect(model.tensors.map(\.name) == ["y", "x"])
            #expect(try model.floats("x") == [1])
            #expect(try model.floats("y") == [2])

            for shard in ["../a.safetensors", "/a.safetensors", "..", "", "sub/a.safetensors", "a\\\\b.safetensors", "a.bin"] {
                try write(#"{"weight_map":{"x":"\#(shard)"}}"#, to: index)
                #expect(ownError { _ = try ShardedSafetensors(indexPath: index) } != nil, "\(shard)")
            }
            try write(#"{"weight_map":{"x":"c.safetensors"}}"#, to: index)
            #expect(ownError { _ = try ShardedSafetensors(indexPath: index) }?.contains("'c.safetensors'") == true)
            try write(#"{"weight_map":{"x":"b.safetensors"}}"#, to: index)
            #expect(ownError { _ = try ShardedSafetensors(indexPath: index) }?.contains("'x'") == true)
        }
    }

    @Test("random changes to a file never crash the reader")
    func fuzz() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/m.safetensors"
            let writer = try SafetensorsWriter(
                path: path, tensors: [("a", .f32, [2, 2]), ("b", .i16, [3]), ("c", .bool, [2])], metadata: ["k": "v"])
            try writer.append([1, 2, 3, 4])
            for count in [6, 2] { try [UInt8](repeating: 1, count: count).withUnsafeBytes { try writer.append($0) } }
            try writer.finish()
            let valid = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            var generator = SplitMix64(state: 5)
            for _ in 0..<1500 {
                try write(mutated(valid, using: &generator), to: path)
                do {
                    let unexpected = readEverything(try SafetensorsFile(path: path))
                    #expect(unexpected == nil)
                } catch { #expect(error is FileError || error is JSONError) }
            }
        }
    }
}

/// A copy with a few bytes changed, cut off or repeated.
func mutated(_ bytes: [UInt8], using generator: inout SplitMix64) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...3, using: &generator) {
        let place = Int.random(in: bytes.indices, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[place] = .random(in: 0...255, using: &generator)
        case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 2: bytes[place] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &generator)!
        default: bytes[place] = bytes.randomElement(using: &generator)!
        }
    }
    if Int.random(in: 0..<8, using: &generator) == 0 { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator)) }
    return bytes
}
