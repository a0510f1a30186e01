import Crypto
import Foundation
import ModelFiles
import ModelHub
import Synchronization
import Testing

/// A hub with one repository, that answers as Hugging Face's does unless a test tells it to misbehave.
struct FakeHub {
    typealias Request = MisbehavingServer.Request
    typealias Answer = MisbehavingServer.Answer

    struct File: Sendable {
        let name: String
        let content: [UInt8]
        /// Kept in large file storage, and known by its SHA-256.
        let isLarge: Bool
        let hash: String

        init(name: String, content: [UInt8], isLarge: Bool = false) {
            (self.name, self.content, self.isLarge) = (name, content, isLarge)
            hash = isLarge ? sha256(content) : gitHash(content)
        }
    }

    static let repository = "some-org/tiny-model"
    static let commit = "0123456789abcdef0123456789abcdef01234567"
    let server: MisbehavingServer
    let files: [File]

    /// - Parameters:
    ///   - listsHashes: whether the listing tells sizes and hashes, or the client has to ask for each file.
    ///   - misbehave: another answer than the right one, given the request, how many such came before, and the right answer.
    init(_ files: [File], listsHashes: Bool = true, misbehave: @escaping @Sendable (Request, Int, Answer) -> Answer? = { _, _, _ in nil }) throws {
        self.files = files
        server = try MisbehavingServer { request, earlier in
            let right = Self.answer(request, files, listsHashes)
            return misbehave(request, earlier, right) ?? right
        }
    }

    static func listingPath(_ revision: String = "main") -> String { "/api/models/\(repository)/revision/\(revision)?blobs=true" }
    static func path(_ file: String) -> String { "/\(repository)/resolve/\(commit)/\(file)" }
    /// The requests for a file's content.
    func gets(_ file: String) -> [Request] { server.requests.filter { $0.method == "GET" && $0.path == Self.path(file) } }

    static func answer(_ request: Request, _ files: [File], _ listsHashes: Bool) -> Answer {
        let prefix = "/\(repository)/resolve/\(commit)/"
        if request.path.hasPrefix("/api/models/\(repository)/revision/") {
            let siblings = files.map { file -> JSON in
                var members: [(key: String, value: JSON)] = [("rfilename", .string(file.name))]
                if listsHashes {
                    members += [("size", .integer(Int64(file.content.count))), ("blobId", .string(file.isLarge ? gitHash(Array("a pointer".utf8)) : file.hash))]
                    if file.isLarge { members.append(("lfs", ["sha256": .string(file.hash), "size": .integer(Int64(file.content.count)), "pointerSize": 135])) }
                }
                return .object(JSONObject(members))
            }
            let listing: JSON = ["id": .string(repository), "sha": .string(commit), "siblings": .array(siblings)]
            return Answer(headers: ["Content-Type": "application/json"], body: Array(listing.text().utf8))
        }
        guard request.path.hasPrefix(prefix), let name = String(request.path.dropFirst(prefix.count)).removingPercentEncoding, let file = files.first(where: { $0.name == name })
        else {
            return Answer(status: 404, headers: ["X-Error-Code": "RepoNotFound"], body: Array("{}".utf8))
        }
        var answer = Answer(headers: ["X-Repo-Commit": commit, "ETag": "\"\(file.hash)\"", "Accept-Ranges": "bytes"], body: file.content)
        if let range = request.headers["range"] {
            let start = Int(range.dropFirst("bytes=".count).dropLast()) ?? 0
            guard start < file.content.count else { return Answer(status: 416, headers: ["Content-Range": "bytes */\(file.content.count)"]) }
            answer.status = 206
            answer.headers["Content-Range"] = "bytes \(start)-\(file.content.count - 1)/\(file.content.count)"
            answer.body = Array(file.content[start...])
        }
        return answer
    }
}

func sha256(_ bytes: [UInt8]) -> String { hexadecimal(SHA256.hash(data: bytes)) }
func gitHash(_ bytes: [UInt8]) -> String { hexadecimal(Insecure.SHA1.hash(data: Array("blob \(bytes.count)\0".utf8) + bytes)) }
private func hexadecimal(_ digest: some Sequence<UInt8>) -> String { digest.map { String(format: "%02x", $0) }.joined() }

/// Content without a pattern that a shifted or repeated part would keep.
func content(_ count: Int, seed: UInt64 = 7) -> [UInt8] {
    var state = seed
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 56)
    }
}

/// A cache of a test's own, and a client that waits for nothing but remembers how long it should have.
struct Workplace {
    let cache: String
    let slept = Slept()

    final class Slept: Sendable {
        private let all = Mutex<[Duration]>([])
        var durations: [Duration] { all.withLock { $0 } }
        func append(_ duration: Duration) { all.withLock { $0.append(duration) } }
    }

    /// The hub answers as long as these options live.
    func options(_ hub: FakeHub) -> HubOptions {
        var options = HubOptions(cache: cache)
        options.endpoint = hub.server.address
        options.retries.sleep = { [slept, server = hub.server] duration in
            withExtendedLifetime(server) { slept.append(duration) }
        }
        return options
    }

    var folder: String { "\(cache)/models--some-org--tiny-model" }
    var snapshot: String { "\(folder)/snapshots/\(FakeHub.commit)" }
    func partial(_ file: FakeHub.File) -> String { "\(folder)/blobs/\(file.hash).incomplete" }

    /// What an earlier, interrupted pull left.
    func leavePartial(_ bytes: [UInt8], of file: FakeHub.File) throws {
        try FileManager.default.createDirectory(atPath: "\(folder)/blobs", withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: partial(file)))
    }

    func bytes(_ path: String) -> [UInt8]? { FileManager.default.contents(atPath: path).map(Array.init) }
    /// The names in the folder of blobs.
    var blobs: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/blobs")) ?? []).sorted() }
}

/// A folder for one test, removed at the end of `body`.
func withWorkplace(_ body: (Workplace) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("modelhub-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try await body(Workplace(cache: folder.path + "/hub"))
}

/// Pulls the fake hub's repository, or one file of it.
@discardableResult
func pull(_ options: HubOptions, _ file: String? = nil, _ selection: FileSelection = FileSelection()) async throws -> String {
    try await HubClient(options).pull(ModelReference(FakeHub.repository + (file.map { ":\($0)" } ?? "")), selection)
}

/// The error of this module that `body` throws; another one, or none, fails the test.
func hubError(sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void) async -> HubError? {
    do {
        try await body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    } catch let error as HubError {
        return error
    } catch {
        Issue.record("\(error) was thrown", sourceLocation: sourceLocation)
    }
    return nil
}
