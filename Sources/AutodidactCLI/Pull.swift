import ArgumentParser
import Autodidact
import Foundation
import Synchronization

struct Pull: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch a model from a hub into the cache that other programs share, or a task's published data.",
        discussion: """
            Prints the folder, or the file, to give to --model. Files go where huggingface_hub keeps its own (HF_HUB_CACHE, else HF_HOME/hub, else \
            ~/.cache/huggingface/hub), so that neither fetches what the other has. An interrupted pull goes on where it stopped. \
            Private models need a token in HF_TOKEN; with HF_HUB_OFFLINE=1 only the cache is used. \
            With --data the files that a task by name lacks are fetched from where they are published, converted, and compared with the SHA-256 of those that the task was tested with.
            """)

    @Argument(help: "ORG/NAME for what a model needs, or ORG/NAME:FILE for one file, such as a .gguf.")
    var model: String?

    @Option(help: "A task by name, such as gsm8k, whose data is fetched instead of a model.")
    var data: String?

    @Option(name: .customLong("data-dir"), help: "The folder for data; AUTODIDACT_DATA, else data, when left out.")
    var dataDir: String?

    @Option(help: "Of --data: the SHA-256 of a published file, as it comes, that is taken although its content is another than the one that the task was tested with; may be given several times.")
    var sha256: [String] = []

    @Option(help: "A branch, a tag or a commit.")
    var revision = "main"

    @Option(help: "A pattern of files to fetch, such as '*.json', instead of what a model needs; may be given several times. Pickles only come by their ending, as in '*.bin'.")
    var include: [String] = []

    @Option(help: "A pattern of files to leave out; may be given several times.")
    var exclude: [String] = []

    @Option(help: "Where the hub answers; HF_ENDPOINT or https://huggingface.co when left out, and https://github.com for --data.")
    var endpoint: String?

    @Flag(help: "One JSON object for each file, and one for the path.")
    var json = false

    func validate() throws {
        guard (model == nil) != (data == nil) else { throw ValidationError("Name a model, or with --data a task.") }
        if data == nil, dataDir != nil || !sha256.isEmpty { throw ValidationError("--data-dir and --sha256 belong to --data.") }
        if data != nil, revision != "main" || !include.isEmpty || !exclude.isEmpty { throw ValidationError("--revision, --include and --exclude belong to a model.") }
        if let text = sha256.first(where: { $0.count != 64 || !$0.allSatisfy(\.isHexDigit) }) { throw ValidationError("--sha256 \(text): must be 64 hexadecimal digits.") }
    }

    func run() async throws {
        if let data {
            let here = URL(fileURLWithPath: FileManager.default.currentDirectoryPath, isDirectory: true)
            let folder = dataDir.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? DataFile.usualFolder(in: here)
            return try await DataPull(task: data, folder: folder, endpoint: endpoint, accepted: Set(sha256.map { $0.lowercased() }), json: json).run()
        }
        guard let model else { return }
        let reference = try ModelReference(model)
        guard reference.file == nil || (include.isEmpty && exclude.isEmpty) else { throw ValidationError("--include and --exclude choose among files, but '\(model)' names one.") }
        var options = try HubOptions()
        options.revision = revision
        if let endpoint { options.endpoint = endpoint }
        let (client, selection, printer) = (try HubClient(options), FileSelection(include: include, exclude: exclude), PullPrinter(json: json))
        let task = Task { try await client.pull(reference, selection) { printer.show($0) } }
        let signals = [SIGINT, SIGTERM].map { (number: Int32) -> any DispatchSourceSignal in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                if task.isCancelled { Self.exit(withError: ExitCode(130)) }
                task.cancel()
            }
            source.resume()
            return source
        }
        defer { for source in signals { source.cancel() } }
        do {
            let path = try await task.value
            printer.closeLine()
            printLine(json ? jsonLine([("path", .string(path))]) : path)
        } catch {
            printer.closeLine()
            guard error is CancellationError else { throw error }
            printError("stopped; the same command goes on where it stopped")
            throw ExitCode(130)
        }
    }
}

/// Shows a pull on standard error, because standard output is for the path: one line rewritten a few times a second on a terminal, else a
/// line for each file. Or JSON lines on standard output.
private final class PullPrinter: Sendable {
    private let json: Bool
    private let isTerminal = isatty(2) == 1
    private struct State {
        var file = ""
        /// When this file's first bytes came, and how many there were already.
        var began = (time: ContinuousClock.now, bytes: Int64(0))
        var shown: ContinuousClock.Instant?
        var lineIsOpen = false
    }
    private let state = Mutex(State())

    init(json: Bool) { self.json = json }

    func show(_ progress: PullProgress) {
        let title = "[\(progress.number)/\(progress.count)] \(progress.file)"
        let size = progress.total.map { byteCount($0) } ?? ""
        switch progress.state {
        case .downloading:
            guard let rate = step(progress) else { return }
            let share = progress.total.map { $0 > 0 ? " \(progress.bytes * 100 / $0) %" : "" } ?? ""
            rewrite("\(title)\(share)  \(byteCount(progress.bytes))\(progress.total == nil ? "" : " of \(size)")\(rate > 0 ? ", \(byteCount(rate))/s" : "")")
        case .checking:
            guard step(progress) != nil else { return }
            rewrite("\(title)  checking the hash: \(byteCount(progress.bytes))\(progress.total == nil ? "" : " of \(size)")")
        case .retrying(let problem, let delay):
            line("\(title): \(problem); again in \(Int((delay / .seconds(1)).rounded(.up))) s")
        case .waitingForAnother:
            line("\(title): another process fetches it; waiting")
        case .fetched, .cached:
            let isNew = progress.state == .fetched
            if json {
                printLine(jsonLine([("file", .string(progress.file)), ("bytes", .integer(progress.bytes)), ("fetched", .bool(isNew))]))
            } else {
                line("\(title)  \(size)\(isNew ? "" : ", in the cache")")
            }
        }
    }

    /// Ends the line that is being rewritten.
    func closeLine() {
        let wasOpen = state.withLock { state in
            defer { state.lineIsOpen = false }
            return state.lineIsOpen
        }
        if wasOpen { printError("") }
    }

    /// - Returns: bytes a second, when it is time to show anything.
    private func step(_ progress: PullProgress) -> Int64? {
        guard isTerminal, !json else { return nil }
        return state.withLock { state in
            let now = ContinuousClock.now
            if state.file != progress.file { (state.file, state.began, state.shown) = (progress.file, (now, progress.bytes), nil) }
            if let shown = state.shown, now - shown < .milliseconds(200) { return nil }
            state.shown = now
            let seconds = (now - state.began.time) / .seconds(1)
            return seconds > 0.5 ? Int64(Double(max(0, progress.bytes - state.began.bytes)) / seconds) : 0
        }
    }

    private func rewrite(_ text: String) {
        state.withLock { $0.lineIsOpen = true }
        try? FileHandle.standardError.write(contentsOf: Data("\r\u{1B}[K\(text)".utf8))
    }

    /// A line that stays, in the place of the one that was being rewritten.
    private func line(_ text: String) {
        guard !json else { return }
        let wasOpen = state.withLock { state in
            defer { state.lineIsOpen = false }
            return state.lineIsOpen
        }
        printError((wasOpen ? "\r\u{1B}[K" : "") + text)
    }
}
