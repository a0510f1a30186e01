import Foundation
import ModelFiles

/// Archives as published files come in, unpacked by the `gzip` that every Unix has.
enum GzipProgram {
    static func isPacked(_ data: Data) -> Bool { data.starts(with: [0x1F, 0x8B]) }

    /// - Parameters:
    ///   - data: an archive.
    ///   - limit: bytes that it may unpack to.
    ///   - source: named in errors.
    /// - Throws: `FileError` for a damaged archive, for one that holds more, and where there is no such program.
    static func unpack(_ data: Data, limit: Int, source: String) throws -> Data {
        func refuse(_ problem: String, _ advice: String) -> FileError { FileError(file: source, problem: problem, advice: advice) }
        let archive = FileManager.default.temporaryDirectory.appendingPathComponent("autodidact-\(UUID().uuidString).gz")
        try data.write(to: archive)
        defer { try? FileManager.default.removeItem(at: archive) }
        let process = Process(), output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["gzip", "-dc", archive.path]
        (process.standardOutput, process.standardError) = (output, FileHandle.nullDevice)
        do { try process.run() } catch { throw refuse("is a gzip archive, and the program gzip could not be started (\(error))", "Check the system.") }
        var unpacked = Data()
        while unpacked.count <= limit, let piece = try output.fileHandleForReading.read(upToCount: 1 << 20), !piece.isEmpty { unpacked += piece }
        if unpacked.count > limit { process.terminate() }
        process.waitUntilExit()
        guard unpacked.count <= limit else { throw refuse("unpacks to more than \(limit) bytes", "Take the file from where it is published.") }
        // Of env, where there is no such program.
        guard process.terminationStatus != 127 else { throw refuse("is a gzip archive, and there is no program gzip", "Install gzip.") }
        guard process.terminationStatus == 0 else { throw refuse("is a damaged gzip archive", "Fetch it again.") }
        return unpacked
    }
}
