import Architectures
import Evaluation
import Foundation
import ModelFiles
import Tasks
import Tensors

/// A reward model as a verifier: a completion is right where its reward is above a threshold.
///
/// The model reads the problem's question and the completion's text. It computes on a thread of its own, so that judging holds up nobody else.
public struct RewardVerifier: Verifier {
    public let name = "reward"
    /// 0 is the mean over the reference answers that the model was trained on.
    public let threshold: Double
    /// Of a completion that was cut off by its length.
    public let cutOffReward: Double
    /// SHA-256 of what gives the rewards: the weights, those of an adapter among them, and how the model is asked.
    public let modelHash: String
    private let scorer: RewardScorer

    public var settings: [String: String] { ["model": modelHash, "threshold": "\(threshold)", "reward when cut off": "\(cutOffReward)"] }

    /// - Parameters:
    ///   - threshold: a completion is right above it.
    ///   - cutOffReward: low, and the same for all, so that no half answer pays; -3 loses 95 % of comparisons with an answer of reward 0.
    ///   - makeModel: makes the model that this verifier then owns alone.
    public init(threshold: Double = 0, cutOffReward: Double = -3, makeModel: @Sendable () throws -> sending RewardModel) throws {
        (self.threshold, self.cutOffReward) = (threshold, cutOffReward)
        scorer = try RewardScorer(makeModel)
        modelHash = scorer.modelHash
    }

    /// - Parameters:
    ///   - path: of what `autodidact reward` has written, or of another model with a head of one number.
    ///   - adapter: a PEFT folder over the model.
    ///   - threads: that compute; all processors when nil.
    ///   - threshold: a completion is right above it.
    /// - Throws: `FileError` for what is no reward model.
    public init(path: String, adapter: String? = nil, threads: Int? = nil, threshold: Double = 0) throws {
        if adapter == nil, FileManager.default.fileExists(atPath: "\(path)/adapter_config.json"), !FileManager.default.fileExists(atPath: "\(path)/config.json") {
            throw FileError(file: path, problem: "is an adapter, and no reward model by itself", advice: "Make one model of both: autodidact merge-adapter --model BASE --adapter \(path) --output MERGED")
        }
        try self.init(threshold: threshold) { try RewardModel(path: path, adapter: adapter, on: CPUBackend(threads: threads)) }
    }

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        await zip(rollouts, scorer.rewards(rollouts)).map { rollout, result in
            switch result {
            case .success(let reward) where !reward.isFinite: .failed(reason: "the reward is not finite")
            case .success(let reward) where rollout.finishReason == .length:
                .judged(Verdict(.cutOff, reward: cutOffReward, evidence: "cut off after \(rollout.completionTokens.count) tokens; reward \(Self.text(reward))"))
            case .success(let reward): .judged(Verdict(reward > threshold ? .right : .wrong, reward: reward, evidence: "reward \(Self.text(reward))"))
            case .failure(let error): .failed(reason: "\(error)")
            }
        }
    }

    private static func text(_ reward: Double) -> String { String(format: "%.2f", reward) }
}

/// Owns the model: only values cross its border.
private actor RewardScorer {
    private let executor = EngineExecutor()
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    private let model: RewardModel
    nonisolated let modelHash: String

    init(_ makeModel: @Sendable () throws -> sending RewardModel) throws {
        let made = try makeModel()
        modelHash = sha256(Data((made.model.transformer.contentHash() + String(decoding: try JSONEncoder.stable.encode(made.form), as: UTF8.self)).utf8))
        model = made
    }

    /// What one rollout has that the model cannot read fails it alone.
    func rewards(_ rollouts: [Rollout]) -> [Result<Double, any Error>] {
        let examples = rollouts.map { rollout in Result { try model.example(prompt: rollout.problem.question, answer: rollout.text) } }
        var rewards = model.rewards(examples.compactMap { try? $0.get() })[...]
        return examples.map { $0.map { _ in rewards.removeFirst() } }
    }
}
