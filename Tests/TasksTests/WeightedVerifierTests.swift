import Sampling
import Tasks
import Testing

@Suite("Mixtures of verifiers")
struct WeightedVerifierTests {
    private struct Fixed: Verifier {
        let judgement: Judgement
        let name = "fixed"
        init(_ outcome: Verdict.Outcome, reward: Double? = nil) { judgement = .judged(Verdict(outcome, reward: reward, evidence: "as given")) }
        init(failing reason: String) { judgement = .failed(reason: reason) }
        func judge(_ rollouts: [Rollout]) async -> [Judgement] { rollouts.map { _ in judgement } }
    }

    private func judge(_ parts: [(String, Double, Fixed)]) async throws -> Judgement {
        let verifier = try WeightedVerifier(parts.map { WeightedVerifier.Part($0.0, weight: $0.1, $0.2) })
        let judgements = await verifier.judge([rollout(Problem(id: "q", question: "?"), "x"), rollout(Problem(id: "r", question: "?"), "y")])
        #expect(judgements.count == 2 && judgements[0] == judgements[1])
        return judgements[0]
    }

    @Test("the reward is the weighted mean; right is what every weighted part calls right")
    func mean() async throws {
        #expect(
            try await judge([("form", 1, Fixed(.right)), ("answer", 3, Fixed(.wrong))])
                == .judged(
                    Verdict(
                        .wrong, reward: 0.25,
                        evidence: "form 1.0 × 1.0 (right: as given); answer 3.0 × 0.0 (wrong: as given)")))
        #expect(
            try await judge([("form", 1, Fixed(.right, reward: 0.5)), ("answer", 1, Fixed(.right))])
                == .judged(
                    Verdict(
                        .right, reward: 0.75,
                        evidence: "form 1.0 × 0.5 (right: as given); answer 1.0 × 1.0 (right: as given)")))
        for (others, outcome) in [
            ([Verdict.Outcome.unreadable, .wrong], Verdict.Outcome.wrong), ([.wrong, .cutOff], .cutOff), ([.unknown, .unreadable], .unreadable),
            ([.right, .unknown], .unknown),
        ] {
            guard case .judged(let verdict) = try await judge(others.enumerated().map { ("\($0)", 1, Fixed($1)) }) else {
                Issue.record("failed")
                return
            }
            #expect(verdict.outcome == outcome)
        }
    }

    @Test("a weight of 0 is recorded and counts for nothing, even where it fails")
    func metric() async throws {
        #expect(
            try await judge([("answer", 2, Fixed(.right)), ("length", 0, Fixed(.wrong, reward: .nan))])
                == .judged(
                    Verdict(
                        .right, reward: 1,
                        evidence: "answer 2.0 × 1.0 (right: as given); length 0.0 × nan (wrong: as given)")))
        #expect(
            try await judge([("answer", 2, Fixed(.wrong)), ("length", 0, Fixed(failing: "no ruler"))])
                == .judged(
                    Verdict(
                        .wrong, reward: 0,
                        evidence: "answer 2.0 × 0.0 (wrong: as given); length 0.0 (failed: no ruler)")))
    }

    @Test("where a weighted part fails, or gives no finite reward, there is no judgement")
    func failed() async throws {
        #expect(try await judge([("answer", 1, Fixed(.right)), ("tests", 1, Fixed(failing: "no sandbox"))]) == .failed(reason: "tests: no sandbox"))
        guard case .failed(let reason) = try await judge([("answer", 1, Fixed(.right, reward: .infinity))]) else {
            Issue.record("an infinite reward was judged")
            return
        }
        #expect(reason.hasPrefix("a reward is not finite: answer"))
    }

    @Test("weights that make no mean, and names that stand twice, are refused")
    func refused() {
        let right = Fixed(.right)
        #expect(taskError { _ = try WeightedVerifier([]) }.contains("Give one part a weight above 0"))
        #expect(taskError { _ = try WeightedVerifier([.init(weight: 0, right)]) }.contains("Give one part a weight above 0"))
        for weight in [-1, Double.nan, .infinity] {
            #expect(
                taskError {
                    _ = try WeightedVerifier([
                        .init(
                            weight: weight,
                            right)
                    ])
                }.contains("A weight is a number, 0 or more"))
        }
        #expect(taskError { _ = try WeightedVerifier([.init(weight: 1, right), .init(weight: 1, right)]) }.contains("a name of its own"))
    }

    @Test("one right answer of two verifiers on a real completion")
    func real() async throws {
        let mixture = try WeightedVerifier([.init(weight: 0.8, AnswerVerifier()), .init("form", weight: 0.2, RegexVerifier(#"(?s).*#### \d+"#))])
        let problem = Problem(id: "q", question: "?", answer: "18")
        #expect(try await verdict(mixture, problem, "so 9 + 9\n#### 18").outcome == .right)
        let loose = try await verdict(mixture, problem, "it is 18")
        #expect(loose.outcome == .wrong && loose.reward == 0.8)
        #expect(try await verdict(mixture, problem, "#### 18", finish: .length).outcome == .cutOff)
    }

    /// Cannot judge here.
    private struct Missing: Verifier {
        let name = "missing"
        func checkReady() async throws { throw SandboxError.missing(program: "/usr/bin/nothing", package: "nothing") }
        func judge(_ rollouts: [Rollout]) async -> [Judgement] { rollouts.map { _ in .failed(reason: "missing") } }
    }

    @Test("a verifier that cannot work here is found before it judges, also inside of others")
    func readiness() async throws {
        for weight in [1, 0] as [Double] {
            let mixture = try WeightedVerifier([.init("a", weight: 1, Fixed(.right)), .init("b", weight: weight, Missing())])
            await #expect(throws: SandboxError.missing(program: "/usr/bin/nothing", package: "nothing")) { try await mixture.checkReady() }
        }
        await #expect(throws: SandboxError.self) { try await TimedVerifier(Missing(), timeLimit: .seconds(1)).checkReady() }
        try await WeightedVerifier([.init("a", weight: 1, Fixed(.wrong))]).checkReady()
        let error = await #expect(throws: (any Error).self) { try await CodeVerifier(interpreter: "/usr/bin/no-python").checkReady() }
        #expect("\(try #require(error))".contains("sandbox"))
    }
}
