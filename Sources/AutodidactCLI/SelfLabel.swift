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

    @Option(help: "A JSONL file of texts with labels, measured after every round and never trained.")
    var eval: String?

    @OptionGroup var data: LabelledTextFields

    @Option(help: "The folder to write.")
    var output: String

    @Option(help: "Times that labels are picked.")
    var rounds: Int = 5

    @Option(help: "Share of the unlabelled texts that the last round takes.")
    var share: Double = 0.5

    @Option(help: "Models that pick together, each with another new head: what all of them are sure of is picked.")
    var models: Int = 3

    @Option(help: "Passes over a round's texts.")
    var epochs: Int = 3

    @Option(help: "Texts of one update.")
    var batch: Int = 32

    @Option(name: .customLong("learning-rate"), help: "The highest learning rate.")
    var learningRate: Double = 5e-5

    @Option(name: .customLong("max-tokens"), help: "Longer texts are cut.")
    var maxTokens: Int = 128

    @Option(help: "The same seed gives the same model.")
    var seed: UInt64 = 0

    @OptionGroup var engine: EngineOptions

    func validate() throws {
        for (name, value) in [("rounds", rounds), ("models", models), ("epochs", epochs), ("batch", batch), ("max-tokens", maxTokens)] where value < 1 { throw ValidationError("--\(name) \(value): must be 1 or more.") }
        if !(share > 0 && share <= 1) { throw ValidationError("--share \(share): must be above 0, at most 1.") }
        if !(learningRate > 0 && learningRate.isFinite) { throw ValidationError("--learning-rate \(learningRate): must be above 0.") }
    }

    func run() async throws {
        try refuseExisting(output)
        let texts = try data.read(input, needsLabels: true), labels = data.names ?? Set(texts.compactMap(\.label)).sorted()
        let classes = try LabelledText.classes(texts, names: labels, file: input).compactMap(\.self)
        if let missing = labels.indices.first(where: { !classes.contains($0) }) {
            throw FileError(file: input, problem: "has no text of the class '\(labels[missing])'", advice: "Add one: what is never shown cannot be picked.")
        }
        let others = try data.read(unlabelled, needsLabels: false), held = try eval.map { try data.read($0, needsLabels: true) }
        let heldClasses = try held.map { try LabelledText.classes($0, names: labels, file: eval ?? "") }
        let known = Set(texts.map(\.text)), doubled = held?.count { known.contains($0.text) } ?? 0
        if doubled > 0 { printError("warning: \(doubled) texts of --eval stand in --input too: what is learnt of them counts as if it were general") }
        let backend = try engine.backend()
        var labelling = SelfLabelling(trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: learningRate, weightDecay: 0.01), schedule: Schedule(.linear, warmupSteps: 10)))
        (labelling.rounds, labelling.share, labelling.models, labelling.epochs, labelling.batch, labelling.seed) = (rounds, share, models, epochs, batch, seed)
        try makeFolder(output)
        defer { removeIfEmpty(output) }
        let stop = StopSignal(abandon: { [output] in removeIfEmpty(output) })
        let result = try labelling.run(
            Array(zip(texts, classes)), unlabelled: others, limit: maxTokens,
            makeModel: { member in
                let model = try Model(path: model, as: Model.Task(.sequenceClassification, labels: labels, key: RandomKey(seed: seed).folding(member)), on: backend)
                return model.with(model.transformer.copy(expanding: true))
            },
            report: { round in
                var line = "round \(round.number): \(texts.count) known"
                if round.number > 0 { line += " and \(round.picked.reduce(0, +)) picked labels (\(zip(labels, round.picked).map { "\($0) \($1)" }.joined(separator: ", ")))" }
                line += ", \(round.updates) updates"
                if let held, let heldClasses {
                    let rows = try Classifier(round.model).classify(held.map { ($0.text, $0.pair) })
                    let right = zip(rows, heldClasses).count { row, expected in row.indices.max { row[$0] < row[$1] } == expected }
                    line += "; \(right) of \(held.count) labels met (\(String(percent: Double(right) / Double(held.count))))"
                }
                printLine(line)
                return !stop.isRequested
            })
        try result.save(to: output)
        printLine("wrote \(output)\(stop.isRequested ? ", stopped early" : "")")
        if stop.isRequested { throw ExitCode(130) }
    }
}
