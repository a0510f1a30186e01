import Foundation
import Synchronization

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// The head of an answer.
struct HTTPHead: Sendable {
    let url: URL
    let status: Int
    /// By lowercase name.
    let headers: [String: String]

    init(_ response: HTTPURLResponse) {
        url = response.url ?? URL(fileURLWithPath: "/")
        status = response.statusCode
        headers = Dictionary(response.allHeaderFields.map { ("\($0.key)".lowercased(), "\($0.value)") }, uniquingKeysWith: { $1 })
    }

    subscript(_ name: String) -> String? { headers[name] }

    var isRedirect: Bool { [301, 302, 303, 307, 308].contains(status) }

    /// Of the content as it is sent; `nil` for chunks and for what was compressed.
    var contentLength: Int64? {
        if let coding = self["content-encoding"], coding.lowercased() != "identity" { return nil }
        return self["content-length"].flatMap { Int64($0) }
    }

    /// What a hub says of a failure, in a header of its own.
    var message: String? { self["x-error-message"] }
}

/// What becomes of the pieces of a body: called with each, in order, before the next is taken from the network.
typealias BodySink = @Sendable (Data) throws -> Void

/// GET and HEAD, with redirects followed here, because the token must not follow them to another host.
final class HTTPClient: Sendable {
    private let session: URLSession
    private let router = Router()
    private let origin: URL
    private let token: String?

    /// - Parameters:
    ///   - endpoint: the only origin (scheme, host, port) that `token` is sent to.
    ///   - idleTimeout: how long nothing may arrive.
    init(endpoint: URL, token: String?, idleTimeout: Duration) {
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = idleTimeout / .seconds(1)
        configuration.timeoutIntervalForResource = 30 * 86_400  // a large model on a slow line
        configuration.urlCache = nil
        configuration.httpCookieStorage = nil
        configuration.httpShouldSetCookies = false
        let queue = BoundedQueue()
        queue.maxConcurrentOperationCount = 1  // the pieces of a body stay in order
        session = URLSession(configuration: configuration, delegate: router, delegateQueue: queue)
        (origin, self.token) = (endpoint, token)
    }

    /// The session keeps its delegate alive until then.
    deinit { session.finishTasksAndInvalidate() }

    /// Sends a request and follows redirects: all of them, or with `withinOrigin` those that stay on the endpoint.
    /// - Parameter sink: asked once what is to become of the body of the answer with this head; `nil` leaves it unread. What it, or the sink
    ///   itself, throws ends the exchange. Both are called on a thread of the session, and no more once this method has returned.
    /// - Returns: the head of the first answer that is no redirect to follow, of any status, after its body was taken.
    /// - Throws: `Interruption` for a failure of the network, `HubError.badAnswer` for a redirect that leads nowhere, `CancellationError`, and
    ///   what `sink` throws.
    func send(
        _ method: String, _ url: URL, headers: [String: String] = [:], withinOrigin: Bool = false, sink: @escaping @Sendable (HTTPHead) throws -> BodySink? = { _ in nil }
    ) async throws -> HTTPHead {
        var url = url
        for _ in 0..<10 {
            var request = URLRequest(url: url)
            request.httpMethod = method
            request.setValue("autodidact", forHTTPHeaderField: "User-Agent")
            request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")  // lengths and ranges are those of the content itself
            for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
            if let token, isSameOrigin(url, origin) { request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization") }
            let exchange = HTTPExchange(session.dataTask(with: request)) { head in try head.isRedirect ? nil : sink(head) }
            router.add(exchange)
            let head = try await exchange.run()
            guard head.isRedirect else { return head }
            guard let text = head["location"], let next = URL(string: text, relativeTo: url)?.absoluteURL, let scheme = next.scheme?.lowercased(),
                ["http", "https"].contains(scheme)
            else {
                throw HubError.badAnswer(url: url.absoluteString, problem: "it redirects to '\(printable(head["location"] ?? ""))', which is no address")
            }
            guard scheme == "https" || url.scheme?.lowercased() == "http" else {
                throw HubError.badAnswer(url: url.absoluteString, problem: "it redirects from https to http, where anybody could change the content")
            }
            if withinOrigin, !isSameOrigin(next, origin) { return head }
            url = next
        }
        throw HubError.badAnswer(url: url.absoluteString, problem: "it redirects again and again")
    }

    /// A short answer as a whole.
    /// - Returns: its head, and its body where the status is 200.
    /// - Throws: as `send`; `HubError.badAnswer` when the body is longer than `limit` bytes.
    func get(_ url: URL, limit: Int) async throws -> (HTTPHead, Data) {
        let body = Mutex(Data())
        let head = try await send("GET", url) { head in
            guard head.status == 200 else { return nil }
            return { piece in
                let count = body.withLock { body in
                    body += piece
                    return body.count
                }
                guard count <= limit else { throw HubError.badAnswer(url: url.absoluteString, problem: "the answer is longer than \(byteCount(Int64(limit)))") }
            }
        }
        return (head, body.withLock { $0 })
    }

    private func isSameOrigin(_ a: URL, _ b: URL) -> Bool {
        func port(_ url: URL) -> Int { url.port ?? (url.scheme?.lowercased() == "https" ? 443 : 80) }
        return a.scheme?.lowercased() == b.scheme?.lowercased() && a.host?.lowercased() == b.host?.lowercased() && port(a) == port(b)
    }

    /// Brings what the session says of a task to that task's exchange.
    private final class Router: NSObject, URLSessionDataDelegate, Sendable {
        private let exchanges = Mutex<[Int: HTTPExchange]>([:])

        func add(_ exchange: HTTPExchange) { exchanges.withLock { $0[exchange.task.taskIdentifier] = exchange } }

        private func exchange(of task: URLSessionTask) -> HTTPExchange? { exchanges.withLock { $0[task.taskIdentifier] } }

        func urlSession(
            _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse, newRequest request: URLRequest,
            completionHandler: @escaping @Sendable (URLRequest?) -> Void
        ) {
            completionHandler(nil)  // the redirect itself becomes the answer
        }

        func urlSession(
            _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse, completionHandler: @escaping @Sendable (URLSession.ResponseDisposition) -> Void
        ) {
            if let response = response as? HTTPURLResponse { exchange(of: dataTask)?.received(HTTPHead(response)) }
            completionHandler(.allow)
        }

        func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) { exchange(of: dataTask)?.received(data) }

        func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
            exchanges.withLock { $0.removeValue(forKey: task.taskIdentifier) }?.completed(error)
        }
    }
}

/// One request and its answer, without redirects.
///
/// The body goes to its sink on the session's queue and nowhere else, so that it never waits for a thread of Swift's own pool: on Linux those
/// may in turn wait for the session, all of whose kind share one thread.
private final class HTTPExchange: Sendable {
    let task: URLSessionDataTask
    private let chooseSink: @Sendable (HTTPHead) throws -> BodySink?
    private struct State {
        var head: HTTPHead?
        var sink: BodySink?
        var outcome: Result<HTTPHead, any Error>?
        var continuation: CheckedContinuation<HTTPHead, any Error>?
    }
    private let state = Mutex(State())  // locked while a sink is at work, so that none is once there is an outcome

    init(_ task: URLSessionDataTask, sink: @escaping @Sendable (HTTPHead) throws -> BodySink?) { (self.task, chooseSink) = (task, sink) }

    func run() async throws -> HTTPHead {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome = state.withLock { state in
                    if state.outcome == nil { state.continuation = continuation }
                    return state.outcome
                }
                if let outcome { return continuation.resume(with: outcome) }
                task.resume()
            }
        } onCancel: {
            end(.failure(CancellationError()))
        }
    }

    func received(_ head: HTTPHead) {
        let outcome: Result<HTTPHead, any Error>? = state.withLock { state in
            guard state.outcome == nil else { return nil }
            state.head = head
            do {
                state.sink = try chooseSink(head)
                return state.sink == nil ? .success(head) : nil
            } catch {
                return .failure(error)
            }
        }
        if let outcome { end(outcome) }
    }

    func received(_ data: Data) {
        do {
            try state.withLock { state in
                if state.outcome == nil { try state.sink?(data) }
            }
        } catch {
            end(.failure(error))
        }
    }

    func completed(_ error: (any Error)?) {
        if let error { return end(.failure(Self.failure(error)), isComplete: true) }
        // A redirect without an address is not told of in any other way on Linux.
        if state.withLock({ $0.head }) == nil, let response = task.response as? HTTPURLResponse { received(HTTPHead(response)) }
        end(state.withLock { $0.head }.map { .success($0) } ?? .failure(Interruption(problem: "the connection was closed without an answer")), isComplete: true)
    }

    /// The first outcome is the one.
    private func end(_ outcome: Result<HTTPHead, any Error>, isComplete: Bool = false) {
        let (isFirst, continuation) = state.withLock { state in
            defer { state.continuation = nil }
            guard state.outcome == nil else { return (false, nil as CheckedContinuation<HTTPHead, any Error>?) }
            (state.outcome, state.sink) = (outcome, nil)
            return (true, state.continuation)
        }
        // Not from here: on Linux the session may be waiting for this very thread.
        if isFirst, !isComplete { DispatchQueue.global().async { [task] in task.cancel() } }
        continuation?.resume(with: outcome)
    }

    /// Whatever time may heal is an `Interruption`.
    private static func failure(_ error: any Error) -> any Error {
        guard let error = error as? URLError else { return Interruption(problem: error.localizedDescription) }
        let url = error.failingURL?.absoluteString ?? "the hub"
        return switch error.code {
        case .cancelled: CancellationError()
        case .badURL, .unsupportedURL: HubError.badAnswer(url: url, problem: "is no address")
        case .serverCertificateUntrusted, .serverCertificateHasBadDate, .serverCertificateHasUnknownRoot, .serverCertificateNotYetValid:
            HubError.unreachable(url: url, problem: "no trusted connection: \(error.localizedDescription)", attempts: 1)
        case _ where error.localizedDescription.lowercased().contains("certificate"):  // on Linux it has no code of its own
            HubError.unreachable(url: url, problem: error.localizedDescription, attempts: 1)
        case .timedOut: Interruption(problem: "nothing arrived for too long")
        case .cannotFindHost, .dnsLookupFailed: Interruption(problem: "no such host, or no network")
        case .cannotConnectToHost: Interruption(problem: "no connection to the host")
        case .networkConnectionLost: Interruption(problem: "the connection was lost")
        default: Interruption(problem: error.localizedDescription)
        }
    }
}

/// The queue on which the session tells what happened, never far behind.
///
/// On Linux the session reads from the network as fast as it can, whatever the delegate has managed so far, and cannot be suspended without a
/// crash: a fast network before a slow disk would fill the memory. It does wait where it hands over, which is here.
private final class BoundedQueue: OperationQueue, @unchecked Sendable {
    // @unchecked: as its superclass, and the semaphore is for threads.
    #if canImport(FoundationNetworking)  // elsewhere the session holds the network back itself
        private let room = DispatchSemaphore(value: 64)

        override func addOperation(_ block: @escaping @Sendable () -> Void) {
            room.wait()
            super.addOperation { [room] in
                block()
                room.signal()
            }
        }
    #endif
}
