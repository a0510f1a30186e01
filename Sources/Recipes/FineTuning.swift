import Architectures
import Tensors
import Training

/// Supervised training over examples: epochs in a new order each, batches of a number of examples, a rate that warms up and falls.
public struct FineTuning: Sendable, Codable, Equatable {
    public var epochs = 3
    /// Examples of one update.
    public var batch = 32
    public var trainer: TrainerOptions
    /// Share of the updates in which the rate rises.
    public var warmup = 0.1
    public var seed: UInt64 = 0

    public init(trainer: TrainerOptions) { self.trainer = trainer }

    /// - Parameters:
    ///   - model: is trained in place.
    ///   - examples: those of an epoch, counted from 0: masks may be drawn anew.
    ///   - objective: what is minimised; the batch is of so many examples, or groups that it judges together.
    ///   - count: examples, or groups, of one epoch.
    ///   - onStep: after every update, with the number of updates in all.
    ///   - onEpoch: after every epoch.
    ///   - isCancelled: looked at before every update.
    public func run(
        _ model: Transformer, objective: any Objective = NegativeLogLikelihood(), count: Int, examples: (_ epoch: Int) -> [Example], onStep: (StepResult, _ of: Int) throws -> Void = { _, _ in },
        onEpoch: (_ epoch: Int) throws -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws {
        let steps = (count + batch - 1) / batch, total = steps * epochs
        var options = trainer
        options.schedule.warmupSteps = Int(Double(total) * warmup)
        let trainer = Trainer(model, objective: objective, options: options, totalSteps: total)
        for epoch in 0..<epochs {
            let all = examples(epoch), groups = objective.groups(all)
            let order = RandomKey(seed: seed).folding("order").folding(epoch).permutation(groups.count)
            for start in stride(from: 0, to: groups.count, by: batch) {
                if isCancelled() { return }
                try onStep(try trainer.step(order[start..<min(groups.count, start + batch)].flatMap { all[groups[$0]] }), total)
            }
            try onEpoch(epoch)
        }
    }
}
