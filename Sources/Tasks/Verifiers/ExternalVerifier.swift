import Foundation
import ModelFiles
import Synchronization

/// Lets the user's own program judge completions. The program is trusted: it runs outside any sandbox, with our rights and environment.
///
/// It is started once, lives across batches, and is given one completion at a time, as a line of JSON: `{"id", "prompt", "completion", "answer", "details"}`
/// (`answer` is null where the problem has none). It answers with a line `{"outcome": "right" | "wrong" | "unreadable" | "unknown", "reward": number,
/// "evidence": text}`; only `outcome` must be there, and an `id` that is there must be the one asked. Where it crashes, answers something else or
/// takes too long, that completion's judgement fails and the program is started afresh for the next. What it writes to standard error is shown as it is.
public final class ExternalVerifier: Verifier {
    public let name = "external"
    public let program: String
    public let arguments: [String]
    /// For one completion; the first also waits for the program's start.
    public let timeLimit: Duration
    /// The running program; locked for a whole batch, on a thread of its own.
    private let connection = Mutex<ProgramConnection?>(nil)

    /// - Parameters:
    ///   - program: its absolute path.
    ///   - arguments: what it is called with, without its name.
    ///   - timeLimit: for one completion; the first also waits for the program's start.
    public init(program: String, arguments: [String] = [], timeLimit: Duration = .seconds(30)) {
        self.program = program
        self.arguments = arguments
        self.timeLimit = timeLimit
    }

    public var settings: [String: String] { ["program": program, "arguments": arguments.joined(separator: " "), "time limit": "\(timeLimit)"] }

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        await onOwnThread { cancellation in self.connection.withLock { connection in rollouts.map { self.judge($0, &connection, cancellation) } } }
    }

    private func judge(_ rollout: Rollout, _ connection: inout ProgramConnection?, _ cancellation: Cancellation) -> Judgement {
        if let cutOff = rollout.cutOff { return .judged(cutOff) }
        do {
            let started = try connection ?? ProgramConnection(program, arguments: arguments)
            connection = started
            let id = "\(rollout.key.iteration)/\(rollout.key.phase)/\(rollout.key.index)/\(rollout.key.sample)/\(rollout.key.turn)"
            let line = try started.answer(to: Self.request(rollout, id: id), within: timeLimit, cancellation)
            return .judged(try Self.verdict(line, id: id))
        } catch {
            connection = nil  // whatever it still writes must not be taken for the next one's answer
            return .failed(reason: "\(program): \(error)")
        }
    }

    private static func request(_ rollout: Rollout, id: String) -> String {
        let details = JSONObject(rollout.problem.details.sorted { $0.key < $1.key }.map { (key: $0.key, value: JSON.string($0.value)) })
        return JSON.object(JSONObject([
            (key: "id", value: .string(id)), (key: "prompt", value: .string(rollout.problem.question)), (key: "completion", value: .string(rollout.text)),
            (key: "answer", value: rollout.problem.answer.map(JSON.string) ?? .null), (key: "details", value: .object(details)),
        ])).text()
    }

    private static func verdict(_ line: String, id: String) throws(ProgramConnection.Failure) -> Verdict {
        guard let object = try? JSON.parse(line, source: "answer").object else { throw .init("answered '\(shortenedLine(line))', which is no JSON object") }
        if let given = object["id"], given.string != id { throw .init("answered for another completion ('\(shortenedLine(line))')") }
        guard let name = object["outcome"]?.string, let outcome = Verdict.Outcome(rawValue: name), outcome != .cutOff else {
            throw .init("answered '\(shortenedLine(line))', without an outcome that is right, wrong, unreadable or unknown")
        }
        let reward = object["reward"]?.double
        guard object["reward"].map({ !$0.isNull }) != true || reward?.isFinite == true else { throw .init("gave the reward no finite number ('\(shortenedLine(line))')") }
        return Verdict(outcome, reward: reward, evidence: object["evidence"]?.string ?? "judged by \(outcome.rawValue)")
    }

    private static func shortenedLine(_ line: String) -> String { line.count <= 200 ? line : line.prefix(199) + "…" }
}

/// A running program with which lines are exchanged. It is killed when nobody holds it any more.
private final class ProgramConnection: Sendable {
    struct Failure: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }

    /// The most bytes of one answer.
    private static let limit = 1 << 20
    private let child: ChildProcess
    private let input, output: Descriptor

    init(_ program: String, arguments: [String]) throws {
        let (toProgram, fromProgram) = (try Descriptor.pipe(), try Descriptor.pipe())
        let errors = Descriptor(dup(2))
        child = try ChildProcess(
            program, arguments: arguments, environment: ProcessInfo.processInfo.environment, descriptors: [toProgram.reading, fromProgram.writing, errors])
        (input, output) = (toProgram.writing, fromProgram.reading)
        input.makeNonBlocking()
        output.makeNonBlocking()
    }

    deinit {
        child.kill()
        _ = child.wait()
    }

    /// - Throws: `Failure` where the program ends, falls silent or says more than a line.
    func answer(to request: String, within limit: Duration, _ cancellation: Cancellation) throws(Failure) -> String {
        let deadline = ContinuousClock.now + limit
        var (rest, answer) = (Data((request + "\n").utf8), Data())
        while answer.last != UInt8(ascii: "\n") {
            if cancellation.isCancelled { throw Failure("cancelled") }
            if ContinuousClock.now >= deadline { throw Failure("no answer within \(limit)") }
            if answer.count > Self.limit { throw Failure("an answer of more than \(Self.limit >> 20) MiB") }
            var polled = [
                pollfd(fd: output.number, events: Int16(POLLIN), revents: 0), pollfd(fd: rest.isEmpty ? -1 : input.number, events: Int16(POLLOUT), revents: 0),
            ]
            _ = poll(&polled, 2, 20)
            if polled[0].revents != 0 {
                guard let data = output.available() else {
                    throw Failure(answer.isEmpty ? "it ended without an answer" : "it ended in the middle of an answer")
                }
                answer += data
            }
            if polled[1].revents != 0 { rest = rest.dropFirst(input.writeSome(rest)) }
        }
        guard answer.dropLast().firstIndex(of: UInt8(ascii: "\n")) == nil else { throw Failure("more than one line for one completion") }
        return String(decoding: answer.dropLast(), as: UTF8.self)
    }
}
