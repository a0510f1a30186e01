import Sampling
import Tasks
import Training

/// A way to learn: which problems are sampled from which policy, what is selected, and where each training starts.
///
/// A recipe is an ordinary function over a loop whose every call is recorded under a key. What the journal already holds
/// is returned instead of being done again, so running the recipe anew is resuming it; it never knows a database.
public protocol Recipe: Sendable, Codable, Equatable {
    /// As in papers.
    static var name: String { get }
    /// The defaults.
    init()
    func run(_ loop: isolated LearningLoop) async throws
    /// How `run` samples a phase: a replay draws it again in the same way.
    func sampling(of phase: String) -> SamplingOptions
    /// How much `run` samples and trains, of so many training problems.
    func workload(problems: Int) -> Workload
    /// Of the learning rate that likelihood is usually trained with.
    static var rateShare: Double { get }
    /// Whether failed problems are tried again with a hint.
    var rationalises: Bool { get }
    /// The task as the recipe puts it, such as in several turns.
    func environment(_ base: any Tasks.Environment) -> any Tasks.Environment
    /// Calls `check` for every setting that could be out of its range, with what it may be.
    func validate(_ check: (_ isRight: Bool, _ settings: String, _ allowed: String) throws -> Void) throws
    /// What is set although it has no effect, and why it has none. New runs are refused for it; what is recorded stays readable.
    var idleSettings: [(name: String, reason: String)] { get }
}

extension Recipe {
    /// How a phase was sampled, also one that the loop measures by itself.
    public func recordedSampling(of phase: String) -> SamplingOptions { phase == "spread" ? SamplingOptions(temperature: 1) : sampling(of: phase) }

    public static var rateShare: Double { 1 }
    public var rationalises: Bool { false }
    public func environment(_ base: any Tasks.Environment) -> any Tasks.Environment { base }
    public var idleSettings: [(name: String, reason: String)] { [] }
}

extension SamplingOptions {
    /// As a recipe's setting of that name.
    public func validate(_ name: String, _ check: (_ isRight: Bool, _ settings: String, _ allowed: String) throws -> Void) throws {
        do {
            try validate()
        } catch {
            guard case .invalid(let option, _, let allowed) = error else { throw error }
            // As the setting is called in a file: topK, not top-k.
            let words = option.split(separator: "-")
            try check(false, "\(name).\(words[0])\(words.dropFirst().map(\.localizedCapitalized).joined())", allowed)
        }
    }
}

/// What a recipe will do, as far as its settings say.
public struct Workload: Sendable {
    public enum Training: Sendable {
        /// Of each iteration.
        case steps([Int])
        /// Of each iteration, over what it selected.
        case epochs(Int)
        /// Over the data's own answers, or those of them that the task's verifier finds right.
        case ownAnswers(epochs: Int, verified: Bool)
    }
    public var iterations: Int
    /// Of an iteration.
    public var problems: Int
    /// Of a problem; 0 where nothing is sampled to train on.
    public var samples: Int
    /// Examples that a problem gives at most.
    public var cap: Int
    public var training: Training
    /// Of one step; nil: the run's batch size.
    public var batch: Int?
    /// Iterations that are measured on dev, besides the one that turns out to be the last; nil: all.
    public var measured: Set<Int>?
    /// Completions of a problem that is measured.
    public var turns = 1
    /// Completions of each test problem at the end, besides the greedy ones that every run measures.
    public var candidates = 0
    /// Examples of one more training after the last iteration, counted once for each of its epochs.
    public var finalExamples = 0
    /// Whether an average of what is trained is kept beside it.
    public var keepsAverage = false

    public init(iterations: Int, problems: Int, samples: Int, cap: Int, training: Training, batch: Int? = nil) {
        self.iterations = iterations
        self.problems = problems
        self.samples = samples
        self.cap = cap
        self.training = training
        self.batch = batch
    }
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
public enum LoopEvent: Sendable {
    /// A turn of sampling, of which most environments have one.
    case phaseStarted(iteration: Int, phase: String, total: Int)
    case sampled(iteration: Int, phase: String, done: Int, total: Int, right: Int, cutOff: Int, tokensPerSecond: Double)
    case stepped(StepRecord, total: Int)
    case evaluated([MetricRecord])
    case checkpointed(CheckpointRecord)
    case note(String)
}

extension LoopEvent: Encodable {
    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.init(stringValue) }
        init?(intValue: Int) { nil }
    }

    /// One flat object whose `event` says what happened.
    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        func put(_ values: (name: String, value: any Encodable)...) throws {
            for (name, value) in values { try object.encode(value, forKey: Key(name)) }
        }
        switch self {
        case .phaseStarted(let iteration, let phase, let total):
            try put(("event", "phase"), ("iteration", iteration), ("phase", phase), ("total", total))
        case .sampled(let iteration, let phase, let done, let total, let right, let cutOff, let tokensPerSecond):
            try put(
                ("event", "sampled"), ("iteration", iteration), ("phase", phase), ("done", done), ("total", total), ("right", right), ("cutOff", cutOff),
                ("tokensPerSecond", tokensPerSecond))
        case .stepped(let record, let total):
            let result = record.result
            try put(
                ("event", "step"), ("iteration", record.training.iteration), ("phase", record.training.phase), ("step", result.step), ("total", total), ("loss", result.loss),
                ("gradientNorm", result.gradientNorm), ("learningRate", result.learningRate), ("entropy", result.entropy), ("trainedTokens", result.trainedTokens),
                ("computedTokens", result.computedTokens), ("seconds", record.seconds))
        case .evaluated(let metrics):
            try put(("event", "measured"), ("iteration", metrics.first?.iteration ?? 0), ("phase", metrics.first?.phase ?? ""), ("metrics", metrics))
        case .checkpointed(let record):
            try put(
                ("event", "checkpoint"), ("iteration", record.training.iteration), ("phase", record.training.phase), ("step", record.step), ("path", record.path ?? ""),
                ("weightsHash", record.weightsHash), ("parents", record.parents))
        case .note(let text):
            try put(("event", "note"), ("text", text))
        }
    }
}
