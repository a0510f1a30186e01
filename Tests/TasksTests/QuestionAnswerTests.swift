import Foundation
import Sampling
import Tasks
import Testing

@Suite("Questions and answers")
struct QuestionAnswerTests {
    private func task(_ lines: String = questionLines, _ change: (inout QuestionAnswer.Settings) -> Void = { _ in }) throws -> QuestionAnswer {
        try withFolder(["q.jsonl": lines]) { folder in
            var settings = QuestionAnswer.Settings()
            settings.data = folder.appendingPathComponent("q.jsonl")
            change(&settings)
            return try QuestionAnswer(settings)
        }
    }

    @Test("one file is split without overlap, the same way every time")
    func splits() throws {
        let task = try task()
        #expect(try Overlap.inside(task).isEmpty)
        #expect(Split.allCases.map { task.problems(in: $0).count }.reduce(0, +) == 400)
        #expect(Split.allCases.allSatisfy { task.problems(in: $0).count >= 20 })
        let other = try self.task { $0.seed = 9 }
        #expect(other.problems(in: .test) == task.problems(in: .test))
        #expect(other.problems(in: .train) != task.problems(in: .train))
        let few = try self.task { $0.testCount = 5 }
        #expect(few.problems(in: .test).count == 5)
        #expect(few.problems(in: .test).allSatisfy(task.problems(in: .test).contains))
    }

    @Test("the prompt is the template, the hint stands in parentheses, the stop is what a next question would start with")
    func prompts() throws {
        let task = try task()
        let problem = Problem(id: "p", question: "Why {answer}?", answer: "42")
        #expect(try text(task.reset(problem, mode: .plain)) == "Question: Why {answer}?\nAnswer:")
        #expect(try text(task.reset(problem, mode: .hinted)) == "Question: Why {answer}? (42)\nAnswer:")
        #expect(task.stops == ["Question:"])
        let example = try #require(try task.workedExample(problem, mode: .plain))
        #expect(example.prompt == .text("Question: Why {answer}?\nAnswer:") && example.completion == " 42")
    }

    @Test("examples come from the training part, which loses them")
    func fewShot() throws {
        let task = try task { $0.fewShot = 2 }
        let prompt = try text(task.reset(task.problems(in: .test)[0], mode: .plain))
        let blocks = prompt.components(separatedBy: "\n\n")
        #expect(blocks.count == 3)
        #expect(task.removed == 2)
        for block in blocks.dropLast() {
            let question = block.dropFirst("Question: ".count).prefix { $0 != "\n" }
            #expect(!Split.allCases.flatMap { task.problems(in: $0) }.contains { $0.question == question })
            #expect(block.contains("\nAnswer: "))
        }
    }

    @Test("in a chat the examples are earlier turns")
    func chat() throws {
        let task = try task {
            $0.form = .chat
            $0.system = "Be brief."
            $0.fewShot = 1
        }
        guard case .messages(let messages) = try task.reset(Problem(id: "p", question: "Why?", answer: "1"), mode: .plain) else {
            Issue.record("no messages")
            return
        }
        #expect(messages.map(\.role) == ["system", "user", "assistant", "user"])
        #expect(messages[0].content == "Be brief." && messages[3].content == "Why?")
        #expect(task.stops.isEmpty)
    }

    @Test("a training question that nearly repeats a test question is left out")
    func crossFileDuplicates() throws {
        let train = #"{"question":"Ann has 3 red apples left over","answer":"3"}"# + "\n" + #"{"question":"how many boats are there","answer":"4"}"#
        let test = #"{"question":"Bob has 12 red apples left over","answer":"12"}"#
        try withFolder(["train.jsonl": train, "test.jsonl": test]) { folder in
            var settings = QuestionAnswer.Settings()
            settings.train = folder.appendingPathComponent("train.jsonl")
            settings.test = folder.appendingPathComponent("test.jsonl")
            settings.splitting = Splitting(dev: 0, test: 0)
            let task = try QuestionAnswer(settings)
            #expect(task.problems(in: .train).map(\.answer) == ["4"])
            #expect(task.problems(in: .test).count == 1)
            #expect(task.removed == 1)
            settings.fewShotData = folder.appendingPathComponent("test.jsonl")
            #expect(taskError { _ = try QuestionAnswer(settings) }.contains("is a dev or test question too"))
        }
    }

    @Test("worked solutions lose their calculator marks and end in the gold answer")
    func rationales() throws {
        let line = #"{"question":"how many are there now","answer":"48/2 = <<48/2=24>>24 in May.\n#### 1,024"}"#
        let task = try task(line) {
            $0.rationale = "answer"
            $0.splitting = Splitting(dev: 0, test: 0)
        }
        let problem = try #require(task.problems(in: .train).first)
        #expect(problem.answer == "1024")
        #expect(problem.details["rationale"] == "48/2 = 24 in May.\n#### 1,024")
        #expect(try task.workedExample(problem, mode: .plain)?.completion == " 48/2 = 24 in May.\n#### 1,024")
    }

    @Test("options stand lettered in the prompt; hinted, the right one is marked")
    func choices() async throws {
        let line = #"{"question":"what is red","choices":["the sky","a (ripe) cherry"],"answer":"B"}"#
        let task = try task(line + "\n" + #"{"question":"what is wet now","choices":["rain","sand"],"answer":"rain"}"#) {
            $0.choices = "choices"
            $0.splitting = Splitting(dev: 0, test: 0)
        }
        let problem = try #require(task.problems(in: .train).first { $0.question == "what is red" })
        #expect(problem.answer == "b" && Choices(problem)?.texts == ["the sky", "a (ripe) cherry"])
        #expect(try text(task.reset(problem, mode: .plain)) == "Question: what is red\nAnswer Choices:\n(a) the sky\n(b) a (ripe) cherry\nAnswer:")
        #expect(try text(task.reset(problem, mode: .hinted)) == "Question: what is red\nAnswer Choices:\n(a) the sky\n(b) a (ripe) cherry (CORRECT)\nAnswer:")
        #expect(try task.workedExample(problem, mode: .plain)?.completion == " (b)")
        #expect(task.problems(in: .train).first { $0.question == "what is wet now" }?.answer == "a")
        #expect(try await verdict(task.verifier, problem, " a ripe cherry (b)").outcome == .right)
        #expect(taskError { _ = try self.task(#"{"question":"q","choices":["x"],"answer":"a"}"#) { $0.choices = "choices" } }.contains("no list of 2 to 26 texts"))
        #expect(taskError { _ = try self.task(#"{"question":"q","choices":["x",1],"answer":"a"}"#) { $0.choices = "choices" } }.contains("no list of 2 to 26 texts"))
        #expect(taskError { _ = try self.task(#"{"question":"q","choices":["x","y"],"answer":"c"}"#) { $0.choices = "choices" } }.contains("neither the letter nor the text of one of 2 options"))
        #expect(taskError { _ = try self.task { ($0.choices, $0.prompt) = ("choices", "{question}") } }.contains("Put '{choices}' where the options belong"))
        #expect(taskError { _ = try self.task { $0.prompt = "{question} {choices}" } }.contains("'{choices}' cannot be filled in here"))
        let group = #"{"question":"which blood group","choices":["O","A","B","AB"],"answer":"A"}"#
        #expect(try self.task(group) { ($0.choices, $0.splitting) = ("choices", Splitting(dev: 0, test: 0)) }.problems(in: .train)[0].answer == "a")
        let groups = group + #"\#n{"question":"which one else","choices":["O","A","B","AB"],"answer":"AB"}"#
        #expect(taskError { _ = try self.task(groups) { $0.choices = "choices" } }.contains("q.jsonl:1: the answer 'A' is the letter of one option and the text of another"))
    }

    @Test("labels are names or numbers of names")
    func labels() async throws {
        let lines = #"{"question":"a fine old film","answer":1}"# + "\n" + #"{"question":"no good at all","answer":"Negative"}"#
        let task = try task(lines) {
            $0.labels = ["negative", "positive"]
            $0.splitting = Splitting(dev: 0, test: 0)
        }
        #expect(Set(task.problems(in: .train).map { "\($0.question): \($0.answer ?? "")" }) == ["a fine old film: positive", "no good at all: negative"])
        #expect(try await verdict(task.verifier, task.problems(in: .train).first { $0.answer == "positive" }!, "Positive.").outcome == .right)
        for answer in ["2", "-1", #""fine""#] {
            #expect(taskError { _ = try self.task("{\"question\":\"q\",\"answer\":\(answer)}") { $0.labels = ["negative",
            "positive"] } }.contains("neither one of negative, positive nor the number of one"))
        }
        #expect(taskError { _ = try self.task { $0.labels = ["yes", "Yes"] } }.contains("Name two or more different answers"))
        #expect(taskError { _ = try self.task { ($0.labels, $0.choices) = (["a", "b"], "choices") } }.contains("Leave one of the two out"))
    }

    @Test("an answer may be a regular expression, or a JSON Schema without a hint")
    func checks() async throws {
        func one(_ line: String, _ check: QuestionAnswer.Check) throws -> QuestionAnswer { try task(line) { ($0.check, $0.splitting) = (check,
            Splitting(dev: 0, test: 0)) } }
        let regex = try one(#"{"question":"name a year","answer":"(19|20)\\d\\d"}"#, .regex)
        #expect(try await verdict(regex.verifier, regex.problems(in: .train)[0], "1987").outcome == .right)
        #expect(try await verdict(regex.verifier, regex.problems(in: .train)[0], "in 1987").outcome == .wrong)
        let marked = try one(#"{"question":"solve it","answer":"(?s).*#### 12"}"#, .regex)
        #expect(try await verdict(marked.verifier, marked.problems(in: .train)[0], "So it is\n#### 12").outcome == .right)
        #expect(try await verdict(marked.verifier, marked.problems(in: .train)[0], "12").outcome == .wrong)
        for schema in [#"{"type":"array"}"#, #""{\"type\":\"array\"}""#] {
            let task = try one("{\"question\":\"give a list\",\"answer\":\(schema)}", .schema)
            let problem = task.problems(in: .train)[0]
            #expect(try await verdict(task.verifier, problem, "[1]").outcome == .right)
            #expect(try await verdict(task.verifier, problem, "{}").outcome == .wrong)
            #expect(taskError { _ = try task.reset(problem, mode: .hinted) }.contains("no hint"))
        }
        #expect(taskError { _ = try one(#"{"question":"q","answer":"("}"#, .regex) }.contains("q.jsonl:1: "))
        #expect(taskError { _ = try one(#"{"question":"q","answer":{"typ":1}}"#, .schema) }.contains("did you mean 'type'?"))
        #expect(taskError { _ = try self.task { ($0.check, $0.labels) = (.regex, ["a", "b"]) } }.contains("Leave one of the two out"))
    }

    @Test("only the examples asked for are shown, and they are no dev problems cut from the training file")
    func examplesOfOneKind() throws {
        let examples = (0..<40).map { #"{"id":"e\#($0)","kind":"\#($0 % 2 == 0 ? "good" : "bad")","question":"\#(wordings[$0])","answer":"7"}"# }.joined(separator: "\n")
        try withFolder(["train.jsonl": questionLines, "examples.jsonl": examples]) { folder in
            var settings = QuestionAnswer.Settings()
            settings.train = folder.appendingPathComponent("train.jsonl")
            settings.fewShotData = folder.appendingPathComponent("examples.jsonl")
            settings.fewShotWhere = ["kind": "good"]
            let task = try QuestionAnswer(settings)
            let prompt = try text(task.reset(task.problems(in: .dev)[0], mode: .plain))
            #expect(prompt.components(separatedBy: "Question: ").count == 22)
            let left = Set(Split.allCases.flatMap { task.problems(in: $0) }.map(\.question))
            #expect(wordings.indices.allSatisfy { left.contains(wordings[$0]) != ($0 < 40 && $0 % 2 == 0) })
            settings.fewShotWhere = ["kind": "good", "colour": "red"]
            settings.fewShot = 1
            #expect(taskError { _ = try QuestionAnswer(settings) }.contains("has 0 examples; ask for no more"))
        }
    }

    @Test("settings and records that do not fit are refused")
    func refused() throws {
        #expect(taskError { _ = try self.task { $0.prompt = "Solve it." } }.contains("Put '{question}'"))
        #expect(taskError { _ = try self.task { $0.prompt = "{question} {answer}" } }.contains("'{answer}' cannot be filled in here"))
        #expect(taskError { _ = try self.task { $0.target = "{anwser}" } }.contains("use {answer}, {rationale}"))
        #expect(taskError { _ = try self.task { $0.answer = "anwser" } }.contains("q.jsonl:1: no field 'anwser'; did you mean 'answer'?"))
        #expect(taskError { _ = try self.task { $0.train = $0.data } }.contains("Give either 'data'"))
        #expect(taskError { _ = try self.task { $0.data = nil } }.contains("Give 'data', or files"))
        #expect(taskError { _ = try self.task { $0.fewShot = 1000 } }.contains("Ask for fewer"))
        #expect(taskError { _ = try self.task { $0.stops = [""] } }.contains("empty stop"))
        #expect(taskError { _ = try self.task(#"{"question":["a"],"answer":"b"}"#) }.contains("a list or an object"))
        let same = (0..<200).map { #"{"question":"what is the sum of \#($0) and 5","answer":"\#($0 + 5)"}"# }.joined(separator: "\n")
        #expect(taskError { _ = try self.task(same) }.contains("Set 'by: exact'"))
        #expect(try task(same) { $0.splitting = Splitting(grouping: .exact) }.problems(in: .train).count > 15)
    }

    @Test(
        "GSM8K: no near-duplicate in two splits, and every gold solution is judged right",
        .enabled(if: PublicData.has("gsm8k_train.jsonl", "gsm8k_test.jsonl"), PublicData.missing("gsm8k_train.jsonl", "gsm8k_test.jsonl")))
    func gsm8k() async throws {
        var settings = QuestionAnswer.Settings()
        settings.train = PublicData.file("gsm8k_train.jsonl")
        settings.test = PublicData.file("gsm8k_test.jsonl")
        settings.rationale = "answer"
        settings.fewShot = 5
        let task = try QuestionAnswer(settings)
        #expect(task.problems(in: .test).count == 1319)
        #expect(try Overlap.inside(task).isEmpty)
        let judgements = await task.verifier.judge(task.problems(in: .test).map { rollout($0, $0.details["rationale"]!) })
        #expect(judgements.allSatisfy { if case .judged(let verdict) = $0 { verdict.outcome == .right } else { false } })
    }

    @Test(
        "easy word problems split by their text without overlap",
        .enabled(if: PublicData.has("addsub.jsonl", "multiarith.jsonl"), PublicData.missing("addsub.jsonl", "multiarith.jsonl")),
        arguments: ["addsub.jsonl", "multiarith.jsonl"])
    func wordProblems(file: String) throws {
        var settings = QuestionAnswer.Settings()
        settings.data = PublicData.file(file)
        let task = try QuestionAnswer(settings)
        #expect(try Overlap.inside(task).isEmpty)
        #expect(Split.allCases.allSatisfy { !task.problems(in: $0).isEmpty })
    }
}
