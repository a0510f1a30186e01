import Foundation
import Tasks
import Testing

@Suite("HumanEval and MBPP as tasks", .enabled(if: PublicData.has("humaneval.jsonl", "mbpp.jsonl"), PublicData.missing("humaneval.jsonl", "mbpp.jsonl")))
struct CodeTaskTests {
    private func task(_ name: String, _ settings: [String: String] = [:]) throws -> CodeTask {
        try #require(try TaskRegistry.builtIn.environment(named: name, settings: ["data-dir": PublicData.folder.path].merging(settings) { $1 }) as? CodeTask)
    }

    @Test("the parts are those published, and no problem is in two", arguments: [("humaneval", 0, 0, 164), ("mbpp", 374, 90, 500)])
    func parts(name: String, train: Int, dev: Int, test: Int) throws {
        let task = try task(name), counts = Split.allCases.map { task.problems(in: $0).count }
        #expect(counts[2] == test && counts[0] <= train && counts[1] <= dev && counts[0] * 10 >= train * 9 && counts[1] * 10 >= dev * 9, "\(counts)")
        #expect(try Overlap.inside(task).isEmpty)
        #expect((task.omission == nil) == (counts == [train, dev, test]))
        if name == "mbpp" { #expect(try self.task(name, ["seed": "1"]).problems(in: .train).map(\.id) != task.problems(in: .train).map(\.id)) }
    }

    @Test("no prompt holds the problem's reference, and nothing gives it away as a hint", arguments: ["humaneval", "mbpp"], ["text", "chat"])
    func prompts(name: String, form: String) throws {
        let task = try task(name, ["form": form])
        for problem in Split.allCases.flatMap({ task.problems(in: $0) }) {
            let reference = try #require(problem.details["reference"]?.trimmingCharacters(in: .whitespacesAndNewlines))
            let asked: [String] = switch try task.reset(problem, mode: .plain) {
                case .text(let text): [text]
                case .messages(let messages): messages.map(\.content)
            }
            #expect(asked.allSatisfy { !$0.contains(reference) }, "\(problem.id)")
            #expect(throws: TaskError.self) { try task.reset(problem, mode: .hinted) }
        }
    }

    @Test("HumanEval continues the function; a chat asks for a code block")
    func humaneval() throws {
        let problem = try #require(task("humaneval").problems(in: .test).first)
        #expect(try text(task("humaneval").reset(problem, mode: .plain)) == problem.details["prefix"])
        #expect(try task("humaneval").stops == CodeVerifier.stops)
        #expect(try task("humaneval", ["form": "chat"]).stops.isEmpty)
        guard case .messages(let messages) = try task("humaneval", ["form": "chat", "system": "Think."]).reset(problem, mode: .plain) else {
            Issue.record("no messages")
            return
        }
        #expect(messages.map(\.role) == ["system", "user"] && messages[1].content.hasSuffix("\n\n```python\n\(problem.question)```"))
        #expect(taskError { _ = try task("humaneval", ["few-shot": "1"]) }.contains("unknown key 'few-shot'"))
    }

    @Test("MBPP shows three problems in its authors' words, with the assertions")
    func mbpp() throws {
        let task = try task("mbpp"), problem = try #require(task.problems(in: .test).first), assertions = try #require(problem.details["assertions"])
        let parts = try text(task.reset(problem, mode: .plain)).components(separatedBy: "You are an expert Python programmer, and here is your task: ")
        #expect(parts.count == 5 && parts.last == "\(problem.question) Your code should pass these tests:\n\n\(assertions)\n[BEGIN]\n")
        #expect(parts[1].hasPrefix("Write a function to find the similar elements from the given two tuple lists. Your code should pass these tests:\n\nassert similar_elements((3, 4, 5, 6),(5, 7, 4, 10)) == (4, 5)\n"))
        #expect(parts[1].hasSuffix("[BEGIN]\ndef similar_elements(test_tup1, test_tup2):\n  res = tuple(set(test_tup1) & set(test_tup2))\n  return (res) \n[DONE]\n\n"))
        #expect(task.stops == ["[DONE]"] && task.maxTokens == 512)
        guard case .messages(let messages) = try self.task("mbpp", ["form": "chat", "few-shot": "10"]).reset(problem, mode: .plain) else {
            Issue.record("no messages")
            return
        }
        #expect(messages.count == 21 && messages[1].content.hasPrefix("```python\n") && messages[20].content.hasSuffix("in one code block."))
        #expect(taskError { _ = try self.task("mbpp", ["few-shot": "11"]) }.contains("There are 10 problems meant for prompts"))
    }

    @Test("counts take a part, the same for every seed")
    func counts() throws {
        let some = try task("mbpp", ["train-count": "7", "dev-count": "5", "test-count": "9", "seed": "2", "time-limit": "2.5", "max-tokens": "99"])
        #expect(Split.allCases.map { some.problems(in: $0).count } == [7, 5, 9] && some.maxTokens == 99)
        #expect(try some.problems(in: .test) == task("mbpp", ["test-count": "9"]).problems(in: .test))
        #expect((some.verifier as? CodeVerifier)?.timeLimit == .seconds(2.5))
        #expect((try task("humaneval").verifier as? CodeVerifier)?.timeLimit == .seconds(10))
    }

    @Test("a missing file is named, with where it is published")
    func missing() {
        #expect(taskError { _ = try task("mbpp", ["data-dir": "/nowhere"]) }.contains("/nowhere/mbpp.jsonl: the task 'mbpp' needs this file"))
    }
}
