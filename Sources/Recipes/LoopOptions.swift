import Architectures
import Tensors
import Training

/// Settings of a run that every recipe shares.
public struct LoopOptions: Sendable, Codable, Equatable {
    public var seed: UInt64
    public var trainer: TrainerOptions
    /// Examples per optimizer step.
    public var batchSize: Int
    /// Sequences that decode together.
    public var maxSequences: Int
    /// At which the rollouts that train are sampled. Measurements are always in float32.
    public var rolloutPrecision: Precision
    /// The most that a rollout sampled at another precision weighs in training (`Rollout.importanceWeight`).
    public var maximumImportanceWeight: Double
    /// Optimizer steps between saves from which a killed training goes on.
    public var saveEvery: Int
    /// Problems of the dev part, which is measured before and after every iteration; 0: all.
    public var devLimit: Int
    /// Problems of the test part, which is opened once, at the end; 0: all.
    public var testLimit: Int
    /// Steps of the warm-up on worked examples, where there are any.
    public var warmUpSteps: Int
    /// Tokens, generated for training and trained together, after which a recipe ends with the policy that it has; 0: as many as its settings take.
    public var tokenBudget: Int
    /// Completions of each of a hundred test problems at temperature 1, at the end: how often one is right, whether one of several is, and how they differ from each other and from
    /// those of the start; 0: none.
    public var testSamples: Int
    /// What is trained beside the model; nil: the model itself.
    public var adapter: AdapterChoices?

    public init(
        seed: UInt64 = 0, trainer: TrainerOptions, batchSize: Int = 16, maxSequences: Int = 64, rolloutPrecision: Precision = .float32, maximumImportanceWeight: Double = 2,
        saveEvery: Int = 200, devLimit: Int = 0, testLimit: Int = 0, warmUpSteps: Int = 0, tokenBudget: Int = 0, testSamples: Int = 0, adapter: AdapterChoices? = nil
    ) {
        self.seed = seed
        self.trainer = trainer
        self.batchSize = batchSize
        self.maxSequences = maxSequences
        self.rolloutPrecision = rolloutPrecision
        self.maximumImportanceWeight = maximumImportanceWeight
        self.saveEvery = saveEvery
        self.devLimit = devLimit
        self.testLimit = testLimit
        self.warmUpSteps = warmUpSteps
        self.tokenBudget = tokenBudget
        self.testSamples = testSamples
        self.adapter = adapter
    }
}
