import Foundation
import Sampling
import Tasks
import Testing

@Suite("Tasks by name")
struct NamedTaskTests {
    /// Train and dev before what nearly repeats a held-out problem or is shown is left out, and test.
    static let counts: [String: (all: Int, test: Int?)] = [
        "gsm8k": (7473 + 1319, 1319), "math": (4500 + 500, 500), "svamp": (1000, nil), "addsub": (395, nil), "multiarith": (600, nil), "singleeq": (508, nil), "aqua": (508, 254),
        "csqa": (9741 + 1221, 1221),
        "strategyqa": (2290, nil), "last-letters": (500, nil), "coin-flip": (500, nil), "sst2": (20000 + 872 + 1821, 1821),
    ]
    static let files = NamedTask.builtIn.flatMap(\.files).map(\.name)
    static let hasData = files.allSatisfy { PublicData.has($0) }
    static let missing: Comment = "needs the public data sets in the folder named by AUTODIDACT_DATA, or in ../shared/data beside the package"

    private func task(_ name: String, _ settings: [String: String] = [:]) throws -> QuestionAnswer {
        let all = ["data-dir": PublicData.folder.path].merging(settings) { $1 }
        return try #require(try TaskRegistry.builtIn.environment(named: name, settings: all) as? QuestionAnswer)
    }

    @Test("every task has its counts, no problem in two parts, and hints in hinted prompts only", .enabled(if: hasData, missing), arguments: NamedTask.builtIn.map(\.name))
    func loads(name: String) throws {
        let task = try task(name)
        #expect(task.name == name)
        let (all, test) = try #require(Self.counts[name])
        let parts = Split.allCases.map { task.problems(in: $0) }
        #expect(parts.reduce(task.removed) { $0 + $1.count } == all)
        if let test { #expect(parts[2].count == test) }
        #expect(parts.allSatisfy { $0.count >= 20 }, "\(parts.map(\.count))")
        #expect(parts[0].count > all / 3)
        #expect(try Overlap.inside(task).isEmpty)
        for problem in [parts[0], parts[1], parts[2]].flatMap({ $0.prefix(200) }) {
            let (plain, hinted) = (try text(task.reset(problem, mode: .plain)), try text(task.reset(problem, mode: .hinted)))
            let answer = try #require(problem.answer)
            let mark = task.settings.choices == nil ? "\(problem.question) (\(answer))" : " (CORRECT)\n"
            #expect(!plain.contains(mark))
            #expect(hinted.contains(mark))
            if let choices = Choices(problem), let right = choices.index(of: answer) {
                #expect(hinted.contains("(\(answer)) \(choices.texts[right]) (CORRECT)\n"))
                #expect(plain.hasSuffix("Q: \(problem.question)\nAnswer Choices:\n\(choices.listed())\nA:"))
            }
        }
    }

    @Test("the gold answer of every problem is judged right, and another answer wrong", .enabled(if: hasData, missing), arguments: NamedTask.builtIn.map(\.name))
    func gold(name: String) async throws {
        let task = try task(name)
        let problems = Split.allCases.flatMap { task.problems(in: $0) }
        func outcomes(_ completion: (Problem) throws -> String?) async throws -> [(String, Verdict.Outcome?)] {
            let asked = try problems.compactMap { problem in try completion(problem).map { rollout(problem, $0) } }
            return zip(asked, await task.verifier.judge(asked)).map { rollout, judgement in
                if case .judged(let verdict) = judgement { ("\(rollout.problem.id): \(verdict.evidence)", verdict.outcome) } else { ("\(judgement)", nil) }
            }
        }
        let isBoxed = task.settings.check == .math
        func spoken(_ problem: Problem, _ answer: String) -> String {
            if isBoxed { return " I see. The answer is $\\boxed{\(answer)}$." }
            guard let choices = Choices(problem), let index = choices.index(of: answer) else { return " I see. So the answer is \(answer)." }
            return " I see. Therefore, the answer is \(choices.texts[index]) (\(answer))."
        }
        #expect(try await outcomes { spoken($0, $0.answer!) }.filter { $0.1 != .right }.prefix(3).map(\.0) == [])
        // What the data itself gives: worked solutions, or the bare answer.
        #expect(try await outcomes { try task.workedExample($0, mode: .plain)?.completion }.filter { $0.1 != .right }.prefix(3).map(\.0) == [])
        #expect(try await outcomes { isBoxed ? "$\($0.answer!)$" : Choices($0) == nil ? $0.answer : "(\($0.answer!.uppercased()))" }.filter { $0.1 != .right }.prefix(3).map(\.0) == [])
        let wrong = try await outcomes { problem in
            if let choices = Choices(problem) { return spoken(problem, Choices.letter((choices.index(of: problem.answer!)! + 1) % choices.texts.count)) }
            if let labels = task.settings.labels { return spoken(problem, labels.first { $0 != problem.answer }!) }
            if isBoxed { return spoken(problem, "\(problem.answer!)+1") }
            return spoken(problem, task.settings.comparison == .number ? problem.answer! + "1" : "z" + problem.answer!)
        }
        #expect(wrong.filter { $0.1 != .wrong }.prefix(3).map(\.0) == [])
    }

    @Test("an option's text alone is right where no other option has it", .enabled(if: hasData, missing), arguments: ["csqa"])
    func texts(name: String) async throws {
        let task = try task(name)
        let asked = Split.allCases.flatMap { task.problems(in: $0) }.compactMap { problem -> Rollout? in
            guard let choices = Choices(problem), let right = choices.index(of: problem.answer!) else { return nil }
            let said = choices.texts[right]
            return choices.texts.filter { $0.lowercased() == said.lowercased() }.count == 1 ? rollout(problem, "The answer is \(said).") : nil
        }
        let judgements = await task.verifier.judge(asked)
        let right = judgements.count { if case .judged(let verdict) = $0 { verdict.outcome == .right } else { false } }
        let wrong = zip(asked, judgements).filter { if case .judged(let verdict) = $1 { verdict.outcome == .wrong } else { false } }
        #expect(wrong.prefix(3).map { "\($0.0.text)" } == [])
        #expect(Double(right) >= 0.99 * Double(asked.count), "\(right) of \(asked.count)")
    }

    @Test("every task asks in a chat as well", .enabled(if: hasData, missing), arguments: NamedTask.builtIn.map(\.name))
    func chat(name: String) throws {
        let task = try task(
            name,
            [
                "form": "chat", "system": "Think.", "few-shot": "1", "max-tokens": "77", "train-count": "9", "dev-count": "5", "test-count": "7",
                "seed": "3",
            ])
        #expect(Split.allCases.map { task.problems(in: $0).count } == [9, 5, 7])
        #expect(task.maxTokens == 77)
        let problem = task.problems(in: .test)[0]
        guard case .messages(let messages) = try task.reset(problem, mode: .plain) else {
            Issue.record("no messages")
            return
        }
        #expect(messages.map(\.role) == ["system", "user", "assistant", "user"])
        #expect(messages[3].content.contains(problem.question) && !messages[3].content.hasPrefix("Q:") && !messages[3].content.hasSuffix(":"))
        if task.settings.check == .math { #expect(messages[3].content.hasSuffix("put the final answer in \\boxed{}.")) }
        if let choices = Choices(problem) { #expect(messages[3].content.hasSuffix(choices.listed())) }
    }

    @Test("STaR's examples, and its hints, are as its authors write them", .enabled(if: hasData, missing))
    func star() throws {
        let task = try task("csqa")
        let problem = task.problems(in: .test)[0]
        let (plain, hinted) = (try text(task.reset(problem, mode: .plain)), try text(task.reset(problem, mode: .hinted)))
        let first =
            "Q: What do people use to absorb extra ink from a fountain pen?\nAnswer Choices:\n(a) shirt pocket\n(b) calligrapher's hand\n(c) inkwell\n(d) desk drawer\n(e) blotter"
        let solution = "\nA: The answer must be used to absorb extra ink. Blotters are designed to absorb liquids. Therefore, the answer is blotter (e).\n\nQ: "
        #expect(plain.hasPrefix(first + solution) && hinted.hasPrefix(first + " (CORRECT)" + solution))
        #expect(plain.components(separatedBy: "\n\n").count == 8)
        #expect(task.stops == ["Q:"])
    }

    @Test("mathematics is asked as by Minerva, with short worked examples and a subject for every problem", .enabled(if: hasData, missing))
    func mathematics() throws {
        let task = try task("math")
        let problem = task.problems(in: .test)[0]
        let shown = try text(task.reset(problem, mode: .plain)).components(separatedBy: "Problem:\n").dropFirst()
        #expect(shown.count == 5 && shown.last == "\(problem.question)\n\nSolution:" && task.stops == ["Problem:"])
        #expect(shown.dropLast().allSatisfy { $0.count < 330 && $0.contains("\n\nSolution: ") && $0.contains("\\boxed") })
        #expect(Set(task.problems(in: .test).map(\.category)).count == 7)
        // MATH-500 stays whole; it and the pool come from one file upstream.
        #expect(task.problems(in: .train).count > 3000 && task.problems(in: .dev).count > 300)
    }

    @Test("the test part is the same for every seed, examples are not", .enabled(if: hasData, missing))
    func seeds() throws {
        let (a, b) = (try task("gsm8k"), try task("gsm8k", ["seed": "4"]))
        #expect(a.problems(in: .test) == b.problems(in: .test) && a.problems(in: .dev).count > 500)
        #expect(a.problems(in: .train).prefix(50).map(\.id) != b.problems(in: .train).prefix(50).map(\.id))
        #expect(try text(a.reset(a.problems(in: .test)[0], mode: .plain)).components(separatedBy: "Question: ").count == 7)
    }

    @Test("dev and test are the same for every number of examples from a file", .enabled(if: hasData, missing), arguments: ["csqa", "svamp"])
    func fewShot(name: String) throws {
        let (all, none) = (try task(name), try task(name, ["few-shot": "0"]))
        for split in [Split.dev, .test] { #expect(all.problems(in: split) == none.problems(in: split)) }
        #expect(try text(none.reset(none.problems(in: .dev)[0], mode: .plain)).components(separatedBy: "\n\n").count == 1)
    }

    @Test("a missing file is named, with where it is published and what it must hold")
    func missingFiles() throws {
        try withFolder(["gsm8k_train.jsonl": #"{"question":"how many","answer":"x #### 3"}"#]) { folder in
            let message = taskError { _ = try TaskRegistry.builtIn.environment(named: "gsm8k", settings: ["data-dir": folder.path]) }
            for part in [
                "\(folder.path)/gsm8k_test.jsonl: the task 'gsm8k' needs this file", "https://github.com/openai/grade-school-math", "grade_school_math/data/test.jsonl",
                "3101c7d",
                "333281c25b09919da1c93b795a754655fb5a0dc68d42105218c5f4fbffeee4cc", "data-dir=FOLDER", "AUTODIDACT_DATA", "question, answer",
            ] { #expect(message.contains(part), "\(message)") }
        }
    }

    @Test("upstream's own GSM8K records serve as they are; a task file may name the task")
    func upstream() throws {
        let lines = wordings.map { #"{"question": "\#($0)", "answer": "2 + 2 = <<2+2=4>>4\n#### 4"}"# }
        try withFolder([
            "gsm8k_train.jsonl": lines.dropFirst(40).joined(separator: "\n"), "gsm8k_test.jsonl": lines.prefix(40).joined(separator: "\n"),
            "t.yaml": "name: mine\ntype: gsm8k\ndata-dir: .\nfew-shot: 0\n",
        ]) { folder in
            let task = try TaskRegistry.builtIn.environment(at: folder.appendingPathComponent("t.yaml"))
            #expect(task.name == "mine")
            let problem = try #require(try task.problems(in: .test).first)
            #expect(problem.answer == "4" && problem.details["rationale"] == "2 + 2 = 4\n#### 4")
            #expect(try text(task.reset(problem, mode: .plain)) == "Question: \(problem.question)\nAnswer:")
            // The same settings elsewhere make the same task.
            let file = try TaskFile(at: folder.appendingPathComponent("t.yaml"))
            let elsewhere = TaskFile(type: "gsm8k", settings: try file.settings(in: URL(fileURLWithPath: "/")), folder: URL(fileURLWithPath: "/"))
            #expect(try TaskRegistry.builtIn.environment(elsewhere).problems(in: .test) == task.problems(in: .test))
        }
    }

    @Test("what belongs to the data set cannot be changed by mistake")
    func refused() {
        #expect(taskError { _ = try TaskRegistry.builtIn.environment(named: "csqa", settings: ["choices": "x"]) }.contains("unknown key 'choices'"))
        #expect(taskError { _ = try TaskRegistry.builtIn.environment(named: "gsm8", settings: [:]) }.contains("did you mean 'gsm8k'?"))
        #expect(
            taskError {
                _ = try TaskRegistry.builtIn.environment(
                    TaskFile(
                        yaml: "type: svamp\ndata-dir: /nowhere\nform: caht\n", source: "t.yaml",
                        folder: URL(fileURLWithPath: "/")))
            }.contains("/nowhere/svamp.jsonl"))
    }

    @Test("names, files and digests are told apart")
    func tables() {
        #expect(Set(NamedTask.builtIn.map(\.name)) == Set(Self.counts.keys))
        let files = NamedTask.builtIn.flatMap(\.files)
        #expect(files.allSatisfy { $0.sha256.count == 64 && $0.bytes > 0 && $0.source.hasPrefix("https://github.com/") })
        #expect(Set(files.map(\.sha256)).count == Set(files.map(\.name)).count)
        for file in files where PublicData.has(file.name) {
            #expect((try? FileManager.default.attributesOfItem(atPath: PublicData.file(file.name).path)[.size] as? Int) == file.bytes, "\(file.name)")
        }
    }
}
