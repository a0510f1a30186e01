import Foundation

/// Questions with known answers from JSON Lines files, asked in text or chat form, with worked examples if wanted.
///
/// One file is split by what its questions say; with a test file of its own, training questions that nearly repeat a test
/// question are left out.
public struct QuestionAnswer: Environment {
    public enum Form: String, Codable, Sendable, CaseIterable {
        /// The prompt is text to be continued; examples are separated by a blank line.
        case text
        /// The prompt is a conversation; examples are earlier turns.
        case chat
    }

    /// What judges completions, by what the answer field says of right ones.
    public enum Check: String, Codable, Sendable, CaseIterable {
        /// What they answer.
        case answer
        /// What stands in their box, as competition mathematics.
        case math
        /// The number with its unit that they end with.
        case quantity
        /// A regular expression that they match as a whole.
        case regex
        /// A JSON Schema, as a text or an object; such problems have no answer to give away.
        case schema
        /// Code that the record's tests pass, if it is there at all: a reference for worked examples, which no prompt gives away.
        case code
        /// Whatever the user's own program makes of it; records may have none.
        case external
    }

    /// Everything that describes such a task. A task file's keys are these names with hyphens.
    public struct Settings: Sendable {
        public var name = "jsonl"
        /// One file for all splits; or else `train`, `dev`, `test`.
        public var data: URL?
        public var train: URL?
        /// Without it dev is a part of `train`.
        public var dev: URL?
        public var test: URL?
        /// Fields of a record. `rationale` is the worked solution; `category` is what reports group by.
        public var question = "question"
        public var answer = "answer"
        public var rationale: String?
        public var id = "id"
        public var category: String?
        /// The field with a list of options. The answer is then the right option's letter, A for the first, or its text.
        public var choices: String?
        /// The possible answers, in their order. A record's answer is one of them, or its number from 0.
        public var labels: [String]?
        /// What the answer field holds, and what judges unless `verifier` is given.
        public var check = Check.answer
        /// `nil`: what `check`, `choices` and `labels` ask for. `check: external` needs one.
        public var verifier: (any Verifier)?
        /// Whether the fields of a record that no other setting names become the problem's details, for a verifier that reads them. `check: code` and
        /// `external` do so always.
        public var keepsFields = false
        public var form = Form.text
        /// The system message, in chat form.
        public var system: String?
        /// `nil`: "Question: {question}\nAnswer:" as text, "{question}" in a chat; with options their list ("{choices}") behind the question.
        public var prompt: String?
        /// What completes the prompt in a worked example. `nil`: " {rationale}" where there is one, else " {answer}", of options " ({answer})".
        public var target: String?
        /// Worked examples before each question. `nil`: all of `fewShotData`, or none.
        public var fewShot: Int?
        /// Where they come from; without it, from the training part, which then loses them.
        public var fewShotData: URL?
        /// Only its records whose fields have these values are examples.
        public var fewShotWhere: [String: String] = [:]
        /// The most characters of an example's question and worked solution together; `nil`: any number.
        public var fewShotLongest: Int?
        /// Finds the gold answer within the answer field.
        /// nil: the strict rule, else the whole field; of a regular expression always that.
        public var goldExtraction: AnswerExtraction?
        /// Finds the answer within a completion.
        public var extraction = AnswerExtraction.usual(for: .number)
        public var comparison = AnswerVerifier.Comparison.number
        /// Takes GSM8K's `<<48/2=24>>` out of rationales; nothing ever executes them.
        public var stripCalculatorMarks = true
        /// `nil`: in text form the words before the template's question ("Question:"), in a chat none.
        public var stops: [String]?
        public var maxTokens = 256
        public var splitting = Splitting()
        /// The order of the training problems, and which of them are shown as examples.
        public var seed: UInt64 = 0
        /// At most so many problems; `nil`: all.
        public var trainCount: Int?
        public var devCount: Int?
        public var testCount: Int?

        public init() {}
    }

    public let settings: Settings
    public let stops: [String]
    public let verifier: any Verifier
    /// Problems of train and dev left out because a later split, or an example, nearly says the same.
    public let removed: Int
    private let promptTemplate, targetTemplate: PromptTemplate
    private let examples: [Problem]
    private let train, dev, test: [Problem]

    /// - Throws: `TaskError` for files, records or settings that do not fit.
    public init(_ settings: Settings) throws {
        let splitting = settings.splitting
        func refuse(_ key: String, _ value: String, _ reason: String) -> TaskError {
            .badValue(file: settings.name, line: nil, key: key, value: value, reason: reason)
        }
        self.settings = settings
        verifier = try settings.verifier ?? TaskFile(type: settings.name, folder: URL(fileURLWithPath: "/")).verifier(settings.check, for: settings)
        if settings.check != .answer, settings.choices != nil || settings.labels != nil {
            throw refuse("check", settings.check.rawValue, "The possible answers of 'choices' or 'labels' are compared. Leave one of the two out.")
        }
        if settings.choices != nil, let labels = settings.labels {
            throw refuse("labels", labels.joined(separator: ", "), "The options of 'choices' are the possible answers. Leave one of the two out.")
        }
        if let labels = settings.labels, let problem = LabelVerifier.problem(with: labels) { throw refuse("labels", labels.joined(separator: ", "), problem) }
        let places: [PromptTemplate.Place] = settings.choices == nil ? [.question] : [.question, .choices]
        let asked = settings.choices == nil ? "{question}" : "{question}\nAnswer Choices:\n{choices}"
        promptTemplate = try PromptTemplate(
            settings.prompt ?? (settings.form == .text ? "Question: \(asked)\nAnswer:" : asked), allowed: places, file: settings.name, key: "prompt")
        for place in places where !promptTemplate.has(place) {
            throw refuse("prompt", settings.prompt ?? "", "Put '{\(place.rawValue)}' where \(place == .question ? "the question belongs" : "the options belong").")
        }
        let opening = promptTemplate.opening.trimmingCharacters(in: .whitespacesAndNewlines)
        stops = settings.stops ?? (settings.form == .text && !opening.isEmpty ? [opening] : [])
        if stops.contains("") { throw refuse("stops", "", "An empty stop string would end every answer at once.") }

        // What could be shown as an example is no dev problem cut from the training file, so that dev is the same for every number of examples.
        func isShort(_ example: Problem) -> Bool { example.question.count + (example.details["rationale"] ?? "").count <= settings.fewShotLongest ?? .max }
        let shown = try settings.fewShotData.map { try Self.readExamples($0, settings, splitting) }?.filter(isShort) ?? []
        let shownKeys = Set(shown.map(\.splitKey))

        // The problems of each split.
        var parts: [Split: [Problem]] = [:]
        if let data = settings.data {
            if settings.train != nil || settings.dev != nil || settings.test != nil {
                throw refuse("data", data.lastPathComponent, "Give either 'data', split by its text, or files for 'train', 'dev' and 'test'.")
            }
            for problem in try Self.read(data, settings, splitting) {
                parts[splitting.split(ofKey: problem.splitKey), default: []].append(problem)
            }
            let count = parts.values.reduce(0) { $0 + $1.count }
            for (split, share) in [(Split.test, splitting.test), (.dev, splitting.dev), (.train, 1)] where share > 0 && count >= 20 && parts[split] == nil {
                throw TaskError.emptySplit(
                    task: settings.name, split: split,
                    reason: "The \(count) questions have too few different wordings to be split apart. Set 'by: exact' under 'splits' if they come from a template.")
            }
        } else {
            guard settings.train != nil || settings.test != nil else {
                throw TaskError.missingKey(file: settings.name, key: "data", reason: "Give 'data', or files for 'train' and 'test'.")
            }
            if let url = settings.train {
                for problem in try Self.read(url, settings, splitting) {
                    let isDev = settings.dev == nil && splitting.split(ofKey: problem.splitKey) == .dev && !shownKeys.contains(problem.splitKey)
                    parts[isDev ? .dev : .train, default: []].append(problem)
                }
            }
            if let url = settings.dev { parts[.dev] = try Self.read(url, settings, splitting) }
            if let url = settings.test { parts[.test] = try Self.read(url, settings, splitting) }
        }

        let all = parts.values.reduce(0) { $0 + $1.count }
        let heldOutKeys = parts.separate()

        var generator = SeededGenerator(seed: settings.seed, label: "questions")
        var training = generator.shuffled(parts[.train] ?? [])
        var examples: [Problem] = []
        if let url = settings.fewShotData {
            let wanted = settings.fewShot ?? shown.count
            guard wanted <= shown.count else {
                throw refuse("few-shot", "\(wanted)", "\(url.lastPathComponent) has \(shown.count) examples; ask for no more.")
            }
            examples = Array(shown.prefix(wanted))
            if let leak = examples.first(where: { heldOutKeys.contains($0.splitKey) }) {
                throw refuse("few-shot-data", url.lastPathComponent, "Its example '\(leak.id)' is a dev or test question too. Take it out.")
            }
        } else if let wanted = settings.fewShot, wanted > 0 {
            let short = training.filter(isShort)
            guard wanted < training.count, wanted <= short.count else {
                throw refuse("few-shot", "\(wanted)", "There are \(short.count) training problems to take examples from. Ask for fewer, or give 'few-shot-data'.")
            }
            examples = Array(short.prefix(wanted))
        }
        let exampleKeys = Set(examples.map(\.splitKey))
        training.removeAll { exampleKeys.contains($0.splitKey) }
        removed = all - training.count - (parts[.dev] ?? []).count - (parts[.test] ?? []).count
        train = Array(training.prefix(settings.trainCount ?? .max))
        dev = (parts[.dev] ?? []).thinned(to: settings.devCount)
        test = (parts[.test] ?? []).thinned(to: settings.testCount)

        let hasRationale = settings.rationale != nil || examples.contains { $0.details["rationale"] != nil }
        targetTemplate = try PromptTemplate(
            settings.target ?? (hasRationale ? " {rationale}" : settings.choices == nil ? " {answer}" : " ({answer})"), allowed: [.answer, .rationale],
            file: settings.name, key: "target")
        if targetTemplate.has(.rationale), let bare = examples.first(where: { $0.details["rationale"] == nil }) {
            throw refuse("target", settings.target ?? " {rationale}", "The example '\(bare.id)' has no rationale. Name its field with 'rationale'.")
        }
        if targetTemplate.has(.answer), let bare = examples.first(where: { $0.answer == nil && $0.details["reference"] == nil }) {
            throw refuse("few-shot", "\(examples.count)", "The example '\(bare.id)' has no answer to show. Leave 'few-shot' out, or give a 'target' without '{answer}'.")
        }
        self.examples = examples
    }

    public var name: String { settings.name }
    public var omission: String? { removed > 0 ? "\(removed) left out that nearly repeat a held-out problem or are shown as examples" : nil }
    public var maxTokens: Int { settings.maxTokens }

    public func problems(in split: Split) -> [Problem] {
        switch split {
        case .train: train
        case .dev: dev
        case .test: test
        }
    }

    /// Hinted, the answer stands in parentheses behind the question, or the right option is marked, in the examples as well.
    public func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt {
        switch settings.form {
        case .text:
            let shown = try examples.map { try ask($0, mode) + answer($0) }
            return .text((shown + [try ask(problem, mode)]).joined(separator: "\n\n"))
        case .chat:
            var messages = settings.system.map { [Message(role: "system", content: $0)] } ?? []
            for example in examples {
                messages.append(Message(role: "user", content: try ask(example, mode)))
                messages.append(Message(role: "assistant", content: answer(example).trimmingCharacters(in: .whitespacesAndNewlines)))
            }
            return .messages(messages + [Message(role: "user", content: try ask(problem, mode))])
        }
    }

    public func goldCompletion(_ problem: Problem) throws -> String? { try workedExample(problem, mode: .plain)?.completion }

    /// The problem with the completion that the data gives, without few-shot examples; `nil` where it gives none.
    public func workedExample(_ problem: Problem, mode: PromptMode) throws -> (prompt: Prompt, completion: String)? {
        if problem.answer == nil || (targetTemplate.has(.rationale) && problem.details["rationale"] == nil) { return nil }
        switch settings.form {
        case .text: return (.text(try ask(problem, mode)), answer(problem))
        case .chat:
            let system = settings.system.map { [Message(role: "system", content: $0)] } ?? []
            return (
                .messages(system + [Message(role: "user", content: try ask(problem, mode))]),
                answer(problem).trimmingCharacters(in: .whitespacesAndNewlines)
            )
        }
    }

    // MARK: - Prompts

    private func ask(_ problem: Problem, _ mode: PromptMode) throws -> String {
        let choices = Choices(problem)
        guard mode == .hinted else { return promptTemplate.filled(question: problem.question, choices: choices?.listed() ?? "") }
        guard let answer = problem.answer else {
            throw TaskError.noHint(task: name, problem: problem.id, reason: "it has no answer. Leave it out of rationalisation.")
        }
        if let choices { return promptTemplate.filled(question: problem.question, choices: choices.listed(marking: choices.index(of: answer))) }
        return promptTemplate.filled(question: "\(problem.question) (\(answer))")
    }

    private func answer(_ problem: Problem) -> String {
        targetTemplate.filled(question: problem.question, answer: problem.answer ?? problem.details["reference"] ?? "", rationale: problem.details["rationale"] ?? "")
    }
}
