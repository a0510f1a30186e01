import Foundation

enum Places {
    static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    static let fixtures = ProcessInfo.processInfo.environment["AUTODIDACT_FIXTURES"] ?? package.appendingPathComponent("../shared/fixtures").standardizedFileURL.path

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}

/// Runs `body` with a run's folder, and removes it afterwards.
func withFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("guides-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: "\(path)/checkpoints", withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}
