import Training

/// A training that goes on through the iterations of a recipe, with one optimizer: what it has learned samples the next rollouts.
public struct OnlineTraining: Sendable {
    /// Under this name its examples, steps and policies are recorded.
    public var phase: String
    public var start: PolicyVersion
    public var objective: any Objective
    /// Of the recipe, counted from 1.
    public var iterations: ClosedRange<Int>
    /// An iteration's examples are trained so many times …
    public var epochs = 1
    /// … each time in so many updates.
    public var batches = 1
    /// Whose log-probabilities the examples get; nil: none.
    public var reference: PolicyVersion?
    /// Above 0 the reference follows the policy, and keeps so much of itself in each update.
    public var referenceDecay = 0.0
    /// Every so many iterations the policy is kept as a checkpoint; 0: only the last one.
    public var keepEvery = 0

    public init(_ phase: String = "improve", from start: PolicyVersion, _ objective: any Objective, iterations: ClosedRange<Int>) {
        self.phase = phase
        self.start = start
        self.objective = objective
        self.iterations = iterations
    }

    /// Of one iteration.
    var updates: Int { epochs * batches }
}

/// Where such a training is.
struct OnlineState {
    let training: OnlineTraining
    /// In memory, after the iteration that is named.
    var live: (trainer: Trainer, iteration: Int)?
    /// The policies so far.
    var recorded: [PolicyVersion] = []
}
