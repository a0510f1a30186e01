import Foundation

/// Runs programs that nobody trusts, without network, files, or more than their share of the machine. Linux, with bubblewrap 0.8 or newer.
///
/// Inside there are the system's programs and libraries, read-only; an empty `/tmp` of limited size, which is the working folder; the devices null,
/// zero, full, random and urandom; a fixed environment; nothing else. Everything runs as nobody, without capabilities, in namespaces of its own,
/// under a filter of system calls. Started by root, bubblewrap itself runs as nobody.
///
/// The number of processes is RLIMIT_NPROC. The kernel counts it by user and user namespace, and every sandbox has a namespace of its own; it is set
/// inside, so that sandboxes do not count for each other. It never binds root (user 0 outside), which is why root becomes nobody first.
public struct Sandbox: Sendable {
    private let readable: [String]
    private let slots: Slots

    /// - Parameters:
    ///   - concurrency: how many programs may run at a time.
    ///   - readable: folders besides the system's that programs may read, such as an interpreter's.
    public init(concurrency: Int = ProcessInfo.processInfo.activeProcessorCount, readable: [String] = []) {
        precondition(concurrency > 0, "a sandbox for \(concurrency) programs at a time")
        slots = Slots(concurrency)
        self.readable = readable
    }

    /// Runs a program until it ends or a limit is reached; when this returns, nothing of it is left. Cancelling the task kills the program.
    ///
    /// - Parameters:
    ///   - program: its absolute path.
    ///   - arguments: what it is called with, without its name.
    ///   - files: name → content, in the working folder.
    ///   - input: what it can read from standard input.
    ///   - limits: what it may use up.
    /// - Throws: `SandboxError` where nothing ran; `.notStarted` with the reason where bubblewrap refused this one program.
    public func run(
        _ program: String, arguments: [String] = [], files: [String: String] = [:], input: String = "", limits: SandboxLimits = SandboxLimits()
    ) async throws(SandboxError) -> SandboxResult {
        if let name = files.keys.first(where: { $0.isEmpty || $0.contains("/") || $0 == "." || $0 == ".." }) { throw .badFileName(name) }
        try await Self.check()
        await slots.acquire()
        let command = SandboxCommand(program: program, arguments: arguments, files: files, input: input, readable: readable)
        let result = await Self.run(command, limits)
        await slots.release()
        return try result.get()
    }

    /// Tries a sandbox, once for each process of ours.
    /// - Throws: `SandboxError` where none can be had; the message says what to install or allow.
    public static func check() async throws(SandboxError) { try await probe.value.get() }

    private static let probe = Task.detached { () async -> Result<Void, SandboxError> in
        #if os(Linux)
            for (program, package) in [
                (SandboxCommand.bubblewrap, "bubblewrap"), (SandboxCommand.limiter, "util-linux"), (SandboxCommand.privilegeDropper, "util-linux"),
            ] where access(program, X_OK) != 0 { return .failure(.missing(program: program, package: package)) }
            let command = SandboxCommand(program: "/bin/sh", arguments: ["-c", "exit 7"], files: [:], input: "", readable: [])
            switch await run(command, SandboxLimits()) {
            case .success(let result) where result.exitCode == 7: return .success(())
            case .success(let result): return .failure(.refused(reason: "a shell inside ended with \(result.exitCode ?? -1), \(result.reason)"))
            case .failure(.notStarted(_, let reason)): return .failure(.refused(reason: reason))
            case .failure(let error): return .failure(error)
            }
        #else
            return .failure(.unsupported(system: ProcessInfo.processInfo.operatingSystemVersionString))
        #endif
    }

    private static func run(_ command: SandboxCommand, _ limits: SandboxLimits) async -> Result<SandboxResult, SandboxError> {
        await onOwnThread { cancellation in
            Result { () throws(SandboxError) in try SandboxRun(command: command, limits: limits, cancellation: cancellation)() }
        }
    }
}

/// A number of places, taken in the order of asking.
private actor Slots {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { free = count }

    func acquire() async {
        if free > 0 { free -= 1 } else { await withCheckedContinuation { waiting.append($0) } }
    }

    func release() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
