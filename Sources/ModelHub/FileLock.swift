import Foundation
import ModelFiles

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Runs `body` for one process or task at a time, by `flock` on a file: what huggingface_hub uses too, so that the two keep out of each
/// other's way. The system releases the lock when the process ends, however that happens.
/// - Parameter waiting: called once if somebody else has the lock.
/// - Throws: `FileError` when the lock file cannot be made, `CancellationError`, and what `body` throws.
func withFileLock<Result>(_ path: String, waiting: () -> Void = {}, _ body: () async throws -> Result) async throws -> Result {
    var hasWaited = false
    while true {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o664)
        guard descriptor >= 0 else { throw FileError(file: path, cannotBe: "created", errno: errno) }
        defer { close(descriptor) }  // which releases the lock
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else { throw FileError(file: path, cannotBe: "locked", errno: errno) }
            if !hasWaited { waiting() }
            hasWaited = true
            try await Task.sleep(for: .milliseconds(50))
        }
        // Some programs delete the lock file when they release it, and a lock on a file that has no name any more excludes nobody.
        var (locked, named) = (stat(), stat())
        guard fstat(descriptor, &locked) == 0, stat(path, &named) == 0, locked.st_ino == named.st_ino, locked.st_dev == named.st_dev else { continue }
        return try await body()
    }
}
