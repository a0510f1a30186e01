import Tasks

/// What is trained: made from rollouts by a selector.
public struct Example: Codable, Sendable, Equatable {
    /// May differ from the prompt that was sampled (a rationalised answer is stored without its hint).
    public var promptTokens: [Int32]
    /// As sampled.
    public var completionTokens: [Int32]
    /// Per completion token.
    public var trained: [Bool]
    public var weight: Float
    /// The reward relative to the rollout's group, for policy gradients.
    public var advantage: Float?
    /// Per completion token, where the objective compares with the law that was sampled.
    public var behaviorLogProbabilities: [Float]?
    /// The rollouts it was made from.
    public var rollouts: [RolloutKey]

    public init(
        promptTokens: [Int32], completionTokens: [Int32], trained: [Bool]? = nil, weight: Float = 1, advantage: Float? = nil,
        behaviorLogProbabilities: [Float]? = nil, rollouts: [RolloutKey] = []
    ) {
        precondition(!promptTokens.isEmpty, "an example needs at least one prompt token")
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.trained = trained ?? Array(repeating: true, count: completionTokens.count)
        precondition(self.trained.count == completionTokens.count, "\(self.trained.count) mask entries for \(completionTokens.count) completion tokens")
        self.weight = weight
        self.advantage = advantage
        precondition(
            behaviorLogProbabilities.map { $0.count == completionTokens.count } ?? true,
            "\(behaviorLogProbabilities?.count ?? 0) log-probabilities for \(completionTokens.count) completion tokens")
        self.behaviorLogProbabilities = behaviorLogProbabilities
        self.rollouts = rollouts
    }

    public var trainedCount: Int { trained.lazy.filter { $0 }.count }
    public var tokenCount: Int { promptTokens.count + completionTokens.count }

    /// What the model reads: the last completion token predicts nothing that is trained.
    var inputs: [Int32] { promptTokens + completionTokens.dropLast() }
}
