import Foundation

/// Fetches files of known addresses, each as a whole and into memory, with a pull's patience.
public struct FileFetcher: Sendable {
    /// How long nothing at all may arrive before a connection counts as dropped.
    public var idleTimeout: Duration = .seconds(30)
    public var retries = RetryPolicy()

    public init() {}

    /// - Parameters:
    ///   - url: with http or https. Redirects are followed, but for those that give up encryption.
    ///   - limit: bytes that it may have.
    /// - Returns: its content, which nothing was checked against.
    /// - Throws: `HubError`, `CancellationError`.
    public func fetch(_ url: URL, limit: Int) async throws -> Data {
        let http = HTTPClient(endpoint: url, token: nil, idleTimeout: idleTimeout)
        return try await retries.run(url: url.absoluteString) {
            let (head, data) = try await http.get(url, limit: limit)
            if let interruption = Interruption(head) { throw interruption }
            guard head.status == 200 else { throw HubError.refused(url: head.url.absoluteString, status: head.status, message: head.message) }
            return data
        }
    }
}
