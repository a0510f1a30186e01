import Sampling
import Tensors

/// What identifies a rollout, and with the run's seed all of its random numbers.
public struct RolloutKey: Codable, Hashable, Comparable, Sendable {
    public var iteration: Int
    /// Which sampling of the iteration: "attempt", "rationalise", "test" …
    public var phase: String
    /// The problem's place in the phase's list, so that order never depends on who finished first.
    public var index: Int
    public var sample: Int
    public var turn: Int

    public init(iteration: Int, phase: String, index: Int, sample: Int = 0, turn: Int = 0) {
        self.iteration = iteration
        self.phase = phase
        self.index = index
        self.sample = sample
        self.turn = turn
    }

    public static func < (a: RolloutKey, b: RolloutKey) -> Bool {
        (a.iteration, a.phase, a.index, a.sample, a.turn) < (b.iteration, b.phase, b.index, b.sample, b.turn)
    }
}

/// A prompt, its completion, and how the model felt about every token of it.
public struct Rollout: Codable, Sendable, Equatable {
    public var key: RolloutKey
    public var problem: Problem
    public var mode: PromptMode
    public var promptTokens: [Int32]
    /// Including the stop token.
    public var completionTokens: [Int32]
    public var finishReason: FinishReason
    /// The completion as text, without stop token or stop string.
    public var text: String
    /// Per completion token, natural logarithm of the probability under the full softmax at temperature 1.
    public var logProbabilities: [Float]
    /// Per completion token, under the law drawn from (after temperature and truncation).
    public var behaviorLogProbabilities: [Float]
    /// Per completion token; 0 is greedy.
    public var temperatures: [Float]
    /// Content hash of the weights that sampled it.
    public var weightsHash: String
    /// At which both log-probabilities were computed.
    public var precision: Precision
    /// As `logProbabilities`, in float32; nil where they are that.
    public var policyLogProbabilities: [Float]?
    public var judgement: Judgement?

    public init(
        key: RolloutKey, problem: Problem, mode: PromptMode, promptTokens: [Int32], completionTokens: [Int32],
        finishReason: FinishReason, text: String, logProbabilities: [Float], behaviorLogProbabilities: [Float],
        temperatures: [Float], weightsHash: String, precision: Precision = .float32, policyLogProbabilities: [Float]? = nil, judgement: Judgement? = nil
    ) {
        self.key = key
        self.problem = problem
        self.mode = mode
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.finishReason = finishReason
        self.text = text
        self.logProbabilities = logProbabilities
        self.behaviorLogProbabilities = behaviorLogProbabilities
        self.temperatures = temperatures
        self.weightsHash = weightsHash
        self.precision = precision
        self.policyLogProbabilities = policyLogProbabilities
        self.judgement = judgement
    }

    /// The verdict, where the verifier could do its work.
    public var verdict: Verdict? {
        if case .judged(let verdict) = judgement { verdict } else { nil }
    }

    /// How much likelier the completion is in float32 than at the precision that sampled it, at temperature 1 and without truncation, at most
    /// `limit`: what corrects for the precision. 1 for a greedy one, which was not drawn from any law. Source: Ionides 2008 (truncated importance sampling).
    public func importanceWeight(atMost limit: Double) -> Double {
        guard let policyLogProbabilities, temperatures.allSatisfy({ $0 > 0 }) else { return 1 }
        return min(limit, fixedExp(zip(policyLogProbabilities, logProbabilities).reduce(0) { $0 + Double($1.0) - Double($1.1) }))
    }

    public var isRight: Bool { verdict?.outcome == .right }
    /// Whether it is right or not: what the verifier could not judge, or calls unknown, is neither.
    public var isDecided: Bool { verdict.map { $0.outcome != .unknown } ?? false }
}
