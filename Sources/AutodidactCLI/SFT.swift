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

    @Option(help: "The folder to write: a model, or the adapter as a PEFT folder.")
    var output: String

    @OptionGroup var asking: ClassifierOptions

    @Option(help: "lora, bottleneck or soft-prompt; lora when only --rank is given, and all weights are trained without either.")
    var adapter: AdapterChoices.Kind?

    @Option(help: "Rank of a LoRA adapter, width of bottlenecks, or vectors of a soft prompt; 8 when left out.")
    var rank: Int?

    @Option(help: "The adapter's change is multiplied by alpha / rank; twice the rank when left out.")
    var alpha: Double?

    @Option(help: "Modules that get an adapter, separated by commas; all matrices of the blocks when left out.")
    var targets: String?

    @Flag(help: "Divide alpha by the root of the rank (rsLoRA).")
    var rslora = false

    @Flag(help: "Learn the lengths of rows too (DoRA).")
    var dora = false

    @Option(help: "Times that all examples are trained.")
    var epochs: Int = 3

    @Option(help: "Examples of one update.")
    var batch: Int = 32

    @Option(name: .customLong("learning-rate"), help: "When left out 5e-5 for all weights, 2e-4 for an adapter and 5e-3 for a soft prompt.")
    var learningRate: Double?

    @Option(name: .customLong("max-tokens"), help: "Longer texts are cut.")
    var maxTokens: Int = 256

    @Option(name: .customLong("micro-batch-tokens"), help: "Tokens computed at once. The result does not depend on it, but for the balance of experts and the last bits of tables of distances.")
    var microBatchTokens: Int = TrainerOptions.defaultMicroBatchTokens

    @Option(help: "The same seed gives the same model.")
    var seed: UInt64 = 0

    @OptionGroup var engine: EngineOptions

    func validate() throws {
        for (name, value) in [("epochs", epochs), ("batch", batch), ("max-tokens", maxTokens), ("micro-batch-tokens", microBatchTokens)] where value < 1 {
            throw ValidationError("--\(name) \(value): must be 1 or more.")
        }
        if let rank, !(1...4096).contains(rank) { throw ValidationError("--rank \(rank): must be 1 to 4096.") }
        if let learningRate, learningRate <= 0 || !learningRate.isFinite { throw ValidationError("--learning-rate \(learningRate): must be above 0.") }
        if kind != .lora, rslora || dora || targets != nil || alpha != nil { throw ValidationError("--rslora, --dora, --targets and --alpha belong to a LoRA adapter: give --rank, or --adapter lora.") }
    }

    /// What is trained beside the model; nil for the model itself.
    private var kind: AdapterChoices.Kind? { adapter ?? (rank == nil ? nil : .lora) }

    func run() async throws {
        try refuseExisting(output)
        let backend = try engine.backend(), key = RandomKey(seed: seed)
        let file = try lines(data.input), held = try eval.map(lines)
        let labels = data.names ?? file.labels
        if data.names == nil, let labels, case let numbers = labels.filter({ Int($0) != nil }), !numbers.isEmpty, numbers.count < labels.count {
            throw FileError(file: data.input, problem: "names some classes (\(labels.first { Int($0) == nil }!)) and numbers others (\(numbers[0]))", advice: "Say with --labels which number is which name.")
        }
        let task: Model.Task? =
            switch objective {
            case .classification: trainsHead ? Model.Task(.sequenceClassification, labels: labels, key: key) : nil
            case .tagging: Model.Task(.tokenClassification, labels: labels, key: key)
            case .span: Model.Task(.span, key: key)
            case .mlm, .causal: nil
            }
        var base = try Model(path: model, as: task, on: backend)
        if let kind {
            var choices = AdapterChoices()
            let rank = rank ?? 8
            choices.kind = kind
            (choices.rank, choices.alpha, choices.isRankStable, choices.learnsMagnitudes) = (rank, alpha ?? 2 * Double(rank), rslora, dora)
            choices.targets = targets.map(split) ?? []
            choices.whole = task == nil ? [] : base.transformer.headModules
            base = base.with(try base.transformer.adapted(choices, key: key.folding("adapter")))
        } else {
            base = base.with(base.transformer.copy(expanding: true))
        }
        let model = base, data = try examples(model, file, labels: labels)
        guard data.count > 0 else { throw FileError(file: self.data.input, problem: "holds no example that can be trained", advice: "Check its lines, and --max-tokens.") }
        // What cannot be measured is found before anything is trained.
        let heldExamples = try held.map { try prepare(model, $0, labels) } ?? []
        try makeFolder(output)
        defer { removeIfEmpty(output) }
        let stop = StopSignal()
        let usualRate = switch kind { case nil: 5e-5; case .softPrompt: 5e-3; case .lora, .bottleneck: 2e-4 }
        var optimizer = AdamWOptions(learningRate: learningRate ?? usualRate, weightDecay: kind == .softPrompt ? 0 : 0.01)
        if kind != nil { optimizer.groups = [ParameterGroup(patterns: model.transformer.adapterPatterns), ParameterGroup(patterns: [], learningRateScale: 0)] }
        var tuning = FineTuning(trainer: TrainerOptions(optimizer: optimizer, schedule: Schedule(.linear), microBatchTokens: microBatchTokens))
        (tuning.epochs, tuning.batch, tuning.seed) = (epochs, batch, seed)

        let start = Date()
        var last = start, loss = 0.0, count = 0
        printLine("\(data.count) examples, \(epochs) epochs of \((data.count + batch - 1) / batch) updates; \(trainedCount(model.transformer, optimizer)) of \(model.transformer.parameterCount) weights are trained")
        try tuning.run(model.transformer, count: data.count, examples: data.make, onStep: { result, total in
            loss += result.loss
            count += 1
            guard Date().timeIntervalSince(last) > 10 || result.step == total else { return }
            let left = Date().timeIntervalSince(start) / Double(result.step) * Double(total - result.step)
            printLine("update \(result.step) of \(total): loss \(String(format: "%.4f", loss / Double(count))), \(Int(left)) s left")
            (last, loss, count) = (Date(), 0, 0)
        }, onEpoch: { epoch in
            if let held { printLine("epoch \(epoch + 1): \(try measure(model, held, heldExamples, labels))") }
        }, isCancelled: { stop.isRequested })
        if kind != nil {
            try model.saveAdapter(to: output, base: self.model)
        } else {
            try model.save(to: output)
        }
        if objective == .classification, !trainsHead { try classifier(model, labels!).form.write(to: output) }
        if stop.isRequested { printError("stopped early: what was learned until then is in \(output)") }
        printLine("wrote \(output) after \(String(format: "%.1f", Date().timeIntervalSince(start))) s, with \(String(format: "%.2f", Double(peakMemory()) / 1e9)) GB at most")
        if stop.isRequested { throw ExitCode(130) }
    }

    private func trainedCount(_ model: Transformer, _ options: AdamWOptions) -> Int {
        let optimizer = AdamW(options, for: model.parameters)
        return model.parameters.parameters.filter(optimizer.trains).reduce(0) { $0 + $1.shape.reduce(1, *) }
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
            let rows = model.transformer.score(examples, microBatchTokens: microBatchTokens).joined()
            return "loss \(String(format: "%.4f", -rows.reduce(0) { $0 + Double($1.logProbability) } / Double(max(1, rows.count)))) on \(rows.count) tokens of \(examples.count) lines"
        }
    }

    /// The examples of each epoch; masks are drawn anew.
    private func examples(_ model: Model, _ lines: Lines, labels: [String]?) throws -> (count: Int, make: (Int) -> [Example]) {
        let limit = min(maxTokens, model.transformer.configuration.maxPositionEmbeddings)
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
                let masking = filler.masking, key = RandomKey(seed: seed).folding("masks")
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

extension AdapterChoices.Kind: ExpressibleByArgument {}
