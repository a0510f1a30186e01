import Foundation
import ModelFiles

/// One file of a repository at one commit.
struct RepositoryFile: Sendable, Equatable {
    /// Its path inside the repository; safe (`isSafePath`).
    let name: String
    /// Bytes; `nil` where the hub did not say.
    let size: Int64?
    /// `nil` where the hub's listing has none; then the file itself is asked for it.
    let hash: ContentHash?
}

/// What a repository holds at one commit, as the hub's API tells.
struct RepositoryListing: Sendable {
    let commit: String
    let files: [RepositoryFile]

    /// - Parameters:
    ///   - data: the answer to `/api/models/…/revision/…?blobs=true`.
    ///   - url: for errors.
    /// - Throws: `HubError.badAnswer` and `HubError.unsafeName`.
    init(_ data: Data, url: String, repository: String) throws(HubError) {
        func refusal(_ problem: String) -> HubError { .badAnswer(url: url, problem: problem) }
        let json: JSON
        do { json = try JSON.parse(data, source: url) } catch { throw refusal("the answer is no JSON") }
        guard let commit = json["sha"]?.string, isCommit(commit) else { throw refusal("the answer has no commit in 'sha'") }
        guard let siblings = json["siblings"]?.array else { throw refusal("the answer has no list of files in 'siblings'") }
        var files: [RepositoryFile] = []
        var seen: Set<String> = []
        for sibling in siblings {
            guard let name = sibling["rfilename"]?.string else { throw refusal("a file in 'siblings' has no 'rfilename'") }
            guard isSafePath(name) else { throw .unsafeName(name, repository: repository) }
            guard seen.insert(name).inserted else { continue }
            let large = sibling["lfs"]
            let hash = (large?["sha256"] ?? large?["oid"])?.string ?? (large?.object == nil ? sibling["blobId"]?.string : nil)
            let size = (large?["size"] ?? sibling["size"])?.int
            files.append(RepositoryFile(name: name, size: size.flatMap { $0 < 0 ? nil : Int64($0) }, hash: hash.flatMap { ContentHash(etag: $0) }))
        }
        (self.commit, self.files) = (commit, files.sorted { $0.name < $1.name })
    }
}

/// A full git hash, which is a safe name for a folder.
func isCommit(_ text: String) -> Bool {
    text.utf8.count == 40 && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) }
}
