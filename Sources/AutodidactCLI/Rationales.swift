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

    private static let usualSoftRounds = 2, usualBatch = 8

    @Option(help: "A model folder, masked or generative; without --input one that this command has written.")
    var model: String

    @Option(help: "A JSONL file of questions with rationales and labels.")
    var input: String?

    @OptionGroup var options: RoundOptions

    @Option(help: "The classes in their order, separated by commas; those of --input when left out.")
    var labels: String?

    @Option(help: "head or likelihood; what the model is made for when left out.")
    var method: RationaleModel.Method?

    @Option(help: "soft: every rationale counts by its posterior, as in EM. hard: only the rationale of the likeliest answer, where that is right (STaR's filter).")
    var weights: RationaleLaw.Weighting = .soft

    @Option(name: .customLong("soft-rounds"), help: "Rounds with soft weights before hard ones: the answers of a new head are guesses.")
    var softRounds: Int = Rationales.usualSoftRounds

    @Option(help: "Questions of one update, each with all its rationales.")
    var batch: Int = Rationales.usualBatch

    @Flag(help: "Without --input: only how many labels are met.")
    var summary = false

    @OptionGroup var engine: EngineOptions

    func validate() throws {
        try checkCounts([("batch", batch)])
        if softRounds < 0 { throw ValidationError("--soft-rounds \(softRounds): must be 0 or more.") }
        if weights == .hard, input != nil, softRounds >= options.rounds { throw ValidationError("--soft-rounds \(softRounds): leaves none of \(options.rounds) rounds to --weights hard.") }
        if (input == nil) != (options.output == nil) { throw ValidationError("--input is trained and --output is written: give both, or neither with --eval.") }
        if input == nil, options.eval == nil { throw ValidationError("--eval: must name questions where nothing is trained.") }
        if input == nil, labels != nil || method != nil { throw ValidationError("--labels and --method: are what the model was trained with where nothing is trained.") }
        let usual = try RoundOptions.parse([])
        let training = [
            ("rounds", options.rounds != usual.rounds), ("epochs", options.epochs != usual.epochs), ("learning-rate", options.learningRate != usual.learningRate),
            ("max-tokens", options.maxTokens != usual.maxTokens), ("seed", options.seed != usual.seed), ("weights", weights != .soft), ("soft-rounds", softRounds != Self.usualSoftRounds),
            ("batch", batch != Self.usualBatch),
        ]
        if input == nil, let name = training.first(where: \.1)?.0 { throw ValidationError("--\(name): has no effect where nothing is trained. Leave it out, or give --input.") }
        if weights == .soft, softRounds != Self.usualSoftRounds { throw ValidationError("--soft-rounds \(softRounds): stand before --weights hard.") }
        if input != nil, summary { throw ValidationError("--summary: is for answers; where --input is trained there are only summaries.") }
    }

    func run() async throws {
        if let input, let output = options.output { try train(input, output) } else if let eval = options.eval { try answer(eval) }
    }

    private func train(_ input: String, _ output: String) throws {
        try refuseExisting(output)
        let questions = try RationaleQuestion.read(input), names = labels.map(split) ?? Set(questions.map(\.label)).sorted()
        let classes = try RationaleQuestion.classes(questions, names: names, file: input)
        let held = try options.eval.map { path in
            let held = try RationaleQuestion.read(path)
            return (questions: held, classes: try RationaleQuestion.classes(held, names: names, file: path))
        }
        let known = Set(questions.map { [$0.text] + $0.rationales })
        options.warn(doubled: held?.questions.count { known.contains([$0.text] + $0.rationales) } ?? 0, "questions")
        let base = try RationaleModel(path: model, labels: names, method: method, maxTokens: options.maxTokens, key: RandomKey(seed: options.seed), on: engine.backend())
        options.warn(cut: try questions.count { question in try question.rationales.contains { try base.isCut(question, $0) } }, of: questions.count, "questions with a rationale", to: base.form.maxTokens)
        var selection = RationaleSelection(trainer: options.trainer)
        (selection.rounds, selection.weighting, selection.softRounds, selection.epochs, selection.batch, selection.seed) = (options.rounds, weights, softRounds, options.epochs, batch, options.seed)
        if RationaleQuestion.areDegenerate(questions) {
            printLine("degenerate: no question has two rationales to choose from, so every weight is 1. This trains on the labels as they are given, or with --weights hard "
                + "on those that are met already, which only sharpens what the model can tell; it is no self-improvement.")
        }
        try options.write(to: output) { isStopped in
            try selection.run(questions, classes: classes, makeModel: base.copy) { round in
                var line = "round \(round.number): " + (round.number == 0 ? "as it begins" : "\(round.trained) of \(questions.count) questions trained, \(round.updates) updates") + "; \(round.score)"
                if let held { line += "; --eval: \(RationaleScore(try round.model.laws(held.questions), labels: held.classes))" }
                printLine(line)
                return !isStopped(round.number)
            }
        } _: {
            try $0.save(to: output)
        }
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
