import ModelFiles

/// A question whose answer is a span of a context.
public struct SpanQuestion: Sendable, Equatable {
    public var line: Int
    public var question: String
    public var context: String
    /// Any of them is right; none where the file has none.
    public var answers: [String]
    /// The character (Unicode scalar) of the context where the first answer begins.
    public var start: Int?

    public init(line: Int, question: String, context: String, answers: [String] = [], start: Int? = nil) {
        (self.line, self.question, self.context, self.answers, self.start) = (line, question, context, answers, start)
    }

    /// What a line must have beside question and context.
    public enum Need { case nothing, answer, answerWithStart }

    /// Reads {"question", "context", "answer", "start"}, or SQuAD's {"answers": {"text", "answer_start"}}.
    /// - Throws: `FileError` that names the line, also where the answer does not stand where it is said to; `JSONError`.
    public static func read(_ path: String, needs: Need) throws -> [SpanQuestion] {
        try JSONL.objects(path: path).map { line, object in
            func refuse(_ problem: String) -> FileError {
                FileError(file: path, problem: "line \(line) \(problem)", advice: "Write {\"question\": …, \"context\": …, \"answer\": …, \"start\": the character of the context where it begins}.")
            }
            guard let question = object["question"]?.string, let context = object["context"]?.string else { throw refuse("has no question and context") }
            let answers = object["answer"]?.string.map { [$0] } ?? object["answers"]?["text"]?.array?.compactMap(\.string) ?? []
            let start = object["start"]?.int ?? object["answers"]?["answer_start"]?.array?.first?.int
            if needs != .nothing, answers.isEmpty { throw refuse("has no answer") }
            if needs == .answerWithStart, start == nil { throw refuse("has no start of its answer") }
            if let start, let answer = answers.first {
                let scalars = Array(context.unicodeScalars), length = answer.unicodeScalars.count
                guard length > 0, start >= 0, start <= scalars.count - length, scalars[start..<start + length].elementsEqual(answer.unicodeScalars) else {
                    throw refuse("says that '\(answer.prefix(30))' begins at character \(start) of the context, where it does not stand")
                }
            }
            return SpanQuestion(line: line, question: question, context: context, answers: answers, start: start)
        }
    }
}
