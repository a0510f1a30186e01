import ModelFiles

/// Answers to one prompt with what is known of each.
public struct JudgedAnswers: Sendable, Equatable {
    /// What a line of a file may hold.
    public enum Form: String, Sendable, CaseIterable {
        /// {"prompt", "chosen", "rejected"}: a right answer and a wrong one.
        case pair
        /// {"prompt", "completion", "label"}: one answer, right or wrong, as TRL writes it.
        case verdict
        /// {"prompt", "completions", "scores"}: answers with numbers, higher for better ones.
        case scores

        /// Beside the prompt.
        var fields: [String] {
            switch self {
            case .pair: ["chosen", "rejected"]
            case .verdict: ["completion", "label"]
            case .scores: ["completions", "scores"]
            }
        }

        var shown: String {
            switch self {
            case .pair: "{\"prompt\": …, \"chosen\": …, \"rejected\": …}, all of them texts"
            case .verdict: "{\"prompt\": …, \"completion\": …, \"label\": true or false}"
            case .scores: "{\"prompt\": …, \"completions\": [texts], \"scores\": [a number for each]}"
            }
        }
    }

    public var line: Int
    public var form: Form
    public var prompt: String
    public var answers: [String]
    /// Of each answer: 1 of a right one and -1 of a wrong one, where it is right or wrong.
    public var scores: [Double]

    public init(line: Int, form: Form, prompt: String, answers: [String], scores: [Double]) {
        precondition(answers.count == scores.count, "\(scores.count) scores for \(answers.count) answers")
        (self.line, self.form, self.prompt, self.answers, self.scores) = (line, form, prompt, answers, scores)
    }

    /// Whether no answer is better than another.
    public var isTied: Bool { Set(scores).count < 2 }

    /// Reads a JSON Lines file, each line in one of the forms.
    /// - Parameters:
    ///   - path: of the file.
    ///   - forms: that are read; a line is of the first of them of which it has a field.
    /// - Throws: `FileError` that names the line and what to write, `JSONError`.
    public static func read(_ path: String, _ forms: [Form]) throws -> [JudgedAnswers] {
        try JSONL.objects(path: path).map { line, object in
            func refuse(_ problem: String) -> FileError {
                FileError(file: path, problem: "line \(line) \(problem)", advice: "Write \(forms.map(\.shown).joined(separator: ", or "))")
            }
            func text(_ name: String) throws -> String {
                guard let text = object[name]?.string else { throw refuse("has no text '\(name)'") }
                return text
            }
            guard let form = forms.first(where: { $0.fields.contains { object[$0] != nil } }) ?? (forms.count == 1 ? forms[0] : nil) else {
                throw refuse("has \(object.isEmpty ? "no fields" : "the fields \(object.keys.joined(separator: ", "))"), which are of no form that is read here")
            }
            let prompt = try text("prompt"), answers: [String], scores: [Double]
            switch form {
            case .pair:
                (answers, scores) = (try form.fields.map(text), [1, -1])
                guard answers[0] != answers[1] else { throw refuse("has the same text as 'chosen' and 'rejected'") }
            case .verdict:
                guard let label = object["label"] else { throw refuse("has no 'label'") }
                guard let isRight = label.bool else { throw refuse("has a 'label' that is \(label.kind), not true or false") }
                (answers, scores) = ([try text("completion")], [isRight ? 1 : -1])
            case .scores:
                guard let texts = object["completions"]?.array?.map(\.string), texts.count > 1, !texts.contains(nil) else { throw refuse("has no two or more texts in 'completions'") }
                guard let numbers = object["scores"]?.array?.map(\.double), !numbers.contains(where: { $0?.isFinite != true }) else { throw refuse("has no list of numbers 'scores'") }
                guard numbers.count == texts.count else { throw refuse("has \(numbers.count) scores for \(texts.count) completions") }
                (answers, scores) = (texts.compactMap { $0 }, numbers.compactMap { $0 })
                guard Set(answers).count == answers.count else { throw refuse("has the same completion twice") }
            }
            return JudgedAnswers(line: line, form: form, prompt: prompt, answers: answers, scores: scores)
        }
    }
}
