import Foundation
import ModelFiles

/// The folder of golden files: `AUTODIDACT_FIXTURES`, else `shared/fixtures` beside the package.
///
/// Tests discover their cases in it and are skipped, by name, where it is missing.
enum Fixtures {
    static let root: String = {
        if let path = ProcessInfo.processInfo.environment["AUTODIDACT_FIXTURES"] { return path }
        var package = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { package.deleteLastPathComponent() }
        return package.deletingLastPathComponent().appendingPathComponent("shared/fixtures").path
    }()

    static func path(_ name: String) -> String { "\(root)/\(name)" }

    static func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

    /// Why a suite is skipped.
    static func missing(_ name: String) -> String {
        "\(path(name)) is missing; set AUTODIDACT_FIXTURES to the folder of golden files"
    }

    /// The names in a folder that begin and end as asked, sorted; none when the folder is missing.
    static func names(in folder: String, prefix: String = "", suffix: String = "") -> [String] {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: path(folder))) ?? []
        return all.filter { $0.hasPrefix(prefix) && $0.hasSuffix(suffix) }.sorted()
    }
}

/// A folder for one test, removed at the end of `body`.
func withTemporaryFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("modelfiles-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path)
}

func write(_ bytes: [UInt8], to path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

func write(_ text: String, to path: String) throws { try write(Array(text.utf8), to: path) }

/// The description of the error that `body` throws, if it is one of this module's own.
func ownError(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch let error as FileError {
        return error.description
    } catch let error as JSONError {
        return error.description
    } catch {
        return nil
    }
}

func rootMeanSquareError(_ a: [Float], _ b: [Float]) -> Double {
    precondition(a.count == b.count)
    var sum = 0.0
    for (a, b) in zip(a, b) { sum += (Double(a) - Double(b)) * (Double(a) - Double(b)) }
    return (sum / Double(a.count)).squareRoot()
}

/// SplitMix64, so that random tests repeat.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Reads every tensor of a file in every way; all that may happen is an error of the module's own.
/// - Returns: an error of another kind.
func readEverything(_ file: any TensorFile) -> (any Error)? {
    for info in file.tensors {
        do {
            do { _ = try file.floats(info.name) } catch is FileError {}
            do { _ = try file.integers(info.name) } catch is FileError {}
            _ = file.bytes(info).reduce(0) { $0 ^ $1 }
        } catch {
            return error
        }
    }
    return nil
}

/// A GGUF file with these entries and tensors, for tests.
struct GGUFBuilder {
    var version: UInt32 = 3
    var metadata: [(key: String, type: UInt32, value: [UInt8])] = []
    var tensors: [(name: String, dims: [UInt64], type: UInt32, data: [UInt8])] = []

    static func bytes(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }

    static func string(_ text: String) -> [UInt8] { bytes(UInt64(text.utf8.count)) + Array(text.utf8) }

    mutating func add(_ key: String, _ text: String) { metadata.append((key, 8, Self.string(text))) }

    func build(alignment: Int = 32) -> [UInt8] {
        var file = Array("GGUF".utf8) + Self.bytes(version)
        file += Self.bytes(UInt64(tensors.count)) + Self.bytes(UInt64(metadata.count))
        for (key, type, value) in metadata { file += Self.string(key) + Self.bytes(type) + value }
        var data: [UInt8] = []
        for (name, dims, type, bytes) in tensors {
            file += Self.string(name) + Self.bytes(UInt32(dims.count))
            for size in dims { file += Self.bytes(size) }
            file += Self.bytes(type) + Self.bytes(UInt64(data.count))
            data += bytes
            data += [UInt8](repeating: 0, count: (alignment - data.count % alignment) % alignment)
        }
        file += [UInt8](repeating: 0, count: (alignment - file.count % alignment) % alignment)
        return file + data
    }
}
