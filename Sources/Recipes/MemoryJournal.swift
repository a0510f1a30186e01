import Tasks
import Training

/// A journal that lasts as long as the process: for tests, and for programs that keep no record.
public final class MemoryJournal: Journal {
    private struct Phase: Hashable {
        var iteration: Int
        var name: String
    }
    private var rollouts: [RolloutKey: Rollout] = [:]
    private var examples: [TrainingKey: [Example]] = [:]
    private var steps: [TrainingKey: [Int: StepRecord]] = [:]
    private var checkpoints: [TrainingKey: [Int: CheckpointRecord]] = [:]
    private var allMetrics: [MetricRecord] = []
    private var completed: Set<Phase> = []

    public init() {}

    public func rollouts(iteration: Int, phase: String) -> [Rollout] {
        rollouts.values.filter { $0.key.iteration == iteration && $0.key.phase == phase }.sorted { $0.key < $1.key }
    }
    public func record(_ rollouts: [Rollout]) { for rollout in rollouts { self.rollouts[rollout.key] = rollout } }
    public func examples(_ training: TrainingKey) -> [Example]? { examples[training] }
    public func record(_ examples: [Example], for training: TrainingKey) { self.examples[training] = examples }
    public func record(_ step: StepRecord) { steps[step.training, default: [:]][step.result.step] = step }
    public func steps(_ training: TrainingKey) -> [StepRecord] { (steps[training] ?? [:]).sorted { $0.key < $1.key }.map(\.value) }
    public func checkpoints(_ training: TrainingKey) -> [CheckpointRecord] { (checkpoints[training] ?? [:]).sorted { $0.key < $1.key }.map(\.value) }
    public func record(_ checkpoint: CheckpointRecord) { checkpoints[checkpoint.training, default: [:]][checkpoint.step] = checkpoint }
    public func metrics() -> [MetricRecord] { allMetrics }
    public func record(_ metrics: [MetricRecord]) {
        func sameKey(_ a: MetricRecord, _ b: MetricRecord) -> Bool {
            (a.iteration, a.phase, a.name, a.category) == (b.iteration, b.phase, b.name, b.category)
        }
        allMetrics.removeAll { old in metrics.contains { sameKey(old, $0) } }
        allMetrics += metrics
    }
    public func isComplete(iteration: Int, phase: String) -> Bool { completed.contains(Phase(iteration: iteration, name: phase)) }
    public func complete(iteration: Int, phase: String) { completed.insert(Phase(iteration: iteration, name: phase)) }
}
