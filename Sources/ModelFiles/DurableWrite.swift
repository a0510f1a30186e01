import Foundation

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Writes a whole file so that it is either there and complete, or not there: temporary name, fsync, rename.
/// - Throws: `ModelFileError` with the system's reason; nothing is left behind.
public func writeDurably(_ text: String, to path: String) throws {
    let temporary = path + ".tmp"
    func fail(_ what: String) -> ModelFileError {
        let reason = String(cString: strerror(errno))
        unlink(temporary)
        return ModelFileError(file: path, problem: "cannot be \(what): \(reason)", advice: "Check that the folder exists, may be written to and has room.")
    }
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw fail("created") }
    var text = text
    let written = text.withUTF8 { bytes in
        var done = 0
        while done < bytes.count {
            let count = write(descriptor, bytes.baseAddress! + done, bytes.count - done)
            if count < 0 { return false }
            done += count
        }
        return true
    }
    guard written, fsync(descriptor) == 0 else {
        let error = fail("written")
        close(descriptor)
        throw error
    }
    guard close(descriptor) == 0, rename(temporary, path) == 0 else { throw fail("put in place") }
}

/// Makes a folder's entries (files made, renamed or removed in it) survive a crash.
public func syncFolder(_ path: String) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
}
