import Foundation
import Sampling
import Tasks
import Testing

@Suite("Addition")
struct AdditionTests {
    static let block = """
        Input:
        6 2 4 + 2 5 9
        Target:
        <scratch>
        6 2 4 + 2 5 9 , C: 0
        2 + 5 , 3 C: 1
        6 + 2 , 8 3 C: 0
        , 8 8 3 C: 0
        0 8 8 3
        </scratch>
        8 8 3
        """
    static let problem = Problem(id: "p", question: "624 + 259", answer: "883", category: "3")

    @Test("the worked example of 624 + 259 is STaR's, byte for byte")
    func block() throws {
        let task = try Addition(digits: 3...3, trainCount: 10, testPerLength: 5)
        let (prompt, completion) = try task.workedExample(Self.problem, mode: .plain)
        #expect(Array((prompt + completion).utf8) == Array(Self.block.utf8))
        #expect(prompt == "Input:\n6 2 4 + 2 5 9\nTarget:\n")
    }

    @Test("scratchpads with carries into and out of the last column")
    func carries() {
        let expected = """
            <scratch>
            3 7 5 + 4 8 6 , C: 0
            7 + 8 , 1 C: 1
            3 + 4 , 6 1 C: 1
            , 8 6 1 C: 0
            0 8 6 1
            </scratch>
            8 6 1
            """
        #expect(Addition.scratchpad("375", "486") == expected)
        #expect(Addition.scratchpad("4", "9") == "<scratch>\n4 + 9 , C: 0\n, 3 C: 1\n1 3\n</scratch>\n1 3")
        #expect(Addition.scratchpad("0", "0") == "<scratch>\n0 + 0 , C: 0\n, 0 C: 0\n0 0\n</scratch>\n0")
    }

    @Test("every scratchpad ends in the sum", arguments: [1, 2])
    func sums(digits: Int) throws {
        let bounds = digits == 1 ? 0...9 : 10...99
        let verifier = AdditionVerifier(form: .scratchpad)
        for a in bounds {
            for b in bounds {
                let answer = try verifier.read(Addition.scratchpad("\(a)", "\(b)")).get()
                #expect(answer == "\(a + b)")
            }
        }
    }

    @Test("the hint stands right after the Target line's colon, and nothing else changes")
    func hint() throws {
        let task = try Addition(digits: 3...3, trainCount: 10)
        #expect(try text(task.reset(Self.problem, mode: .hinted)) == "Input:\n6 2 4 + 2 5 9\nTarget: 8 8 3\n")
        #expect(try text(task.reset(Self.problem, mode: .plain)) == "Input:\n6 2 4 + 2 5 9\nTarget:\n")
        #expect(try task.workedExample(Self.problem, mode: .hinted).completion == task.workedExample(Self.problem, mode: .plain).completion)
        #expect(try !text(task.reset(Self.problem, mode: .plain)).contains(Addition.hintMarker))
        #expect(try text(task.reset(Self.problem, mode: .hinted)).contains(Addition.hintMarker))
    }

    @Test("the hint is the answer that the problem holds, even a wrong one")
    func wrongHint() throws {
        let task = try Addition(digits: 3...3, trainCount: 10)
        var wrong = Self.problem
        wrong.answer = "1001"
        #expect(try text(task.reset(wrong, mode: .hinted)) == "Input:\n6 2 4 + 2 5 9\nTarget: 1 0 0 1\n")
    }

    @Test("the direct form is one line, after few-shot lines if wanted")
    func direct() throws {
        let task = try Addition(digits: 3...3, form: .direct, trainCount: 10)
        #expect(try text(task.reset(Self.problem, mode: .plain)) == "624 + 259 =")
        #expect(try text(task.reset(Self.problem, mode: .hinted)) == "624 + 259 (883) =")
        let (prompt, completion) = try task.workedExample(Self.problem, mode: .plain)
        #expect(prompt + completion == "624 + 259 = 883")
        let shown = try Addition(digits: 2...3, form: .direct, trainCount: 10, fewShot: 4)
        let lines = try text(shown.reset(Self.problem, mode: .plain)).split(separator: "\n")
        #expect(lines.count == 5)
        #expect(lines.last == "624 + 259 =")
        for line in lines.dropLast() {
            let numbers = line.split(whereSeparator: { " +=".contains($0) }).compactMap { Int($0) }
            try #require(numbers.count == 3)
            #expect(numbers[0] + numbers[1] == numbers[2])
        }
    }

    @Test("no pair is in two splits, even with its operands swapped, and held-out problems are the same for all seeds")
    func splits() throws {
        let task = try Addition(digits: 1...4, seed: 1, trainCount: 4000)
        let other = try Addition(digits: 1...4, seed: 2, trainCount: 4000)
        #expect(try Overlap.inside(task).isEmpty)
        #expect(Overlap.between(train: other.problems(in: .train), dev: task.problems(in: .dev), test: task.problems(in: .test)).isEmpty)
        #expect(task.problems(in: .test) == other.problems(in: .test))
        #expect(task.problems(in: .dev) == other.problems(in: .dev))
        #expect(task.problems(in: .train) != other.problems(in: .train))
        #expect(try Addition(digits: 1...4, seed: 1, trainCount: 4000).problems(in: .train) == task.problems(in: .train))
        let perLength = (1...4).map { length in task.problems(in: .test).filter { $0.category == "\(length)" }.count }
        #expect(perLength == [15, 200, 200, 200])
        #expect(task.problems(in: .dev).filter { $0.category == "1" }.count == 4)
    }

    @Test("operands have the length asked for, no leading zeros, and the right sum; ids and keys are unique")
    func operands() throws {
        let task = try Addition(digits: 1...5, trainCount: 1000)
        let all = Split.allCases.flatMap { task.problems(in: $0) }
        for problem in all {
            let operands = problem.question.components(separatedBy: " + ")
            #expect(operands.allSatisfy { "\($0.count)" == problem.category && ($0.count == 1 || $0.first != "0") })
            #expect(problem.answer == "\(Int(operands[0])! + Int(operands[1])!)")
        }
        #expect(Set(all.map(\.id)).count == all.count)
        #expect(Set(all.map(\.splitKey)).count == all.count)
    }

    @Test("training problems are shared out as asked; what a short length lacks goes to the others")
    func shares() throws {
        let task = try Addition(digits: 1...3, trainCount: 1000, shares: [2: 3, 3: 1])
        let counts = (1...3).map { length in task.problems(in: .train).filter { $0.category == "\(length)" }.count }
        #expect(counts == [0, 750, 250])
        let filled = try Addition(digits: 1...3, trainCount: 1025)
        #expect((1...3).map { length in filled.problems(in: .train).filter { $0.category == "\(length)" }.count } == [25, 500, 500])
        #expect(try Addition(digits: 1...1, trainCount: 1000).problems(in: .train).count == 25)
        #expect(try Addition(digits: 1...2, trainCount: 0).problems(in: .train).isEmpty)
    }

    @Test("the warm-up is small, holds few of the longest length, and shares no pair with any split")
    func warmUp() throws {
        let task = try Addition(digits: 1...4, trainCount: 4000)
        let examples = try task.warmUp()
        let plain = examples.filter { $0.mode == .plain }
        #expect(examples.count == 2 * plain.count)
        #expect(plain.count == 500)
        #expect(plain.filter { $0.problem.category == "4" }.count == 20)
        #expect(plain.filter { $0.problem.category == "1" }.count > 10)
        let keys = Set(plain.map(\.problem.splitKey))
        for split in Split.allCases {
            #expect(!task.problems(in: split).contains { keys.contains($0.splitKey) })
        }
        for (plain, hinted) in stride(from: 0, to: examples.count, by: 2).map({ (examples[$0], examples[$0 + 1]) }) {
            #expect(plain.problem == hinted.problem && hinted.mode == .hinted && plain.completion == hinted.completion)
            #expect(hinted.prompt.contains(Addition.hintMarker) && !plain.prompt.contains(Addition.hintMarker))
        }
        #expect(try task.warmUp() == examples)
        #expect(try task.warmUp(count: 50, longest: 5).filter { $0.problem.category == "4" }.count == 10)
        #expect(taskError { _ = try task.warmUp(longest: 21) }.contains("Choose 0 to 20"))
        #expect(taskError { _ = try task.warmUp(count: 501) }.contains("Choose 0 to 500"))
    }

    @Test(
        "the scratchpad's answer is read behind its closing tag",
        arguments: [
            ("<scratch>\nx\n</scratch>\n8 8 3", Verdict.Outcome.right, "read 883, expected 883"),
            ("</scratch>\n8 8 3\n", .right, "read 883, expected 883"),
            ("</scratch>\n8 8 3\n\nInput:\n1", .right, "read 883, expected 883"),
            ("</scratch>\n8 8 2", .wrong, "read 882, expected 883"),
            ("</scratch>\n0 8 8 3", .wrong, "read 0883, expected 883"),
            ("</scratch>\n8 8 3 3", .wrong, "read 8833, expected 883"),
            ("8 8 3", .unreadable, "no line '</scratch>'"),
            ("<scratch>\n0 8 8 3\n</scratch>", .unreadable, "no line '</scratch>'"),
            ("</scratch>\n", .unreadable, "no row of digits"),
            ("</scratch>\n8 8 3 , C: 0", .unreadable, "no row of digits"),
            ("</scratch>\n8 8 3\nInput:", .unreadable, "no row of digits"),
            ("</scratch>\n8  8 3", .unreadable, "no row of digits"),
            ("", .unreadable, "expected 883"),
        ])
    func scratchpadVerdicts(text: String, outcome: Verdict.Outcome, evidence: String) async throws {
        let found = try await verdict(AdditionVerifier(form: .scratchpad), Self.problem, text)
        #expect(found.outcome == outcome)
        #expect(found.evidence.contains(evidence), "\(found.evidence)")
        #expect(found.reward == (outcome == .right ? 1 : 0))
    }

    @Test(
        "the direct form's answer is the first line",
        arguments: [
            (" 883", Verdict.Outcome.right), ("883.", .right), (" 883\n12 + 3 = 15", .right), ("884", .wrong), ("8,83", .right),
            ("1 + 882", .unreadable), ("eight", .unreadable), ("", .unreadable), ("-883", .unreadable),
        ])
    func directVerdicts(text: String, outcome: Verdict.Outcome) async throws {
        #expect(try await verdict(AdditionVerifier(form: .direct), Self.problem, text).outcome == outcome)
    }

    @Test("what was cut off is not judged by its text, and a problem without answer fails the judgement")
    func cutOff() async throws {
        let verifier = AdditionVerifier(form: .scratchpad)
        #expect(try await verdict(verifier, Self.problem, "</scratch>\n8 8 3", finish: .length).outcome == .cutOff)
        var open = Self.problem
        open.answer = nil
        let judgement = await verifier.judge([rollout(open, "</scratch>\n8 8 3")])
        #expect(judgement == [.failed(reason: "problem 'p' has no answer to compare with")])
    }

    @Test("the token budget holds the longest right answer")
    func budget() throws {
        let task = try Addition(digits: 1...5, trainCount: 10)
        let longest = try task.workedExample(Problem(id: "x", question: "99999 + 99999", answer: "199998"), mode: .plain).completion
        #expect(task.maxTokens > longest.count)
        #expect(task.stops == ["\n\n"])
        #expect(!longest.contains("\n\n"))
    }

    @Test("settings and problems that make no sense are refused")
    func refused() throws {
        #expect(taskError { _ = try Addition(digits: 0...3) }.contains("within 1 to 18"))
        #expect(taskError { _ = try Addition(digits: 1...19) }.contains("within 1 to 18"))
        #expect(taskError { _ = try Addition(digits: 1...3, shares: [4: 1]) }.contains("lengths within 1-3"))
        #expect(taskError { _ = try Addition(digits: 1...3, trainCount: -1) }.contains("train-count"))
        let task = try Addition(digits: 3...3, trainCount: 10)
        #expect(taskError { _ = try task.reset(Problem(id: "q", question: "12 + 3"), mode: .plain) }.contains("equally many digits"))
        #expect(taskError { _ = try task.reset(Problem(id: "q", question: "12 + 34"), mode: .hinted) }.contains("no hint"))
    }
}
