import Foundation
import ModelFiles

/// Brings one file's content into the cache: goes on where an earlier attempt stopped, tries again after a drop, and gives the content
/// its name only when its hash is right.
struct BlobDownload: Sendable {
    typealias Report = @Sendable (_ bytes: Int64, PullProgress.State) -> Void
    let http: HTTPClient
    let cache: HubCache
    let retries: RetryPolicy
    let url: URL
    let name: String
    let hash: ContentHash
    /// Bytes, if the hub said so.
    let size: Int64?
    /// What a status that is no success means.
    let failure: @Sendable (HTTPHead) -> any Error

    /// - Returns: `false` when the content was already there.
    /// - Throws: `HubError`, `FileError`, `CancellationError`. After a wrong length or hash nothing is left of the download.
    func run(report: @escaping Report) async throws -> Bool {
        if cache.has(hash, size: size) { return false }
        return try await withFileLock(cache.lock(hash.text), waiting: { report(0, .waitingForAnother) }) {
            if cache.has(hash, size: size) { return false }  // somebody else was at it
            try await fetch(report)
            return true
        }
    }

    private func fetch(_ report: @escaping Report) async throws {
        let partial = try PartialFile(cache.partial(hash))
        if let size, partial.length > size { try partial.restart() }
        var isResumed = partial.length > 0
        while true {
            try await fill(partial, report)
            try partial.sync()
            let found = try await hash.ofFile(partial.path) { report($0, .checking) }
            if found == hash.text { return try partial.finish(as: cache.blob(hash)) }
            // The part from an earlier attempt may be at fault, so the whole is fetched once.
            guard isResumed else {
                partial.delete()
                throw HubError.wrongChecksum(file: name, repository: cache.repository, expected: hash.text, found: found)
            }
            isResumed = false
            try partial.restart()
        }
    }

    private func fill(_ partial: PartialFile, _ report: @escaping Report) async throws {
        do {
            try await retries.run(
                url: url.absoluteString, progress: { partial.length }, waiting: { report(partial.length, .retrying(problem: $0, delay: $1)) }
            ) {
                if let size, partial.length == size { return }
                try await fetchRest(of: partial, report)
            }
        } catch let error as HubError {
            if case .wrongLength = error { partial.delete() }
            throw error
        }
    }

    /// One request, for everything after what is there.
    private func fetchRest(of partial: PartialFile, _ report: @escaping Report) async throws {
        let start = partial.length
        _ = try await http.send("GET", url, headers: start > 0 ? ["Range": "bytes=\(start)-"] : [:]) { head in
            switch head.status {
            case 200:
                if start > 0 { try partial.restart() }  // the server does not know ranges, and sends everything
            case 206:
                guard let range = ContentRange(head["content-range"]), range.start == start, size == nil || range.total == nil || range.total == size else {
                    try partial.restart()
                    throw Interruption(problem: "the server sent another part than it was asked for")
                }
            case 416:
                try partial.restart()
                throw Interruption(problem: "the server has nothing after \(start) bytes")
            default: throw failure(head)
            }
            if let size, let announced = head.contentLength, partial.length + announced != size { throw wrongLength(partial.length + announced) }
            report(partial.length, .downloading)
            return { piece in
                if let size, partial.length + Int64(piece.count) > size { throw wrongLength(partial.length + Int64(piece.count)) }
                try partial.append(piece)
                report(partial.length, .downloading)
            }
        }
        if let size, partial.length < size { throw Interruption(problem: "the answer ended after \(partial.length) of \(size) bytes") }
    }

    private func wrongLength(_ found: Int64) -> HubError { .wrongLength(file: name, repository: cache.repository, expected: size ?? 0, found: found) }
}

/// The header of a partial answer (RFC 9110, section 14.4): `bytes START-END/TOTAL`, where the total may be `*`.
struct ContentRange: Equatable {
    let start: Int64
    let total: Int64?

    init?(_ text: String?) {
        guard let text, text.lowercased().hasPrefix("bytes ") else { return nil }
        let parts = text.dropFirst("bytes ".count).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let start = Int64(ends[0]), let end = Int64(ends[1]), start >= 0, end >= start else { return nil }
        if parts[1] == "*" {
            total = nil
        } else {
            guard let number = Int64(parts[1]), number > end else { return nil }
            total = number
        }
        self.start = start
    }
}
