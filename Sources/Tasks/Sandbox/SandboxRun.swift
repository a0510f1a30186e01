import Foundation

/// One program in one sandbox, from its start until nothing of it is left. Blocks its thread.
struct SandboxRun {
    let command: SandboxCommand
    let limits: SandboxLimits
    let cancellation: Cancellation

    /// How often limits that the kernel does not hold are looked at, in milliseconds.
    private static let interval = 20

    func callAsFunction() throws(SandboxError) -> SandboxResult {
        do {
            return try run()
        } catch {
            throw .notStarted(program: command.program, reason: "\(error)")
        }
    }

    private func run() throws(ChildProcess.Failure) -> SandboxResult {
        let start = ContinuousClock.now
        let (child, pipes) = try begin()
        return try follow(child, pipes, since: start)
    }

    /// The ends that the program writes to are closed here when this returns; only then do the others end with the program.
    private func begin() throws(ChildProcess.Failure) -> (ChildProcess, [Descriptor]) {
        let (output, errors, status) = (try Descriptor.pipe(), try Descriptor.pipe(), try Descriptor.pipe())
        let child = try command.start(limits: limits, output: output.writing, errors: errors.writing, status: status.writing)
        return (child, [output.reading, errors.reading, status.reading])
    }

    /// - Parameter pipes: standard output, standard error, and bubblewrap's status, whose end says that bubblewrap is gone.
    private func follow(_ child: ChildProcess, _ pipes: [Descriptor], since start: ContinuousClock.Instant) throws(ChildProcess.Failure) -> SandboxResult {
        pipes.forEach { $0.makeNonBlocking() }
        var texts = [Data(), Data(), Data()]
        var isOpen = [true, true, true]
        var reason: SandboxResult.Reason?
        var lastLook = start
        while isOpen[2] {
            var polled = zip(pipes, isOpen).map { pollfd(fd: $1 ? $0.number : -1, events: Int16(POLLIN), revents: 0) }
            _ = poll(&polled, nfds_t(polled.count), Int32(Self.interval))
            for index in pipes.indices where isOpen[index] && polled[index].revents != 0 {
                if let data = pipes[index].available() { texts[index] += data } else { isOpen[index] = false }
            }
            if reason == nil, ContinuousClock.now - lastLook >= .milliseconds(Self.interval) || texts[0].count + texts[1].count > limits.outputBytes {
                lastLook = .now
                reason = excess(texts, since: start)
            }
            // The first process inside takes all others with it. Without one nothing of the program runs yet.
            if reason != nil { initialProcess(texts[2]).map { _ = Foundation.kill($0, SIGKILL) } ?? child.kill() }
        }
        // Bubblewrap waited for the first process inside, which the kernel ends only after all others: nothing of the program is left now.
        let (_, cpuTime) = child.wait()
        for index in 0..<2 {
            while isOpen[index], texts[index].count <= limits.outputBytes, let data = pipes[index].available(), !data.isEmpty { texts[index] += data }
        }
        return try result(texts, reason, wallTime: .now - start, cpuTime: cpuTime)
    }

    private func excess(_ texts: [Data], since start: ContinuousClock.Instant) -> SandboxResult.Reason? {
        if cancellation.isCancelled { return .cancelled }
        if texts[0].count + texts[1].count > limits.outputBytes { return .outputCap }
        if ContinuousClock.now - start >= limits.wallTime { return .wallTime }
        if let first = initialProcess(texts[2]), Self.residentPages(of: first) > limits.memoryBytes / Int(sysconf(Int32(_SC_PAGESIZE))) { return .memory }
        return nil
    }

    /// Pages in memory of a process and all that descend from it; pages that processes share count for each.
    private static func residentPages(of process: pid_t) -> Int {
        let folder = "/proc/\(process)"
        let pages = (try? String(contentsOfFile: "\(folder)/statm", encoding: .utf8))?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/task")) ?? []
        let children = threads.flatMap { ((try? String(contentsOfFile: "\(folder)/task/\($0)/children", encoding: .utf8)) ?? "").split(separator: " ") }
        return children.reduce(pages) { $0 + (pid_t($1).map(residentPages) ?? 0) }
    }

    /// The first process inside the sandbox, by its number outside.
    private func initialProcess(_ status: Data) -> pid_t? { number("child-pid", in: status).flatMap { pid_t(exactly: $0) } }

    private func number(_ name: String, in status: Data) -> Int? {
        let text = String(decoding: status, as: UTF8.self)
        return text.range(of: "\"\(name)\": ").flatMap { Int(text[$0.upperBound...].prefix { $0.isNumber }) }
    }

    private func result(_ texts: [Data], _ reason: SandboxResult.Reason?, wallTime: Duration, cpuTime: Duration) throws(ChildProcess.Failure) -> SandboxResult {
        let (output, errors) = (texts[0].prefix(limits.outputBytes), texts[1].prefix(max(0, limits.outputBytes - texts[0].count)))
        let isTruncated = texts[0].count + texts[1].count > limits.outputBytes
        let code = number("exit-code", in: texts[2])
        guard code != nil || reason != nil else {
            throw ChildProcess.Failure(errors.isEmpty ? "bubblewrap ended without a word" : String(decoding: errors, as: UTF8.self).trimmingCharacters(in: .newlines))
        }
        let signal = reason == nil ? code.flatMap { $0 > 128 ? $0 - 128 : nil } : nil
        let ranOut = signal == Int(SIGXCPU) || signal == Int(SIGKILL) && cpuTime >= .seconds(limits.cpuSeconds)
        return SandboxResult(
            reason: reason ?? (ranOut ? .cpuTime : isTruncated ? .outputCap : .finished), exitCode: reason == nil && signal == nil ? code : nil, signal: signal,
            output: String(decoding: output, as: UTF8.self), errors: String(decoding: errors, as: UTF8.self), isTruncated: isTruncated,
            wallTime: wallTime, cpuTime: cpuTime)
    }
}
