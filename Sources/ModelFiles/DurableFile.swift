import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file that is either there and complete, or not there.
///
/// The bytes go to `<path>.tmp` (or `<path>.<process>.tmp`), which takes the name `path` in `finish()`, after they have reached the disk. Until then an older file of
/// that name stays as it is. When anything fails, or the writer is dropped early, the temporary file goes.
public final class DurableFile {
    public let path: String
    private let temporary: String
    private var descriptor: Int32
    /// Finished, or given up.
    private var isOver = false
    /// Temporary files that have not got their names. Files begin and get their names while it is held.
    private static let unfinished = Mutex<Set<String>>([])

    /// - Parameters:
    ///   - path: of the file.
    ///   - isShared: whether other processes may be writing it too, each then under a temporary name of its own; the last that finishes counts.
    /// - Throws: `FileError` when the system refuses, as do the other methods.
    public init(_ path: String, isShared: Bool = false) throws {
        self.path = path
        temporary = path + (isShared ? ".\(getpid()).tmp" : ".tmp")
        let (opened, code) = Self.unfinished.withLock { [temporary] files in
            let opened = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644), code = errno
            if opened >= 0 { files.insert(temporary) }
            return (opened, code)
        }
        descriptor = opened
        guard opened >= 0 else {
            isOver = true
            throw FileError(file: path, cannotBe: "created", errno: code)
        }
    }

    /// Removes the temporary files of all writers and ends the process. Writers in other threads wait for ever: none makes a file between the
    /// two, or fails for want of its own.
    public static func discardUnfinished(then end: () -> Never) -> Never {
        unfinished.withLock { files in
            for path in files { unlink(path) }
            end()
        }
    }

    deinit { discard() }

    /// - Precondition: nothing failed before, and the file is not finished.
    public func append(_ bytes: UnsafeRawBufferPointer) throws {
        precondition(!isOver, "\(path) is finished, or failed earlier")
        if !writeAll(bytes, to: descriptor) { throw failure("written") }
    }

    /// Brings the file to disk and gives it its name, which then survives a crash too.
    public func finish() throws {
        precondition(!isOver, "\(path) is finished, or failed earlier")
        guard fsync(descriptor) == 0 else { throw failure("brought to disk") }
        let closed = close(descriptor)
        descriptor = -1
        guard closed == 0 else { throw failure("closed") }
        let code = Self.unfinished.withLock { [temporary, path] files in
            guard rename(temporary, path) == 0 else { return errno }
            files.remove(temporary)
            return 0
        }
        guard code == 0 else { throw failure("given its name", code) }
        isOver = true
        syncFolder(parentFolder(of: path))
    }

    /// Gives the file up.
    public func discard() {
        guard !isOver else { return }
        isOver = true
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        unlink(temporary)
        Self.unfinished.withLock { _ = $0.remove(temporary) }
    }

    private func failure(_ what: String, _ code: Int32 = errno) -> FileError {
        discard()
        return FileError(file: path, cannotBe: what, errno: code)
    }
}

/// Writes a whole file as a `DurableFile`.
public func writeDurably(_ text: String, to path: String, isShared: Bool = false) throws {
    let file = try DurableFile(path, isShared: isShared)
    var text = text
    try text.withUTF8 { try file.append(UnsafeRawBufferPointer($0)) }
    try file.finish()
}

/// Makes a folder's entries (files made, renamed or removed in it) survive a crash. Some file systems refuse this; the data is safe.
public func syncFolder(_ path: String) {
    let descriptor = open(path.isEmpty ? "." : path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
}

/// The folder that a path lies in. Foundation's own, on Linux, traps at a path of one character.
public func parentFolder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// Writes all bytes at the place where an open file stands.
/// - Returns: whether the system took them; `errno` says why not.
public func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
        let piece = UnsafeRawBufferPointer(rebasing: rest)
        let count = write(descriptor, piece.baseAddress, min(piece.count, Int(Int32.max)))  // Darwin takes no more at once
        if count < 0 {
            if errno == EINTR { continue }
            return false
        }
        rest = rest.dropFirst(count)
    }
    return true
}
