import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A whole file as read-only memory; pages are read from disk when they are touched.
///
/// `bytes` is valid as long as this object lives: hold it in a property, or use `withExtendedLifetime`, while you read.
public final class MappedFile: @unchecked Sendable {
    // @unchecked: the mapping is made before `init` returns, is never written, and is undone only in `deinit`.
    public let path: String
    public let bytes: UnsafeRawBufferPointer

    /// - Throws: `FileError` with the system's reason when the file is missing, unreadable, or no regular file.
    public init(path: String) throws {
        self.path = path
        func failure(_ problem: String, _ advice: String) -> FileError {
            FileError(file: path, problem: problem, advice: advice)
        }
        // O_NONBLOCK: opening a named pipe must fail below rather than wait for a writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let code = errno
            throw failure(
                "cannot be opened: \(reason(code))",
                code == ENOENT ? "Check the path." : "Check the path and its permissions.")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            throw failure("cannot be examined: \(reason(errno))", "Check the disk it lies on.")
        }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            throw failure("is a folder, not a file", "Give the path of a file inside it.")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw failure("is not a regular file", "Copy its content into a file first.")
        }
        let count = Int(status.st_size)
        guard count > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
            throw failure("cannot be mapped into memory: \(reason(errno))", "Check the limits on address space.")
        }
        bytes = UnsafeRawBufferPointer(start: address, count: count)
    }

    deinit {
        if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
    }
}
