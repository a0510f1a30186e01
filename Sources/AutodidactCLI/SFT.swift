import ArgumentParser
import Autodidact
import Foundation

struct SFT: StagedCommand {
    static let configuration = CommandConfiguration(
        commandName: "sft",
        abstract: "Fine-tune a model on examples: classes, masked words, or answers.",
        discussion: """
            classification trains a head over {"text", "label"}; --method likelihood or mask trains a generative or masked model to say the class's word instead. \
            tagging trains a head over {"tokens", "tags"}, span one over {"question", "context", "answer", "start"}. mlm masks words of {"text"}. \
            causal trains answers of {"messages"}, {"conversations"}, {"question", "response"}, {"prompt", "completion"} or {"instruction", "output"}, or whole {"text"}. \
            A training that is stopped or killed goes on with --resume. \
            classify, tag and answer print what such heads find. \
            All weights are trained, or with --rank or --adapter something small beside them, which leaves quantised weights as they are.
            """)

    enum Objective: String, ExpressibleByArgument, CaseIterable { case classification, tagging, span, mlm, causal }

    @Option(help: "A model folder or a GGUF file.")
    var model: String

    @Option(help: "What is trained: classification, tagging, span, mlm or causal.")
    var objective: Objective

    @OptionGroup var data: LabelledTextFields

    @Option(help: "How a file of answers is read: \(AnswerFormat.all().map(\.name).joined(separator: ", ")); when left out, as the fields of its first line say. Once for all files, or once for each --input.")
    var format: [String] = []

    @Flag(name: .customLong("train-prompts"), help: "Train prompts too, and not only answers (causal).")
    var trainPrompts = false

    @Flag(name: .customLong("last-turn-only"), help: "Of conversations train the assistant's last turn only (causal).")
    var lastTurnOnly = false

    @Flag(name: .customLong("skip-too-long"), help: "Leave out examples whose answer does not begin within --max-tokens, which are an error otherwise (causal).")
    var skipTooLong = false

    @OptionGroup var asking: ClassifierOptions

    @OptionGroup var tuning: FineTuneOptions

    @OptionGroup var engine: EngineOptions

    static let stageOptions = FineTuneOptions.ofStage.union(["format", "train-prompts", "last-turn-only", "skip-too-long", "text-field", "pair-field", "label-field"])

    func validate() throws {
        if !format.isEmpty || trainPrompts || lastTurnOnly || skipTooLong, objective != .causal { throw ValidationError("--format, --train-prompts, --last-turn-only and --skip-too-long belong to --objective causal.") }
        let isAsked = asking.template != nil || asking.words != nil
        if isAsked || asking.method != nil, objective != .classification { throw ValidationError("--template, --words and --method belong to --objective classification.") }
        if isAsked, trainsHead { throw ValidationError("--template and --words say how a model is asked for a class's word: give --method likelihood or mask. A head reads the text as it is.") }
        if data.labels != nil, ![.classification, .tagging].contains(objective) { throw ValidationError("--labels belongs to --objective classification or tagging.") }
        if format.count > 1, format.count != tuning.input.count { throw ValidationError("--format: give one for all files, or one for each of the \(tuning.input.count) --input.") }
    }

    func run() async throws {
        try tuning.checkOutput()
        let key = RandomKey(seed: tuning.seed)
        let stages = try OptionFiles.stages(of: SFT.self).map { stage in
            let command = stage.command
            return (name: stage.name, command: command, files: try command.tuning.files().map { try command.lines($0.path) }, held: try command.tuning.eval.map(command.lines))
        }
        let input = tuning.input.joined(separator: ", "), labels = data.names ?? Self.labels(stages.flatMap(\.files))
        if data.names == nil, let labels, case let numbers = labels.filter({ Int($0) != nil }), !numbers.isEmpty, numbers.count < labels.count {
            throw FileError(file: input, problem: "names some classes (\(labels.first { Int($0) == nil }!)) and numbers others (\(numbers[0]))", advice: "Say with --labels which number is which name.")
        }
        if objective == .classification, let labels, labels.count < 2 {
            throw FileError(file: input, problem: "has one class only: \(labels.joined())", advice: "Add lines of another class, or name all classes with --labels.")
        }
        let task: Model.Task? =
            switch objective {
            case .classification: trainsHead ? Model.Task(.sequenceClassification, labels: labels, key: key) : nil
            case .tagging: Model.Task(.tokenClassification, labels: labels, key: key)
            case .span: Model.Task(.span, key: key)
            case .mlm, .causal: nil
            }
        let model = try tuning.prepared(Model(path: model, as: task, on: try engine.backend()), hasNewHead: task != nil)
        let prepared = try stages.map { try $0.command.stage($0.name, model, $0.files, held: $0.held, labels: labels) }
        try tuning.train(model, base: self.model, stages: prepared, name: "\(objective)", write: { folder in
            if objective == .classification, !trainsHead { try classifier(model, labels!).form.write(to: folder) }
        })
    }

    /// What one stage trains and measures.
    private func stage(_ name: String, _ model: Model, _ files: [Lines], held: Lines?, labels: [String]?) throws -> PreparedStage {
        let sources = try files.enumerated().map { try examples(model, $1, labels: labels, format: format.count > 1 ? format[$0] : format.first) }
        if let empty = zip(files, sources).first(where: { $1.count == 0 }) { throw FileError(file: empty.0.path, problem: "holds no example that can be trained", advice: "Check its lines, and --max-tokens.") }
        // What cannot be measured is found before anything is trained.
        if let held { try check(model, held, labels) }
        let heldExamples = try held.map { try examples(model, $0, labels: labels, format: format.count == 1 ? format[0] : nil) }
        if let held, heldExamples?.count == 0 { throw FileError(file: held.path, problem: "holds no example that can be measured", advice: "Check its lines, and --max-tokens.") }
        let stage = FineTuningStage(
            try tuning.tuning(model), counts: sources.map(\.count), examples: { epoch in sources.flatMap { $0.make(epoch) } }, held: heldExamples?.make(0))
        let described = zip(files, sources).map { PreparedStage.File(path: $0.path, format: $1.format, examples: $1.make(0)) }
        let reading = [
            "max-tokens": "\(tuning.maxTokens)", "format": format.joined(separator: ","), "train-prompts": "\(trainPrompts)", "last-turn-only": "\(lastTurnOnly)", "skip-too-long": "\(skipTooLong)",
            "text-field": data.textField, "pair-field": data.pairField ?? "", "label-field": data.labelField, "labels": data.labels ?? "",
        ]
        return PreparedStage(name: name, stage: stage, files: described, reading: reading) { try held.flatMap { try measure(model, $0, labels) } }
    }

    private var trainsHead: Bool { (asking.method ?? .head) == .head }

    private func classifier(_ model: Model, _ labels: [String]) throws -> Classifier {
        try asking.classifier(model, labels: trainsHead ? nil : labels)
    }

    /// The lines of a file, by the objective.
    private enum Lines {
        case texts([LabelledText], String), tags([TaggedWords], String), spans([SpanQuestion], String), other(String)

        var path: String { switch self { case .texts(_, let path), .tags(_, let path), .spans(_, let path), .other(let path): path } }
    }

    /// Of all files together.
    private static func labels(_ files: [Lines]) -> [String]? {
        var texts: [LabelledText]?, tags: [TaggedWords]?
        for file in files {
            switch file {
            case .texts(let lines, _): texts = (texts ?? []) + lines
            case .tags(let lines, _): tags = (tags ?? []) + lines
            case .spans, .other: break
            }
        }
        return texts.map { Set($0.compactMap(\.label)).sorted() } ?? tags.map { TaggedWords.tags($0) }
    }

    private func lines(_ path: String) throws -> Lines {
        switch objective {
        case .classification: .texts(try data.read(path, needsLabels: true), path)
        case .tagging: .tags(try TaggedWords.read(path, needsTags: true), path)
        case .span: .spans(try SpanQuestion.read(path, needs: .answerWithStart), path)
        case .mlm, .causal: .other(path)
        }
    }

    /// Finds what of held-out lines cannot be measured.
    private func check(_ model: Model, _ held: Lines, _ labels: [String]?) throws {
        switch held {
        case .texts(let texts, let path): _ = try LabelledText.classes(texts, names: labels!, file: path)
        case .tags(let lines, let path): _ = try TaggedWords.named(lines, labels!, file: path)
        case .spans(let questions, let path): try SpanFinder(model).check(questions, file: path)
        case .other: break
        }
    }

    /// How well the model does on lines that it was not trained on, where there is more to say than a loss.
    private func measure(_ model: Model, _ held: Lines, _ labels: [String]?) throws -> String? {
        switch held {
        case .texts(let texts, let path):
            let classes = try LabelledText.classes(texts, names: labels!, file: path)
            let rows = try classifier(model, labels!).classify(texts.map { ($0.text, $0.pair) })
            let right = zip(rows, classes).count { row, expected in row.indices.max { row[$0] < row[$1] } == expected }
            return "\(right) of \(texts.count) labels met (\(String(percent: Double(right) / Double(texts.count))))"
        case .tags(let lines, let path):
            var score = TagScore()
            let lines = try TaggedWords.named(lines, labels!, file: path)
            for (found, line) in zip(try TokenTagger(model).tag(lines.map(\.words)), lines) { score.add(found.map { $0?.name }, expected: line.tags!) }
            return "\(score)"
        case .spans(let questions, _):
            var score = SpanScore()
            for (found, question) in zip(try SpanFinder(model).find(questions.map { ($0.question, $0.context) }), questions) { score.add(found.text, expected: question.answers) }
            return "\(score)"
        case .other: return nil
        }
    }

    /// A file's examples; of masked words each epoch has its own.
    private struct Source {
        var count: Int
        var format: String?
        var make: (_ epoch: Int) -> [Example]

        init(_ all: [Example], format: String? = nil) { (count, self.format, make) = (all.count, format, { _ in all }) }
    }

    private func examples(_ model: Model, _ lines: Lines, labels: [String]?, format: String?) throws -> Source {
        let limit = tuning.limit(model)
        func warnFull(_ examples: [Example]) -> [Example] {
            let full = examples.count { $0.tokenCount >= limit }
            if full > 0 { printError("warning: \(full) examples fill the \(limit) tokens of --max-tokens; what was longer was cut") }
            return examples
        }
        switch lines {
        case .texts(let texts, let path):
            let classes = try LabelledText.classes(texts, names: labels!, file: path).map { $0! }
            if trainsHead { return Source(warnFull(try SupervisedData.classification(texts, classes: classes, model, limit: limit))) }
            let classifier = try classifier(model, labels!)
            return Source(warnFull(try zip(texts, classes).map { try classifier.example(($0.text, $0.pair), class: $1) }))
        case .tags(let lines, let path):
            return Source(warnFull(try SupervisedData.tagging(lines, labels: labels!, model, limit: limit, file: path)))
        case .spans(let questions, let path):
            let all = try SupervisedData.spans(questions, model, limit: limit)
            if all.count < questions.count { printError("warning: \(questions.count - all.count) answers of \(path) are not trained, because they end beyond \(limit) tokens (--max-tokens)") }
            return Source(warnFull(all))
        case .other(let path):
            return objective == .mlm ? try masked(path, model, limit) : try answers(path, model, limit, format: format)
        }
    }

    private func masked(_ path: String, _ model: Model, _ limit: Int) throws -> Source {
        let masking = try MaskFiller(model).masking, key = RandomKey(seed: tuning.seed).folding("masks")
        let inputs = try LabelledText.read(path, LabelledText.Fields(text: data.textField), needsLabels: false).map { try model.encode($0.text, limit: limit) }
            .filter { $0.contains { $0 >= 0 && !masking.kept.contains($0) } }
        // Where chance chose no token, it chooses again.
        func example(_ tokens: [Int32], _ key: RandomKey) -> Example { masking.example(tokens, key: key) ?? example(tokens, key.folding("again")) }
        var source = Source([])
        (source.count, source.make) = (inputs.count, { epoch in inputs.enumerated().map { example($1, key.folding(epoch).folding($0)) } })
        return source
    }

    /// Answers, and what is said of those that are not trained as they stand.
    private func answers(_ path: String, _ model: Model, _ limit: Int, format: String?) throws -> Source {
        var options = AnswerReading(limit: limit)
        (options.format, options.textField, options.trainsPrompts, options.lastTurnOnly) = (format, data.textField, trainPrompts, lastTurnOnly)
        let data = try AnswerData(path, model, options), count = data.examples.count
        if let first = data.lost.first {
            let what = "\(data.lost.count) of \(data.lost.count + count) lines (the first is line \(first)) have no token of their answer within \(limit) tokens"
            guard skipTooLong else { throw FileError(file: path, problem: what, advice: "Allow more with --max-tokens, or leave them out with --skip-too-long.") }
            printError("warning: \(path): \(what) and are left out")
        }
        let warnings = [
            (data.cutPrompts, "lose the beginning of their prompt to --max-tokens \(limit)"), (data.cutAnswers, "lose their end to --max-tokens \(limit)"),
            (data.merged, "have a token that belongs to both prompt and answer, which a model that goes on with the prompt cannot write; a prompt should not end with a space"),
            (data.unfinished, "have an assistant's turn that does not end with a token that ends a turn; the model may not learn to stop. 'autodidact template --show-mask' shows what is trained"),
        ]
        for (number, what) in warnings where number > 0 { printError("warning: \(number) of \(count) lines of \(path) \(what)") }
        return Source(data.examples, format: data.format)
    }
}
