import Foundation
import Tasks
import Testing

@Suite("A verifier of the user's own", .enabled(if: access("/usr/bin/python3", X_OK) == 0, "needs /usr/bin/python3"))
struct ExternalVerifierTests {
    /// Does what the completion says, and counts what it was asked since its start.
    static let program = """
        import json, os, sys, time
        count = 0
        for line in sys.stdin:
            count += 1
            asked = json.loads(line)
            text = asked["completion"]
            if text == "crash": os._exit(3)
            if text == "hang": time.sleep(60)
            if text == "half": sys.stdout.write('{"outcome": "ri'); sys.stdout.flush(); os._exit(0)
            if text == "deaf": sys.stdin.close(); time.sleep(60)
            if text == "flood":
                while True: sys.stdout.write("x" * 65536)
            if text == "echo": text = json.dumps({"outcome": "right", "evidence": json.dumps(asked)})
            if text == "slowly":
                for part in ('{"outcome"', ': "right"', '}\\n'): sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.05)
                continue
            print(text.replace("COUNT", str(count)).replace("ID", asked["id"]), flush=True)
        """

    func judge(_ texts: [String], limit: Duration = .seconds(20), by program: String = "/usr/bin/python3") async -> [Judgement] {
        let verifier = ExternalVerifier(program: program, arguments: ["-c", Self.program], timeLimit: limit)
        return await verifier.judge(texts.map { rollout(Problem(id: "p", question: "q?", answer: "a", details: ["k": "v"]), $0) })
    }

    private func verdict(_ judgement: Judgement) -> Verdict? { if case .judged(let verdict) = judgement { verdict } else { nil } }
    private func reason(_ judgement: Judgement) -> String { if case .failed(let reason) = judgement { reason } else { "judged" } }

    @Test("outcomes, rewards and evidence are the program's; unknown is a verdict of its own")
    func outcomes() async {
        let judged = await judge([
            #"{"outcome": "right"}"#, #"{"outcome": "wrong", "reward": 0.25, "evidence": "close"}"#, #"{"outcome": "unreadable"}"#,
            #"{"id": "ID", "outcome": "unknown", "evidence": "nobody knows"}"#, "slowly",
        ]).map(verdict)
        #expect(judged.map { $0?.outcome } == [.right, .wrong, .unreadable, .unknown, .right])
        #expect(judged.map { $0?.reward } == [1, 0.25, 0, 0, 1])
        #expect(judged[1]?.evidence == "close" && judged[3]?.evidence == "nobody knows")
    }

    @Test("the program is asked in JSON lines with everything that is known")
    func request() async throws {
        let evidence = try #require(verdict(await judge(["echo"])[0])?.evidence)
        for part in [#""prompt": "q?""#, #""completion": "echo""#, #""answer": "a""#, #""details": {"k": "v"}"#, #""id": ""#] {
            #expect(evidence.contains(part), "\(evidence)")
        }
    }

    @Test("what cannot be understood fails that judgement alone, and the program starts afresh", arguments: [
        ("crash", "ended without an answer"), ("half", "in the middle of an answer"), ("no JSON", "no JSON object"), ("[1]", "no JSON object"),
        (#"{"outcome": "perfect"}"#, "without an outcome"), (#"{"reward": 1}"#, "without an outcome"), (#"{"outcome": "right", "reward": "high"}"#, "no finite number"),
        (#"{"outcome": "right", "id": "other"}"#, "another completion"), ("flood", "more than 1 MiB"), ("{}\n{}", "more than one line"),
    ])
    func failures(text: String, problem: String) async {
        let counting = #"{"outcome": "right", "evidence": "COUNT"}"#
        let judged = await judge([counting, text, counting, counting])
        #expect(reason(judged[1]).contains(problem), "\(judged[1])")
        #expect([0, 2, 3].map { verdict(judged[$0])?.evidence } == ["1", "1", "2"])
    }

    @Test("a program that hangs, or reads nothing, is killed after its time")
    func hanging() async {
        let judged = await judge(["hang", #"{"outcome": "right"}"#], limit: .seconds(2))
        #expect(reason(judged[0]).contains("no answer within") && verdict(judged[1])?.outcome == .right)
        let large = String(repeating: "x", count: 1 << 20)
        let deaf = await ExternalVerifier(program: "/bin/sleep", arguments: ["60"], timeLimit: .seconds(1)).judge([rollout(Problem(id: "p", question: ""), large)])
        #expect(reason(deaf[0]).contains("no answer within"))
    }

    @Test("a program that is not there fails every judgement, and says so")
    func missing() async {
        let judged = await judge(["x", "y"], by: "/no/such/verifier")
        #expect(judged.allSatisfy { reason($0).contains("/no/such/verifier") && reason($0).contains("No such file") })
    }

    @Test("one program serves several batches; cancelling the task ends its wait")
    func batches() async throws {
        let verifier = ExternalVerifier(program: "/usr/bin/python3", arguments: ["-c", Self.program])
        let counting = rollout(Problem(id: "p", question: ""), #"{"outcome": "right", "evidence": "COUNT"}"#)
        for count in 1...3 { #expect(verdict(await verifier.judge([counting])[0])?.evidence == "\(count)") }
        let task = Task { await verifier.judge([rollout(Problem(id: "p", question: ""), "hang")]) }
        try await Task.sleep(for: .milliseconds(200))
        task.cancel()
        #expect(reason(await task.value[0]).contains("cancelled"))
    }
}
