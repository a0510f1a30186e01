import Foundation
import ModelFiles
import Testing

// Golden files made by other implementations; their README.md names the scripts and versions.
// Every case is discovered in its folder, so files that are added are tested too.

@Suite("GGUF Golden files expand to the reference's bits", .enabled(if: Fixtures.exists("quant/gguf"), "\(Fixtures.missing("quant/gguf"))"))
struct GGUFGoldenTests {
    @Test("every tensor equals its expected floats", arguments: Fixtures.names(in: "quant/gguf", suffix: ".gguf"))
    func expands(name: String) throws {
        let file = try GGUFFile(path: Fixtures.path("quant/gguf/\(name)"))
        let expected = try SafetensorsFile(
            path: Fixtures.path("quant/gguf/\(name.dropLast(".gguf".count)).expected.safetensors"))
        #expect(!file.tensors.isEmpty && !expected.tensors.isEmpty)
        for info in expected.tensors where !info.name.hasSuffix(".source") {  // sources lie only there
            let own = try #require(file.info(info.name))
            #expect(own.shape == info.shape)
            let (found, wanted) = (try file.floats(info.name), try expected.floats(info.name))
            let wrong = zip(found, wanted).filter { !sameBits($0, $1) }.count
            #expect(found.count == wanted.count && wrong == 0, "\(info.name): \(wrong) of \(wanted.count) values differ")

            // Row by row gives the same.
            let rowSize = info.elementCount / info.shape[0]
            guard rowSize % own.dtype.blockSize == 0 else { continue }
            for row in 0..<info.shape[0] {
                var floats = [Float](repeating: .nan, count: rowSize)
                try floats.withUnsafeMutableBufferPointer { try file.readFloats(own, rows: row..<row + 1, into: $0) }
                #expect(zip(floats, found[row * rowSize..<(row + 1) * rowSize]).allSatisfy(sameBits))
            }
        }
    }

    @Test("what another package quantized has the bytes ours has", arguments: Fixtures.names(in: "quant/gguf", suffix: ".gguf"))
    func quantizes(name: String) throws {
        let file = try GGUFFile(path: Fixtures.path("quant/gguf/\(name)"))
        let expected = try SafetensorsFile(
            path: Fixtures.path("quant/gguf/\(name.dropLast(".gguf".count)).expected.safetensors"))
        defer { withExtendedLifetime(file) {} }
        for source in expected.tensors where source.name.hasSuffix(".source") {
            let quantized = try #require(file.info(String(source.name.dropLast(".source".count))))
            guard quantized.dtype.isQuantizable, quantized.dtype.blockSize == 32 else { continue }  // larger blocks leave the choice of scales open
            #expect(quantized.dtype.quantize(try expected.floats(source.name)) == Array(file.bytes(quantized)))
        }
    }

    @Test("types, block sizes and data offsets agree with the manifest")
    func manifest() throws {
        let entries = try JSON.read(path: Fixtures.path("quant/gguf/manifest.json")).array ?? []
        let offsets = try JSON.read(path: Fixtures.path("quant/gguf/offsets.json")).object
        for entry in entries {
            let number = try #require(entry["ggml_id"]?.int)
            let type = try #require(DType(ggml: UInt32(number)))
            #expect(type.name == entry["type"]?.string)
            #expect(type.blockSize == entry["block_size"]?.int)
            #expect(type.bytesPerBlock == entry["bytes_per_block"]?.int)
            let file = try GGUFFile(path: Fixtures.path("quant/gguf/\(entry["file"]?.string ?? "")"))
            for (name, offset) in offsets?[type.name]?.object?.members ?? [] {
                #expect(file.info(name)?.byteOffset == offset.int, "\(type.name) \(name)")
            }
        }
    }
}

@Suite(
    "Golden blocks of ggml's C code",
    .enabled(if: Fixtures.exists("quant/ggml_quantized.safetensors"), "\(Fixtures.missing("quant/ggml_quantized.safetensors"))"))
struct GGMLQuantizedGoldenTests {
    static let path = Fixtures.path("quant/ggml_quantized.safetensors")
    static let types: [String] = ((try? SafetensorsFile(path: path))?.tensors ?? [])
        .filter { $0.name.hasSuffix(".raw") }.map { String($0.name.dropLast(".raw".count)) }

    /// The root mean square error of ggml's own blocks.
    static func referenceError(_ type: String) throws -> Double {
        let report = try JSON.read(path: Fixtures.path("quant/ggml_quantized.json"))
        return try #require(report["types"]?.object?[type]?["rmse"]?.double)
    }

    @Test("raw blocks expand to what ggml expands them to; the simple types quantize to the same bytes, the others about as closely", arguments: types)
    func blocks(type: String) throws {
        let file = try SafetensorsFile(path: Self.path)
        defer { withExtendedLifetime(file) {} }
        let dtype = try #require(DType(rawValue: type))
        let raw = file.bytes(try #require(file.info("\(type).raw")))
        let wanted = try file.floats("\(type).dequantized")
        var floats = [Float](repeating: .nan, count: wanted.count)
        try #require(raw.count == dtype.byteCount(elements: floats.count))
        dtype.expand(raw.baseAddress!, count: floats.count, into: &floats)
        let wrong = zip(floats, wanted).filter { !sameBits($0, $1) }.count
        #expect(wrong == 0, "\(wrong) of \(wanted.count) values differ")

        guard dtype.isQuantizable else { return }
        let source = try file.floats("\(type).source")
        let own = dtype.quantize(source)
        if dtype.blockSize == 32 {
            #expect(own == Array(raw))
        } else {
            own.withUnsafeBytes { dtype.expand($0.baseAddress!, count: floats.count, into: &floats) }
            let error = rootMeanSquareError(floats, source)
            #expect(try error <= 1.05 * Self.referenceError(type))
        }
    }
}

@Suite(
    "Safetensors Golden edge cases",
    .enabled(if: Fixtures.exists("quant/safetensors/manifest.json"), "\(Fixtures.missing("quant/safetensors/manifest.json"))"))
struct SafetensorsGoldenTests {
    static let cases: [String: JSON] = {
        let entries = (try? JSON.read(path: Fixtures.path("quant/safetensors/manifest.json")))?.array ?? []
        return Dictionary(entries.map { ($0["file"]?.string ?? "", $0) }, uniquingKeysWith: { first, _ in first })
    }()

    @Test("shapes, types, values and metadata are those of the manifest", arguments: cases.keys.sorted())
    func reads(name: String) throws {
        let entry = try #require(Self.cases[name])
        let file = try SafetensorsFile(path: Fixtures.path("quant/safetensors/\(name)"))
        let metadata = entry["metadata"]?.object?.members ?? []
        #expect(file.metadata.count == metadata.count)
        for (key, value) in metadata { #expect(file.metadata[key] == value.string) }
        let tensors = try #require(entry["tensors"]?.object)
        #expect(file.tensors.count == tensors.count)
        for (name, expected) in tensors.members {
            let info = try #require(file.info(name), "\(name)")
            #expect(info.dtype.name == expected["dtype"]?.string)
            #expect(info.shape == expected["shape"]?.array?.compactMap(\.int))
            let values = try #require(expected["values"]?.array)
            if info.dtype.isExpandable {
                #expect(try file.floats(name) == values.map { Float($0.double ?? .nan) }, "\(name)")
            } else {
                let wanted = values.map { $0.int ?? ($0.bool == true ? 1 : 0) }
                #expect(try file.integers(name) == wanted.map(Int64.init), "\(name)")
            }
        }
    }
}

@Suite(
    "Golden broken files are answered with an error of our own",
    .enabled(if: Fixtures.exists("quant/malformed"), "\(Fixtures.missing("quant/malformed"))"))
struct MalformedGoldenTests {
    /// The manifest's reason for each file; mutations of good files have none.
    static let reasons: [String: String] = {
        let entries = (try? JSON.read(path: Fixtures.path("quant/malformed/manifest.json")))?.array ?? []
        return Dictionary(
            entries.map { ($0["file"]?.string ?? "", $0["reason"]?.string ?? "") }, uniquingKeysWith: { first, _ in first })
    }()

    enum Verdict { case mustLoad, mustFail, mayLoad }

    /// `good_…` files are valid. Where the reason says that loading is no fault, both answers are right, and so they are for
    /// mutations, which may have hit nothing of importance.
    static func verdict(_ name: String, brokenPrefix: String) -> Verdict {
        if name.hasPrefix("good_") { return .mustLoad }
        let reason = reasons[name] ?? ""
        if reason.contains("do not crash") || reason.contains("container fine") { return .mayLoad }
        return name.hasPrefix(brokenPrefix) ? .mustFail : .mayLoad
    }

    func expectVerdict(_ name: String, brokenPrefix: String, open: (String) throws -> any TensorFile) {
        let verdict = Self.verdict(name, brokenPrefix: brokenPrefix)
        do {
            let unexpected = readEverything(try open(Fixtures.path("quant/malformed/\(name)")))
            #expect(unexpected == nil)
            #expect(verdict != .mustFail, "\(name) was accepted: \(Self.reasons[name] ?? "")")
        } catch {
            #expect(error is FileError || error is JSONError, "\(name): \(error)")
            #expect(verdict != .mustLoad, "\(name) was refused: \(error)")
        }
    }

    @Test("safetensors", arguments: Fixtures.names(in: "quant/malformed", suffix: ".safetensors"))
    func safetensors(name: String) { expectVerdict(name, brokenPrefix: "st_") { try SafetensorsFile(path: $0) } }

    @Test("GGUF", arguments: Fixtures.names(in: "quant/malformed", suffix: ".gguf"))
    func gguf(name: String) { expectVerdict(name, brokenPrefix: "gguf_") { try GGUFFile(path: $0) } }

    @Test("indexes of shards", arguments: Fixtures.names(in: "quant/malformed", suffix: ".index.json"))
    func indexes(name: String) { expectVerdict(name, brokenPrefix: "index_") { try ShardedSafetensors(indexPath: $0) } }

    /// Whether the values make sense is for the model families to say.
    @Test("configurations are JSON objects or an error", arguments: Fixtures.names(in: "quant/malformed", prefix: "config_"))
    func configurations(name: String) {
        do {
            let value = try JSON.read(path: Fixtures.path("quant/malformed/\(name)"))
            #expect(value.object != nil)
        } catch { #expect(error is JSONError, "\(name): \(error)") }
    }
}

/// Equal to the bit; every NaN counts as the same.
private func sameBits(_ a: Float, _ b: Float) -> Bool { a.bitPattern == b.bitPattern || (a.isNaN && b.isNaN) }
