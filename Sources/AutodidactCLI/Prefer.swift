import ArgumentParser
import Autodidact
import Foundation

struct Prefer: StagedCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a model on better and worse answers: DPO, IPO, SimPO, ORPO, KTO, RRHF, unlikelihood, Chain of Hindsight and others.",
        discussion: """
            The file holds {"prompt", "chosen", "rejected"}. kto and unlikelihood also read {"prompt", "completion", "label"} with true or false, rrhf and hindsight \
            {"prompt", "completions", "scores"}. The reference that most losses hold the model to is the model as it is: its log-probabilities are computed once, before \
            training, so that no second copy is in memory. hindsight shows both answers in one text, each after a phrase that says which it is; the trained model is asked with \
            the phrase for good ones.
            """)

    enum Loss: String, ExpressibleByArgument, CaseIterable {
        case dpo, hinge, ipo, ipoAveraged = "ipo-averaged", conservative, robust, exo, nca, bco, sppo, apoZero = "apo-zero", apoDown = "apo-down", simpo, orpo, cpo, slic, kto, rrhf
        case unlikelihood, hindsight

        /// Whether β is in it.
        var hasBeta: Bool { ![.slic, .rrhf, .unlikelihood, .hindsight].contains(self) }
    }

    @Option(help: "A model folder or a GGUF file.")
    var model: String

    @Option(help: "\(Loss.allCases.map(\.rawValue).joined(separator: ", ")).")
    var loss: Loss = .dpo

    @Option(help: "How strongly the loss tells answers apart, or holds the model to the reference; when left out 0.1, of simpo 2.")
    var beta: Double?

    @Option(help: "The margin of simpo, or of slic.")
    var margin: Double?

    @Option(help: "The share of pairs that may be the wrong way round, for conservative, robust and exo; 0.1 when left out.")
    var noise: Double?

    @Option(help: "What the likelihood of chosen answers counts beside the pairs, for cpo, slic and rrhf; 1 when left out.")
    var likelihood: Double?

    @Option(name: .customLong("wrong-weight"), help: "What wrong answers count beside right ones; when left out 0.5 for unlikelihood, and for kto as much as all right ones together.")
    var wrongWeight: Double?

    @Option(name: .customLong("good-phrase"), help: "What asks for a good answer, for hindsight; 'A good answer:' when left out.")
    var goodPhrase: String?

    @Option(name: .customLong("bad-phrase"), help: "What asks for a bad answer, for hindsight; 'A bad answer:' when left out.")
    var badPhrase: String?

    @Option(help: "The share of tokens that training reads as others, drawn anew for each epoch, for hindsight; 0.05 when left out.")
    var forgetting: Double?

    @Flag(help: "Prompts are a user's messages: they go through the model's chat template.")
    var chat = false

    @OptionGroup var tuning: FineTuneOptions
    @OptionGroup var engine: EngineOptions

    func validate() throws {
        if let beta, beta <= 0 || !beta.isFinite { throw ValidationError("--beta \(beta): must be above 0.") }
        if let beta, !loss.hasBeta { throw ValidationError("--beta \(beta): --loss \(loss.rawValue) has none.") }
        if let noise {
            guard [.conservative, .robust, .exo].contains(loss) else { throw ValidationError("--noise \(noise): belongs to --loss conservative, robust or exo.") }
            guard noise > 0, noise < 0.5 else { throw ValidationError("--noise \(noise): must be above 0 and below 0.5.") }
        }
        if let likelihood {
            guard [.cpo, .slic, .rrhf].contains(loss) else { throw ValidationError("--likelihood \(likelihood): belongs to --loss cpo, slic or rrhf.") }
            guard likelihood >= 0, likelihood.isFinite else { throw ValidationError("--likelihood \(likelihood): must be 0 or more.") }
        }
        if let margin, !margin.isFinite || ![.simpo, .slic].contains(loss) { throw ValidationError("--margin \(margin): belongs to --loss simpo or slic.") }
        if let wrongWeight {
            guard [.kto, .unlikelihood].contains(loss) else { throw ValidationError("--wrong-weight \(wrongWeight): belongs to --loss kto or unlikelihood.") }
            guard wrongWeight > 0, wrongWeight.isFinite else { throw ValidationError("--wrong-weight \(wrongWeight): must be above 0.") }
        }
        if loss != .hindsight, let name = [("good-phrase", goodPhrase != nil), ("bad-phrase", badPhrase != nil), ("forgetting", forgetting != nil)].first(where: \.1)?.0 {
            throw ValidationError("--\(name): belongs to --loss hindsight.")
        }
        if let forgetting, !(0..<1).contains(forgetting) { throw ValidationError("--forgetting \(forgetting): must be 0 or more and below 1.") }
        if phrases.good.isEmpty || phrases.bad.isEmpty || phrases.good == phrases.bad { throw ValidationError("--good-phrase and --bad-phrase: must be two different texts.") }
    }

    private var phrases: HindsightPhrases {
        let usual = HindsightPhrases()
        return HindsightPhrases(good: goodPhrase ?? usual.good, bad: badPhrase ?? usual.bad)
    }

    /// nil: no loss over pairs.
    private var preference: PreferenceLoss? {
        let b = beta ?? 0.1, noise = noise ?? 0.1, likelihood = likelihood ?? 1
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
        case .kto, .rrhf, .unlikelihood, .hindsight: nil
        }
    }

    private var objective: any Objective {
        if let preference { return PreferenceObjective(preference) }
        return switch loss {
        // The examples' weights balance right and wrong ones of all files, not of a batch.
        case .kto: KTO(beta: beta ?? 0.1)
        case .rrhf: RRHF(likelihood: likelihood ?? 1)
        case .unlikelihood: Unlikelihood(weight: wrongWeight ?? 0.5)
        default: NegativeLogLikelihood()
        }
    }

    /// The objective with all that changes its result.
    private var name: String {
        switch loss {
        case .kto: "\(objective), wrong weight \(wrongWeight ?? 1)"
        case .hindsight: "hindsight, \(phrases), forgetting \(forgetting ?? 0.05)"
        default: preference.map { "\($0)" } ?? "\(objective)"
        }
    }

    static let stageOptions = FineTuneOptions.ofStage.union(["chat"])

    /// How a stage's files are read.
    private var reading: [String: String] { ["max-tokens": "\(tuning.maxTokens)", "chat": "\(chat)"] }

    func run() async throws {
        try tuning.checkOutput()
        let base = try Model(path: model, on: try engine.backend()), model = try tuning.prepared(base, hasNewHead: false)
        let stages = try OptionFiles.stages(of: Prefer.self).map { try $0.command.stage($0.name, model) }
        try tuning.train(model, base: self.model, stages: stages, objective: objective, name: name)
        guard loss == .hindsight, !tuning.dryRun else { return }
        guard case .text(let prompt) = phrases.asking(.text("…"), good: true) else { return }
        printLine("ask it for good answers: \(chat ? "a user's message ends with a paragraph '\(phrases.good)'" : "a prompt reads '\(prompt)'")")
    }

    /// What one stage trains and measures.
    private func stage(_ name: String, _ model: Model) throws -> PreparedStage {
        if loss == .hindsight { return try hindsight(name, model) }
        let paths = try tuning.files().map(\.path), objective = objective, files = try read(paths, model, shares: tuning.shares()), all = files.flatMap(\.self)
        let held = try tuning.eval.map { try read([$0], model)[0] }, described = zip(paths, files).map { PreparedStage.File(path: $0, examples: $1) }
        let stage = FineTuningStage(try tuning.tuning(model, rateShare: 0.1), counts: files.map { objective.groups($0).count }, examples: { _ in all }, held: held)
        return PreparedStage(name: name, stage: stage, files: described, reading: reading) { [preference, microBatchTokens = tuning.microBatchTokens] in
            held.map { held in
                if let preference { return "\(PairScore(held, under: model.transformer, loss: preference, microBatchTokens: microBatchTokens))" }
                return "\(AnswerScore(held, under: model.transformer, microBatchTokens: microBatchTokens))"
            }
        }
    }

    /// The examples of each file.
    private func read(_ paths: [String], _ model: Model, shares: [Double]? = nil) throws -> [[Example]] {
        let limit = tuning.limit(model), files: [[Example]]
        switch loss {
        case .kto: files = try JudgedData(paths, model, limit: limit, isChat: chat).desirability(wrongWeight: wrongWeight ?? 1, shares: shares)
        case .unlikelihood:
            let (read, lost) = try JudgedData(paths, model, limit: limit, isChat: chat).likelihoods()
            if lost > 0 {
                printError("warning: \(lost) wrong answers of \(paths.joined(separator: ", ")) only begin as right ones do, within \(limit) tokens (--max-tokens), and are left out")
            }
            files = read
        case .rrhf:
            let (read, tied) = try JudgedData(paths, model, limit: limit, isChat: chat).rankings()
            warnTied(paths, tied)
            files = read
        default: files = try paths.map { try SupervisedData.preferences($0, model, limit: limit, isChat: chat) }
        }
        for (path, examples) in zip(paths, files) {
            let full = examples.count { $0.tokenCount >= limit }
            if full > 0 { printError("warning: \(full) answers of \(path) fill the \(limit) tokens of --max-tokens; what was longer was cut") }
        }
        // Of the model as it is: an adapter changes nothing yet.
        return loss == .kto || preference != nil ? files.map { $0.compared(with: model.transformer, microBatchTokens: tuning.microBatchTokens) } : files
    }

    /// A stage of chains, drawn anew for each epoch. What is measured is what will be asked: answers after the phrase for good ones.
    private func hindsight(_ name: String, _ model: Model) throws -> PreparedStage {
        let paths = try tuning.files().map(\.path), limit = tuning.limit(model)
        let key = RandomKey(seed: tuning.seed).folding("hindsight"), forgetting = Forgetting(forgetting ?? 0.05, of: model.tokenizer)
        func read(_ paths: [String]) throws -> [[HindsightChain]] {
            let (files, tied) = try JudgedData(paths, model, limit: limit, isChat: chat).chains(phrases)
            warnTied(paths, tied)
            return files
        }
        let files = try read(paths)
        // In one list, so that every chain has its own random numbers.
        let all = files.flatMap(\.self)
        guard all.allSatisfy({ $0.hasRoom(limit) }) else {
            throw FileError(
                file: paths.joined(separator: ", "), problem: "asks for answers in phrases beside which \(limit) tokens leave no room for two answers", advice: "Allow more with --max-tokens.")
        }
        func made(_ epoch: Int) -> [(example: Example, isCut: Bool)] { all.enumerated().map { $1.example(limit: limit, forgetting, key: key.folding(epoch).folding($0)) } }
        let first = made(0), cut = first.count(where: \.isCut)
        if cut > 0 { printError("warning: \(cut) of \(all.count) texts with two answers were cut to the \(limit) tokens of --max-tokens") }
        let asked = try tuning.eval.map { try read([$0])[0].enumerated().flatMap { $1.asked(limit: limit, comparison: $0) } }
        let stage = FineTuningStage(
            try tuning.tuning(model), counts: files.map(\.count), examples: { epoch in made(epoch).map(\.example) }, held: asked.map { $0.filter { $0.advantage == 1 } })
        var rest = first.map(\.example)[...]
        let described = zip(paths, files).map { path, chains in
            defer { rest = rest.dropFirst(chains.count) }
            return PreparedStage.File(path: path, examples: Array(rest.prefix(chains.count)))
        }
        return PreparedStage(name: name, stage: stage, files: described, reading: reading) { [microBatchTokens = tuning.microBatchTokens] in
            asked.map { "\(AnswerScore($0, under: model.transformer, microBatchTokens: microBatchTokens))" }
        }
    }

    private func warnTied(_ paths: [String], _ tied: Int) {
        if tied > 0 { printError("warning: \(tied) lines of \(paths.joined(separator: ", ")) have equal scores only and are left out") }
    }
}
