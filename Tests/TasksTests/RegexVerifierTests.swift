import Foundation
import Sampling
import Tasks
import Testing

@Suite("Regular expressions as verifiers")
struct RegexVerifierTests {
    private func problem(_ pattern: String?) -> Problem { Problem(id: "q", question: "?", answer: pattern) }

    @Test(
        "the whole completion matches, or a part of it",
        arguments: [
            (#"\d+"#, " 12\n", Verdict.Outcome.right, Verdict.Outcome.right), (#"\d+"#, "12 or so", .wrong, .right), (#"a|ab"#, "ab", .right, .right),
            ("x", "", .unreadable, .unreadable),
            ("(?i)yes", "YES", .right, .right), ("a|b", "ab", .wrong, .right), ("^b$", "a\nb", .wrong, .wrong), ("(?m)^b$", "a\nb", .wrong, .right),
            ("z", "a", .wrong, .wrong), ("é", "e\u{301}", .wrong, .wrong),
        ])
    func extents(pattern: String, text: String, whole: Verdict.Outcome, search: Verdict.Outcome) async throws {
        #expect(try await verdict(RegexVerifier(), problem(pattern), text).outcome == whole)
        #expect(try await verdict(RegexVerifier(extent: .search), problem(pattern), text).outcome == search)
        #expect(try await verdict(RegexVerifier(pattern), problem(nil), text).outcome == whole)
    }

    @Test("a long text is searched to its end")
    func long() async throws {
        let text = String(repeating: "so it goes on, ", count: 2000)
        #expect(try await verdict(RegexVerifier("end$", extent: .search), problem(nil), text + "end").outcome == .right)
        #expect(try await verdict(RegexVerifier("end$", extent: .search), problem(nil), text).outcome == .wrong)
    }

    @Test("patterns are found in a part of a text as they stand: after line ends, with an open comment or quotation, with back references", arguments: [
        ("\\nAnswer: B", "foo\r\nAnswer: B"), ("(?x) is \\s (\\w+) # the last word", "it is B"), ("\\Qa.b", "so a.b"), ("(b)a\\1", "abab"), ("(?<=x)y", "axy"), ("(?m)^B$", "A\nB"), ("(?i)b", "AB"), ("$", "a"),
    ])
    func parts(pattern: String, text: String) async throws {
        #expect(try await verdict(RegexVerifier(pattern, extent: .search), problem(nil), text).outcome == .right)
        #expect(try AnswerExtraction([.pattern(pattern)]).extract(from: text) != nil || pattern == "$")
    }

    @Test("what is no expression is refused, in the settings at once, in a problem by failing")
    func refused() async throws {
        for pattern in ["", "(", "a)|(?:b", "[z-a]", "*"] {
            #expect(taskError { _ = try RegexVerifier(pattern) }.contains("no regular expression"))
            #expect(await RegexVerifier().judge([rollout(problem(pattern), "a")]) == [.failed(reason: "problem 'q': '\(pattern)' is no regular expression")])
        }
        #expect(await RegexVerifier().judge([rollout(problem(nil), "a")]) == [.failed(reason: "problem 'q' has no pattern as its answer")])
        #expect(try await verdict(RegexVerifier("a"), problem(nil), "a", finish: .length).outcome == .cutOff)
    }

    @Test("an expression that backtracks without end, and a text that is too long, fail instead of hanging")
    func hostile() async throws {
        for pattern in ["(a+)+$", "(a|a)*$", "(a*)*b", "(?:a|aa)+b"] {
            let judgements = try await RegexVerifier(pattern, extent: .search).judge([rollout(problem(nil), String(repeating: "a", count: 60) + "!")])
            #expect(judgements == [.failed(reason: "the pattern '\(pattern)' backtracks too long")])
        }
        let long = rollout(problem(nil), String(repeating: "a", count: 70000))
        #expect(try await RegexVerifier("a+").judge([long]) == [.failed(reason: "the text has more than 65536 UTF-16 units")])
        let deep = rollout(problem(nil), String(repeating: "ab", count: 30000))
        guard case .failed = try await RegexVerifier("(?:a|b|(?:ab))*c").judge([deep])[0] else {
            Issue.record("a stack without end")
            return
        }
    }

    @Test("evidence shows the text and the pattern")
    func evidence() async throws {
        #expect(try await verdict(RegexVerifier(#"\d"#), problem(nil), "x").evidence == #"'x' does not match /\d/"#)
    }
}
