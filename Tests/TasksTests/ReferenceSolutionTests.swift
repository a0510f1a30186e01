import Foundation
import Tasks
import Testing

@Suite(
    "Reference solutions of published code problems", .enabled(if: PublicData.has("humaneval.jsonl", "mbpp.jsonl"), PublicData.missing("humaneval.jsonl", "mbpp.jsonl")),
    .enabled("needs bubblewrap and /usr/bin/python3", { await canSandbox() }))
struct ReferenceSolutionTests {
    @Test("every one passes its own tests in the sandbox, and nothing in its place passes none", arguments: [("humaneval.jsonl", 164), ("mbpp.jsonl", 974)])
    func pass(file: String, count: Int) async throws {
        let problems: [Problem]
        if file == "mbpp.jsonl" {
            let mbpp = try CodeProblems.mbpp(PublicData.file(file))
            problems = mbpp.splits.values.flatMap(\.self) + mbpp.fewShot
        } else {
            problems = try CodeProblems.humaneval(PublicData.file(file))
        }
        #expect(problems.count == count)
        let verifier = CodeVerifier(timeLimit: CodeTask.timeLimit)
        let judged = await verifier.judge(problems.map { rollout($0, $0.details["reference"] ?? "") })
        let refused = zip(problems, judged).filter { if case .judged(let verdict) = $1 { verdict.outcome != .right } else { true } }
        #expect(refused.map { "\($0.0.id): \($0.1)" } == [])
        let idle = await verifier.judge(problems.prefix(50).map { rollout($0, $0.details["prefix"] == nil ? "def \($0.details["entry_point"] ?? "")(*a): pass" : "    pass\n") })
        #expect(idle.allSatisfy { if case .judged(let verdict) = $0 { verdict.outcome == .wrong } else { false } })
    }
}
