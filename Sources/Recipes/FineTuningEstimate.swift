import Architectures
import Training

/// What a fine-tuning will take, from its examples and a few updates on this machine.
public struct FineTuningEstimate: Sendable {
    /// Resident memory at its highest.
    public let peakBytes: Int
    public let seconds: Double

    /// Measures at most three updates of the first stage. They change the model.
    /// - Parameters:
    ///   - model: as it would be trained.
    ///   - objective: what would be minimised.
    ///   - stages: in their order.
    /// - Throws: `TrainingError`.
    public init(_ model: Transformer, objective: any Objective = NegativeLogLikelihood(), stages: [FineTuningStage]) throws {
        let trainer = stages[0].trainer(model, objective), options = trainer.options
        let epochs = stages.map { FineTuningStage.Epoch(0, of: $0, objective) }, batches = epochs[0].batches
        func tokens(_ examples: [Example]) -> Int { examples.reduce(0) { $0 + $1.tokenCount } }
        // The first update also takes its memory from the system.
        _ = try trainer.step(batches[0])
        let clock = ContinuousClock(), began = clock.now, measured = [batches[1 % batches.count], batches[2 % batches.count]]
        for batch in measured { _ = try trainer.step(batch) }
        let perToken = (clock.now - began) / .seconds(1) / Double(measured.reduce(0) { $0 + tokens($1) })
        seconds = zip(stages, epochs).reduce(0) { total, pair in
            let (stage, epoch) = pair, measurements = stage.updates / stage.evalEvery + 2
            // A pass forward is a third of one forward and back.
            return total + perToken * Double(epoch.batches.reduce(0) { $0 + tokens($1) } * stage.tuning.epochs + tokens(stage.held ?? []) * measurements / 3)
        }
        let largest = epochs.flatMap(\.batches).map(tokens).max() ?? 0
        peakBytes = MemoryPlan.residentBytes(tensors: MemoryPlan(model, training: options.optimizer.trains).bytesToTrain(
            microBatchTokens: min(options.microBatchTokens, largest), optimizer: options.optimizer, runner: options.runner, activations: options.activations))
    }
}
