import Sampling
import Tasks
import Testing

@Suite("Answers: extraction and comparison")
struct AnswerTests {
    @Test(
        "GSM8K's conventions",
        arguments: [
            ("#### 1,234.", "1234", Verdict.Outcome.right),
            ("#### 18", "18.0", .right),
            ("so it is = $18.00", "18", .right),
            ("12 apples and 7", "7", .right),
            ("12 apples and 7", "12", .wrong),
            ("no number at all", "5", .unreadable),
            ("I am done...", "5", .unreadable),
            ("", "5", .unreadable),
            ("She has 3 left. #### 3\nQuestion: 99", "3", .right),
            ("The answer is 18.", "18", .right),
            ("The answer is -7", "-7", .right),
            ("The answer is -7", "7", .wrong),
            ("It costs $1,250.50 in all.", "1250.5", .right),
            ("half is 0.5", ".50", .right),
            ("7 eggs", "007", .right),
            ("10000000000000001", "10000000000000002", .wrong),
        ])
    func gsm8k(text: String, answer: String, outcome: Verdict.Outcome) async throws {
        let found = try await verdict(AnswerVerifier(), Problem(id: "q", question: "?", answer: answer), text)
        #expect(found.outcome == outcome, "\(found.evidence)")
    }

    @Test("answers that are texts stand in the last line unless a task says otherwise")
    func lastLine() async throws {
        let verifier = AnswerVerifier(extraction: .usual(for: .text), comparison: .text)
        #expect(try await verdict(verifier, Problem(id: "q", question: "?", answer: "Paris"), "It lies on the Seine.\nParis.\n").outcome == .right)
        #expect(AnswerExtraction.usual(for: .number) == AnswerExtraction([.strict, .flexible]))
    }

    @Test("a rule that backtracks without end fails the judgement", .timeLimit(.minutes(1)))
    func endless() async throws {
        let verifier = AnswerVerifier(extraction: AnswerExtraction([.pattern(#"answer is ((\w+\s?)+)\.$"#)]), comparison: .text)
        let problem = Problem(id: "q", question: "?", answer: "a")
        let judged = await verifier.judge([rollout(problem, "answer is \(String(repeating: "a", count: 60))!"), rollout(problem, "answer is a.")])
        guard case .failed(let reason) = judged[0], case .judged(let verdict) = judged[1] else {
            Issue.record("\(judged)")
            return
        }
        #expect(reason.contains("backtracks too long") && verdict.outcome == .right)
    }

    @Test("a rule that finds nothing in a long answer leaves it to the next")
    func falls() async throws {
        let verifier = AnswerVerifier(extraction: try AnswerExtraction(named: ["/(?s).*answer is ([0-9]+)/", "flexible"]))
        #expect(try await verdict(verifier, Problem(id: "q", question: "?", answer: "7"), String(repeating: "so it goes, ", count: 450) + "7").outcome == .right)
    }

    @Test("evidence names what was read, by which rule, and what was expected")
    func evidence() async throws {
        let problem = Problem(id: "q", question: "?", answer: "17")
        #expect(try await verdict(AnswerVerifier(), problem, "= $18.00").evidence == "read $18.00 (flexible), expected 17")
        #expect(try await verdict(AnswerVerifier(), problem, "none").evidence == "no answer found (strict, flexible), expected 17")
    }

    @Test("a cut completion is cut off whatever it says; without a gold answer there is no judgement")
    func cutOff() async throws {
        let problem = Problem(id: "q", question: "?", answer: "17")
        #expect(try await verdict(AnswerVerifier(), problem, "#### 17", finish: .length).outcome == .cutOff)
        let judgements = await AnswerVerifier().judge([rollout(Problem(id: "q", question: "?"), "#### 17")])
        #expect(judgements == [.failed(reason: "problem 'q' has no answer to compare with")])
    }

    @Test(
        "numbers have one canonical form",
        arguments: [
            ("18", "18"), ("18.0", "18"), ("$18.00", "18"), ("1,234.", "1234"), ("-0", "0"), ("-0.50", "-0.5"), (".5", "0.5"), ("+3", "3"),
            ("0018", "18"), (" 7 ", "7"), ("18...", "18"),
        ])
    func canonical(text: String, number: String) {
        #expect(CanonicalAnswer.number(text) == number)
    }

    @Test("what is no number stays text", arguments: ["", ".", "-", "1.2.3", "1/2", "seven", "1e5", "５", "12 apples"])
    func notNumbers(text: String) {
        #expect(CanonicalAnswer.number(text) == nil)
    }

    @Test("rules are tried in order, each by its own law")
    func rules() throws {
        func read(_ rules: [String], _ text: String) throws -> String? { try AnswerExtraction(named: rules).extract(from: text)?.answer }
        #expect(try read(["strict"], "#### 5 and #### 6") == "5")
        #expect(try read(["strict"], "the answer is 5") == nil)
        #expect(try read(["flexible"], "5-3") == "-3")
        #expect(try read(["last-number"], "5-3") == "3")
        #expect(try read(["last-number"], "it fell to -3.5.") == "-3.5")
        #expect(try read(["last-number"], "that is -$1,200.75, I think") == "-$1,200.75")
        #expect(try read(["last-line"], "first\nsecond\n \n") == "second")
        #expect(try read(["whole"], " yes \n") == "yes")
        #expect(try read(["/answer is (yes|no)/"], "The answer is no. The answer is yes.") == "no")
        #expect(try read(["/yes|no/"], "well, no") == "no")
        #expect(try read(["strict", "last-line"], "so\nB") == "B")
    }

    @Test("an unknown rule or a broken expression is refused, with the nearest name")
    func unknownRules() {
        #expect(taskError { _ = try AnswerExtraction(named: ["flexibel"]) }.contains("did you mean 'flexible'?"))
        #expect(taskError { _ = try AnswerExtraction(named: ["/(/"]) }.contains("no regular expression"))
        #expect(taskError { _ = try AnswerExtraction(named: []) }.contains("at least one rule"))
    }

    @Test("texts compare as asked")
    func texts() async throws {
        let problem = Problem(id: "q", question: "?", answer: "Yes")
        let whole = AnswerExtraction([.whole])
        #expect(try await verdict(AnswerVerifier(extraction: whole, comparison: .text), problem, " yes.\n").outcome == .right)
        #expect(try await verdict(AnswerVerifier(extraction: whole, comparison: .exact), problem, " yes.\n").outcome == .wrong)
        #expect(try await verdict(AnswerVerifier(extraction: whole, comparison: .exact), problem, "Yes\n").outcome == .right)
        #expect(try await verdict(AnswerVerifier(extraction: whole, comparison: .number), problem, "yes").outcome == .right)
    }
}
