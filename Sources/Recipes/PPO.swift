import Sampling
import Tasks
import Tensors
import Training

/// Proximal policy optimization: a critic says what every token may expect, and advantages are what came instead. The divergence from the reference is part of the
/// reward, token by token.
///
/// Sources: Schulman et al. 2017, arXiv:1707.06347; Ouyang et al. 2022, arXiv:2203.02155; defaults of TRL.
public struct PPO: PolicyRecipe {
    public static let name = "ppo"

    public var loop = {
        var loop = PolicyIteration()
        (loop.klWeight, loop.epochs) = (0.05, 4)
        return loop
    }()
    public var clip = 0.2
    /// How far values may move from those at the time of sampling.
    public var valueClip = 0.2
    public var valueWeight = 0.1
    /// The critic's learning rate: it begins at nothing, and learns faster than the policy.
    public var criticRate = 1e-4
    public var estimation = GeneralizedAdvantages()

    public init() {}

    public func run(_ learning: isolated LearningLoop) async throws {
        var selector = estimation
        (selector.klWeight, selector.truncation) = (loop.klWeight, loop.truncation)
        let objective = ActorCritic(ClippedPolicyGradient(.tokens, clipLow: clip, clipHigh: clip), valueWeight: valueWeight, valueClip: valueClip, criticRate: criticRate)
        try await loop.run(learning, from: try await learning.start(), objective, selector, comparesWithReference: loop.klWeight > 0)
    }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try loop.validate(check)
        try check(clip > 0 && clip < 1 && valueClip > 0 && valueWeight > 0 && criticRate > 0, "clip, valueClip, valueWeight and criticRate", "above 0, clip below 1")
        try check((0...1).contains(estimation.discount) && (0...1).contains(estimation.lambda), "estimation's discount and lambda", "0 to 1")
    }
}

/// Advantages token by token, from a critic's values, and what the values should have been. Source: Schulman et al. 2015, arXiv:1506.02438.
public struct GeneralizedAdvantages: Selector, Codable, Equatable {
    /// γ and λ.
    public var discount = 1.0
    public var lambda = 0.95
    /// Whether advantages have mean 0 and deviation 1 over the batch.
    public var whitens = true
    var klWeight = 0.0
    var truncation = Truncation.mask

    private enum CodingKeys: String, CodingKey { case discount, lambda, whitens }

    public init() {}

    public var trainsAsSampled: Bool { true }
    public var comparesFirst: Bool { true }

    public func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example] {
        let rollouts = groups.flatMap(\.self)
        var examples = zip(rollouts, truncation.rewards(of: rollouts)).compactMap { rollout, reward -> Example? in
            guard let reward, var example = make(rollout), let values = example.values?.map({ Double($0) }) else { return nil }
            var rewards = values.map { _ in 0.0 }
            if klWeight > 0, let own = example.behaviorLogProbabilities, let reference = example.referenceLogProbabilities {
                for index in rewards.indices { rewards[index] = -klWeight * (Double(own[index]) - Double(reference[index])) }
            }
            rewards[rewards.count - 1] += reward
            let ends = values.indices.map { $0 == values.count - 1 }
            let (advantages, returns) = generalizedAdvantages(rewards: rewards, values: values, ends: ends, discount: discount, decay: lambda)
            (example.tokenAdvantages, example.returns) = (advantages.map { Float($0) }, returns.map { Float($0) })
            return example
        }
        guard whitens else { return examples }
        let all = examples.flatMap { $0.tokenAdvantages ?? [] }.map { Double($0) }
        var rest = whitened(all, counts: all.map { _ in true })[...]
        for index in examples.indices {
            let count = examples[index].completionTokens.count
            examples[index].tokenAdvantages = rest.prefix(count).map { Float($0) }
            rest = rest.dropFirst(count)
        }
        return examples
    }
}
