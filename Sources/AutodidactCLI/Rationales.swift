import ArgumentParser
import Autodidact
import Foundation

extension RationaleModel.Method: ExpressibleByArgument {}
extension RationaleLaw.Weighting: ExpressibleByArgument {}

struct Rationales: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Find which of several rationales explains each label, and learn to answer by them: STaR for classifiers.",
        discussion: """
            A line of --input is {"question", "rationales": [1 to 32 texts], "label"}; "text" may stand for "question". Every round weighs the rationales of each question by how well they \
            explain its label, and trains the model from its beginning on these weights. A masked model gets one head for the choice and the classes; a generative one says how likely it is \
            to write the rationale and then the label. Without --input a folder that was written before answers the questions of --eval, and names the rationale of each answer.
            """)

    @Option(help: "A model folder, masked or generative; without --input one that this command has written.")
    var model: String

    @Option(help: "A JSONL file of questions with rationales and labels.")
    var input: String?

    @Option(help: "A JSONL file of the same kind, measured after every round and never trained.")
    var eval: String?

    @Option(help: "The folder to write.")
    var output: String?

    @Option(help: "The classes in their order, separated by commas; those of --input when left out.")
    var labels: String?

    @Option(help: "head or likelihood; what the model is made for when left out.")
    var method: RationaleModel.Method?

    @Option(help: "soft: every rationale counts by its posterior, as in EM. hard: only the rationale of the likeliest answer, where that is right (STaR's filter).")
    var weights: RationaleLaw.Weighting = .soft

    @Option(name: .customLong("soft-rounds"), help: "Rounds with soft weights before hard ones: the answers of a new head are guesses.")
    var softRounds: Int = 2

    @Option(help: "Times that rationales are weighed and the model is trained.")
    var rounds: Int = 5

    @Option(help: "Passes over the questions in a round.")
    var epochs: Int = 3

    @Option(help: "Questions of one update, each with all its rationales.")
    var batch: Int = 8

    @Option(name: .customLong("learning-rate"), help: "The highest learning rate.")
    var learningRate: Double = 5e-5

    @Option(name: .customLong("max-tokens"), help: "Of a question with a rationale; longer ones are cut.")
    var maxTokens: Int = 128

    @Option(help: "The same seed gives the same model.")
    var seed: UInt64 = 0

    @Flag(help: "Without --input: only how many labels are met.")
    var summary = false

    @OptionGroup var engine: EngineOptions

    func validate() throws {
        for (name, value) in [("rounds", rounds), ("epochs", epochs), ("batch", batch), ("max-tokens", maxTokens)] where value < 1 { throw ValidationError("--\(name) \(value): must be 1 or more.") }
        if softRounds < 0 { throw ValidationError("--soft-rounds \(softRounds): must be 0 or more.") }
        if weights == .hard, input != nil, softRounds >= rounds { throw ValidationError("--soft-rounds \(softRounds): leaves none of \(rounds) rounds to --weights hard.") }
        if !(learningRate > 0 && learningRate.isFinite) { throw ValidationError("--learning-rate \(learningRate): must be above 0.") }
        if (input == nil) != (output == nil) { throw ValidationError("--input is trained and --output is written: give both, or neither with --eval.") }
        if input == nil, eval == nil { throw ValidationError("--eval: must name questions where nothing is trained.") }
        if input == nil, labels != nil || method != nil { throw ValidationError("--labels and --method: are what the model was trained with where nothing is trained.") }
        if input != nil, summary { throw ValidationError("--summary: is for answers; where --input is trained there are only summaries.") }
    }

    func run() async throws {
        if let input, let output { try train(input, output) } else if let eval { try answer(eval) }
    }

    private func train(_ input: String, _ output: String) throws {
        try refuseExisting(output)
        let questions = try RationaleQuestion.read(input), names = labels.map(split) ?? Set(questions.map(\.label)).sorted()
        let classes = try RationaleQuestion.classes(questions, names: names, file: input)
        let held = try eval.map { path in
            let held = try RationaleQuestion.read(path)
            return (questions: held, classes: try RationaleQuestion.classes(held, names: names, file: path))
        }
        if let held {
            let known = Set(questions.map { [$0.text] + $0.rationales }), doubled = held.questions.count { known.contains([$0.text] + $0.rationales) }
            if doubled > 0 { printError("warning: \(doubled) questions of --eval stand in --input too: what is learnt of them counts as if it were general") }
        }
        let base = try RationaleModel(path: model, labels: names, method: method, maxTokens: maxTokens, key: RandomKey(seed: seed), on: engine.backend())
        var selection = RationaleSelection(trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: learningRate, weightDecay: 0.01), schedule: Schedule(.linear, warmupSteps: 10)))
        (selection.rounds, selection.weighting, selection.softRounds, selection.epochs, selection.batch, selection.seed) = (rounds, weights, softRounds, epochs, batch, seed)
        if RationaleQuestion.areDegenerate(questions) {
            printLine("degenerate: no question has two rationales to choose from, so every weight is 1. This trains on the labels as they are given, or with --weights hard "
                + "on those that are met already, which only sharpens what the model can tell; it is no self-improvement.")
        }
        try makeFolder(output)
        defer { removeIfEmpty(output) }
        let stop = StopSignal(abandon: { removeIfEmpty(output) })
        let result = try selection.run(questions, classes: classes, makeModel: base.copy) { round in
            var line = "round \(round.number): " + (round.number == 0 ? "as it begins" : "\(round.trained) of \(questions.count) questions trained, \(round.updates) updates") + "; \(round.score)"
            if let held { line += "; --eval: \(RationaleScore(try round.model.laws(held.questions), labels: held.classes))" }
            printLine(line)
            return !stop.isRequested
        }
        try result.save(to: output)
        printLine("wrote \(output)\(stop.isRequested ? ", stopped early" : "")")
        if stop.isRequested { throw ExitCode(130) }
    }

    private func answer(_ path: String) throws {
        let questions = try RationaleQuestion.read(path), trained = try RationaleModel(path: model, on: engine.backend()), names = trained.form.labels
        let classes = try RationaleQuestion.classes(questions, names: names, file: path), laws = try trained.laws(questions)
        for (question, law) in zip(questions, laws) where !summary {
            let answer = law.answer, posterior = law.posterior(of: answer), chosen = posterior.indices.max { posterior[$0] < posterior[$1] }!
            let shares = (label: String(percent: fixedExp(law.labels[answer])), rationale: String(percent: posterior[chosen]))
            printLine("line \(question.line): \(names[answer]) (\(shares.label)), by rationale \(chosen + 1) (\(shares.rationale)): \(question.rationales[chosen])")
        }
        printLine("\(RationaleScore(laws, labels: classes))")
    }
}
