import Foundation
import Synchronization
import Tasks
import Testing

/// Finds everything right; of "hang" it never says anything, cancelled or not, until it is let go.
private final class Stubborn: Verifier {
    let name = "stubborn"
    private let held = Mutex<[CheckedContinuation<Void, Never>]>([])
    let most = Mutex((now: 0, ever: 0))

    func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        most.withLock { $0 = ($0.now + 1, max($0.ever, $0.now + 1)) }
        defer { most.withLock { $0.now -= 1 } }
        if rollouts.contains(where: { $0.text == "hang" }) { await withCheckedContinuation { continuation in held.withLock { $0.append(continuation) } } }
        if rollouts.contains(where: { $0.text == "two" }) { return [] }
        return rollouts.map { .judged(Verdict(.right, evidence: $0.text)) }
    }

    func letGo() { held.withLock { waiting in waiting.forEach { $0.resume() }; waiting = [] } }
}

@Suite("A verifier within a time limit")
struct TimedVerifierTests {
    private func rollouts(_ texts: [String]) -> [Rollout] { texts.map { rollout(Problem(id: "p", question: "?"), $0) } }

    @Test("what hangs fails alone, also where it ignores being cancelled; the others keep their order")
    func hanging() async {
        let stubborn = Stubborn()
        let texts = (0..<40).map { $0 % 10 == 3 ? "hang" : "\($0)" }
        let judged = await TimedVerifier(stubborn, timeLimit: .milliseconds(500), concurrency: 8).judge(rollouts(texts))
        stubborn.letGo()
        #expect(judged == texts.map { $0 == "hang" ? .failed(reason: "no judgement within 0.5 seconds") : .judged(Verdict(.right, evidence: $0)) })
    }

    @Test("what its base judges by, and its limit, are its settings")
    func settings() {
        func settings(_ rule: AnswerExtraction.Rule, _ seconds: Int) -> [String: String] {
            TimedVerifier(AnswerVerifier(extraction: AnswerExtraction([rule])), timeLimit: .seconds(seconds)).settings
        }
        #expect(settings(.strict, 1) == settings(.strict, 1) && settings(.strict, 1) != settings(.flexible, 1) && settings(.strict, 1) != settings(.strict, 2))
    }

    @Test("no more are judged at a time than it is told")
    func concurrency() async {
        let stubborn = Stubborn()
        let judged = await TimedVerifier(stubborn, timeLimit: .seconds(60), concurrency: 3).judge(rollouts((0..<50).map { "\($0)" }))
        #expect(judged.count == 50 && judged[49] == .judged(Verdict(.right, evidence: "49")))
        #expect(stubborn.most.withLock { $0.ever } <= 3)
        #expect(await TimedVerifier(stubborn, timeLimit: .seconds(60)).judge([]) == [])
    }

    @Test("a wrong number of judgements fails; cancelling the task ends the wait")
    func others() async throws {
        let stubborn = Stubborn(), timed = TimedVerifier(stubborn, timeLimit: .seconds(3600))
        #expect(await timed.judge(rollouts(["two"])) == [.failed(reason: "'stubborn' gave 0 judgements for one completion")])
        let task = Task { await timed.judge(rollouts(["hang"])) }
        try await Task.sleep(for: .milliseconds(50))
        task.cancel()
        #expect(await task.value == [.failed(reason: "cancelled")])
        stubborn.letGo()
        #expect(timed.name == "stubborn")
    }
}
