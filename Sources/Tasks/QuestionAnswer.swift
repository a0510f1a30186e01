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

    /// Everything that describes such a task. A task file's keys are these names with hyphens.
    public struct Settings: Sendable, Equatable {
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
        public var form = Form.text
        /// The system message, in chat form.
        public var system: String?
        /// `nil`: "Question: {question}\nAnswer:" as text, "{question}" in a chat.
        public var prompt: String?
        /// What completes the prompt in a worked example. `nil`: " {rationale}" where there is one, else " {answer}".
        public var target: String?
        /// Worked examples before each question. `nil`: all of `fewShotData`, or none.
        public var fewShot: Int?
        /// Where they come from; without it, from the training part, which then loses them.
        public var fewShotData: URL?
        /// Finds the gold answer within the answer field.
        public var goldExtraction = AnswerExtraction([.strict, .whole])
        /// Finds the answer within a completion.
        public var extraction = AnswerExtraction([.strict, .flexible])
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
        promptTemplate = try PromptTemplate(
            settings.prompt ?? (settings.form == .text ? "Question: {question}\nAnswer:" : "{question}"),
            allowed: [.question], file: settings.name, key: "prompt")
        guard promptTemplate.has(.question) else {
            throw refuse("prompt", settings.prompt ?? "", "Put '{question}' where the question belongs.")
        }
        let opening = promptTemplate.opening.trimmingCharacters(in: .whitespacesAndNewlines)
        stops = settings.stops ?? (settings.form == .text && !opening.isEmpty ? [opening] : [])
        if stops.contains("") { throw refuse("stops", "", "An empty stop string would end every answer at once.") }

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
                    let isDev = settings.dev == nil && splitting.split(ofKey: problem.splitKey) == .dev
                    parts[isDev ? .dev : .train, default: []].append(problem)
                }
            }
            if let url = settings.dev { parts[.dev] = try Self.read(url, settings, splitting) }
            if let url = settings.test { parts[.test] = try Self.read(url, settings, splitting) }
        }

        // No near-duplicate on two sides: the held-out side keeps it.
        let all = parts.values.reduce(0) { $0 + $1.count }
        let testKeys = Set((parts[.test] ?? []).map(\.splitKey))
        parts[.dev]?.removeAll { testKeys.contains($0.splitKey) }
        let heldOutKeys = testKeys.union((parts[.dev] ?? []).map(\.splitKey))
        parts[.train]?.removeAll { heldOutKeys.contains($0.splitKey) }

        var generator = SeededGenerator(seed: settings.seed, label: "questions")
        var training = generator.shuffled(parts[.train] ?? [])
        var examples: [Problem] = []
        if let url = settings.fewShotData {
            examples = try Self.readExamples(url, settings, splitting)
            let wanted = settings.fewShot ?? examples.count
            guard wanted <= examples.count else {
                throw refuse("few-shot", "\(wanted)", "\(url.lastPathComponent) has \(examples.count) examples; ask for no more.")
            }
            examples = Array(examples.prefix(wanted))
            if let leak = examples.first(where: { heldOutKeys.contains($0.splitKey) }) {
                throw refuse("few-shot-data", url.lastPathComponent, "Its example '\(leak.id)' is a dev or test question too. Take it out.")
            }
        } else if let wanted = settings.fewShot, wanted > 0 {
            guard wanted < training.count else {
                throw refuse("few-shot", "\(wanted)", "There are \(training.count) training problems to take examples from. Ask for fewer, or give 'few-shot-data'.")
            }
            examples = Array(training.prefix(wanted))
        }
        let exampleKeys = Set(examples.map(\.splitKey))
        training.removeAll { exampleKeys.contains($0.splitKey) }
        removed = all - training.count - (parts[.dev] ?? []).count - (parts[.test] ?? []).count
        train = Array(training.prefix(settings.trainCount ?? .max))
        dev = Array(Self.thinned(parts[.dev] ?? [], to: settings.devCount))
        test = Array(Self.thinned(parts[.test] ?? [], to: settings.testCount))

        let hasRationale = settings.rationale != nil || examples.contains { $0.details["rationale"] != nil }
        targetTemplate = try PromptTemplate(
            settings.target ?? (hasRationale ? " {rationale}" : " {answer}"), allowed: [.answer, .rationale], file: settings.name, key: "target")
        if targetTemplate.has(.rationale), let bare = examples.first(where: { $0.details["rationale"] == nil }) {
            throw refuse("target", settings.target ?? " {rationale}", "The example '\(bare.id)' has no rationale. Name its field with 'rationale'.")
        }
        self.examples = examples
    }

    public var name: String { settings.name }
    public var omission: String? { removed > 0 ? "\(removed) left out that nearly repeat a held-out problem or are shown as examples" : nil }
    public var maxTokens: Int { settings.maxTokens }
    public var verifier: any Verifier { AnswerVerifier(extraction: settings.extraction, comparison: settings.comparison) }

    public func problems(in split: Split) -> [Problem] {
        switch split {
        case .train: train
        case .dev: dev
        case .test: test
        }
    }

    /// Hinted, the answer stands in parentheses behind the question, in the examples as well.
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
        guard mode == .hinted else { return promptTemplate.filled(question: problem.question) }
        guard let answer = problem.answer else {
            throw TaskError.noHint(task: name, problem: problem.id, reason: "it has no answer. Leave it out of rationalisation.")
        }
        return promptTemplate.filled(question: "\(problem.question) (\(answer))")
    }

    private func answer(_ problem: Problem) -> String {
        targetTemplate.filled(question: problem.question, answer: problem.answer ?? "", rationale: problem.details["rationale"] ?? "")
    }

    // MARK: - Reading

    private static func read(_ url: URL, _ settings: Settings, _ splitting: Splitting) throws -> [Problem] {
        try read(url, settings, splitting, rationale: { _ in settings.rationale })
    }

    /// Examples may keep their worked solution in a field of its own, `rationale`, where the data does not.
    private static func readExamples(_ url: URL, _ settings: Settings, _ splitting: Splitting) throws -> [Problem] {
        try read(url, settings, splitting, rationale: { $0.fields["rationale"] != nil ? "rationale" : settings.rationale })
    }

    private static func read(
        _ url: URL, _ settings: Settings, _ splitting: Splitting, rationale: (TaskRecord) -> String?
    ) throws -> [Problem] {
        let gold = try AnswerExtraction.Extractor(settings.goldExtraction)
        var ids: Set<String> = []
        return try TaskRecord.read(url).map { record in
            let question = try record.requiredText(settings.question).trimmingCharacters(in: .whitespacesAndNewlines)
            let field = try record.requiredText(settings.answer)
            guard !question.isEmpty else {
                throw TaskError.badRecord(file: record.file, line: record.line, reason: "the question is blank. Write one, or take the line out.")
            }
            guard let (answer, _) = gold.extract(from: field) else {
                throw TaskError.badRecord(
                    file: record.file, line: record.line, reason: "no answer found in '\(shortened(field))'. Correct the record or 'gold-extraction'.")
            }
            guard settings.comparison != .number || CanonicalAnswer.number(answer) != nil else {
                throw TaskError.badRecord(
                    file: record.file, line: record.line, reason: "the answer '\(shortened(answer))' is not a number, so nothing could equal it. Correct it, or set 'comparison: text'.")
            }
            let key = splitting.key(of: question)
            let id = try record.text(settings.id) ?? "\(settings.name)-\(StableHash.hex(StableHash.mix(StableHash.fnv1a(question + "\n" + field))))"
            guard ids.insert(id).inserted else {
                throw TaskError.badRecord(file: record.file, line: record.line, reason: "the id '\(id)' stands twice\(try record.text(settings.id) == nil ? ": an earlier line has the same question and answer. Take one out." : ". Give every record its own id.")")
            }
            var details = ["splitKey": key]
            if let name = rationale(record), let text = try record.text(name) {
                details["rationale"] = settings.stripCalculatorMarks ? withoutCalculatorMarks(text) : text
            }
            return Problem(
                id: id, question: question, answer: settings.comparison == .number ? CanonicalAnswer.cleaned(answer) : answer,
                category: try settings.category.flatMap { try record.text($0) } ?? "", details: details)
        }
    }

    /// "48/2 = <<48/2=24>>24" becomes "48/2 = 24".
    static func withoutCalculatorMarks(_ text: String) -> String {
        text.replacingOccurrences(of: "<<[^<>]*>>", with: "", options: .regularExpression)
    }

    /// The problems with the lowest hashes, in their own order: a smaller count takes a part of the larger one's.
    private static func thinned(_ problems: [Problem], to count: Int?) -> [Problem] {
        guard let count, count < problems.count else { return problems }
        let hashes = problems.map { StableHash.mix(StableHash.fnv1a($0.question)) }
        let kept = problems.indices.sorted { (hashes[$0], $0) < (hashes[$1], $1) }.prefix(count).sorted()
        return kept.map { problems[$0] }
    }
}

extension TaskKind {
    /// `type: jsonl`
    static let jsonl = TaskKind(
        name: "jsonl", summary: "questions with known answers, from JSON Lines files",
        keys: [
            "data", "train", "dev", "test", "question", "answer", "rationale", "id", "category", "form", "system", "prompt", "target",
            "few-shot", "few-shot-data", "gold-extraction", "extraction", "comparison", "strip-calculator-marks", "stops", "max-tokens",
            "splits", "seed", "train-count", "dev-count", "test-count",
        ]
    ) { file in
        var settings = QuestionAnswer.Settings()
        settings.name = file.name
        settings.data = try file.path("data")
        settings.train = try file.path("train")
        settings.dev = try file.path("dev")
        settings.test = try file.path("test")
        settings.question = try file.string("question") ?? settings.question
        settings.answer = try file.string("answer") ?? settings.answer
        settings.rationale = try file.string("rationale")
        settings.id = try file.string("id") ?? settings.id
        settings.category = try file.string("category")
        settings.form = try file.choice("form", QuestionAnswer.Form.self) ?? settings.form
        settings.system = try file.string("system")
        settings.prompt = try file.string("prompt")
        settings.target = try file.string("target")
        settings.fewShot = try file.count("few-shot")
        settings.fewShotData = try file.path("few-shot-data")
        settings.goldExtraction = try file.extraction("gold-extraction") ?? settings.goldExtraction
        settings.extraction = try file.extraction("extraction") ?? settings.extraction
        settings.comparison = try file.choice("comparison", AnswerVerifier.Comparison.self) ?? settings.comparison
        settings.stripCalculatorMarks = try file.bool("strip-calculator-marks") ?? settings.stripCalculatorMarks
        settings.stops = try file.strings("stops")
        settings.maxTokens = try file.count("max-tokens") ?? settings.maxTokens
        settings.splitting = try file.splitting("splits") ?? settings.splitting
        settings.seed = try file.seed("seed") ?? settings.seed
        settings.trainCount = try file.count("train-count")
        settings.devCount = try file.count("dev-count")
        settings.testCount = try file.count("test-count")
        return try QuestionAnswer(settings)
    }
}
