import Tasks
import Testing

@Suite("Prompts that ask for a good answer, or a bad one")
struct HindsightPromptsTests {
    private let phrases = HindsightPhrases(good: "Good:", bad: "Bad:")

    @Test("the phrase ends a text, but for its last white space, or a conversation's last message")
    func asking() {
        #expect(phrases.asking(.text("Question: 1\nAnswer:"), good: true) == .text("Question: 1\nAnswer: Good:"))
        #expect(phrases.asking(.text("Input:\n1\nTarget:\n"), good: false) == .text("Input:\n1\nTarget: Bad:\n"))
        #expect(phrases.asking(.text(""), good: true) == .text("Good:"))
        let system = Message(role: "system", content: "s")
        #expect(phrases.asking(.messages([system, Message(role: "user", content: "q")]), good: true) == .messages([system, Message(role: "user", content: "q\n\nGood:")]))
    }

    @Test("a second answer is asked for in the form of the prompt")
    func next() {
        #expect(phrases.next(after: .text("Target:\n"), good: false) == .text("\n\nBad:\n") && phrases.next(after: .text("Answer:"), good: true) == .text("\n\nGood:"))
        #expect(phrases.next(after: .messages([Message(role: "user", content: "q")]), good: true) == .messages([Message(role: "user", content: "Good:")]))
    }

    @Test("a task is asked for good answers only, and is otherwise as it was")
    func task() throws {
        let base = try Addition(digits: 1...2, trainCount: 10, devPerLength: 2, testPerLength: 2), task = HindsightPrompts(base, phrases: phrases)
        for split in Split.allCases {
            #expect(try task.problems(in: split) == base.problems(in: split))
            for problem in try task.problems(in: split) {
                guard case .text(let plain) = try base.reset(problem, mode: .plain) else { preconditionFailure("sums are texts") }
                #expect(try task.reset(problem, mode: .plain) == .text(plain.replacing("Target:\n", with: "Target: Good:\n")))
            }
        }
        #expect(task.stops == base.stops && task.maxTokens == base.maxTokens && task.name == base.name && task.verifier.name == base.verifier.name)
    }
}
