import ArgumentParser
import Autodidact
import Foundation

struct SelfLabel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "self-label",
        abstract: "Let a classifier pick the labels of texts that have none, and learn from those it is surest of.",
        discussion: """
            A head of classes is trained on the texts of --input. It labels those of --unlabelled; the surest of each class, more every round, join the known ones, and the model is \
            trained again from its beginning. What is written is the last round's model. This sharpens what known labels show; it finds no distinction that they do not show.
            """)

    @Option(help: "A model folder, masked or generative.")
    var model: String

    @Option(help: "A JSONL file of texts with labels.")
    var input: String

    @Option(help: "A JSONL file of texts whose labels are not known, or not read.")
    var unlabelled: String

    @OptionGroup var data: LabelledTextFields
    @OptionGroup var options: RoundOptions

    @Option(help: "Share of the unlabelled texts that the last round takes.")
    var share: Double = 0.5

    @Option(help: "Models that pick together, each with another new head: what all of them are sure of is picked.")
    var models: Int = 3

    @Option(help: "Texts of one update.")
    var batch: Int = 32

    @OptionGroup var engine: EngineOptions

    func validate() throws {
        try checkCounts([("models", models), ("batch", batch)])
        if !(share > 0 && share <= 1) { throw ValidationError("--share \(share): must be above 0, at most 1.") }
        if options.output == nil { throw ValidationError("--output: must name the folder to write.") }
    }

    func run() async throws {
        guard let output = options.output else { return }
        try refuseExisting(output)
        let texts = try data.read(input, needsLabels: true), labels = data.names ?? Set(texts.compactMap(\.label)).sorted()
        let classes = try LabelledText.classes(texts, names: labels, file: input).compactMap(\.self)
        if let missing = labels.indices.first(where: { !classes.contains($0) }) {
            throw FileError(file: input, problem: "has no text of the class '\(labels[missing])'", advice: "Add one: what is never shown cannot be picked.")
        }
        let held = try options.eval.map { path in
            let held = try data.read(path, needsLabels: true)
            return (texts: held, classes: try LabelledText.classes(held, names: labels, file: path))
        }
        let known = Set(texts.map(\.content)), measured = Set(held?.texts.map(\.content) ?? [])
        options.warn(doubled: held?.texts.count { known.contains($0.content) } ?? 0, "texts")
        let all = try data.read(unlabelled, needsLabels: false), others = all.filter { !known.contains($0.content) && !measured.contains($0.content) }
        guard !others.isEmpty else { throw FileError(file: unlabelled, problem: "has no text that is not in --input or --eval", advice: "Add texts whose labels are not known.") }
        if others.count < all.count { printError("\(all.count - others.count) of \(all.count) texts of --unlabelled stand in --input or --eval too, and are left out") }
        let backend = try engine.backend()
        var labelling = SelfLabelling(trainer: options.trainer)
        (labelling.rounds, labelling.share, labelling.models, labelling.epochs, labelling.batch, labelling.seed) = (options.rounds, share, models, options.epochs, batch, options.seed)
        var isCounted = false
        try options.write(to: output) { isStopped in
            try labelling.run(
                Array(zip(texts, classes)), unlabelled: others, limit: options.maxTokens,
                makeModel: { member in
                    let model = try Model(path: model, as: Model.Task(.sequenceClassification, labels: labels, key: RandomKey(seed: options.seed).folding(member)), on: backend)
                    if !isCounted {
                        isCounted = true
                        let all = texts + others, limit = min(options.maxTokens, model.transformer.configuration.maxPositionEmbeddings)
                        options.warn(cut: try all.count { try model.encode($0.text, pair: $0.pair, limit: limit).tokens.count >= limit }, of: all.count, "texts", to: limit)
                    }
                    return model.with(model.transformer.copy(expanding: true))
                },
                report: { round in
                    var line = "round \(round.number): \(texts.count) known"
                    if round.number > 0 { line += " and \(round.picked.reduce(0, +)) picked labels (\(zip(labels, round.picked).map { "\($0) \($1)" }.joined(separator: ", ")))" }
                    line += ", \(round.updates) updates"
                    if let held {
                        let classifier = try Classifier(round.model)
                        classifier.maxTokens = options.maxTokens
                        let rows = try classifier.classify(held.texts.map { ($0.text, $0.pair) })
                        let right = zip(rows, held.classes).count { row, expected in row.indices.max { row[$0] < row[$1] } == expected }
                        line += "; \(right) of \(held.texts.count) labels met (\(String(percent: Double(right) / Double(held.texts.count))))"
                    }
                    printLine(line)
                    return !isStopped(round.number)
                })
        } _: {
            try $0.save(to: output)
        }
    }
}
