import ModelFiles
import Tasks
import Testing

@Suite("Ranked answers")
struct RankedAnswersTests {
    private func read(_ text: String) throws -> [RankedAnswers] { try withFolder(["a.jsonl": text]) { try RankedAnswers.read($0.appendingPathComponent("a.jsonl").path) } }

    @Test("pairs, ties, margins and rankings are read")
    func lines() throws {
        let all = try read(
            """
            {"prompt": "p", "chosen": "a", "rejected": "b", "margin": 1.5}
            {"prompt": "p", "chosen": "a", "rejected": "b", "tie": true}
            {"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 4, "score_rejected": 4}
            {"prompt": "p", "answers": ["a", "b", "c"]}
            {"prompt": "p", "answers": ["a", "b", "c"], "scores": [2, 1, 1]}
            """)
        #expect(all[0].answers == ["a", "b"] && all[0].margin == 1.5 && all[3].line == 4)
        #expect(all.map(\.decided.count) == [1, 0, 0, 3, 2])
    }

    @Test("what is no comparison is refused with its line", arguments: [
        (#"{"prompt": "p", "chosen": "a"}"#, "line 2 has no text 'rejected'"), (#"{"chosen": "a", "rejected": "b"}"#, "no text 'prompt'"),
        (#"{"prompt": "p", "chosen": "a", "rejected": "a"}"#, "the same answer twice"), (#"{"prompt": "p", "answers": ["a"]}"#, "no two or more texts"),
        (#"{"prompt": "p", "answers": ["a", 1]}"#, "no two or more texts"), (#"{"prompt": "p", "answers": ["a", "b"], "scores": [1]}"#, "not one number"),
        (#"{"prompt": "p", "answers": ["a", "b"], "scores": [1, 2]}"#, "higher than a better one"), (#"{"prompt": "p", "chosen": "a", "rejected": "b", "margin": "big"}"#, "no finite number 'margin'"),
    ])
    func refusals(line: String, problem: String) {
        let error = #expect(throws: FileError.self) { try read("{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"b\"}\n\(line)") }
        #expect(error?.description.contains(problem) == true, "\(String(describing: error))")
    }

    @Test("a part of the prompts is held out, whatever the order of lines, and no prompt is on both sides")
    func split() {
        let all = (0..<100).map { RankedAnswers(line: $0, prompt: "prompt \($0 % 20)", answers: ["a", "b"]) }
        let (train, held) = RankedAnswers.split(all, held: 0.1)
        #expect(train.count == 90 && held.count == 10 && Set(train.map(\.prompt)).isDisjoint(with: held.map(\.prompt)))
        #expect(Set(RankedAnswers.split(all.reversed(), held: 0.1).held.map(\.prompt)) == Set(held.map(\.prompt)))
        #expect(RankedAnswers.split(Array(all.prefix(1)), held: 0.1).held.isEmpty)
        #expect(RankedAnswers(line: 0, prompt: " Prompt\n3", answers: []).promptHash == all[3].promptHash)
    }
}
