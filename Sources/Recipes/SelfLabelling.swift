import Architectures
import Evaluation
import Tasks
import Tensors
import Training

/// STaR for a classifier: the model picks the labels of texts that have none, those that it is surest of are taken for right, and it is trained again from its beginning
/// on them and on the texts whose labels are known. Every round takes more. Several models pick together, since one alone is as sure of its own errors.
///
/// Without rationales (`RationaleSelection` has them), and without a verdict on what was picked, this sharpens what the model can already tell apart: it cannot learn a distinction
/// that the known labels do not show. Sources: Scudder 1965; Yarowsky 1995 (P95-1026); Schick and Schütze 2021, arXiv:2001.07676 (several models);
/// Zelikman et al. 2022, arXiv:2203.14465 (from the beginning every round).
public struct SelfLabelling: Sendable, Codable, Equatable {
    public var rounds = 5
    /// Of the texts without labels, those that the last round takes; earlier ones take fewer, evenly.
    public var share = 0.5
    /// Models that pick together: they differ in what a new head begins with and in the order of texts, and what all of them are sure of is picked.
    public var models = 3
    /// Passes over a round's texts, and updates that it has at least: a few known labels need many passes.
    public var epochs = 3
    public var leastUpdates = 60
    /// Texts of one update.
    public var batch = 32
    public var trainer: TrainerOptions
    public var seed: UInt64 = 0

    public init(trainer: TrainerOptions) { self.trainer = trainer }

    /// What a round did.
    public struct Round {
        /// 0: on the known labels alone.
        public var number: Int
        /// Picked labels that it was trained on, by class.
        public var picked: [Int]
        public var updates: Int
        public var model: Model
    }

    /// - Parameters:
    ///   - known: texts with their classes, of every class at least one.
    ///   - unlabelled: texts without.
    ///   - limit: tokens of a text, at most as many as the model takes.
    ///   - makeModel: the model as it begins, with a head of classes; another one for each number, counted from 0.
    ///   - report: hears of every round and its first model; false ends after it.
    /// - Returns: the last round's first model.
    /// - Throws: `TrainingError`, and what a text that the model cannot take throws.
    @discardableResult
    public func run(
        _ known: [(text: LabelledText, label: Int)], unlabelled: [LabelledText], limit: Int, makeModel: (Int) throws -> Model, report: (Round) throws -> Bool
    ) throws -> Model {
        var picked: [(text: LabelledText, label: Int)] = []
        var number = 0
        while true {
            let texts = known + picked
            func trained(_ member: Int) throws -> (model: Model, updates: Int) {
                let model = try makeModel(member)
                let limit = min(limit, model.transformer.configuration.maxPositionEmbeddings)
                let examples = try SupervisedData.classification(texts.map(\.text), classes: texts.map(\.label), model, limit: limit)
                return (model, try train(model, examples, key: RandomKey(seed: seed).folding("order").folding(number).folding(member)))
            }
            let (model, updates) = try trained(0)
            let counts = model.transformer.configuration.labels.indices.map { label in picked.count { $0.label == label } }
            guard try report(Round(number: number, picked: counts, updates: updates, model: model)), number < rounds else { return model }
            number += 1
            func laws(_ model: Model) throws -> [[Double]] {
                let classifier = try Classifier(model)
                classifier.maxTokens = limit
                return try classifier.classify(unlabelled.map { ($0.text, $0.pair) })
            }
            var rows = try laws(model)
            for member in 1..<max(1, models) {
                let others = try laws(trained(member).model)
                rows = zip(rows, others).map { zip($0, $1).map(+) }
            }
            picked = pick(unlabelled, rows, like: known.map(\.label), count: Int(share * Double(unlabelled.count) * Double(number) / Double(rounds)))
        }
    }

    private func train(_ model: Model, _ examples: [Example], key: RandomKey) throws -> Int {
        let updates = max(leastUpdates, (examples.count * epochs + batch - 1) / batch)
        let trainer = Trainer(model.transformer, objective: NegativeLogLikelihood(), options: trainer, totalSteps: updates)
        var (epoch, order) = (0, [Int]())
        for _ in 0..<updates {
            while order.count < min(batch, examples.count) {
                order += key.folding(epoch).permutation(examples.count)
                epoch += 1
            }
            _ = try trainer.step(order.prefix(batch).map { examples[$0] })
            order.removeFirst(min(batch, order.count))
        }
        return updates
    }

    /// Of each class the surest, in the shares of the known labels: the model's own shares would drift to one class.
    /// - Parameters:
    ///   - texts: without labels.
    ///   - rows: the log-probability of every class for each text, summed over the models.
    ///   - known: labels whose shares count.
    ///   - count: texts in all.
    func pick(_ texts: [LabelledText], _ rows: [[Double]], like known: [Int], count: Int) -> [(text: LabelledText, label: Int)] {
        guard let classes = rows.first?.count else { return [] }
        let best = rows.map { row in row.indices.reduce(0) { row[$1] > row[$0] ? $1 : $0 } }
        return (0..<classes).flatMap { label -> [(text: LabelledText, label: Int)] in
            let wanted = count * known.count { $0 == label } / max(1, known.count)
            let own = texts.indices.filter { best[$0] == label }.sorted { (rows[$1][label], $0) < (rows[$0][label], $1) }
            return own.prefix(wanted).map { (texts[$0], label) }
        }
    }
}
