import ModelFiles
import Tasks
import Testing

@Suite("Judged answers")
struct JudgedAnswersTests {
    private func read(_ text: String, _ forms: [JudgedAnswers.Form] = JudgedAnswers.Form.allCases) throws -> [JudgedAnswers] {
        try withFolder(["a.jsonl": text]) { try JudgedAnswers.read($0.appendingPathComponent("a.jsonl").path, forms) }
    }

    @Test("each line is read in its own form; a right answer has the score 1, a wrong one -1")
    func lines() throws {
        let all = try read(
            """
            {"prompt": "p", "chosen": "a", "rejected": "b"}
            {"prompt": "p", "completion": "a", "label": true}
            {"prompt": "q", "completion": "b", "label": false}
            {"prompt": "p", "completions": ["a", "b", "c"], "scores": [0.5, 2, -1]}
            {"prompt": "p", "completions": ["a", "b"], "scores": [1, 1]}
            """)
        #expect(all.map(\.form) == [.pair, .verdict, .verdict, .scores, .scores] && all.map(\.line) == [1, 2, 3, 4, 5] && all[2].prompt == "q")
        #expect(all.map(\.answers) == [["a", "b"], ["a"], ["b"], ["a", "b", "c"], ["a", "b"]])
        #expect(all.map(\.scores) == [[1, -1], [1], [-1], [0.5, 2, -1], [1, 1]])
        #expect(all.map(\.isTied) == [false, true, true, false, true])
    }

    @Test("what is in no form that is read is refused with its line and what to write", arguments: [
        (#"{"prompt": "p", "completion": "a"}"#, "line 2 has no 'label'"), (#"{"prompt": "p", "completion": "a", "label": 1}"#, "has a 'label' that is a whole number, not true or false"),
        (#"{"prompt": "p", "completion": "a", "label": "true"}"#, "has a 'label' that is a string"), (#"{"prompt": "p", "label": true}"#, "has no text 'completion'"),
        (#"{"completion": "a", "label": true}"#, "has no text 'prompt'"), (#"{"prompt": "p", "chosen": "a", "rejected": "a"}"#, "has the same text as 'chosen' and 'rejected'"),
        (#"{"prompt": "p", "chosen": "a"}"#, "has no text 'rejected'"), (#"{"prompt": "p", "answer": "a"}"#, "has the fields prompt, answer, which are of no form"),
        (#"{"prompt": "p", "completions": ["a", "b"], "scores": [1]}"#, "has 1 scores for 2 completions"), (#"{"prompt": "p", "completions": ["a", "b"]}"#, "has no list of numbers 'scores'"),
        (#"{"prompt": "p", "completions": ["a", "b"], "scores": [1, "2"]}"#, "has no list of numbers 'scores'"), (#"{"prompt": "p", "completions": ["a"], "scores": [1]}"#, "has no two or more texts in 'completions'"),
        (#"{"prompt": "p", "completions": ["a", "a"], "scores": [1, 2]}"#, "has the same completion twice"),
    ])
    func refusals(line: String, problem: String) {
        let error = #expect(throws: FileError.self) { try read("{\"prompt\": \"p\", \"completion\": \"a\", \"label\": true}\n\(line)") }
        #expect(error?.description.contains(problem) == true && error?.description.contains("Write {\"prompt\"") == true, "\(String(describing: error))")
    }

    @Test("a form that is not asked for is not read")
    func others() {
        let error = #expect(throws: FileError.self) { try read(#"{"prompt": "p", "completions": ["a", "b"], "scores": [1, 2]}"#, [.verdict, .pair]) }
        #expect(error?.description.contains("has the fields prompt, completions, scores, which are of no form that is read here") == true)
        // Of one form it is said what is missing of it.
        #expect(#expect(throws: FileError.self) { try read(#"{"prompt": "p", "completion": "a", "label": true}"#, [.pair]) }?.description.contains("has no text 'chosen'") == true)
    }
}
