import ArgumentParser
import Autodidact
import Foundation

/// The data of a task by name, from where it is published. What comes is taken where its conversion is the very file that the task was tested with, or where the user
/// names its hash.
struct DataPull {
    let task: String
    let folder: URL
    /// In place of https://github.com.
    let endpoint: String?
    /// SHA-256 of published files that are taken whatever they hold.
    let accepted: Set<String>
    let json: Bool
    /// Of a published file; the largest has 5 MB.
    private static let limit = 64 << 20

    /// - Throws: `ValidationError` for a task without published files, `FileError` for content that nobody vouches for and for a file that must be made by hand, `HubError`.
    func run() async throws {
        let known = TaskRegistry.builtIn.kinds.map(\.name).filter { DataFile.files(of: $0) != nil }
        guard let files = DataFile.files(of: task) else {
            let nearest = nearestName(to: task, in: known).map { "; did you mean '\($0)'?" } ?? "."
            throw ValidationError("--data \(task): is no task with published data\(nearest) There are \(known.joined(separator: ", ")).")
        }
        for file in files {
            let path = folder.appendingPathComponent(file.name).path, isThere = FileManager.default.fileExists(atPath: path)
            if !isThere, !file.isConvertible { continue }
            if !isThere { try await fetch(file, to: path) }
            if json { printLine(jsonLine([("file", .string(path)), ("fetched", .bool(!isThere))])) } else { printLine("\(path)\(isThere ? " is there already" : "")") }
        }
        if let missing = files.first(where: { !FileManager.default.fileExists(atPath: folder.appendingPathComponent($0.name).path) }) {
            throw FileError(file: missing.name, problem: "cannot be made from one published file, so that \(task) is not complete", advice: missing.origin)
        }
    }

    private func fetch(_ file: DataFile, to path: String) async throws {
        let address = endpoint.map { file.address.replacingOccurrences(of: "https://github.com", with: $0) } ?? file.address
        guard let url = URL(string: address), ["http", "https"].contains(url.scheme?.lowercased()) else { throw HubError.badSetting("the endpoint", value: endpoint ?? "", problem: "is no address such as https://github.com") }
        if !json { printError("fetching \(address)") }
        let published = try await FileFetcher().fetch(url, limit: Self.limit), hash = sha256(published)
        let isAccepted = accepted.contains(hash)
        let converted: Data
        do { converted = try file.converted(published) } catch {
            throw FileError(file: address, problem: "came with \(published.count) bytes and the SHA-256 \(hash), and cannot be converted (\(error))", advice: file.origin)
        }
        let found = sha256(converted)
        guard found == file.sha256 || isAccepted else {
            throw FileError(
                file: address,
                problem: "came with \(published.count) bytes and the SHA-256 \(hash); made into \(file.name) it has the SHA-256 \(found), but the file that \(task) was tested with has \(file.sha256)",
                advice: "Nothing was written. Find out what changed; if it is right, take it with: autodidact pull --data \(task) --data-dir \(folder.path) --sha256 \(hash)")
        }
        if found != file.sha256 { printError("warning: \(file.name) is not the file that \(task) was tested with; it was taken because of --sha256") }
        // Where it cannot be made, the file cannot either, and that says why.
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try writeDurably(String(decoding: converted, as: UTF8.self), to: path)
    }
}
