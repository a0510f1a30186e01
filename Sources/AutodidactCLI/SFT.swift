import ArgumentParser
import Autodidact
import Foundation

struct SFT: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sft",
        abstract: "Fine-tune a model on examples: classes, masked words, or answers.",
        discussion: """
            classification trains a head over {"text", "label"}; --method likelihood or mask trains a generative or masked model to say the class's word instead. \
            tagging trains a head over {"tokens", "tags"}, span one over {"question", "context", "answer", "start"}. mlm masks words of {"text"}. \
            causal trains answers of {"prompt", "completion"} or {"messages"}, or whole {"text"}. \
            classify, tag and answer print what such heads find. \
            All weights are trained, or with --rank or --adapter something small beside them, which leaves quantised weights as they are.
            """)

    enum Objective: String, ExpressibleByArgument, CaseIterable { case classification, tagging, span, mlm, causal }

    @Option(help: "A model folder or a GGUF file.")
    var model: String

    @Option(help: "What is trained: classification, tagging, span, mlm or causal.")
    var objective: Objective

    @OptionGroup var data: LabelledTextOptions

    @Option(help: "A JSONL file of the same form that is measured after every epoch and never trained.")
    var eval: String?

    @OptionGroup var asking: ClassifierOptions

    @OptionGroup var tuning: FineTuneOptions

    @OptionGroup var engine: EngineOptions

    func run() async throws {
        try refuseExisting(tuning.output)
        let key = RandomKey(seed: tuning.seed)
        let file = try lines(data.input), held = try eval.map(lines)
        let labels = data.names ?? file.labels
        if data.names == nil, let labels, case let numbers = labels.filter({ Int($0) != nil }), !numbers.isEmpty, numbers.count < labels.count {
            throw FileError(file: data.input, problem: "names some classes (\(labels.first { Int($0) == nil }!)) and numbers others (\(numbers[0]))", advice: "Say with --labels which number is which name.")
        }
        if objective == .classification, let labels, labels.count < 2 {
            throw FileError(file: data.input, problem: "has one class only: \(labels.joined())", advice: "Add lines of another class, or name all classes with --labels.")
        }
        let task: Model.Task? =
            switch objective {
            case .classification: trainsHead ? Model.Task(.sequenceClassification, labels: labels, key: key) : nil
            case .tagging: Model.Task(.tokenClassification, labels: labels, key: key)
            case .span: Model.Task(.span, key: key)
            case .mlm, .causal: nil
            }
        let model = try tuning.prepared(Model(path: model, as: task, on: try engine.backend()), hasNewHead: task != nil), data = try examples(model, file, labels: labels)
        guard data.count > 0 else { throw FileError(file: self.data.input, problem: "holds no example that can be trained", advice: "Check its lines, and --max-tokens.") }
        // What cannot be measured is found before anything is trained.
        let heldExamples = try held.map { try prepare(model, $0, labels) } ?? []
        try tuning.train(model, base: self.model, count: data.count, examples: data.make, measure: { try held.map { try measure(model, $0, heldExamples, labels) } }, write: {
            if objective == .classification, !trainsHead { try classifier(model, labels!).form.write(to: tuning.output) }
        })
    }

    private var trainsHead: Bool { (asking.method ?? .head) == .head }

    private func classifier(_ model: Model, _ labels: [String]) throws -> Classifier {
        try asking.classifier(model, labels: trainsHead ? nil : labels)
    }

    /// The lines of a file, by the objective.
    private enum Lines {
        case texts([LabelledText], String), tags([TaggedWords], String), spans([SpanQuestion], String), other(String)

        var labels: [String]? {
            switch self {
            case .texts(let texts, _): Set(texts.compactMap(\.label)).sorted()
            case .tags(let lines, _): TaggedWords.tags(lines)
            case .spans, .other: nil
            }
        }
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
    /// - Returns: the examples whose loss is measured, where there is nothing better.
    private func prepare(_ model: Model, _ held: Lines, _ labels: [String]?) throws -> [Example] {
        switch held {
        case .texts(let texts, let path): _ = try LabelledText.classes(texts, names: labels!, file: path)
        case .tags(let lines, let path): _ = try TaggedWords.named(lines, labels!, file: path)
        case .spans(let questions, let path): try SpanFinder(model).check(questions, file: path)
        case .other(let path):
            let examples = try examples(model, held, labels: labels).make(0)
            guard !examples.isEmpty else { throw FileError(file: path, problem: "holds no example that can be measured", advice: "Check its lines, and --max-tokens.") }
            return examples
        }
        return []
    }

    /// How well the model does on lines that it was not trained on.
    private func measure(_ model: Model, _ held: Lines, _ examples: [Example], _ labels: [String]?) throws -> String {
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
        case .other:
            let rows = model.transformer.score(examples, microBatchTokens: tuning.microBatchTokens).joined()
            return "loss \(String(format: "%.4f", -rows.reduce(0) { $0 + Double($1.logProbability) } / Double(max(1, rows.count)))) on \(rows.count) tokens of \(examples.count) lines"
        }
    }

    /// The examples of each epoch; masks are drawn anew.
    private func examples(_ model: Model, _ lines: Lines, labels: [String]?) throws -> (count: Int, make: (Int) -> [Example]) {
        let limit = min(tuning.maxTokens, model.transformer.configuration.maxPositionEmbeddings)
        func same(_ all: [Example]) -> (Int, (Int) -> [Example]) { (all.count, { _ in all }) }
        switch lines {
        case .texts(let texts, let path):
            let classes = try LabelledText.classes(texts, names: labels!, file: path).map { $0! }
            if trainsHead { return same(try SupervisedData.classification(texts, classes: classes, model, limit: limit)) }
            let classifier = try classifier(model, labels!)
            return same(try zip(texts, classes).map { try classifier.example(($0.text, $0.pair), class: $1) })
        case .tags(let lines, let path):
            return same(try SupervisedData.tagging(lines, labels: labels!, model, limit: limit, file: path))
        case .spans(let questions, let path):
            let all = try SupervisedData.spans(questions, model, limit: limit)
            if all.count < questions.count { printError("warning: \(questions.count - all.count) answers of \(path) are not trained, because they end beyond \(limit) tokens (--max-tokens)") }
            return same(all)
        case .other(let path):
            if objective == .mlm {
                let filler = try MaskFiller(model)
                let inputs = try LabelledText.read(path, LabelledText.Fields(text: data.textField), needsLabels: false).map { try model.encode($0.text, limit: limit) }
                let masking = filler.masking, key = RandomKey(seed: tuning.seed).folding("masks")
                return (inputs.count, { epoch in inputs.enumerated().compactMap { masking.example($1, key: key.folding(epoch).folding($0)) } })
            }
            var unfinished = 0, dropped = 0
            let all = try SupervisedData.answers(path, textField: data.textField, model, limit: limit, onUnfinished: { _ in unfinished += 1 }, onDropped: { _ in dropped += 1 })
            if dropped > 0 { printError("warning: \(dropped) lines of \(path) are left out, because no answer begins within \(limit) tokens (--max-tokens)") }
            if unfinished > 0 {
                printError("warning: in \(unfinished) of \(all.count) lines of \(path) an assistant's turn does not end with a token that ends a turn; the model may not learn to stop. 'autodidact template --show-mask' shows what is trained.")
            }
            return same(all)
        }
    }
}
