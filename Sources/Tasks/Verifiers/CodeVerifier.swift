import Foundation

/// Runs a completion's Python code against the problem's tests, in a sandbox.
///
/// The problem's details say how: `tests` holds Python statements that call the function `entry_point`, and `prefix` what the completion continues
/// (HumanEval; empty for MBPP). Or `inputs` and `outputs` hold JSON lists of texts: the code is a program, which must print every output for its
/// input, white space aside (APPS). Sources: Chen et al. 2021, arXiv:2107.03374; Austin et al. 2021, arXiv:2108.07732; Hendrycks et al. 2021,
/// arXiv:2105.09938. Right means that a judge which shares nothing with the code attested, with a token drawn for this one run, that all tests passed.
public struct CodeVerifier: Verifier {
    public let name = "code"
    public let interpreter: String
    public let timeLimit: Duration
    private let limits: SandboxLimits
    private let sandbox: Sandbox

    /// Where a base model's completion of a function ends.
    public static let stops = ["\nclass", "\ndef", "\n#", "\nif", "\nprint"]

    /// - Parameters:
    ///   - interpreter: the path of a Python 3.10 or newer; its folder is made readable inside where it is not the system's.
    ///   - timeLimit: seconds of processor time for all tests of a function, or for each run of a program; parts of a second are rounded up. On the
    ///     clock three times as much may pass, so that right code stays right while the machine has other work.
    ///   - concurrency: how many completions are judged at a time.
    ///   - limits: what the code may use up besides time.
    public init(
        interpreter: String = "/usr/bin/python3", timeLimit: Duration = .seconds(3), concurrency: Int = ProcessInfo.processInfo.activeProcessorCount,
        limits: SandboxLimits = SandboxLimits(addressSpaceBytes: 512 << 20)
    ) {
        self.interpreter = interpreter
        self.timeLimit = timeLimit
        self.limits = limits
        // Of …/bin/python3 the folder above `bin`, as it is called and as links resolve it.
        let files = [interpreter, URL(fileURLWithPath: interpreter).resolvingSymlinksInPath().path]
        let prefixes = Set(files.map { URL(fileURLWithPath: $0).deletingLastPathComponent().deletingLastPathComponent().path })
        sandbox = Sandbox(concurrency: concurrency, readable: prefixes.filter { $0 != "/" && $0 != "/usr" && !$0.hasPrefix("/usr/") }.sorted())
    }

    public var settings: [String: String] {
        [
            "time limit": "\(timeLimit)", "address space": "\(limits.addressSpaceBytes)", "memory": "\(limits.memoryBytes)",
            "processes": "\(limits.processes)", "file bytes": "\(limits.fileBytes)", "open files": "\(limits.openFiles)",
            "temporary bytes": "\(limits.temporaryBytes)", "output bytes": "\(limits.outputBytes)",
        ]
    }

    /// - Throws: `SandboxError` where no sandbox can be had, or there is no interpreter.
    public func checkReady() async throws {
        try await Sandbox.check()
        guard FileManager.default.isExecutableFile(atPath: interpreter) else { throw SandboxError.notStarted(program: interpreter, reason: "there is no such program") }
        let judgement = await run(["functions", "def same(x):\n    return x\n", "whole", "", "same", "assert same(1) == 1\n"])
        guard case .judged(let verdict) = judgement, verdict.outcome == .right else {
            throw SandboxError.notStarted(program: interpreter, reason: "it cannot judge a function that is right, so it may be older than Python 3.10: \(judgement)")
        }
    }

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        await withTaskGroup(of: (Int, Judgement).self) { group in
            for (index, rollout) in rollouts.enumerated() { group.addTask { (index, await judge(rollout)) } }
            var judgements = [Judgement](repeating: .failed(reason: "not judged"), count: rollouts.count)
            for await (index, judgement) in group { judgements[index] = judgement }
            return judgements
        }
    }

    private func judge(_ rollout: Rollout) async -> Judgement {
        let details = rollout.problem.details
        if let cutOff = rollout.cutOff { return .judged(cutOff) }
        let prefix = details["prefix"] ?? "", (code, isWhole) = Self.program(from: rollout.text, prefix: prefix, entryPoint: details["entry_point"])
        guard !code.allSatisfy(\.isWhitespace) else { return .judged(Verdict(.unreadable, evidence: "no code found")) }
        if let tests = details["tests"], let entryPoint = details["entry_point"] {
            return await run(["functions", code, isWhole ? "whole" : "", prefix, entryPoint, tests])
        }
        guard let cases = Self.cases(details) else {
            return .failed(
                reason: "problem '\(rollout.problem.id)' has no tests in its details: give 'tests' and 'entry_point', or 'inputs' and 'outputs' of equal number")
        }
        return await run(["programs", isWhole ? "\(prefix)\n\(code)" : code] + cases.flatMap { [$0.input, $0.output] }, runs: cases.count)
    }

    /// What a program reads and prints in each run; nil where a problem does not say it.
    static func cases(_ details: [String: String]) -> [(input: String, output: String)]? {
        func texts(_ name: String) -> [String]? { details[name].flatMap { try? JSONDecoder().decode([String].self, from: Data($0.utf8)) } }
        guard let inputs = texts("inputs"), let outputs = texts("outputs"), inputs.count == outputs.count, !inputs.isEmpty else { return nil }
        return zip(inputs, outputs).map { (input: $0, output: $1) }
    }

    /// The code to run: the last fenced block that defines the function, else what stands before a fence that only ends code, else the last one marked as Python, else the last one, else the text itself. A text that does not define
    /// the function continues the prefix, and ends where a base model begins something new. What defines it is whole, and the prefix stands before it only
    /// where that is a program by itself.
    private static func program(from text: String, prefix: String, entryPoint: String?) -> (code: String, isWhole: Bool) {
        func defines(_ code: String) -> Bool { entryPoint.map { ("\n" + code).contains("\ndef \($0)(") } ?? false }
        let blocks = fencedBlocks(in: text)
        // Behind a program often stands what it prints.
        let block = blocks.last { defines($0.code) }?.code, other = (blocks.last(where: \.isPython) ?? blocks.last)?.code
        let code = block ?? beforeFence(text).flatMap { code, isIndented in defines(code) || isIndented && !prefix.isEmpty ? code : nil } ?? other ?? text
        if prefix.isEmpty || defines(code) { return (code, true) }
        let end = stops.compactMap { code.range(of: $0)?.lowerBound }.min() ?? code.endIndex
        return (prefix + code[..<end], false)
    }

    /// What stands before the first line that begins with ```, where that names no language, and whether it begins with spaces, as what goes on with a function does.
    private static func beforeFence(_ text: String) -> (code: String, isIndented: Bool)? {
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        guard let fence = lines.firstIndex(where: { $0.drop { $0 == " " }.hasPrefix("```") }), lines[fence].allSatisfy({ $0 == "`" || $0.isWhitespace }) else { return nil }
        let start = lines[..<fence].first { !$0.allSatisfy(\.isWhitespace) }
        return (lines[..<fence].joined(separator: "\n"), start?.first?.isWhitespace ?? false)
    }

    /// What stands between lines that begin with ```; the last block may lack its end.
    private static func fencedBlocks(in text: String) -> [(code: String, isPython: Bool)] {
        var blocks: [(lines: [Substring], isPython: Bool)] = []
        var isInside = false
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
            let mark = line.drop { $0 == " " }
            if mark.hasPrefix("```") {
                isInside.toggle()
                if isInside { blocks.append(([], mark.drop { $0 == "`" }.lowercased().hasPrefix("py"))) }
            } else if isInside {
                blocks[blocks.count - 1].lines.append(line)
            }
        }
        return blocks.map { ($0.lines.joined(separator: "\n"), $0.isPython) }
    }

    /// - Parameter runs: of the code, each of which may take the time limit. The harness holds each to it; these limits are for all of them, and for the harness.
    private func run(_ fields: [String], runs: Int = 1) async -> Judgement {
        var limits = limits
        let seconds = max(1, Int((timeLimit / .seconds(1)).rounded(.up))), wallSeconds = 3 * seconds
        limits.cpuSeconds = seconds * runs
        limits.wallTime = .seconds(wallSeconds * runs)
        var random = SystemRandomNumberGenerator()
        let token = (0..<4).map { _ in String(random.next(), radix: 16) }.joined()
        // No -I, which would ignore the fixed seed of hashes; the environment is the sandbox's own.
        let result: SandboxResult
        do {
            result = try await sandbox.run(
                interpreter, arguments: ["-S", "-s", "-B", "judge.py"], files: ["judge.py": CodeHarness.source],
                input: ([token, "\(seconds)", "\(wallSeconds)"] + fields).map { "\($0.utf8.count)\n\($0)" }.joined(), limits: limits)
        } catch {
            return .failed(reason: "\(error)")
        }
        let attested = result.output.split(separator: "\n").filter { $0.hasPrefix("\(token) ") }.map { $0.dropFirst(token.count + 1).split(separator: " ", maxSplits: 1) }
        let evidence = attested.last.flatMap { $0.count > 1 ? String($0[1]) : nil } ?? ""
        switch (attested.last?.first, result.reason) {
        case (_, .cancelled): return .failed(reason: "cancelled")
        case ("right", _): return .judged(Verdict(.right, evidence: "all tests passed"))
        case ("wrong", _): return .judged(Verdict(.wrong, evidence: evidence))
        case ("unjudged", _): return .failed(reason: evidence)
        case ("started", .wallTime): return .judged(Verdict(.wrong, evidence: "timed out after \(wallSeconds * runs) s"))
        case ("started", .cpuTime): return .judged(Verdict(.wrong, evidence: "used \(limits.cpuSeconds) s of processor time"))
        case ("started", .memory): return .judged(Verdict(.wrong, evidence: "used more than \(limits.memoryBytes >> 20) MiB of memory"))
        case ("started", _): return .judged(Verdict(.wrong, evidence: "the program stopped its tests (\(result.reason.rawValue))"))
        default:
            let words = result.errors.split(separator: "\n").last ?? "it ended with \(result.exitCode.map { "code \($0)" } ?? result.reason.rawValue)"
            return .failed(reason: "\(interpreter) did not start in the sandbox: \(words). Give the path of a Python 3.10 or newer that other users may run.")
        }
    }
}
