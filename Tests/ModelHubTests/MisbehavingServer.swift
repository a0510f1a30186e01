import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A web server on this machine that answers as it is told to, right or wrong, and remembers what it was asked.
///
/// One thread and one connection for each request.
final class MisbehavingServer: Sendable {
    struct Request: Sendable {
        var method: String
        /// With the query, as it was sent.
        var path: String
        /// By lowercase name.
        var headers: [String: String]
    }

    struct Answer: Sendable {
        enum Ending: Sendable {
            case complete
            /// The connection is closed after so many bytes of the body.
            case dropped(after: Int)
            /// After so many bytes of the body nothing more comes until the client goes away.
            case silent(after: Int)
        }
        var status = 200
        var headers: [String: String] = [:]
        var body: [UInt8] = []
        /// The Content-Length that is claimed; that of the body when `nil`.
        var claimedLength: Int?
        var isChunked = false
        /// The body is sent in so many pieces, with a pause after each.
        var pieces = 1
        var ending = Ending.complete
    }

    let port: Int
    private let listener: Int32
    private let log: Log

    private final class Log: Sendable {
        let requests = Mutex<[Request]>([])
    }

    /// - Parameter answer: what to say, given the request and how many with this method and path came before it.
    init(_ answer: @escaping @Sendable (Request, Int) -> Answer) throws {
        let (listener, port) = try boundSocket()
        guard listen(listener, 64) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        (self.listener, self.port) = (listener, port)
        let log = Log()
        self.log = log
        Thread.detachNewThread {
            // Closed here and not at the end of the server, after which the number may be another one's that this thread would take connections from.
            defer { close(listener) }
            while true {
                let connection = accept(listener, nil, nil)
                if connection < 0 {
                    if errno == EINTR || errno == ECONNABORTED { continue }
                    return
                }
                Thread.detachNewThread { Self.serve(connection, log, answer) }
            }
        }
    }

    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    var address: String { "http://127.0.0.1:\(port)" }
    var requests: [Request] { log.requests.withLock { $0 } }

    private static func serve(_ connection: Int32, _ log: Log, _ answer: (Request, Int) -> Answer) {
        defer { close(connection) }
        #if canImport(Darwin)
            var yes: Int32 = 1
            setsockopt(connection, SOL_SOCKET, SO_NOSIGPIPE, &yes, socklen_t(MemoryLayout<Int32>.size))
        #endif
        guard let request = read(connection) else { return }
        let earlier = log.requests.withLock { requests in
            defer { requests.append(request) }
            return requests.count { $0.method == request.method && $0.path == request.path }
        }
        let answer = answer(request, earlier)
        var head = "HTTP/1.1 \(answer.status) Whatever\r\nConnection: close\r\n"
        for (name, value) in answer.headers { head += "\(name): \(value)\r\n" }
        head += answer.isChunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: \(answer.claimedLength ?? answer.body.count)\r\n"
        guard send(connection, Array((head + "\r\n").utf8)) else { return }
        var body = request.method == "HEAD" ? [] : answer.body[...]
        switch answer.ending {
        case .complete: break
        case .dropped(let count), .silent(let count): body = body.prefix(count)
        }
        let step = max(1, (body.count + answer.pieces - 1) / answer.pieces)
        while !body.isEmpty {
            let piece = Array(body.prefix(step))
            body = body.dropFirst(step)
            guard send(connection, answer.isChunked ? Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + Array("\r\n".utf8) : piece) else { return }
            if answer.pieces > 1 { usleep(2000) }
        }
        switch answer.ending {
        case .complete:
            if answer.isChunked { _ = send(connection, Array("0\r\n\r\n".utf8)) }
            // Closing with unread bytes would reset the connection and lose what was sent.
            shutdown(connection, Int32(SHUT_WR))
            drain(connection)
        case .dropped: break
        case .silent: drain(connection)
        }
    }

    private static func drain(_ connection: Int32) {
        var rest = [UInt8](repeating: 0, count: 4096)
        while recv(connection, &rest, rest.count, 0) > 0 {}
    }

    private static func read(_ connection: Int32) -> Request? {
        var text: [UInt8] = []
        var byte: UInt8 = 0
        while !text.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            guard text.count < 65_536, recv(connection, &byte, 1, 0) == 1 else { return nil }
            text.append(byte)
        }
        let lines = String(decoding: text, as: UTF8.self).components(separatedBy: "\r\n").filter { !$0.isEmpty }
        let parts = lines[0].split(separator: " ").map(String.init)
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        return parts.count == 3 ? Request(method: parts[0], path: parts[1], headers: headers) : nil
    }

    private static func send(_ connection: Int32, _ bytes: [UInt8]) -> Bool {
        #if canImport(Glibc)
            let flags = Int32(MSG_NOSIGNAL)
        #else
            let flags: Int32 = 0
        #endif
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { systemSend(connection, $0.baseAddress! + sent, $0.count - sent, flags) }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}

/// An address on this machine where nobody answers, and that is given to nobody else while this lives.
final class NobodysAddress: Sendable {
    private let descriptor: Int32
    private let port: Int

    init() throws { (descriptor, port) = try boundSocket() }
    deinit { close(descriptor) }

    var address: String { "http://127.0.0.1:\(port)" }
}

/// The variables for proxies are not for this machine's own servers.
private let noProxy: Void = {
    for name in ["no_proxy", "NO_PROXY"] { setenv(name, "127.0.0.1", 1) }
}()

/// A socket with a port of its own on this machine.
private func boundSocket() throws -> (descriptor: Int32, port: Int) {
    _ = noProxy
    #if canImport(Glibc)
        let kind = Int32(SOCK_STREAM.rawValue)
    #else
        let kind = SOCK_STREAM
    #endif
    let descriptor = socket(AF_INET, kind, 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0 }
    }
    guard descriptor >= 0, isBound else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
}

// Inside the class its own `send` hides the system's.
private func systemSend(_ connection: Int32, _ bytes: UnsafeRawPointer, _ count: Int, _ flags: Int32) -> Int { send(connection, bytes, count, flags) }
