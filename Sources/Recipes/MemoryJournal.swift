import Synchronization
import Tasks
import Training

/// A journal that lasts as long as the process: for tests, and for programs that keep no record.
public final class MemoryJournal: Journal, Sendable {
    private struct Phase: Hashable {
        var iteration: Int
        var name: String
    }
    private struct State {
        var rollouts: [RolloutKey: Rollout] = [:]
        var examples: [TrainingKey: [Example]] = [:]
        var steps: [TrainingKey: [Int: StepRecord]] = [:]
        var checkpoints: [TrainingKey: [Int: CheckpointRecord]] = [:]
        var metrics: [MetricRecord] = []
        var completed: Set<Phase> = []
    }
    private let state = Mutex(State())

    public init() {}

    public func rollouts(iteration: Int, phase: String) -> [Rollout] {
        state.withLock { $0.rollouts.values.filter { $0.key.iteration == iteration && $0.key.phase == phase } }.sorted { $0.key < $1.key }
    }

    public func record(_ rollouts: [Rollout]) { state.withLock { state in for rollout in rollouts { state.rollouts[rollout.key] = rollout } } }

    public func examples(_ training: TrainingKey) -> [Example]? { state.withLock { $0.examples[training] } }

    public func record(_ examples: [Example], for training: TrainingKey) { state.withLock { $0.examples[training] = examples } }

    public func record(_ step: StepRecord) { state.withLock { $0.steps[step.training, default: [:]][step.result.step] = step } }

    public func steps(_ training: TrainingKey) -> [StepRecord] {
        state.withLock { $0.steps[training] ?? [:] }.sorted { $0.key < $1.key }.map(\.value)
    }

    public func checkpoints(_ training: TrainingKey) -> [CheckpointRecord] {
        state.withLock { $0.checkpoints[training] ?? [:] }.sorted { $0.key < $1.key }.map(\.value)
    }

    public func record(_ checkpoint: CheckpointRecord) { state.withLock { $0.checkpoints[checkpoint.training, default: [:]][checkpoint.step] = checkpoint } }

    public func metrics() -> [MetricRecord] { state.withLock { $0.metrics } }

    public func record(_ metrics: [MetricRecord]) {
        func isSame(_ a: MetricRecord, _ b: MetricRecord) -> Bool {
            (a.iteration, a.phase, a.name, a.category) == (b.iteration, b.phase, b.name, b.category)
        }
        state.withLock { state in
            state.metrics.removeAll { old in metrics.contains { isSame(old, $0) } }
            state.metrics += metrics
        }
    }

    public func isComplete(iteration: Int, phase: String) -> Bool { state.withLock { $0.completed.contains(Phase(iteration: iteration, name: phase)) } }

    public func complete(iteration: Int, phase: String) { state.withLock { _ = $0.completed.insert(Phase(iteration: iteration, name: phase)) } }
}
