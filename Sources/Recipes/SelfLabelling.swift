import Architectures
import Evaluation
import Tasks
import Tensors
import Training

/// STaR for a classifier: the model picks the labels of texts that have none, those that it is surest of are taken for right, and it is trained again from its beginning
/// on them and on the texts whose labels are known. Every round takes more.
///
/// Without rationales, and without a verdict on what was picked, this sharpens what the model can already tell apart: it cannot learn a distinction that the known
/// labels do not show. Sources: Scudder 1965; Yarowsky 1995 (P95-1026); Zelikman et al. 2022, arXiv:2203.14465 (from the beginning every round).
public struct SelfLabelling: Sendable, Codable, Equatable {
    public var rounds = 5
    /// Of the texts without labels, those that the last round takes; earlier ones take fewer, evenly.
    public var share = 0.5
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
    ///   - limit: tokens of a text.
    ///   - makeModel: the model as it begins, with a head of classes.
    ///   - report: hears of every round; false ends after it.
    /// - Returns: the last round's model.
    /// - Throws: `TrainingError`, and what a text that the model cannot take throws.
    @discardableResult
    public func run(
        _ known: [(text: LabelledText, label: Int)], unlabelled: [LabelledText], limit: Int, makeModel: () throws -> Model, report: (Round) throws -> Bool
    ) throws -> Model {
        var picked: [(text: LabelledText, label: Int)] = []
        var number = 0
        while true {
            let model = try makeModel(), texts = known + picked
            let examples = try SupervisedData.classification(texts.map(\.text), classes: texts.map(\.label), model, limit: limit)
            let updates = try train(model, examples, round: number)
            let counts = model.transformer.configuration.labels.indices.map { label in picked.count { $0.label == label } }
            guard try report(Round(number: number, picked: counts, updates: updates, model: model)), number < rounds else { return model }
            number += 1
            picked = pick(unlabelled, try Classifier(model).classify(unlabelled.map { ($0.text, $0.pair) }), like: known.map(\.label), count: Int(share * Double(unlabelled.count) * Double(number) / Double(rounds)))
        }
    }

    private func train(_ model: Model, _ examples: [Example], round: Int) throws -> Int {
        let updates = max(leastUpdates, (examples.count * epochs + batch - 1) / batch)
        let trainer = Trainer(model.transformer, objective: NegativeLogLikelihood(), options: trainer, totalSteps: updates)
        let key = RandomKey(seed: seed).folding("order").folding(round)
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
    ///   - rows: the model's log-probability of every class, for each text.
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
