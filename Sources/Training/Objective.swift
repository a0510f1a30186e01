import Architectures
import Tensors

/// How often a term of the loss counts, over the whole global batch.
public struct TermCount: Sendable, Equatable {
    public var name: String
    public var count: Double

    public init(_ name: String, _ count: Double) {
        self.name = name
        self.count = count
    }
}

/// One term of the loss summed over some examples, and its gradient at every trained token.
public struct TermSum: Sendable {
    public var name: String
    /// What the term is multiplied by in the loss.
    public var weight: Double
    public var sum: Double
    /// ∂sum/∂log-probability, one per trained token.
    public var logProbabilityGradients: [Float]
    /// ∂sum/∂entropy, where the term depends on it.
    public var entropyGradients: [Float]?
    /// ∂sum/∂value, where the term depends on it.
    public var valueGradients: [Float]?
    /// ∂sum/∂log-sum-exp, where the term depends on it: of a head of classes only.
    public var normalizerGradients: [Float]?

    public init(
        _ name: String, weight: Double = 1, sum: Double, logProbabilityGradients: [Float], entropyGradients: [Float]? = nil, valueGradients: [Float]? = nil,
        normalizerGradients: [Float]? = nil
    ) {
        self.name = name
        self.weight = weight
        self.sum = sum
        self.logProbabilityGradients = logProbabilityGradients
        self.entropyGradients = entropyGradients
        self.valueGradients = valueGradients
        self.normalizerGradients = normalizerGradients
    }

    /// A number that is shown and not trained, of so many tokens.
    public static func shown(_ name: String, _ sum: Double, tokens: Int) -> TermSum {
        TermSum(name, weight: 0, sum: sum, logProbabilityGradients: Array(repeating: 0, count: tokens))
    }
}

/// What is minimised. Terms are sums with counts, never means: the step divides each by its own global count, once, so that
/// micro-batches cannot change the loss.
public protocol Objective: Sendable {
    /// From the data of the whole global batch, before the first forward pass.
    func counts(_ examples: [Example]) -> [TermCount]
    /// Which consecutive examples are judged together, such as a chosen and a rejected answer: together all of them. A group is computed in one micro-batch.
    func groups(_ examples: [Example]) -> [Range<Int>]
    /// The objective of one global batch, where it depends on what the model says of other texts before the update.
    /// - Parameters:
    ///   - examples: the whole batch.
    ///   - score: a scoring pass under the weights as they are.
    func prepared(for examples: [Example], _ score: ([Example]) -> [[RowLaw]]) -> any Objective
    /// Whether a text that nothing is known of but that it is right can be trained.
    var trainsPlainText: Bool { get }
    /// The learning rate of the critic whose values laws need; nil: no critic.
    var criticRate: Double? { get }
    /// The terms of one example, with one law for each of its trained tokens.
    func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum]
    /// The terms of each example of a group.
    func sums(_ group: ArraySlice<Example>, _ laws: [[RowLaw]]) -> [[TermSum]]
}

extension Objective {
    public func groups(_ examples: [Example]) -> [Range<Int>] { examples.indices.map { $0..<$0 + 1 } }
    public func prepared(for examples: [Example], _ score: ([Example]) -> [[RowLaw]]) -> any Objective { self }
    public var trainsPlainText: Bool { false }
    public var criticRate: Double? { nil }
    public func sums(_ group: ArraySlice<Example>, _ laws: [[RowLaw]]) -> [[TermSum]] { zip(group, laws).map { sums($0, $1) } }
    public func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] { preconditionFailure("\(Self.self) judges examples in groups") }
}

extension Objective {
    /// The loss of examples as one global batch, without an update.
    /// - Parameters:
    ///   - examples: all of them, with what the objective compares with.
    ///   - model: under which they are judged.
    ///   - microBatchTokens: computed at once.
    public func loss(_ examples: [Example], under model: Transformer, microBatchTokens: Int = TrainerOptions.defaultMicroBatchTokens) -> Double {
        let objective = prepared(for: examples) { model.score($0, microBatchTokens: microBatchTokens) }
        let counts = Dictionary(uniqueKeysWithValues: objective.counts(examples).map { ($0.name, $0.count) }), laws = model.score(examples, microBatchTokens: microBatchTokens)
        return objective.groups(examples).flatMap { objective.sums(examples[$0], Array(laws[$0])).joined() }.reduce(0) { total, term in
            guard term.weight != 0 else { return total }
            guard let count = counts[term.name] else { preconditionFailure("the objective gave the term '\(term.name)', for which it has no count") }
            return total + term.weight * term.sum / max(count, .leastNonzeroMagnitude)
        }
    }
}

/// Weighted negative log-likelihood of the trained tokens, divided by their number.
public struct NegativeLogLikelihood: Objective, Codable, Equatable {
    public init() {}

    public var trainsPlainText: Bool { true }

    public func counts(_ examples: [Example]) -> [TermCount] {
        [TermCount("nll", examples.reduce(0) { $0 + Double($1.trainedCount) })]
    }

    public func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        let weight = Double(example.weight)
        return [TermSum(
            "nll", sum: laws.reduce(0) { $0 - weight * Double($1.logProbability) },
            logProbabilityGradients: Array(repeating: -example.weight, count: laws.count))]
    }
}

/// REINFORCE: advantage times the log-probability of the completion, divided by the number of completions.
/// Source: Williams 1992.
public struct PolicyGradient: Objective, Codable, Equatable {
    public init() {}

    public func counts(_ examples: [Example]) -> [TermCount] { [TermCount("policy", Double(examples.count))] }

    public func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        guard let advantage = example.advantage else { preconditionFailure("an example of a policy gradient has no advantage") }
        return [TermSum(
            "policy", sum: laws.reduce(0) { $0 - Double(advantage) * Double($1.logProbability) },
            logProbabilityGradients: Array(repeating: -advantage, count: laws.count))]
    }
}
