import Evaluation
import ModelFiles
import Tasks
import Tensors
import Training

/// STaR without free generation: every question has a finite set of candidate rationales, and which of them explains its label is found by EM, in place of sampling and filtering.
///
/// A round weighs each question's candidates by the last model's posterior q(r), in proportion to p(r|x) p(y|x,r), and trains the model from its beginning on
/// Σ q(r) [-ln p(r|x) - ln p(y|x,r)]. The E-step is exact; updates of a network are no exact M-step, so that the marginal likelihood may fall. Candidates may be retrieved sentences,
/// filled templates, or what a generative model has written before. Without two candidates to choose from (`RationaleQuestion.areDegenerate`) this is training on labels and no
/// self-improvement. Sources: Zelikman et al. 2022, arXiv:2203.14465; Dempster, Laird and Rubin 1977.
public struct RationaleSelection: Sendable, Codable, Equatable {
    public var rounds = 5
    public var weighting: RationaleLaw.Weighting = .soft
    /// Rounds with exact weights before STaR's filter begins, where that is asked for: the answers of a new head are guesses, and a filter of guesses keeps one class.
    public var softRounds = 2
    /// Passes over a round's questions, and updates that it has at least: a few questions need many passes.
    public var epochs = 3
    public var leastUpdates = 60
    /// Questions of one update, each with all its candidates.
    public var batch = 8
    public var trainer: TrainerOptions
    public var seed: UInt64 = 0

    public init(trainer: TrainerOptions) { self.trainer = trainer }

    /// What a round did.
    public struct Round {
        /// 0: the model as it begins.
        public var number: Int
        /// Questions that it was trained on, and updates.
        public var trained: Int
        public var updates: Int
        /// Of the model that came out, on all questions.
        public var score: RationaleScore
        public var model: RationaleModel
    }

    /// - Parameters:
    ///   - questions: with candidates.
    ///   - classes: the class of each.
    ///   - makeModel: the model as it begins.
    ///   - report: hears of every round; false ends after it.
    /// - Returns: the last round's model.
    /// - Throws: `FileError` where the filter keeps no question; `TrainingError`, and what a text that the model cannot take throws.
    @discardableResult
    public func run(_ questions: [RationaleQuestion], classes: [Int], makeModel: () throws -> RationaleModel, report: (Round) throws -> Bool) throws -> RationaleModel {
        precondition(questions.count == classes.count, "\(questions.count) questions and \(classes.count) classes")
        var model = try makeModel(), number = 0, trained = 0, updates = 0
        while true {
            // E-step.
            let laws = try model.laws(questions)
            guard try report(Round(number: number, trained: trained, updates: updates, score: RationaleScore(laws, labels: classes), model: model)), number < rounds else { return model }
            number += 1
            let weights = zip(laws, classes).map { $0.weights(for: $1, number > softRounds ? weighting : .soft) }
            // M-step, from the beginning.
            model = try makeModel()
            let groups = try questions.indices.compactMap { index in try weights[index].map { try model.examples(questions[index], number: index, label: classes[index], weights: $0) } }
            guard !groups.isEmpty else {
                throw FileError(
                    file: model.model.source ?? "the model", problem: "gives none of \(questions.count) questions its label, so that the filter of round \(number) keeps nothing",
                    advice: "Weigh softly, or for more rounds before the filter.")
            }
            (trained, updates) = (groups.count, try train(model, groups, round: number))
        }
    }

    private func train(_ model: RationaleModel, _ groups: [[Example]], round: Int) throws -> Int {
        let perEpoch = (groups.count + batch - 1) / batch, updates = max(leastUpdates, perEpoch * epochs)
        let trainer = Trainer(model.model.transformer, objective: model.objective, options: trainer, totalSteps: updates)
        let key = RandomKey(seed: seed).folding("order").folding(round)
        var order = [Int]()
        for update in 0..<updates {
            let first = update % perEpoch * batch
            if first == 0 { order = key.folding(update / perEpoch).permutation(groups.count) }
            _ = try trainer.step(order[first..<min(groups.count, first + batch)].flatMap { groups[$0] })
        }
        return updates
    }
}
