import Foundation
import Sampling
import Tasks
import Testing

@Suite("Instructions")
struct InstructionsTests {
    private func task(seed: UInt64 = 1, trainCount: Int? = nil) throws -> Instructions {
        try withFolder(["i.jsonl": instructionLines]) { folder in
            try Instructions(data: folder.appendingPathComponent("i.jsonl"), seed: seed, trainCount: trainCount, devCount: 20, testCount: 30)
        }
    }

    @Test("every problem has a readable constraint, its wording, and a category")
    func problems() throws {
        let task = try task()
        #expect(task.problems(in: .train).count > 250)
        for problem in Split.allCases.flatMap({ task.problems(in: $0) }) {
            let constraint = try Constraint(encoded: #require(problem.details["constraint"]))
            #expect(problem.category == constraint.kind.rawValue)
            #expect(problem.answer == nil)
            let prompt = try task.reset(problem, mode: .plain)
            let wording = try #require(problem.details["instruction"])
            #expect(prompt == .messages([Message(role: "user", content: problem.question + "\n\n" + wording)]))
        }
    }

    @Test("another prompt and a system message change nothing but the prompt; one without its places is refused")
    func prompts() throws {
        try withFolder(["i.jsonl": instructionLines]) { folder in
            let data = folder.appendingPathComponent("i.jsonl")
            let plain = try Instructions(data: data)
            let other = try Instructions(data: data, prompt: "{demand} {question}", system: "Be brief.")
            for split in Split.allCases { #expect(plain.problems(in: split) == other.problems(in: split)) }
            let problem = other.problems(in: .test)[0]
            #expect(
                try other.reset(problem, mode: .plain)
                    == .messages([
                        Message(role: "system", content: "Be brief."), Message(role: "user", content: problem.details["instruction"]! + " " + problem.question),
                    ]))
            #expect(throws: TaskError.self) { try Instructions(data: data, prompt: "{question}") }
            #expect(throws: TaskError.self) { try Instructions(data: data, prompt: "{question} {demand} {answer}") }
        }
    }

    @Test("the test has a half with words seen in training and a half with others")
    func unseenWords() throws {
        let task = try task()
        let test = task.problems(in: .test)
        let unseen = test.filter { $0.details["words"] == "unseen" }
        #expect(!unseen.isEmpty && unseen.count < test.count)
        #expect(task.problems(in: .train).allSatisfy { $0.details["words"] == "seen" })
        func words(_ problems: [Problem]) throws -> Set<String> {
            var words: Set<String> = []
            for problem in problems {
                for part in try Constraint(encoded: problem.details["constraint"]!).parts {
                    switch part {
                    case .contains(let word): words.insert(word)
                    case .startsWith(let phrase), .endsWith(let phrase): words.insert(phrase)
                    case .json(let keys): words.formUnion(keys)
                    default: break
                    }
                }
            }
            return words
        }
        #expect(try words(unseen).isDisjoint(with: words(task.problems(in: .train))))
        #expect(try !words(unseen).isEmpty)
    }

    @Test("no instruction is in two splits; held-out problems do not depend on the seed; equal seeds give equal problems")
    func splits() throws {
        let (first, second) = (try task(seed: 1), try task(seed: 2))
        #expect(try Overlap.inside(first).isEmpty)
        #expect(first.problems(in: .test) == second.problems(in: .test))
        #expect(first.problems(in: .dev) == second.problems(in: .dev))
        #expect(first.problems(in: .train) != second.problems(in: .train))
        #expect(try task(seed: 1).problems(in: .train) == first.problems(in: .train))
        #expect(try task(trainCount: 7).problems(in: .train).count == 7)
    }

    @Test("records may say 'prompt', may have an input, and repeats are passed over")
    func records() throws {
        let lines = #"{"prompt":"sort these three words","input":"b a"}"# + "\n\n" + #"{"instruction":"sort these three words","input":"b a"}"# + "\n"
        try withFolder(["i.jsonl": lines]) { folder in
            let task = try Instructions(
                data: folder.appendingPathComponent("i.jsonl"), splitting: Splitting(dev: 0, test: 0))
            #expect(task.skipped == 1)
            #expect(task.problems(in: .train).map(\.question) == ["sort these three words\n\nb a"])
        }
    }

    @Test("a hint is an exchange in which the same is demanded and done")
    func hints() throws {
        let task = try task()
        for problem in Split.allCases.flatMap({ task.problems(in: $0) }) {
            guard case .messages(let plain) = try task.reset(problem, mode: .plain), case .messages(let hinted) = try task.reset(problem, mode: .hinted) else {
                Issue.record("no messages")
                return
            }
            #expect(hinted.map(\.role) == ["user", "assistant", "user"] && hinted.last == plain.last)
            #expect(hinted[0].content.contains(problem.details["instruction"]!))
            let constraint = try Constraint(encoded: problem.details["constraint"]!)
            let (isMet, evidence) = constraint.check(hinted[1].content)
            #expect(isMet, "\(hinted[1].content): \(evidence)")
        }
    }

    @Test("an answer that repeats the demand, or the hint, is wrong")
    func copies() async throws {
        func verdict(
            _ text: String, mode: PromptMode = .plain, _ constraint: Constraint = .endsWith(phrase: "The end."), phrasing: Int = 1, question: String = "Name a river."
        ) async throws -> Verdict.Outcome? {
            let problem = Problem(
                id: "p", question: question, details: ["constraint": try constraint.encoded(), "instruction": constraint.instruction(phrasing: phrasing)])
            let rollout = Rollout(
                key: RolloutKey(iteration: 1, phase: "attempt", index: 0), problem: problem, mode: mode, promptTokens: [1], completionTokens: [2], finishReason: .stop,
                text: text, logProbabilities: [], behaviorLogProbabilities: [], temperatures: [], weightsHash: "")
            guard case .judged(let verdict)? = await ConstraintVerifier().judge([rollout]).first else { return nil }
            return verdict.outcome
        }
        #expect(try await verdict("The Nile is a long river. The end.", mode: .plain) == .right)
        #expect(try await verdict("The last words of the answer must be The end.", mode: .plain) == .wrong)
        #expect(try await verdict("An apple a day is good. The end.", mode: .hinted) == .wrong)
        #expect(try await verdict("An apple a day is good. The end.", mode: .plain) == .right)
        #expect(try await verdict("Apples taste sweet. Take one a day. The end.", mode: .plain) == .wrong)
        #expect(try await verdict("Apples taste sweet. Take one a day. The end.", mode: .hinted, question: "What do apples taste like?") == .right)
        let river = Constraint.contains(word: "river")
        #expect(try await verdict("Apples remind me of river.", mode: .hinted, river) == .wrong)
        for phrasing in 0..<Constraint.phrasings {
            #expect(try await verdict(river.instruction(phrasing: phrasing), river, phrasing: phrasing) == .wrong)
            #expect(try await verdict("Down the river\nthere is an answer to your question.", river, phrasing: phrasing) == .right)
        }
    }

    @Test("the control checks another demand than the one that is asked for, and hints at that")
    func shuffled() throws {
        let task = try task()
        let control = try ShuffledAnswers(task, seed: 3)
        let originals = Dictionary(uniqueKeysWithValues: task.problems(in: .train).map { ($0.id, $0) })
        let changed = try control.problems(in: .train)
        #expect(changed.count > 200)
        for problem in changed {
            let original = try #require(originals[problem.id])
            #expect(problem.details["constraint"] != original.details["constraint"])
            #expect(try control.reset(problem, mode: .plain) == task.reset(original, mode: .plain))
        }
        #expect(try control.problems(in: .test) == task.problems(in: .test))
    }

    @Test("broken data is named with its line")
    func errors() throws {
        try withFolder(["a.jsonl": "{\"instruction\":\"x\"}\n{\"instrucion\":\"y\"}\n", "b.jsonl": "{\n"]) { folder in
            let (a, b) = (folder.appendingPathComponent("a.jsonl"), folder.appendingPathComponent("b.jsonl"))
            #expect(taskError { _ = try Instructions(data: a) }.hasPrefix("a.jsonl:2: no field 'instruction'; did you mean 'instrucion'?"))
            #expect(taskError { _ = try Instructions(data: b) }.hasPrefix("b.jsonl:1: not JSON"))
            #expect(taskError { _ = try Instructions(data: folder.appendingPathComponent("c.jsonl")) }.contains("cannot be read"))
        }
    }

    @Test(
        "Alpaca's instructions split without overlap, each kind of demand among them",
        .enabled(if: PublicData.has("alpaca.jsonl"), PublicData.missing("alpaca.jsonl")))
    func alpaca() throws {
        let task = try Instructions(data: PublicData.file("alpaca.jsonl"))
        #expect(try Overlap.inside(task).isEmpty)
        #expect(task.problems(in: .train).count > 2500)
        #expect(task.problems(in: .test).count > 200)
        let kinds = Set(task.problems(in: .train).map(\.category))
        #expect(Constraint.Kind.allCases.allSatisfy { kinds.contains($0.rawValue) })
    }
}
