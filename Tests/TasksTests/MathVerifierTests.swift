import Foundation
import Tasks
import Testing

@Suite("Mathematical answers")
struct MathVerifierTests {
    @Test("equal answers are equal, whichever is the gold one", arguments: MathPairs.equal)
    func equal(a: String, b: String) {
        #expect(MathAnswer.compare(a, b).areEqual && MathAnswer.compare(b, a).areEqual)
    }

    @Test("different answers differ, whichever is the gold one", arguments: MathPairs.unequal)
    func unequal(a: String, b: String) {
        #expect(!MathAnswer.compare(a, b).areEqual && !MathAnswer.compare(b, a).areEqual)
    }

    @Test(
        "the answer is in the last complete box, else between the first and the last dollar sign",
        arguments: [
            (#"so $\boxed{\frac{1}{2}}$."#, #"\frac{1}{2}"#), (#"\boxed{1} then \boxed{2}"#, "2"), (#"\boxed{1} then \boxed{2"#, "1"), (#"\fbox{7}"#, "7"),
            (#"$\boxed 5.$"#, "5"), (#"so \boxed 5 is it"#, "5"), (#"\boxed{\{1,2\}}"#, #"\{1,2\}"#), (#"\boxed{ x = 5 }"#, "x = 5"), (#"\boxed{\boxed{3}}"#, "3"),
            (#"\boxed{1} and $2$"#, "1"), (#"we get $x = 3$."#, "x = 3"), (#"from $1$ to $2$"#, "1$ to $2"), (#"$$42$$"#, "42"), (#"it is $\$5$"#, #"\$5"#),
            (#"\boxed {4}"#, "4"), ("no answer", nil), ("it costs $5", nil), (#"\boxed{}"#, nil), ("", nil), (#"\boxed"#, nil),
        ] as [(String, String?)])
    func extraction(text: String, answer: String?) {
        #expect(MathAnswer.extract(from: text) == answer)
    }

    @Test(
        "the normal form is that of MATH",
        arguments: [
            (#"\frac12"#, #"\frac{1}{2}"#), ("0.5", #"\frac{1}{2}"#), ("x=5", "5"), ("x = 5", "5"), (#"10^\circ"#, "10"),
            ("3/4", #"\frac{3}{4}"#), (#"\dfrac34"#, #"\frac{3}{4}"#), (#"\sqrt3"#, #"\sqrt{3}"#), (#"\frac1{2}"#, #"\frac{1}{2}"#),
            (".25", "0.25"), (#"15\text{ cm}^2"#, "15"), (#"\$5"#, "5"), (#"12\%"#, "12"),
            (#"\left( 1, 2 \right)"#, "(1,2)"), (#"1,\!000"#, "1,000"), ("y=2x=4", "y=2x=4"), (#"19 \text{ and } 43"#, #"19\text{and}43"#),
            (#"\frac{270}7"#, #"\frac{270}7"#), ("$7.$", "7"),
        ])
    func normalForm(answer: String, form: String) {
        #expect(MathAnswer.normalized(answer) == form)
        #expect(MathAnswer.normalized(form) == form)
    }

    @Test("evidence names what was read, what was expected, and what compared them")
    func evidence() async throws {
        func judged(_ text: String, _ answer: String) async throws -> Verdict {
            try await verdict(MathVerifier(), Problem(id: "q", question: "?", answer: answer), text)
        }
        #expect(try await judged(#"\boxed{\frac12}"#, "0.5") == Verdict(.right, evidence: #"read \frac12, expected 0.5 (compared by text)"#))
        #expect(try await judged(#"\boxed{2^{10}}"#, "1024") == Verdict(.right, evidence: "read 2^{10}, expected 1024 (compared by value)"))
        #expect(try await judged(#"\boxed{0.33}"#, "1/3") == Verdict(.wrong, evidence: "read 0.33, expected 1/3 (compared by value)"))
        #expect(try await judged("half", "1/2") == Verdict(.unreadable, evidence: "no answer found (\\boxed{…} or $…$), expected 1/2"))
    }

    @Test("a cut completion is cut off whatever it says; without a gold answer there is no judgement")
    func cutOff() async throws {
        let problem = Problem(id: "q", question: "?", answer: "17")
        #expect(try await verdict(MathVerifier(), problem, #"\boxed{17}"#, finish: .length).outcome == .cutOff)
        let judgements = await MathVerifier().judge([rollout(Problem(id: "q", question: "?"), #"\boxed{17}"#)])
        #expect(judgements == [.failed(reason: "problem 'q' has no answer to compare with")])
    }

    /// Answers made to hang or to trap whoever reads or computes them.
    static let hostile: [String] = {
        func many(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }
        return [
            "9^{9^{9}}", "9^{9^{9^{9}}}", many("9^", 600) + "9", "99999999999!", many("9999!", 300), "((((3!)!)!)!)!", "3" + many("!", 100), #"\binom{99999999999}{9999999999}"#,
            many("(", 1_000_000), many("(", 900), many("{", 900), many("-", 1900), many("|", 1999), many(#"\frac{1}{"#, 150) + "2" + many("}", 150), many("x", 2000),
            many("1,", 999) + "2", many(#"\pm1,"#, 390), many(#"(\pm"#, 300), many(#"\sqrt"#, 390) + "2", #"\begin{pmatrix}"# + many("&", 1000), many("9", 2000),
            "0." + many("0", 1900) + "1", "1" + many("0", 1900) + ".5", #"0.\overline{"# + many("9", 1900) + "}", "2^{99999999999999999999999}", "1" + many(",000", 490),
            #"\{"# + (0..<120).map { #"\sqrt{\#(1_000_003 + $0)}"# }.joined(separator: ",") + #"\}"#, "1/0", "0^0", "0^{-1}", #"\infty-\infty"#, "٣", "½", "5\u{301}", "\u{0}",
            #"\begin"#, #"\begin{"#, #"\text"#, #"\text{"#, "^", "_", "x_", "1_{", #"\left"#, #"\"#, "}", "{", "]", #"\}"#, #"\{"#, #"\sqrt["#,
            #"\frac"#, #"\log_"#, #"\sin^"#, #"\pm"#,
            many("1000000000000000000000000x", 80), many(#"\boxed{"#, 100_000), many("$", 100_000), "",
        ]
    }()

    @Test("no answer takes more steps than allowed, and every answer equals itself", arguments: hostile.indices)
    func bounded(index: Int) {
        let answer = Self.hostile[index]
        _ = MathAnswer.extract(from: answer)
        #expect(MathAnswer.compare(answer, answer).areEqual)
        for other in [answer + "+0", "x+1", Self.hostile[(7 * index + 3) % Self.hostile.count]] {
            #expect(MathAnswer.compare(answer, other).steps <= MathAnswer.stepLimit)
        }
    }

    @Test("what exceeds the steps is not equal, and says so by its count")
    func exhausted() {
        let roots = (0..<100).map { #"\sqrt{\#(1_000_003 + $0)}"# }
        let comparison = MathAnswer.compare(roots.joined(separator: ","), roots.reversed().joined(separator: " , "))
        #expect(comparison == MathAnswer.compare(roots.joined(separator: ","), roots.reversed().joined(separator: " , ")))
        #expect(comparison.steps == MathAnswer.stepLimit && !comparison.areEqual)
    }

    @Test("texts of random pieces neither hang nor trap")
    func garbage() {
        let pieces = [
            #"\frac"#, "{", "}", "(", ")", "[", "]", #"\{"#, #"\}"#, "^", "_", "1", "23", "0", ".", ",", "x", #"\pi"#, "i", #"\sqrt"#,
            "!", "|", "+", "-", "*", "/", "=", "<", #"\le"#,
            #"\cup"#, #"\text{ab}"#, #"\begin{pmatrix}"#, #"\end{pmatrix}"#, #"\\"#, "&", #"\pm"#, #"\sin"#, #"\log"#, #"\circ"#, #"\overline"#, #"\binom"#, "%", "$",
            "999999999999999999999", #"\left"#, #"\right."#, "and", #"\!"#, "\u{301}", "é",
        ]
        var state: UInt64 = 1
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407  // Knuth's MMIX generator
            return Int(state >> 33) % bound
        }
        for _ in 0..<1000 {
            let answer = (0...next(30)).map { _ in pieces[next(pieces.count)] }.joined()
            #expect(MathAnswer.compare(answer, answer).areEqual)
            #expect(MathAnswer.compare(answer, answer + "+1").steps <= MathAnswer.stepLimit)
        }
    }

    @Test(
        "every answer of MATH is the one its solution boxes, and equals its own spellings",
        .enabled(if: PublicData.has("math500.jsonl", "math_pool.jsonl"), PublicData.missing("math500.jsonl", "math_pool.jsonl")),
        arguments: ["math500.jsonl", "math_pool.jsonl"])
    func gold(file: String) throws {
        struct Record: Decodable { var answer, solution: String }
        let lines = try String(contentsOf: PublicData.file(file), encoding: .utf8).split(separator: "\n")
        #expect(lines.count == (file == "math500.jsonl" ? 500 : 4500))
        for line in lines {
            let record = try JSONDecoder().decode(Record.self, from: Data(line.utf8))
            let answer = record.answer
            #expect(MathAnswer.extract(from: record.solution) == answer.trimmingCharacters(in: .whitespaces))
            let plain = answer.replacing("\\left", with: "").replacing("\\right", with: "")
            let spellings = [
                answer, " \(answer) ", "$\(answer)$", "$\(answer).$", answer + ".", answer.replacing("dfrac", with: "frac").replacing("tfrac", with: "frac"),
                answer.replacing("\\frac", with: "\\dfrac"), plain, plain.replacing("(", with: "\\left(").replacing(")", with: "\\right)"), answer.replacing("+", with: " + "),
            ]
            for spelling in spellings { #expect(MathAnswer.compare(spelling, answer).areEqual, "\(spelling) and \(answer)") }
        }
    }
}
