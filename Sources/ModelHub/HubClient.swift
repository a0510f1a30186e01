import Foundation
import ModelFiles

/// How far one file of a pull has come.
public struct PullProgress: Sendable, Equatable {
    public enum State: Sendable, Equatable {
        case downloading
        /// Everything has come and is being hashed; `bytes` starts at 0 again.
        case checking
        /// The connection dropped, or the server asked for patience.
        case retrying(problem: String, delay: Duration)
        /// Another process fetches the same content.
        case waitingForAnother
        case fetched
        /// The content was in the cache before.
        case cached
    }
    public let file: String
    /// From 1.
    public let number: Int
    public let count: Int
    public let bytes: Int64
    /// `nil` where the hub did not say.
    public let total: Int64?
    public let state: State
}

/// Fetches models from a hub that speaks the protocol of Hugging Face's into the cache that programs of that world share.
public struct HubClient: Sendable {
    public let options: HubOptions
    private let endpoint: URL

    /// - Throws: `HubError.badSetting`.
    public init(_ options: HubOptions) throws(HubError) {
        var options = options
        try options.validate()
        while options.endpoint.hasSuffix("/") { options.endpoint.removeLast() }
        self.options = options
        endpoint = URL(string: options.endpoint)!  // validated
    }

    /// Finds a model, or one file of it, in the cache; no network.
    /// - Returns: the path of the snapshot's folder, or of the file.
    /// - Throws: `HubError.notCached`, and `HubError.incomplete` when the snapshot's index names weights that are not there.
    public func cached(_ reference: ModelReference) throws(HubError) -> String {
        let cache = HubCache(root: options.cache, repository: reference.repository)
        let missing = HubError.notCached("\(reference)", revision: options.revision, cache: options.cache, isOffline: options.isOffline)
        guard let commit = cache.commit(of: options.revision) else { throw missing }
        if let file = reference.file {
            guard let path = cache.file(file, of: commit) else { throw missing }
            return path
        }
        guard FileManager.default.fileExists(atPath: cache.snapshot(commit)) else { throw missing }
        if let shard = cache.missingShard(of: commit) { throw .incomplete(folder: cache.snapshot(commit), missing: shard) }
        return cache.snapshot(commit)
    }

    /// Fetches what is not in the cache yet.
    ///
    /// When it fails, or its task is cancelled, what has come stays, and the next pull goes on there.
    /// - Parameters:
    ///   - reference: a repository, or one file of it.
    ///   - selection: which files of a repository; without effect on a single file.
    ///   - progress: called often, from any thread.
    /// - Returns: the path of the snapshot's folder, or of the file.
    /// - Throws: `HubError`, `FileError`, `CancellationError`.
    public func pull(
        _ reference: ModelReference, _ selection: FileSelection = FileSelection(), progress: @escaping @Sendable (PullProgress) -> Void = { _ in }
    ) async throws -> String {
        if options.isOffline { return try cached(reference) }
        let cache = HubCache(root: options.cache, repository: reference.repository)
        // What a commit holds never changes.
        if isCommit(options.revision), let file = reference.file, let path = cache.file(file, of: options.revision) { return path }
        let http = HTTPClient(endpoint: endpoint, token: options.token, idleTimeout: options.idleTimeout)
        let listing = try await listing(of: reference.repository, http)
        let files: [RepositoryFile]
        if let name = reference.file {
            files = listing.files.filter { $0.name == name }
            guard !files.isEmpty else { throw HubError.noSuchFile(name, repository: reference.repository, candidates: candidates(for: name, among: listing.files.map(\.name))) }
        } else {
            files = try selection.files(of: listing, repository: reference.repository)
        }
        try cache.prepare()
        try checkRoom(for: files, in: cache)
        for (place, file) in files.enumerated() {
            @Sendable func report(_ bytes: Int64, _ total: Int64?, _ state: PullProgress.State) {
                progress(PullProgress(file: file.name, number: place + 1, count: files.count, bytes: bytes, total: total, state: state))
            }
            let url = address("/\(reference.repository)/resolve/\(listing.commit)/\(percentEncoded(file.name, keepingSlashes: true))")
            let (hash, size) = try await contents(of: file, at: url, commit: listing.commit, cache.repository, http)
            let download = BlobDownload(http: http, cache: cache, retries: options.retries, url: url, name: file.name, hash: hash, size: size) { head in
                failure(head, cache.repository, file: file.name)
            }
            let isNew = try await download.run { report($0, size, $1) }
            try cache.link(file.name, to: hash, in: listing.commit)
            let bytes = fileSize(cache.blob(hash)) ?? 0
            report(bytes, size ?? bytes, isNew ? .fetched : .cached)
        }
        // Last, so that without a network a name stands for the last snapshot that was completed.
        try await cache.remember(options.revision, is: listing.commit)
        return reference.file.map { "\(cache.snapshot(listing.commit))/\($0)" } ?? cache.snapshot(listing.commit)
    }

    // MARK: Asking the hub

    /// - Parameter path: percent-encoded, after the endpoint.
    private func address(_ path: String) -> URL { URL(string: options.endpoint + path)! }  // ASCII after a validated endpoint

    private func listing(of repository: String, _ http: HTTPClient) async throws -> RepositoryListing {
        let url = address("/api/models/\(repository)/revision/\(percentEncoded(options.revision, keepingSlashes: false))?blobs=true")
        return try await options.retries.run(url: url.absoluteString) {
            let (head, data) = try await http.get(url, limit: 64 << 20)
            guard head.status == 200 else { throw failure(head, repository, file: nil) }
            return try RepositoryListing(data, url: url.absoluteString, repository: repository)
        }
    }

    /// The hash and size of a file: from the listing, or where that has none, from the headers of the file itself.
    private func contents(of file: RepositoryFile, at url: URL, commit: String, _ repository: String, _ http: HTTPClient) async throws -> (ContentHash, Int64?) {
        if let hash = file.hash { return (hash, file.size) }
        let head = try await options.retries.run(url: url.absoluteString) {
            let head = try await http.send("HEAD", url, withinOrigin: true)
            guard (200..<400).contains(head.status) else { throw failure(head, repository, file: file.name) }
            return head
        }
        if let other = head["x-repo-commit"], other != commit {
            throw HubError.badAnswer(url: url.absoluteString, problem: "it answers for commit \(printable(other))")
        }
        let etag = head["x-linked-etag"] ?? head["etag"]
        guard let hash = etag.flatMap({ ContentHash(etag: $0) }) else { throw HubError.noChecksum(file: file.name, repository: repository, etag: etag) }
        // A redirect's own length is not the file's.
        return (hash, head["x-linked-size"].flatMap { Int64($0) } ?? (head.status == 200 ? head.contentLength : nil))
    }

    private func checkRoom(for files: [RepositoryFile], in cache: HubCache) throws {
        var needed: Int64 = 0
        for file in files {
            guard let hash = file.hash, let size = file.size, !cache.has(hash, size: size) else { continue }
            needed = needed.addingReportingOverflow(max(0, size - (fileSize(cache.partial(hash)) ?? 0))).partialValue
            guard needed >= 0 else { needed = .max; break }
        }
        if let free = cache.freeBytes, needed > free { throw HubError.notEnoughRoom(folder: options.cache, needed: needed, free: free) }
    }

    /// What a status that is no success means, and whether it may pass.
    private func failure(_ head: HTTPHead, _ repository: String, file: String?) -> any Error {
        let isOfHub = head.url.host == endpoint.host && head.url.port == endpoint.port
        let code = head["x-error-code"]
        if let interruption = Interruption(head) { return interruption }
        switch head.status {
        case 401 where isOfHub, 403 where isOfHub:
            return HubError.accessDenied(repository: repository, endpoint: options.endpoint, sentToken: options.token != nil, isGated: code == "GatedRepo", message: head.message)
        case 404 where isOfHub:
            if code == "RevisionNotFound" { return HubError.noSuchRevision(options.revision, repository: repository) }
            if let file { return HubError.noSuchFile(file, repository: repository, candidates: []) }
            // Without the header, a revision that somebody chose is as likely to be wrong as the name.
            if code == nil, options.revision != "main" { return HubError.noSuchRevision(options.revision, repository: repository) }
            let known = HubCache.repositories(in: options.cache).filter { $0 != repository }
            return HubError.noSuchRepository(repository, endpoint: options.endpoint, nearest: nearestName(to: repository, in: known))
        default:
            return HubError.refused(url: head.url.absoluteString, status: head.status, message: head.message)
        }
    }
}
