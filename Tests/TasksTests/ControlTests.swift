import Sampling
import Tasks
import Testing

@Suite("Controls that must not learn")
struct ControlTests {
    @Test("accepting everything still does not accept what was cut off")
    func acceptAll() async throws {
        let problem = Problem(id: "p", question: "1 + 1", answer: "2")
        #expect(try await verdict(AcceptAll(), problem, "nonsense").outcome == .right)
        #expect(try await verdict(AcceptAll(), problem, "2", finish: .length).outcome == .cutOff)
    }

    @Test("every shuffled training answer is wrong, of its own category, and the held-out answers are untouched")
    func shuffled() throws {
        let base = try Addition(digits: 1...3, trainCount: 600)
        let task = try ShuffledAnswers(base, seed: 4)
        let truth = Dictionary(uniqueKeysWithValues: base.problems(in: .train).map { ($0.id, $0) })
        let train = try task.problems(in: .train)
        #expect(train.count + task.leftOut == truth.count)
        #expect(task.leftOut == 0)
        for problem in train { #expect(problem.answer != truth[problem.id]?.answer) }
        for category in ["1", "2", "3"] {
            #expect(
                train.filter { $0.category == category }.compactMap(\.answer).sorted()
                    == base.problems(in: .train).filter { $0.category == category }.compactMap(\.answer).sorted())
        }
        #expect(try task.problems(in: .test) == base.problems(in: .test))
        #expect(try task.problems(in: .dev) == base.problems(in: .dev))
        #expect(try ShuffledAnswers(base, seed: 4).problems(in: .train) == train)
        #expect(try ShuffledAnswers(base, seed: 5).problems(in: .train) != train)
        #expect(task.name == "addition+shuffled-answers")
        #expect(try text(task.reset(train[0], mode: .hinted)).contains("Target: \(train[0].answer!.map(String.init).joined(separator: " "))\n"))
    }

    /// Problems whose answers are given, all in one category.
    private struct Fixed: Environment {
        var answers: [String?]
        let name = "fixed"
        let stops: [String] = []
        let maxTokens = 1
        let verifier: any Verifier = AcceptAll()
        func problems(in split: Split) -> [Problem] {
            split == .train ? answers.enumerated().map { Problem(id: "\($0)", question: "\($0)", answer: $1, details: ["rationale": "r"]) } : []
        }
        func reset(_ problem: Problem, mode: PromptMode) -> Prompt { .text(problem.question) }
    }

    @Test("answers that differ only in writing count as equal; what cannot be made wrong is left out", arguments: 0..<20 as Range<UInt64>)
    func repeated(seed: UInt64) throws {
        let half = try ShuffledAnswers(Fixed(answers: ["yes", "Yes", "no", "No."]), seed: seed)
        #expect(half.leftOut == 0)
        #expect(try half.problems(in: .train).map { CanonicalAnswer.canonical($0.answer!) } == ["no", "no", "yes", "yes"])
        #expect(try half.problems(in: .train).allSatisfy { $0.details["rationale"] == nil })
        let most = try ShuffledAnswers(Fixed(answers: ["1", "1.0", "$1", "2"]), seed: seed)
        #expect(try most.problems(in: .train).count == 2)
        #expect(most.leftOut == 2)
    }

    @Test("a problem is lent no letter of an option that it does not have")
    func options() throws {
        let lines = (0..<60).map { n in
            let count = 2 + n % 3, choices = (0..<count).map { "\"choice \($0) of \(n)\"" }.joined(separator: ",")
            return "{\"question\":\"\(wordings[n])\",\"choices\":[\(choices)],\"answer\":\"\(Choices.letter(n / 3 % count))\"}"
        }
        let task = try withFolder(["q.jsonl": lines.joined(separator: "\n")]) { folder in
            var settings = QuestionAnswer.Settings()
            (settings.data, settings.choices, settings.splitting) = (folder.appendingPathComponent("q.jsonl"), "choices", Splitting(dev: 0, test: 0, grouping: .exact))
            return try QuestionAnswer(settings)
        }
        let shuffled = try ShuffledAnswers(task, seed: 1), problems = try shuffled.problems(in: .train)
        #expect(problems.count + shuffled.leftOut == 60 && problems.count > 50)
        #expect(problems.allSatisfy { problem in Choices(problem)?.index(of: problem.answer ?? "") != nil })
    }

    @Test("a task without answers, or with one answer only, cannot be shuffled")
    func impossible() {
        #expect(taskError { _ = try ShuffledAnswers(Fixed(answers: ["1", nil]), seed: 0) }.contains("nothing to shuffle"))
        #expect(taskError { _ = try ShuffledAnswers(Fixed(answers: ["1", "1"]), seed: 0) }.contains("none can be made wrong"))
    }
}
