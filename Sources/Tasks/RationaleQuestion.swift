import ModelFiles

/// A question with its label and the rationales that may explain it, from a line of a JSONL file.
public struct RationaleQuestion: Sendable, Equatable {
    public var line: Int
    public var text: String
    /// Each once; an empty one stands for none.
    public var rationales: [String]
    /// As the file writes it: a name or a number.
    public var label: String

    /// Rationales that a question may have: all of them are computed.
    public static let most = 32

    public init(line: Int, text: String, rationales: [String], label: String) { (self.line, self.text, self.rationales, self.label) = (line, text, rationales, label) }

    /// Whether no question has two rationales to choose from. Then every posterior is 1: what is trained is the label itself, or what is solved already, which only sharpens. That is no
    /// self-improvement.
    public static func areDegenerate(_ questions: [RationaleQuestion]) -> Bool { questions.allSatisfy { $0.rationales.count < 2 } }

    /// Reads {"question", "rationales", "label"}; "text" may stand for "question".
    /// - Throws: `FileError` that names the line and what is missing, or rationales that are none, too many, or twice the same; `JSONError`.
    public static func read(_ path: String) throws -> [RationaleQuestion] {
        try JSONL.objects(path: path).map { line, object in
            func refuse(_ problem: String, _ advice: String = "Write {\"question\": …, \"rationales\": [\"…\", \"…\"], \"label\": …}.") -> FileError {
                FileError(file: path, problem: "line \(line) \(problem)", advice: advice)
            }
            guard let text = (object["question"] ?? object["text"])?.string else { throw refuse("has no text 'question' or 'text'") }
            guard let label = object["label"].flatMap({ $0.string ?? $0.int.map { "\($0)" } }) else { throw refuse("has no 'label' that is a name or a whole number") }
            guard let list = object["rationales"]?.array?.map(\.string), !list.contains(nil) else { throw refuse("has no list of texts 'rationales'") }
            let rationales = list.compactMap { $0 }
            guard !rationales.isEmpty else {
                throw refuse(
                    "has an empty list 'rationales', from which nothing can be chosen",
                    "Write at least one. A list of one empty text is the degenerate case: training without rationales, which only sharpens what the model can tell already.")
            }
            guard rationales.count <= most else { throw refuse("has \(rationales.count) rationales, but at most \(most) are weighed", "Keep the best \(most), such as those that a search finds first.") }
            if let twice = rationales.indices.first(where: { rationales[..<$0].contains(rationales[$0]) }) {
                throw refuse("has a rationale twice: '\(rationales[twice].prefix(60))'", "Write each once: they would share its weight.")
            }
            return RationaleQuestion(line: line, text: text, rationales: rationales, label: label)
        }
    }

    /// The class of each question; a label is one of the `names`, or the number of one.
    /// - Parameters:
    ///   - questions: with their labels.
    ///   - names: of the classes, in their order.
    ///   - file: for errors.
    /// - Throws: `FileError` for a label that is neither.
    public static func classes(_ questions: [RationaleQuestion], names: [String], file: String) throws -> [Int] {
        try questions.map { try LabelledText.index(of: $0.label, in: names, line: $0.line, file: file) }
    }
}
