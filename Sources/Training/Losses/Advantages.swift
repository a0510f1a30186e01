/// What a reward's distance from the mean of its group is divided by.
public enum AdvantageScale: String, Sendable, Codable {
    /// The deviation of the group's rewards, with n - 1, and 10⁻⁴ more. Source: Shao et al. 2024, arXiv:2402.03300 (GRPO).
    case group
    /// That of all rewards of the batch, and as much more. Source: Liu et al. 2025, arXiv:2508.08221.
    case batch
    /// 1. Source: Liu et al. 2025, arXiv:2503.20783 (Dr. GRPO).
    case none
    /// (k - 1) / k in a group of k: what is left is the reward less the mean of the others. Source: Ahmadian et al. 2024, arXiv:2402.14740 (RLOO).
    case leaveOneOut
}

/// Rewards relative to their groups. A group in which all rewards are equal gives exactly 0.
public func groupAdvantages(_ groups: [[Double]], dividedBy scale: AdvantageScale = .group) -> [[Double]] {
    let batch = scale == .batch ? deviation(groups.flatMap { $0 }) : 0
    return groups.map { rewards in
        guard rewards.contains(where: { $0 != rewards[0] }) else { return rewards.map { _ in 0 } }
        let mean = rewards.reduce(0, +) / Double(rewards.count)
        let divisor =
            switch scale {
            case .group: deviation(rewards) + 1e-4
            case .batch: batch + 1e-4
            case .none: 1.0
            case .leaveOneOut: Double(rewards.count - 1) / Double(rewards.count)
            }
        return rewards.map { ($0 - mean) / divisor }
    }
}

/// Of a sample: n - 1 in the denominator.
private func deviation(_ values: [Double]) -> Double {
    let mean = values.reduce(0, +) / Double(values.count)
    return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)).squareRoot()
}

/// Advantages of a batch's tokens, brought to mean 0 and variance 1; those that do not count become 0.
///
/// The variance is that of the counted values (n in the denominator) and 10⁻⁸ more. Source: Hu et al. 2025, arXiv:2501.03262 (REINFORCE++).
/// - Parameters:
///   - advantages: one per token.
///   - counts: whether a token counts.
public func whitened(_ advantages: [Double], counts: [Bool]) -> [Double] {
    precondition(advantages.count == counts.count, "\(advantages.count) advantages and \(counts.count) masks")
    let kept = zip(advantages, counts).filter(\.1).map(\.0), count = Double(max(1, kept.count)), mean = kept.reduce(0, +) / count
    let divisor = (kept.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / count + 1e-8).squareRoot()
    return zip(advantages, counts).map { $1 ? ($0 - mean) / divisor : 0 }
}

/// Generalised advantage estimation along one trajectory: A = δ + γλ A' with δ = r + γV' - V, where A' and V' of the next step are 0 after an end.
///
/// Source: Schulman et al. 2015, arXiv:1506.02438.
/// - Parameters:
///   - rewards: r, one per step.
///   - values: V, one per step.
///   - ends: whether an episode ends with the step.
///   - lastValue: V of the state after the last step; it does not matter where that ends an episode.
///   - discount: γ.
///   - decay: λ, from 0 (one step, least variance) to 1 (whole returns, no bias).
/// - Returns: advantages, and the returns that values are trained on: advantages and values added.
public func generalizedAdvantages(
    rewards: [Double], values: [Double], ends: [Bool], lastValue: Double = 0, discount: Double = 1, decay: Double = 0.95
) -> (advantages: [Double], returns: [Double]) {
    precondition(values.count == rewards.count && ends.count == rewards.count, "\(values.count) values and \(ends.count) ends for \(rewards.count) rewards")
    var advantages = rewards, following = (value: lastValue, advantage: 0.0)
    for step in rewards.indices.reversed() {
        if ends[step] { following = (0, 0) }
        following.advantage = rewards[step] + discount * following.value - values[step] + discount * decay * following.advantage
        following.value = values[step]
        advantages[step] = following.advantage
    }
    return (advantages, zip(advantages, values).map { $0 + $1 })
}
