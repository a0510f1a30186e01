import Foundation
import Sampling
import Tasks
import Testing

@Suite("Task files")
struct TaskFileTests {
    static let yaml = """
        name: toy
        type: jsonl
        data: data/q.jsonl
        answer: answer
        prompt: "Q: {question}\\nA:"
        few-shot: 2
        extraction: [strict, '/answer is (.*)/']
        stops: ["Q:"]
        splits: {dev: 0.1, test: 0.2, by: exact}
        max-tokens: 64
        """

    @Test("a file describes a whole task, with paths from its own folder")
    func jsonl() throws {
        try withFolder(["task.yaml": Self.yaml.replacingOccurrences(of: "data/q", with: "q"), "q.jsonl": questionLines]) { folder in
            let task = try TaskRegistry.builtIn.environment(at: folder.appendingPathComponent("task.yaml"))
            #expect(task.name == "toy")
            #expect(task.stops == ["Q:"])
            #expect(task.maxTokens == 64)
            let problem = try #require(try task.problems(in: .test).first)
            let prompt = try text(task.reset(problem, mode: .plain))
            #expect(prompt.hasPrefix("Q: ") && prompt.hasSuffix("Q: \(problem.question)\nA:"))
            #expect(prompt.components(separatedBy: "\n\n").count == 3)
        }
    }

    @Test("the other built-in kinds are made from files and from settings in code")
    func kinds() throws {
        let folder = FileManager.default.temporaryDirectory
        let yaml = "type: addition\ndigits: 1-3\nform: direct\ntrain-count: 50\nshares: {2: 1, 3: 4}\n"
        let addition = try TaskRegistry.builtIn.environment(TaskFile(yaml: yaml, folder: folder))
        #expect(addition.name == "addition")
        #expect(try addition.problems(in: .train).filter { $0.category == "3" }.count == 40)
        let settings = ["digits": "2", "train-count": "5", "seed": "3"]
        #expect(try TaskRegistry.builtIn.environment(named: "addition", settings: settings).problems(in: .train).count == 5)
        #expect(try TaskRegistry.builtIn.environment(TaskFile(yaml: "type: addition\ndigits: [2, 3]\ntrain-count: 6", folder: folder)).problems(in: .train).count == 6)
        try withFolder(["i.jsonl": instructionLines]) { folder in
            let task = try TaskRegistry.builtIn.environment(named: "instructions", settings: ["data": "i.jsonl", "test-count": "10"], folder: folder)
            #expect(try task.problems(in: .test).count <= 10)
        }
    }

    @Test("the settings of a file make the same task elsewhere")
    func settings() throws {
        let yaml = Self.yaml + """

            rationale: "{question}"
            prefix: ""
            note: "{a}\\n\\x7f\\u0085 — 🙂 \\"b\\""
            stem: '"quoted"'
            shares: {1: 0.5, 2: "0.5"}
            """
        let file = try TaskFile(yaml: yaml, folder: URL(fileURLWithPath: "/there"))
        let here = URL(fileURLWithPath: "/here")
        let again = try TaskFile(type: "jsonl", settings: file.settings(in: here), folder: here)
        #expect(Set(again.entries.map(\.key)) == Set(file.entries.map(\.key)))
        for key in ["name", "type", "answer", "prompt", "rationale", "stem", "prefix", "note"] { #expect(try again.string(key) == file.string(key), "\(key)") }
        #expect(try again.string("data") == "/there/data/q.jsonl")
        #expect(try again.strings("extraction") == ["strict", "/answer is (.*)/"])
        #expect(try again.strings("stops") == ["Q:"])
        #expect(try (again.count("few-shot"), again.count("max-tokens")) == (2, 64))
        #expect(try file.settings(in: here)["shares"] == "{1: 0.5, 2: \"0.5\"}")
        #expect(try again.settings(in: here) == file.settings(in: here))
        #expect(try file.settings(in: URL(fileURLWithPath: "/there"))["data"] == "data/q.jsonl")
        // A tag makes one key two for a YAML parser.
        #expect(try TaskFile(yaml: "type: jsonl\nname: a\n!x name: b\n", folder: here).settings(in: here)["name"] == "a")
    }

    @Test("brackets on a command line are a text where a text belongs")
    func brackets() throws {
        let file = TaskFile(type: "jsonl", settings: ["prompt": "{question}", "stops": "[END]", "extraction": "[strict]"], folder: URL(fileURLWithPath: "/"))
        #expect(try file.string("prompt") == "{question}")
        #expect(try file.strings("extraction") == ["strict"])
        #expect(try file.strings("stops") == ["END"])
        #expect(try TaskFile(type: "jsonl", settings: ["prompt": "\"Q 🙂\\n\\u00e9\""], folder: URL(fileURLWithPath: "/")).string("prompt") == "Q 🙂\né")
        #expect(try TaskFile(type: "jsonl", settings: ["prompt": "\"A\" # \"B\""], folder: URL(fileURLWithPath: "/")).string("prompt") == "\"A\" # \"B\"")
    }

    private func message(_ yaml: String) -> String {
        taskError { _ = try TaskRegistry.builtIn.environment(TaskFile(yaml: yaml, source: "t.yaml", folder: FileManager.default.temporaryDirectory)) }
    }

    @Test("an unknown key is refused with its line and the nearest right name")
    func unknownKeys() {
        #expect(message("type: addition\ntrain-counts: 5\n").hasPrefix("t.yaml:2: unknown key 'train-counts'; did you mean 'train-count'?"))
        #expect(message("type: jsonl\ndata: x\nsplits: {tests: 0.1}\n").contains("unknown key 'tests'; did you mean 'test'?"))
    }

    @Test("a value of another type is refused with its line")
    func wrongTypes() {
        #expect(message("type: addition\nseed: 1\ntrain-count: many\n").hasPrefix("t.yaml:3: 'train-count' must be a whole number, 0 or more, but it is 'many'."))
        #expect(message("type: addition\ntrain-count: \"5\"\n").contains("'train-count' must be"))
        #expect(message("type: addition\ndigits: 5-1\n").contains("a range such as 1-5"))
        #expect(message("type: addition\nshares: 3\n").contains("'shares' must be a mapping"))
        #expect(message("type: addition\nform: scratchpda\n").contains("Did you mean 'scratchpad'?"))
        #expect(message("type: jsonl\ndata: [a]\n").contains("'data' must be a text, but it is a list"))
        #expect(message("type: jsonl\ndata:\n").contains("left empty"))
        #expect(message("type: jsonl\ndata: x\nextraction: flexibel\n").hasPrefix("t.yaml:3: 'extraction' cannot be 'flexibel'."))
        #expect(message("type: jsonl\ndata: x\nsplits: {dev: 0.5, test: 0.5}\n").contains("together less than 1"))
        #expect(message("type: jsonl\ndata: x\nstrip-calculator-marks: yes\n").contains("must be true or false"))
    }

    @Test("missing keys, unknown tasks and broken YAML say what to do")
    func others() throws {
        #expect(message("name: x\n").contains("'type' is missing. Name the kind of task: addition, instructions, jsonl, "))
        #expect(message("type: instructions\n").contains("'data' is missing"))
        let unknown = message("type: aditon\n")
        #expect(unknown.hasPrefix("There is no task 'aditon'; did you mean 'addition'? Known tasks: addition, instructions, jsonl, "))
        #expect(unknown.hasSuffix(". Or give the path of a task's YAML file."))
        #expect(message("type: [\n").contains("t.yaml"))
        #expect(message("- a\n").contains("it holds no mapping"))
        #expect(message("").contains("it holds no mapping"))
        #expect(message("type: addition\ntype: jsonl\n").contains("'type' stands twice"))
        #expect(taskError { _ = try TaskRegistry.builtIn.environment(named: "gsm") }.contains("Known tasks: addition, instructions, jsonl, "))
        #expect(taskError { _ = try TaskRegistry.builtIn.environment(at: URL(fileURLWithPath: "/nowhere/t.yaml")) }.contains("cannot be read"))
    }

    @Test("a registry takes one more kind as one more element")
    func extended() throws {
        let kind = TaskKind(name: "tiny", summary: "two digits", keys: []) { _ in try Addition(digits: 2...2, trainCount: 1) }
        let registry = TaskRegistry(TaskRegistry.builtIn.kinds + [kind])
        #expect(try registry.environment(named: "tiny").problems(in: .train).count == 1)
    }
}
