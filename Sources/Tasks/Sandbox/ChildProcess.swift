import Foundation
import Synchronization

/// An open file that closes itself.
final class Descriptor: Sendable {
    let number: Int32

    init(_ number: Int32) {
        self.number = number
        _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    }

    deinit { close(number) }

    /// Where a pipe's bytes come out, and where they go in.
    static func pipe() throws(ChildProcess.Failure) -> (reading: Descriptor, writing: Descriptor) {
        var ends: [Int32] = [-1, -1]
        guard Foundation.pipe(&ends) == 0 else { throw ChildProcess.Failure(call: "pipe") }
        return (Descriptor(ends[0]), Descriptor(ends[1]))
    }

    static func open(_ path: String, _ flags: Int32) throws(ChildProcess.Failure) -> Descriptor {
        let number = Foundation.open(path, flags | O_CLOEXEC)
        guard number >= 0 else { throw ChildProcess.Failure(call: "open \(path)") }
        return Descriptor(number)
    }

    /// A file to be read that has no name: nothing is left behind, however this process ends.
    static func holding(_ data: Data) throws(ChildProcess.Failure) -> Descriptor {
        var template = Array((NSTemporaryDirectory() + "/autodidact-XXXXXX").utf8CString)
        let number = mkstemp(&template)
        guard number >= 0 else { throw ChildProcess.Failure(call: "mkstemp") }
        let writing = Descriptor(number)
        defer { unlink(template) }
        try writing.write(data)
        return try template.withUnsafeBufferPointer { (path) throws(ChildProcess.Failure) in
            try Descriptor.open(String(cString: path.baseAddress!), O_RDONLY)
        }
    }

    /// Writes what fits without waiting, and returns how many bytes that were; none where the other end is closed.
    func writeSome(_ data: Data) -> Int { data.withUnsafeBytes { max(0, Foundation.write(number, $0.baseAddress, $0.count)) } }

    private func write(_ data: Data) throws(ChildProcess.Failure) {
        var rest = data[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(number, $0.baseAddress, $0.count) }
            guard count > 0 else { throw ChildProcess.Failure(call: "write") }
            rest = rest.dropFirst(count)
        }
    }

    func makeNonBlocking() { _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK) }

    /// What can be read without waiting, at most 64 KiB; empty: nothing yet; nil: the other end is closed.
    func available() -> Data? {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(number, &buffer, buffer.count)
        if count > 0 { return Data(buffer[..<count]) }
        return count < 0 && (errno == EAGAIN || errno == EINTR) ? Data() : nil
    }
}

/// A program in a process group of its own, which inherits the descriptors it is given and nothing else.
///
/// swift-subprocess would do but for one thing: it hands a child no descriptors beyond the standard three, and bubblewrap takes its filter and
/// its files, and gives its status, through descriptors only. The sandbox also dies with the thread that started it, so that thread must be ours.
struct ChildProcess {
    struct Failure: Error, CustomStringConvertible {
        var description: String

        init(call: String) { description = "\(call): \(String(cString: strerror(errno)))" }
        init(_ description: String) { self.description = description }
    }

    let identifier: pid_t

    /// - Parameter descriptors: the file that becomes descriptor 0, 1, 2 … of the program.
    init(_ path: String, arguments: [String], environment: [String: String], descriptors: [Descriptor]) throws(Failure) {
        #if canImport(Darwin)
            var (actions, attributes): (posix_spawn_file_actions_t?, posix_spawnattr_t?)
            let closesOthers = Int16(POSIX_SPAWN_CLOEXEC_DEFAULT)
        #else
            var (actions, attributes) = (posix_spawn_file_actions_t(), posix_spawnattr_t())
            let closesOthers: Int16 = 0
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        // Copies above every target, since a target may be the number of a source still to come.
        let sources = descriptors.map { Descriptor(fcntl($0.number, F_DUPFD_CLOEXEC, Int32(descriptors.count))) }
        for (target, source) in sources.enumerated() { posix_spawn_file_actions_adddup2(&actions, source.number, Int32(target)) }
        #if !canImport(Darwin)
            // In glibc since 2.34, but hidden from Swift, which does not define _GNU_SOURCE.
            typealias CloseFrom = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32
            guard let symbol = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else {
                throw Failure("the C library cannot close other files in a new process; glibc 2.34 or newer is needed")
            }
            _ = unsafeBitCast(symbol, to: CloseFrom.self)(&actions, Int32(descriptors.count))
        #endif
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP) | Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF) | closesOthers)

        var arguments: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (arguments + variables).forEach { free($0) } }
        var identifier: pid_t = 0
        let status = posix_spawn(&identifier, path, &actions, &attributes, &arguments, &variables)
        withExtendedLifetime(sources) {}
        guard status == 0 else { throw Failure("\(path): \(String(cString: strerror(status)))") }
        self.identifier = identifier
    }

    /// Kills the program and what is still in its group.
    func kill() { _ = Foundation.kill(-identifier, SIGKILL) }

    /// Waits until the program is gone: its status as `wait` gives it, and the processor time of it and of those it waited for.
    func wait() -> (status: Int32, cpuTime: Duration) {
        var (status, usage): (Int32, rusage) = (0, rusage())
        while wait4(identifier, &status, 0, &usage) < 0, errno == EINTR {}
        let times = [usage.ru_utime, usage.ru_stime]
        return (status, times.reduce(.zero) { $0 + .seconds($1.tv_sec) + .microseconds($1.tv_usec) })
    }
}

/// Whether a task was cancelled, as a thread can ask it.
final class Cancellation: Sendable {
    private let state = Mutex(false)
    var isCancelled: Bool { state.withLock { $0 } }
    func cancel() { state.withLock { $0 = true } }
}

/// Runs blocking work on a thread of its own, away from those that tasks share; the work sees when the task is cancelled.
func onOwnThread<Result: Sendable>(_ work: @escaping @Sendable (Cancellation) -> Result) async -> Result {
    let cancellation = Cancellation()
    return await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                // Writing to a program that has ended is then an error that `write` returns.
                var pipes = sigset_t()
                sigemptyset(&pipes)
                sigaddset(&pipes, SIGPIPE)
                pthread_sigmask(SIG_BLOCK, &pipes, nil)
                continuation.resume(returning: work(cancellation))
            }
        }
    } onCancel: {
        cancellation.cancel()
    }
}
