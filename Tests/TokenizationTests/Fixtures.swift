import Foundation
import ModelFiles

/// The folder of golden files: `AUTODIDACT_FIXTURES`, or `shared/fixtures` beside the package.
enum Fixtures {
    static let packageRoot = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static let root: URL = {
        if let path = ProcessInfo.processInfo.environment["AUTODIDACT_FIXTURES"] { return URL(fileURLWithPath: path) }
        return packageRoot.appendingPathComponent("../shared/fixtures").standardizedFileURL
    }()

    static func has(_ path: String) -> Bool { FileManager.default.fileExists(atPath: url(path).path) }
    static func url(_ path: String) -> URL { root.appendingPathComponent(path) }

    /// Names in a folder, sorted; empty when it does not exist.
    static func names(_ path: String) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: url(path).path)) ?? []).sorted()
    }

    static func json(_ url: URL) throws -> JSON { try JSON.parse(Data(contentsOf: url), source: url.path) }

    /// One JSON value a line; empty when the file does not exist.
    static func lines(_ url: URL) throws -> [JSON] {
        guard FileManager.default.fileExists(atPath: url.path) else { return [] }
        return try Data(contentsOf: url).split(separator: 10).map { try JSON.parse(Data($0), source: url.path) }
    }
}

/// Equal byte for byte: Swift's `==` would also accept canonically equivalent text.
func isSame(_ a: String?, _ b: String?) -> Bool {
    switch (a, b) {
    case (nil, nil): true
    case (let a?, let b?): a.utf8.elementsEqual(b.utf8)
    default: false
    }
}
