import Foundation
import ModelFiles
import Tasks
import Testing

@Suite("Questions with rationales")
struct RationaleQuestionTests {
    private func read(_ text: String) throws -> [RationaleQuestion] {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("rationales-\(UUID().uuidString).jsonl").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return try RationaleQuestion.read(path)
    }

    @Test("lines are read with their numbers; labels are names or numbers")
    func lines() throws {
        let questions = try read("{\"question\": \"q\", \"rationales\": [\"a\", \"b\"], \"label\": \"yes\"}\n\n{\"text\": \"t\", \"rationales\": [\"\"], \"label\": 1}\n")
        #expect(questions == [RationaleQuestion(line: 1, text: "q", rationales: ["a", "b"], label: "yes"), RationaleQuestion(line: 3, text: "t", rationales: [""], label: "1")])
        #expect(try RationaleQuestion.classes(questions, names: ["no", "yes"], file: "f") == [1, 1])
        #expect(!RationaleQuestion.areDegenerate(questions) && RationaleQuestion.areDegenerate([questions[1]]))
        let error = #expect(throws: FileError.self) { try RationaleQuestion.classes(questions, names: ["no", "maybe"], file: "f") }
        #expect(error?.description.contains("line 1 has the label 'yes', but the classes are no, maybe") == true, "\(String(describing: error))")
    }

    private static let many = (0...RationaleQuestion.most).map { "\"r\($0)\"" }.joined(separator: ", ")

    @Test("what a line lacks is named", arguments: [
        ("{\"rationales\": [\"a\"], \"label\": \"x\"}", "line 2 has no text 'question' or 'text'"),
        ("{\"question\": 3, \"rationales\": [\"a\"], \"label\": \"x\"}", "line 2 has no text 'question' or 'text'"),
        ("{\"question\": \"q\", \"rationales\": [\"a\"]}", "line 2 has no 'label'"),
        ("{\"question\": \"q\", \"rationales\": [\"a\"], \"label\": 0.5}", "line 2 has no 'label'"),
        ("{\"question\": \"q\", \"label\": \"x\"}", "line 2 has no list of texts 'rationales'"),
        ("{\"question\": \"q\", \"rationales\": \"a\", \"label\": \"x\"}", "line 2 has no list of texts 'rationales'"),
        ("{\"question\": \"q\", \"rationales\": [\"a\", 2], \"label\": \"x\"}", "line 2 has no list of texts 'rationales'"),
        ("{\"question\": \"q\", \"rationales\": [], \"label\": \"x\"}", "line 2 has an empty list 'rationales'"),
        ("{\"question\": \"q\", \"rationales\": [], \"label\": \"x\"}", "degenerate case"),
        ("{\"question\": \"q\", \"rationales\": [\"a\", \"b\", \"a\"], \"label\": \"x\"}", "line 2 has a rationale twice: 'a'"),
        ("{\"question\": \"q\", \"rationales\": [\(many)], \"label\": \"x\"}", "line 2 has 33 rationales, but at most 32"),
    ])
    func refusals(line: String, message: String) {
        let error = #expect(throws: FileError.self) { try read("{\"question\": \"q\", \"rationales\": [\"a\"], \"label\": \"x\"}\n\(line)\n") }
        #expect(error?.description.contains(message) == true, "\(String(describing: error))")
    }
}
