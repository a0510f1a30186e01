import ArgumentParser
import Autodidact
import Foundation

struct Prefer: StagedCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a model to prefer one of two answers: DPO, IPO, SimPO, ORPO and others.",
        discussion: """
            The file holds {"prompt", "chosen", "rejected"}. The reference that most losses hold the model to is the model as it is: its log-probabilities are computed once, before \
            training, so that no second copy is in memory.
            """)

    enum Loss: String, ExpressibleByArgument, CaseIterable {
        case dpo, hinge, ipo, ipoAveraged = "ipo-averaged", conservative, robust, exo, nca, bco, sppo, apoZero = "apo-zero", apoDown = "apo-down", simpo, orpo, cpo, slic
    }

    @Option(help: "A model folder or a GGUF file.")
    var model: String

    @Option(help: "\(Loss.allCases.map(\.rawValue).joined(separator: ", ")).")
    var loss: Loss = .dpo

    @Option(help: "How strongly the loss tells answers apart, or holds the model to the reference; when left out 0.1, of simpo 2.")
    var beta: Double?

    @Option(help: "The margin of simpo, or of slic.")
    var margin: Double?

    @Option(help: "The share of pairs that may be the wrong way round, for conservative, robust and exo.")
    var noise: Double = 0.1

    @Option(help: "What the likelihood of chosen answers counts beside the pairs, for cpo and slic.")
    var likelihood: Double = 1

    @Flag(help: "Prompts are a user's messages: they go through the model's chat template.")
    var chat = false

    @OptionGroup var tuning: FineTuneOptions
    @OptionGroup var engine: EngineOptions

    func validate() throws {
        if let beta, beta <= 0 || !beta.isFinite { throw ValidationError("--beta \(beta): must be above 0.") }
        if !(noise > 0 && noise < 0.5) { throw ValidationError("--noise \(noise): must be above 0 and below 0.5.") }
        if !(likelihood >= 0 && likelihood.isFinite) { throw ValidationError("--likelihood \(likelihood): must be 0 or more.") }
        if let margin, !margin.isFinite || ![.simpo, .slic].contains(loss) { throw ValidationError("--margin \(margin): belongs to --loss simpo or slic.") }
    }

    private var preference: PreferenceLoss {
        let b = beta ?? 0.1
        return switch loss {
        case .dpo: .dpo(beta: b)
        case .hinge: .hinge(beta: b)
        case .ipo: .ipo(beta: b)
        case .ipoAveraged: .ipo(beta: b, averaged: true)
        case .conservative: .conservativeDPO(beta: b, noise: noise)
        case .robust: .robustDPO(beta: b, noise: noise)
        case .exo: .exo(beta: b, noise: noise)
        case .nca: .nca(beta: b)
        case .bco: .bco(beta: b)
        case .sppo: .sppo(beta: b)
        case .apoZero: .apoZero(beta: b)
        case .apoDown: .apoDown(beta: b)
        case .simpo: .simpo(beta: beta ?? 2, gamma: margin ?? 0.5)
        case .orpo: .orpo(beta: b)
        case .cpo: .cpo(beta: b, alpha: likelihood)
        case .slic: .slic(delta: margin ?? 1, lambda: likelihood)
        }
    }

    static let stageOptions = FineTuneOptions.ofStage.union(["chat"])

    func run() async throws {
        try tuning.checkOutput()
        let base = try Model(path: model, on: try engine.backend()), model = try tuning.prepared(base, hasNewHead: false), loss = preference
        let stages = try OptionFiles.stages(of: Prefer.self).map { try $0.command.stage($0.name, model, loss) }
        try tuning.train(model, base: self.model, stages: stages, objective: PreferenceObjective(loss), name: "\(loss)")
    }

    /// What one stage trains and measures.
    private func stage(_ name: String, _ model: Model, _ loss: PreferenceLoss) throws -> PreparedStage {
        func read(_ path: String) throws -> [Example] {
            var examples = try SupervisedData.preferences(path, model, limit: tuning.limit(model), isChat: chat)
            let full = examples.count { $0.tokenCount >= tuning.limit(model) }
            if full > 0 { printError("warning: \(full) answers of \(path) fill the \(tuning.limit(model)) tokens of --max-tokens; what was longer was cut") }
            // Of the model as it is: an adapter changes nothing yet.
            for (index, laws) in model.transformer.score(examples, microBatchTokens: tuning.microBatchTokens).enumerated() { examples[index].referenceLogProbabilities = laws.map(\.logProbability) }
            return examples
        }
        let files = try tuning.files().map { PreparedStage.File(path: $0.path, examples: try read($0.path)) }, all = files.flatMap(\.examples), held = try tuning.eval.map(read)
        let stage = FineTuningStage(try tuning.tuning(model, rateShare: 0.1), counts: files.map { $0.examples.count / 2 }, examples: { _ in all }, held: held)
        return PreparedStage(name: name, stage: stage, files: files) { [microBatchTokens = tuning.microBatchTokens] in
            held.map { "\(PairScore($0, under: model.transformer, loss: loss, microBatchTokens: microBatchTokens))" }
        }
    }
}
