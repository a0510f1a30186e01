import Tasks
import Training

/// One training within a run: which iteration's, under which name.
public struct TrainingKey: Codable, Hashable, Sendable, Comparable {
    public var iteration: Int
    /// "warm-up", "improve" …
    public var phase: String

    public init(iteration: Int, phase: String) {
        self.iteration = iteration
        self.phase = phase
    }

    /// On worked examples, before anything is sampled.
    public static let warmUp = TrainingKey(iteration: 0, phase: "warm-up")

    public static func < (a: TrainingKey, b: TrainingKey) -> Bool { (a.iteration, a.phase) < (b.iteration, b.phase) }

    /// Where its result lies within the run's folder: `checkpoints/0001-improve`.
    public var checkpointPath: String {
        let number = String(iteration)
        return "checkpoints/\(String(repeating: "0", count: max(0, 4 - number.count)))\(number)-\(phase)"
    }
}

/// A checkpoint that is on disk, complete.
public struct CheckpointRecord: Codable, Sendable, Equatable {
    public var training: TrainingKey
    /// Steps taken when it was written.
    public var step: Int
    /// The last of its training.
    public var isFinal: Bool
    /// Within the run's folder; nil: the weights are not kept, and the updates since kept ones make them again.
    public var path: String?
    /// SHA-256 over names, shapes and float32 values.
    public var weightsHash: String
    /// Hashes of the models it was made from (the one it started from; several for a merge).
    public var parents: [String]

    public init(training: TrainingKey, step: Int, isFinal: Bool, path: String?, weightsHash: String, parents: [String]) {
        self.training = training
        self.step = step
        self.isFinal = isFinal
        self.path = path
        self.weightsHash = weightsHash
        self.parents = parents
    }
}

/// A number with a name, measured at some point of the run.
public struct MetricRecord: Codable, Sendable, Equatable {
    public var iteration: Int
    /// "test", "attempt" …
    public var phase: String
    /// "accuracy", "macroAccuracy", "right", "reward", "length", "cutOff" …
    public var name: String
    /// What it is restricted to ("4" digits); empty for all.
    public var category: String
    public var value: Double
    /// How many cases it is over, where that makes sense.
    public var count: Int

    public init(iteration: Int, phase: String, name: String, category: String = "", value: Double, count: Int = 0) {
        self.iteration = iteration
        self.phase = phase
        self.name = name
        self.category = category
        self.value = value
        self.count = count
    }
}

/// One optimizer step, as recorded.
public struct StepRecord: Codable, Sendable, Equatable {
    public var training: TrainingKey
    public var result: StepResult
    /// Not reproducible, and never compared.
    public var seconds: Double

    public init(training: TrainingKey, result: StepResult, seconds: Double) {
        self.training = training
        self.result = result
        self.seconds = seconds
    }
}

/// What happened in a run, in an order that does not depend on timing: appended, and read back.
///
/// A recipe asks for what it needs (rollouts of a phase, a trained model); what the journal already holds is not done
/// again. So resuming is running the recipe over the journal. Every `record` is durable when it returns, replaces what has
/// the same key, and is atomic.
public protocol Journal: AnyObject {
    /// Rollouts of a phase with their judgements, in key order.
    func rollouts(iteration: Int, phase: String) throws -> [Rollout]
    func record(_ rollouts: [Rollout]) throws

    /// The examples a training was started on, in training order; nil when it was not started.
    func examples(_ training: TrainingKey) throws -> [Example]?
    func record(_ examples: [Example], for training: TrainingKey) throws

    func record(_ step: StepRecord) throws
    func steps(_ training: TrainingKey) throws -> [StepRecord]

    /// In order of steps.
    func checkpoints(_ training: TrainingKey) throws -> [CheckpointRecord]
    /// The checkpoint's folder is complete on disk before this is called.
    func record(_ checkpoint: CheckpointRecord) throws

    func metrics() throws -> [MetricRecord]
    func record(_ metrics: [MetricRecord]) throws

    /// A phase whose metrics and rollouts are complete.
    func isComplete(iteration: Int, phase: String) throws -> Bool
    func complete(iteration: Int, phase: String) throws
}
