import Autodidact
import Testing

/// Whether the answer is one word that reads the same in both directions and begins as the problem's details say.
public struct PalindromeVerifier: Verifier {
    public let name = "palindrome"

    public init() {}

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { rollout in
            guard let beginning = rollout.problem.details["beginning"] else {
                return .failed(reason: "problem '\(rollout.problem.id)' does not say how the word begins")
            }
            if rollout.finishReason == .length {
                return .judged(Verdict(.cutOff, evidence: "cut off after \(rollout.completionTokens.count) tokens"))
            }
            let words = rollout.text.lowercased().split { !$0.isLetter }
            guard words.count == 1, let word = words.first else {
                return .judged(Verdict(.unreadable, evidence: "\(words.count) words in '\(rollout.text.prefix(40))', expected one"))
            }
            // Longer than its beginning, so that "aa" alone does not answer "begins with 'aa'".
            guard word.hasPrefix(beginning), word.count > beginning.count else {
                return .judged(Verdict(.wrong, evidence: "'\(word.prefix(40))' does not begin with '\(beginning)' and go on"))
            }
            let backwards = word.reversed()
            let isRight = word.elementsEqual(backwards)
            return .judged(Verdict(isRight ? .right : .wrong, evidence: "'\(word.prefix(40))' backwards is '\(String(backwards.prefix(40)))'"))
        }
    }
}

/// Words that read the same in both directions and begin with two given letters.
public struct Palindromes: Environment {
    public let name: String
    public let stops: [String] = []
    public let maxTokens: Int
    private let parts: [Split: [Problem]]

    public init(name: String = "palindromes", maxTokens: Int = 32) {
        self.name = name
        self.maxTokens = maxTokens
        // All questions have one wording, so they are told apart by their exact text.
        let splitting = Splitting(dev: 0.1, test: 0.2, grouping: .exact)
        let letters = "abcdefghijklmnopqrstuvwxyz"
        let problems = letters.flatMap { first in
            letters.map { second in
                let question = "Write one word that reads the same in both directions and begins with '\(first)\(second)'. Answer with the word alone."
                return Problem(
                    id: "\(name)-\(first)\(second)", question: question, category: first == second ? "double" : "plain",
                    details: ["beginning": "\(first)\(second)", "splitKey": splitting.key(of: question)])
            }
        }
        parts = Dictionary(grouping: problems) { splitting.split(ofKey: $0.splitKey) }
    }

    public func problems(in split: Split) -> [Problem] { parts[split] ?? [] }

    /// - Throws: `TaskError.noHint` when hinted.
    public func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt {
        guard mode == .plain else {
            throw TaskError.noHint(task: name, problem: problem.id, reason: "there is no one answer to give away. Use a recipe without rationalisation.")
        }
        return .messages([Message(role: "user", content: problem.question)])
    }

    public var verifier: any Verifier { PalindromeVerifier() }
}

extension TaskKind {
    /// `type: palindromes`
    static let palindromes = TaskKind(
        name: "palindromes", summary: "words that read the same in both directions; needs no data", keys: ["max-tokens"]
    ) { file in
        Palindromes(name: file.name, maxTokens: try file.count("max-tokens") ?? 32)
    }
}

@Suite("Guide: a verifier")
struct PalindromeTests {
    private let problem = Problem(id: "p", question: "?", details: ["beginning": "le"])

    private func judge(_ text: String, about problem: Problem, finish: FinishReason = .stop) async -> Judgement {
        let rollout = Rollout(
            key: RolloutKey(iteration: 1, phase: "attempt", index: 0), problem: problem, mode: .plain, promptTokens: [1], completionTokens: [2],
            finishReason: finish, text: text, logProbabilities: [0], behaviorLogProbabilities: [0], temperatures: [1], weightsHash: "")
        return await PalindromeVerifier().judge([rollout])[0]
    }

    private func outcome(_ judgement: Judgement) -> Verdict.Outcome? {
        if case .judged(let verdict) = judgement { verdict.outcome } else { nil }
    }

    @Test(
        "one word is read, whatever its case and punctuation",
        arguments: [
            ("level", .right), (" Level.\n", .right), ("lever", .wrong), ("noon", .wrong), ("le", .wrong), ("", .unreadable), ("level, of course", .unreadable),
        ] as [(String, Verdict.Outcome)])
    func judged(text: String, expected: Verdict.Outcome) async {
        #expect(outcome(await judge(text, about: problem)) == expected)
    }

    @Test("what was cut off is not judged by its text, and a problem without a beginning is not judged at all")
    func notJudged() async {
        #expect(outcome(await judge("level", about: problem, finish: .length)) == .cutOff)
        #expect(outcome(await judge("level", about: Problem(id: "q", question: "?"))) == nil)
    }

    @Test("a lazy model finds the trick: the beginning, and its first letter again")
    func trick() async throws {
        for problem in Palindromes().problems(in: .test) {
            let beginning = try #require(problem.details["beginning"])
            #expect(outcome(await judge(beginning + beginning.prefix(1), about: problem)) == .right)
        }
    }

    @Test("a registry makes the task by its name; every part has problems, and none stands in two")
    func registered() throws {
        let registry = TaskRegistry([.palindromes])
        let task = try registry.environment(named: "palindromes", settings: ["max-tokens": "9"])
        #expect(task.maxTokens == 9)
        for split in Split.allCases { #expect(try !task.problems(in: split).isEmpty) }
        #expect(try Overlap.inside(task).isEmpty)
        #expect(throws: TaskError.self) { try registry.environment(named: "palindromes", settings: ["max-token": "9"]) }
        #expect(throws: TaskError.self) { try task.reset(problem, mode: .hinted) }
    }
}
