import Sampling
import Tasks
import Training

/// A way to learn: which problems are sampled from which policy, what is selected, and where each training starts.
///
/// A recipe is an ordinary function over a loop whose every call is recorded under a key. What the journal already holds
/// is returned instead of being done again, so running the recipe anew is resuming it; it never knows a database.
public protocol Recipe: Sendable, Codable {
    /// As in papers.
    static var name: String { get }
    func run(_ loop: isolated LearningLoop) async throws
}

/// Some weights of the run: those it began with, or the result of one of its trainings.
public struct PolicyVersion: Sendable, Codable, Equatable {
    /// nil: what the run began with.
    public var training: TrainingKey?
    public var weightsHash: String
}

/// Which weights an iteration's training starts from.
public enum NextStart: String, Sendable, Codable, CaseIterable {
    case base, previous
}

/// What a run tells whoever watches.
public enum LoopEvent: Sendable, Codable {
    case phaseStarted(iteration: Int, phase: String, total: Int)
    case sampled(iteration: Int, phase: String, done: Int, total: Int, right: Int, cutOff: Int, tokensPerSecond: Double)
    case stepped(StepRecord, total: Int)
    case evaluated([MetricRecord])
    case checkpointed(CheckpointRecord)
    case note(String)
}
