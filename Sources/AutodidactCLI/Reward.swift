import ArgumentParser
import Autodidact
import Foundation

struct Reward: StagedCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a model that says with one number how good an answer is, from comparisons.",
        discussion: """
            The file holds {"prompt", "chosen", "rejected"} ("tie": true where both are as good, "margin" where one is much better), or {"prompt", "answers"} with the best first. \
            Generative and masked models get a head of one number, which is trained with all weights, or whole beside an adapter. At the end the mean over the best answers \
            of training becomes 0, and held-out pairs say how far the reward is to be trusted: beside the answers' lengths alone, and by its probabilities.
            """)

    @Option(help: "A model folder or a GGUF file.")
    var model: String

    @Flag(help: "Prompts are a user's messages: they go through the model's chat template.")
    var chat = false

    @Option(help: "How strongly the sum of a pair's rewards is held to 0, such as 0.01.")
    var centring: Double = 0

    @OptionGroup var tuning: FineTuneOptions
    @OptionGroup var engine: EngineOptions

    func validate() throws {
        if !(centring >= 0 && centring.isFinite) { throw ValidationError("--centring \(centring): must be 0 or more.") }
    }

    // All stages are asked alike.
    static let stageOptions = FineTuneOptions.ofStage.subtracting(["max-tokens"])

    func run() async throws {
        try tuning.checkOutput()
        let base = try Model(path: model, as: RewardModel.task(key: RandomKey(seed: tuning.seed)), on: try engine.backend())
        let reward = try RewardModel(try tuning.prepared(base, hasNewHead: true), form: RewardModel.Form(isChat: chat, maxTokens: tuning.maxTokens))
        let read = try OptionFiles.stages(of: Reward.self).map { (name: $0.name, command: $0.command, files: try $0.command.tuning.files().map { try RankedAnswers.read($0.path) }) }
        // Of every stage a tenth, which no stage trains.
        let apart = Set(read.filter { $0.command.tuning.eval == nil }.flatMap { RankedAnswers.split($0.files.flatMap(\.self), held: 0.1).held }.map(\.promptHash))
        let trained = Set(read.flatMap { $0.files.flatMap(\.self) }.map(\.promptHash)).subtracting(apart)
        let stages = try read.map { try $0.command.stage($0.name, reward, $0.files, apart: apart, trained: trained) }
        guard let last = stages.last else { return }
        try tuning.train(
            reward.model, base: model, stages: stages.map(\.prepared), objective: RewardObjective(BradleyTerry(centring: centring)), name: "reward, centring \(centring), chat \(chat)",
            finish: { reward.centre(on: RewardObjective().groups(last.examples).map { last.examples[$0.lowerBound] }) },
            write: { folder in
                let report = last.report()
                try reward.form.write(to: folder)
                try writeDurably(report.plot.svg(), to: "\(folder)/calibration.svg")
                printLine("\(report)")
                if let warning = report.warning { printError("warning: \(warning)") }
            })
    }

    /// What one stage trains, and what is said of the model on its held-out comparisons.
    private func stage(_ name: String, _ reward: RewardModel, _ files: [[RankedAnswers]], apart: Set<UInt64>, trained: Set<UInt64>) throws -> (prepared: PreparedStage, examples: [Example], report: () -> RewardReport) {
        let paths = try tuning.files().map(\.path), parts = try parts(paths, files, apart: apart, trained: trained), compared = parts.trained.flatMap(\.self)
        // At once, so that comparisons of all files are told apart.
        let examples = try SupervisedData.comparisons(compared, reward), held = try SupervisedData.comparisons(parts.held, reward), prefersLonger = RewardScore.prefersLonger(compared)
        if case let full = (examples + held).count(where: { $0.tokenCount >= reward.form.maxTokens }), full > 0 {
            printError("warning: \(full) of \(examples.count + held.count) answers fill the \(reward.form.maxTokens) tokens of --max-tokens with their prompts; what was longer was cut")
        }
        var rest = examples[...]
        let described = zip(paths, parts.trained).map { path, comparisons in
            let count = comparisons.reduce(0) { $0 + $1.answers.count }
            defer { rest = rest.dropFirst(count) }
            return PreparedStage.File(path: path, examples: Array(rest.prefix(count)))
        }
        func report() -> RewardReport {
            var rewards = reward.rewards(held)[...]
            return RewardReport(RewardScore(parts.held, rewards: parts.held.map { ranked in ranked.answers.map { _ in rewards.removeFirst() } }, prefersLonger: prefersLonger))
        }
        let stage = FineTuningStage(try tuning.tuning(reward.model), counts: parts.trained.map(\.count), examples: { _ in examples }, held: tuning.eval == nil ? nil : held)
        let prepared = PreparedStage(name: name, stage: stage, files: described, reading: ["max-tokens": "\(tuning.maxTokens)"]) {
            let score = report().score
            return score.count > 0 ? "\(String(percent: score.right / Double(score.count))) of \(score.count) held-out pairs told apart" : nil
        }
        return (prepared, examples, report)
    }

    /// What is trained of each file, and what is measured.
    /// - Parameters:
    ///   - paths: of the files.
    ///   - files: what they hold.
    ///   - apart: prompts that no stage trains.
    ///   - trained: prompts that some stage does.
    private func parts(_ paths: [String], _ files: [[RankedAnswers]], apart: Set<UInt64>, trained: Set<UInt64>) throws -> (trained: [[RankedAnswers]], held: [RankedAnswers]) {
        func refuse(_ path: String, _ problem: String) -> FileError { FileError(file: path, problem: problem, advice: "Add comparisons, of several prompts, in which one answer is better.") }
        let all = files.flatMap(\.self), held: [RankedAnswers]
        if let eval = tuning.eval {
            held = try RankedAnswers.read(eval)
            let both = trained.intersection(held.map(\.promptHash))
            if !both.isEmpty { printError("warning: \(both.count) prompts are trained and measured: what is learnt of them counts as if it were general") }
        } else {
            held = all.filter { apart.contains($0.promptHash) }
            let prompts = Set(all.map(\.promptHash))
            printLine("no --eval: \(prompts.intersection(apart).count) of \(prompts.count) prompts, with \(held.count) of \(all.count) comparisons, are measured and not trained")
        }
        let rest = files.map { $0.filter { !apart.contains($0.promptHash) } }
        guard rest.contains(where: { !$0.isEmpty }) else { throw refuse(paths[0], "holds no comparison that can be trained") }
        guard held.contains(where: { !$0.decided.isEmpty }) else { throw refuse(tuning.eval ?? paths[0], "holds no comparison that can be measured") }
        return (rest, held)
    }
}
