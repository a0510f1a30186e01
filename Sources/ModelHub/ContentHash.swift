import Crypto
import Foundation
import ModelFiles

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a hub calls a file's content, which is also its name in the cache: the SHA-256 of a large file, the git hash of a small one.
enum ContentHash: Hashable, Sendable {
    case sha256(String)
    /// SHA-1 of "blob LENGTH", a zero byte, and the content.
    case gitBlob(String)

    /// From an ETag header, quoted and perhaps marked as weak, or from the listing.
    /// - Returns: `nil` for every other text, which also keeps a stranger's text out of file names.
    init?(etag: String) {
        var text = etag[...]
        if text.hasPrefix("W/") { text = text.dropFirst(2) }
        if text.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") { text = text.dropFirst().dropLast() }
        guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) }) else { return nil }
        switch text.utf8.count {
        case 64: self = .sha256(String(text))
        case 40: self = .gitBlob(String(text))
        default: return nil
        }
    }

    var text: String {
        switch self {
        case .sha256(let text), .gitBlob(let text): text
        }
    }

    /// The hash, of the same kind as this one, of what lies on disk: read back, so that what was lost between network and disk is noticed too.
    /// - Parameter read: told how many bytes were read so far.
    /// - Throws: `FileError`; `CancellationError`.
    func ofFile(_ path: String, read: (Int64) -> Void) async throws -> String {
        switch self {
        case .sha256: try await Self.digest(SHA256(), path, header: { _ in [] }, read)
        case .gitBlob: try await Self.digest(Insecure.SHA1(), path, header: { Array("blob \($0)\0".utf8) }, read)
        }
    }

    private static func digest<Function: HashFunction>(_ function: Function, _ path: String, header: (Int64) -> [UInt8], _ report: (Int64) -> Void) async throws -> String {
        var function = function
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(file: path, cannotBe: "opened", errno: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError(file: path, cannotBe: "examined", errno: errno) }
        function.update(data: header(Int64(status.st_size)))
        var piece = [UInt8](repeating: 0, count: 4 << 20)
        var done: Int64 = 0
        while true {
            let count = piece.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { break }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw FileError(file: path, cannotBe: "read", errno: errno)
            }
            piece.withUnsafeBytes { function.update(bufferPointer: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            done += Int64(count)
            report(done)
            // A large file takes seconds: others get their turn, and Ctrl-C is heard.
            try Task.checkCancellation()
            await Task.yield()
        }
        return function.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
