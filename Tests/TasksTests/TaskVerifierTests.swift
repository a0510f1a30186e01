import Foundation
import Tasks
import Testing

@Suite("Verifiers named in task files")
struct TaskVerifierTests {
    /// The task of a file with `yaml` behind its type and data, and 40 problems of the given record.
    private func task(_ yaml: String, record: (Int, String) -> String = { #"{"question":"\#($1)","answer":"\#($0)","hint":["\#($0)",1]}"# }) throws -> any Environment {
        let lines = wordings.prefix(80).enumerated().map { record($0.offset, $0.element) }.joined(separator: "\n")
        return try withFolder(["t.yaml": "type: jsonl\ndata: q.jsonl\n\(yaml)", "q.jsonl": lines, "judge.py": Self.judge]) {
            try TaskRegistry.builtIn.environment(at: $0.appendingPathComponent("t.yaml"))
        }
    }

    /// Right is a completion that is the hint's first entry.
    static let judge = """
        import json, sys
        for line in sys.stdin:
            asked = json.loads(line)
            hint = json.loads(asked["details"]["hint"])
            print(json.dumps({"outcome": "right" if asked["completion"] == hint[0] else "wrong", "evidence": asked["answer"] or "none"}), flush=True)
        """

    private func message(_ yaml: String) -> String { taskError { _ = try task(yaml) } }

    @Test("check: math and quantity compare what the answer means")
    func meaning() async throws {
        let math = try task("check: math") { #"{"question":"\#($1)","answer":"\\frac{\#($0)}{7}"}"# }
        let problem = try #require(math.problems(in: .train).first), number = try #require(problem.answer).dropFirst(6).prefix { $0 != "}" }
        #expect(try await verdict(math.verifier, problem, "so it is $\\boxed{\(number)/7}$").outcome == .right)
        #expect(try await verdict(math.verifier, problem, "so it is $\\boxed{\(number)/8}$").outcome == .wrong)
        #expect(try text(math.reset(problem, mode: .hinted)).contains("(\\frac{\(number)}{7})"))

        let quantity = try task("check: quantity\nrelative-tolerance: 0.01\nrequires-unit: true\nextraction: ['/is (.*)/']") { #"{"question":"\#($1)","answer":"10\#($0) km"}"# }
        let long = try #require(quantity.problems(in: .train).first), metres = try #require(long.answer).dropLast(3) + "001 m"
        #expect(try await verdict(quantity.verifier, long, "it is \(metres)").outcome == .right)
        #expect(try await verdict(quantity.verifier, long, "it is \(metres.dropLast(2))").outcome == .wrong)
        #expect(try await verdict(quantity.verifier, long, "it is 1 km").outcome == .wrong)
        #expect(taskError { _ = try task("check: quantity") { #"{"question":"\#($1)","answer":"many\#($0 == 3 ? "" : " 2")"}"# } }.contains("q.jsonl:4: the answer 'many' holds no number"))
    }

    @Test("check: external runs the program of the task's folder, with the record's other fields", .enabled(if: access("/usr/bin/python3", X_OK) == 0, "needs /usr/bin/python3"))
    func external() async throws {
        let lines = wordings.prefix(40).enumerated().map { #"{"question":"\#($0.element)","hint":["\#($0.offset)",1]}"# }.joined(separator: "\n")
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("judge-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, content) in ["t.yaml": "type: jsonl\ndata: q.jsonl\ncheck: external\nprogram: [python3, ./judge.py]\ntime-limit: 20\n", "q.jsonl": lines, "judge.py": Self.judge] {
            try Data(content.utf8).write(to: folder.appendingPathComponent(name))
        }
        let file = try TaskFile(at: folder.appendingPathComponent("t.yaml"))
        // Elsewhere, as a run remembers it, and as a command line says it.
        let moved = TaskFile(type: "jsonl", settings: try file.settings(in: URL(fileURLWithPath: "/")), folder: URL(fileURLWithPath: "/"))
        let given = TaskFile(type: "jsonl", settings: ["data": "q.jsonl", "check": "external", "program": "[python3, ./judge.py]"], folder: folder)
        for file in [file, moved, given, TaskFile(type: "jsonl", settings: try given.settings(), folder: URL(fileURLWithPath: "/"))] {
            let task = try TaskRegistry.builtIn.environment(file)
            let problem = try #require(try task.problems(in: .train).first)
            let right = try #require(problem.details["hint"]).dropFirst(2).prefix { $0 != "\"" }
            #expect(problem.answer == nil && problem.id.hasPrefix("jsonl-"))
            let judged = try await verdict(task.verifier, problem, String(right))
            #expect(judged.outcome == .right && judged.evidence == "none")
            #expect(try await verdict(task.verifier, problem, "x").outcome == .wrong)
        }
    }

    @Test("check: code takes tests from the record, and needs no answer", .enabled("needs bubblewrap and /usr/bin/python3", { await canSandbox() }))
    func code() async throws {
        let task = try task("check: code\ntime-limit: 20\nfew-shot: 1\n") {
            #"{"question":"\#($1)","answer":"def f(): return \#($0)","entry_point":"f","tests":["assert f() == \#($0)","assert f() < 1000"]}"#
        }
        let problem = try #require(task.problems(in: .train).first), reference = try #require(problem.details["reference"])
        #expect(problem.answer == nil && problem.details["tests"]?.components(separatedBy: "\n").count == 2)
        #expect(try await verdict(task.verifier, problem, reference).outcome == .right)
        #expect(try await verdict(task.verifier, problem, "def f(): return -1").outcome == .wrong)
        let prompt = try text(task.reset(problem, mode: .plain))
        #expect(prompt.contains("def f(): return ") && !prompt.contains(reference + "\n") && !prompt.hasSuffix(reference))
        #expect(throws: TaskError.self) { try task.reset(problem, mode: .hinted) }
    }

    @Test("code without tests is refused with its line, and so are examples without an answer")
    func codeWithoutTests() {
        #expect(taskError { _ = try task("check: external\nprogram: sh\nfew-shot: 2") { #"{"question":"\#($1)"}"# } }.contains("'few-shot' cannot be '2'. The example 'jsonl-"))
        #expect(message("check: code").contains("q.jsonl:1: no tests of code"))
        #expect(taskError { _ = try task("check: code") { #"{"question":"\#($1)","entry_point":"f","tests":[]}"# } }.contains("q.jsonl:1: no tests of code"))
        #expect(taskError { _ = try task("check: code") { #"{"question":"\#($1)","entry_point":"f","tests":["assert f()",5]}"# } }.contains("q.jsonl:1: not every one of 'tests' is a text"))
        for cases in [#""inputs":[1,2],"outputs":[3,4]"#, #""inputs":["1","2"],"outputs":["3"]"#, #""inputs":[],"outputs":[]"#] {
            #expect(taskError { _ = try task("check: code") { #"{"question":"\#($1)",\#(cases)}"# } }.contains("q.jsonl:1: 'inputs' and 'outputs' are no two lists of equally many texts"))
        }
    }

    @Test("a mixture weighs its parts; one of weight 0 only records")
    func mixture() async throws {
        let task = try task(#"""
            verifiers:
              answer: {weight: 3}
              form: {check: regex, pattern: '(?s).*#### \d+', extent: search}
              json: {check: schema, schema: {type: object, properties: {n: {minimum: 2}}}, weight: 0}
            """#)
        let problem = try #require(task.problems(in: .train).first), answer = try #require(problem.answer)
        let both = try await verdict(task.verifier, problem, "#### \(answer)"), one = try await verdict(task.verifier, problem, "it is \(answer)")
        #expect(both.outcome == .right && both.reward == 1 && both.evidence.contains("json 0.0 × 0.0 (unreadable"))
        #expect(one.outcome == .wrong && one.reward == 0.75)
        let schema = try await verdict(task.verifier, problem, #"{"n": 1}"#)
        #expect(schema.evidence.contains("json 0.0 × 0.0 (wrong: "), "\(schema.evidence)")
        #expect(try await verdict(task.verifier, problem, #"{"n": 2}"#).evidence.contains("json 0.0 × 1.0 (right: "))
        let given = try TaskFile(type: "jsonl", settings: ["verifiers": "{answer: {weight: 2}, math: {weight: 0}}", "data": "q.jsonl"], folder: URL(fileURLWithPath: "/")).settings()
        #expect(given["verifiers"] == "{answer: {weight: 2}, math: {weight: 0}}")
    }

    @Test("what does not fit is refused with file, line and key", arguments: [
        ("check: maths", "t.yaml:3: 'check' cannot be 'maths'. Did you mean 'math'?"), ("check: external", "t.yaml: the key 'program' is missing"),
        ("check: external\nprogram: ./judge.py", "t.yaml:4: 'program' cannot be"), ("check: external\nprogram: [no-such-program-here, x]", "t.yaml:4: 'program' cannot be 'no-such-program-here'"),
        ("check: math\nextraction: [flexible]", "t.yaml:4: 'extraction' cannot be"), ("check: external\nprogram: /bin\n", "t.yaml:4: 'program' cannot be '/bin'"), ("check: external\nprogram: [sh]\ntime-limit: 0", "t.yaml:5: 'time-limit' cannot be '0.0'. Give seconds"),
        ("check: external\nprogram: []", "t.yaml:4: 'program' cannot be ''"), ("check: external\nprogram: bin/sh", "t.yaml:4: 'program' cannot be 'bin/sh'"),
        ("program: sh", "t.yaml:3: 'program' cannot be 'sh'. 'check: answer' does not read it."), ("check: math\ntolerance: 1", "t.yaml:4: 'tolerance' cannot be '1'"),
        ("check: quantity\ntolerance: -1", "t.yaml:4: 'tolerance' cannot be '-1.0'. It must be 0 or more."), ("check: quantity\nrequires-unit: yes", "t.yaml:4: 'requires-unit' must be true or false"),
        ("verifiers: 3", "t.yaml:3: 'verifiers' must be a mapping"), ("verifiers: {math: 1}", "t.yaml:3: 'math' must be a mapping"),
        ("verifiers:\n  form: {weight: 1}", "the key 'check' is missing. Say how 'form' under 'verifiers' judges"),
        ("verifiers:\n  math: {wieght: 1}", "t.yaml:4: unknown key 'wieght'; did you mean 'weight'?"), ("verifiers:\n  math: {weight: -1}", "t.yaml:4: 'verifiers' cannot be 'math: -1.0'"),
        ("verifiers:\n  math: {weight: 0}", "Give one part a weight above 0"), ("verifiers:\n  math: {}\n  code: {}", "t.yaml:5: 'code' cannot be 'code'. The task's own 'check' is 'answer'"),
        ("verifiers:\n  regex: {}", "give a regex its 'pattern'"), ("verifiers:\n  regex: {pattern: '('}", "t.yaml:4: 'pattern' cannot be '('. "),
        ("verifiers:\n  schema: {schema: {type: thing}}", "t.yaml:4: 'schema' cannot be 'a mapping'. JSON Schema at"),
        ("verifiers: {math: {}}\ntime-limit: 3", "t.yaml:4: 'time-limit' cannot be '3'. Write it behind the part"),
        ("check: quantity\nextraction: whole\nverifiers: {quantity: {}}", "t.yaml:4: 'extraction' cannot be 'whole'. Write it behind the part"), ("few-shot-where: {style: x}", "t.yaml:3: 'few-shot-where' cannot be"),
        ("check: regex\nlabels: [a, b]", "'check' cannot be 'regex'"), ("verifiers: {external: {}}", "the key 'program' is missing"),
    ])
    func refused(yaml: String, part: String) {
        let message = message(yaml)
        #expect(message.contains(part), "\(message)")
    }
}
