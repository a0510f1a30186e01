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
    /// Per completion token, under the model that the objective holds this one to.
    public var referenceLogProbabilities: [Float]?
    /// Per completion token, in place of one advantage for all.
    public var tokenAdvantages: [Float]?
    /// Per completion token what a critic said when it was sampled, and what came.
    public var values, returns: [Float]?
    /// Another prompt's answer after this prompt, where the objective compares with such.
    public var mismatch: Mismatch?
    /// The rollouts it was made from.
    public var rollouts: [RolloutKey]
    /// What is trained instead of a completion: classes, masked tokens, or a span.
    public var labels: Labels?
    /// Of each prompt token, for models that tell segments apart.
    public var segments: [Int32]?
    /// Where an answer stands among those that it is compared with.
    public var standing: Standing?

    /// Targets at places of the prompt.
    public struct Labels: Codable, Sendable, Equatable {
        /// Tokens of the prompt; none where a class is the whole sequence's, or where the targets are places themselves.
        public var places: [Int32]
        /// The class of each place, the token that was masked there; of a sequence its one class; of a span its first and its last token.
        public var targets: [Int32]

        public init(places: [Int32] = [], targets: [Int32]) {
            self.places = places
            self.targets = targets
        }
    }

    /// A place in a comparison of answers to one prompt.
    public struct Standing: Codable, Sendable, Equatable {
        /// Equal for the answers of one comparison, which lie next to each other.
        public var comparison: Int
        /// Higher is better; equal ones are a tie.
        public var score: Double
        /// By which its reward should be ahead of that of any worse answer.
        public var margin: Double

        public init(comparison: Int, score: Double, margin: Double = 0) { (self.comparison, self.score, self.margin) = (comparison, score, margin) }
    }

    /// An answer that does not belong to a prompt.
    public struct Mismatch: Codable, Sendable, Equatable {
        public var promptTokens, completionTokens: [Int32]
        /// Per completion token.
        public var referenceLogProbabilities: [Float]

        public init(promptTokens: [Int32], completionTokens: [Int32], referenceLogProbabilities: [Float]) {
            precondition(referenceLogProbabilities.count == completionTokens.count, "\(referenceLogProbabilities.count) log-probabilities for \(completionTokens.count) completion tokens")
            (self.promptTokens, self.completionTokens, self.referenceLogProbabilities) = (promptTokens, completionTokens, referenceLogProbabilities)
        }

        var example: Example {
            var example = Example(promptTokens: promptTokens, completionTokens: completionTokens)
            example.referenceLogProbabilities = referenceLogProbabilities
            return example
        }
    }

    /// A whole text: its first token is only read, and so are the vectors of a soft prompt before it.
    public init(text tokens: [Int32]) {
        let read = min(tokens.count, tokens.prefix { $0 < 0 }.count + 1)
        self.init(promptTokens: Array(tokens[..<read]), completionTokens: Array(tokens[read...]))
    }

    /// An example whose labels are trained.
    public init(tokens: [Int32], segments: [Int32]? = nil, labels: Labels, weight: Float = 1) {
        self.init(promptTokens: tokens, completionTokens: [], weight: weight)
        precondition(labels.places.isEmpty || labels.places.count == labels.targets.count, "\(labels.places.count) places for \(labels.targets.count) targets")
        precondition(segments.map { $0.count == tokens.count } ?? true, "\(segments?.count ?? 0) segments for \(tokens.count) tokens")
        self.labels = labels
        self.segments = segments
    }

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

    /// The reference's log-probability of what is trained.
    var referenceSum: Double { trainedReference.reduce(0, +) }

    /// Of the trained tokens.
    var trainedReference: [Double] {
        guard let reference = referenceLogProbabilities else { preconditionFailure("an example of an objective with a reference has none of its log-probabilities") }
        return atTrained(reference)
    }

    var trainedBehavior: [Double]? { behaviorLogProbabilities.map(atTrained) }

    var trainedAdvantages: [Double] {
        if let tokenAdvantages { return atTrained(tokenAdvantages) }
        guard let advantage else { preconditionFailure("an example of a policy gradient has no advantage") }
        return Array(repeating: Double(advantage), count: trainedCount)
    }

    var trainedValues: (old: [Double], returns: [Double]) {
        guard let values, let returns else { preconditionFailure("an example of an objective with a critic has no values") }
        return (atTrained(values), atTrained(returns))
    }

    private func atTrained(_ numbers: [Float]) -> [Double] { zip(numbers, trained).filter(\.1).map { Double($0.0) } }

    /// Whether the verdict was against it.
    var isWrong: Bool { (advantage ?? 0) < 0 }

    public var trainedCount: Int { labels?.targets.count ?? trained.lazy.filter { $0 }.count }
    public var tokenCount: Int { promptTokens.count + completionTokens.count }

    /// What the model reads: the last completion token predicts nothing that is trained.
    var inputs: [Int32] { promptTokens + completionTokens.dropLast() }
}

extension Example {
    var knownStanding: Standing {
        guard let standing else { preconditionFailure("an example of a comparison does not say where it stands in it") }
        return standing
    }
}

extension [Example] {
    /// Consecutive examples of one comparison; one without a standing is alone.
    var comparisons: [Range<Int>] { consecutive { a, b in a.standing != nil && a.standing?.comparison == b.standing?.comparison } }

    /// Consecutive examples that belong together. The same rollout again begins another copy of its group.
    func consecutive(_ belong: (_ first: Example, Example) -> Bool) -> [Range<Int>] {
        var groups: [Range<Int>] = []
        for index in indices {
            if let last = groups.last, belong(self[last.lowerBound], self[index]), self[index].rollouts.isEmpty || !self[last].contains(where: { $0.rollouts == self[index].rollouts }) {
                groups[groups.count - 1] = last.lowerBound..<index + 1
            } else {
                groups.append(index..<index + 1)
            }
        }
        return groups
    }
}
