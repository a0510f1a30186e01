import Foundation
import ModelFiles

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A download that is not finished: it survives the process, and the next one goes on at its end.
///
/// Whoever has one holds the lock of that content.
final class PartialFile: @unchecked Sendable {
    // @unchecked: while a request runs only its sink, one piece at a time, and else only the task that makes the requests.
    let path: String
    private let descriptor: Int32
    private(set) var length: Int64

    /// Opens what an earlier attempt left, or makes an empty file.
    /// - Throws: `FileError`, as the others.
    init(_ path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw FileError(file: path, cannotBe: "created", errno: errno) }
        length = Int64(lseek(descriptor, 0, SEEK_END))
    }

    deinit { close(descriptor) }

    func append(_ data: Data) throws {
        let isWritten = data.withUnsafeBytes { writeAll($0, to: descriptor) }
        // Also after a failure: a part may have been taken.
        let reason = errno
        length = Int64(lseek(descriptor, 0, SEEK_END))
        guard isWritten else { throw FileError(file: path, cannotBe: "written", errno: reason) }
    }

    /// Forgets what came so far.
    func restart() throws {
        guard ftruncate(descriptor, 0) == 0 else { throw FileError(file: path, cannotBe: "emptied", errno: errno) }
        length = 0
    }

    /// Brings the content to disk.
    func sync() throws {
        guard fsync(descriptor) == 0 else { throw FileError(file: path, cannotBe: "brought to disk", errno: errno) }
    }

    /// Gives the content the name under which it counts as complete.
    func finish(as name: String) throws {
        guard rename(path, name) == 0 else { throw FileError(file: name, cannotBe: "given its name", errno: errno) }
        syncFolder(parentFolder(of: name))
    }

    func delete() { unlink(path) }
}
