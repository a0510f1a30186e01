import Foundation
import ModelFiles

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// The right to write into a folder, held by one process at a time and given back when it ends, however it ends.
///
/// A `flock` on a file that only goes with its folder (removing it alone would let two processes lock two different files).
public final class FolderLock: Sendable {
    /// What the file is called.
    public static let name = ".lock"
    private let descriptor: Int32

    /// - Parameter folder: which must be there.
    /// - Throws: `FileError` naming the process that holds it.
    public init(_ folder: String) throws {
        let path = "\(folder)/\(Self.name)"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileError(file: path, cannotBe: "created", errno: errno) }
        // A process that only asks whether it is held holds the lock for an instant.
        for attempt in 0..<10 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 {
                let owner = Array("\(getpid())\n".utf8)
                if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, owner, owner.count, 0) }
                return
            }
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw FileError(file: path, cannotBe: "locked", errno: errno)
            }
            if attempt < 9 { usleep(10_000) }
        }
        throw Self.held(folder)
    }

    /// - Throws: `FileError` naming the process that holds the folder now, where one does.
    public static func refuseHeld(_ folder: String) throws { if isHeld(folder) { throw held(folder) } }

    private static func held(_ folder: String) -> FileError {
        FileError(
            file: folder, problem: "another process is writing here\(owner("\(folder)/\(name)").map { " (process \($0))" } ?? "")",
            advice: "Wait for it to end, or stop it with Ctrl-C; then resume. To learn beside it, choose another --output.")
    }

    deinit { close(descriptor) }

    /// Whether some process holds the folder now.
    public static func isHeld(_ folder: String) -> Bool {
        let descriptor = open("\(folder)/\(name)", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }

    /// The process that wrote itself into the file last.
    private static func owner(_ path: String) -> String? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        let owner = text.trimmingCharacters(in: .whitespacesAndNewlines)
        return owner.isEmpty ? nil : owner
    }
}
