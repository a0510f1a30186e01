import Tensors

/// Estimates of KL(policy || reference) from one token that the policy drew, with d = reference's less policy's log-probability.
///
/// Source: Schulman 2020, "Approximating KL Divergence".
public enum KLEstimator: String, Sendable, Codable {
    /// -d: unbiased, and often negative. As a part of the reward.
    case k1
    /// d²/2: biased, and its gradient's expectation is that of the divergence.
    case k2
    /// exp(d) - d - 1: unbiased, never negative. As a part of the loss.
    case k3

    /// - Parameters:
    ///   - policy: the token's log-probability under the policy.
    ///   - reference: under the reference.
    /// - Returns: the estimate and its derivative by the policy's log-probability.
    public func callAsFunction(policy: Double, reference: Double) -> (value: Double, gradient: Double) {
        let d = reference - policy
        switch self {
        case .k1: return (-d, 1)
        case .k2: return (d * d / 2, -d)
        case .k3: return (max(0, fixedExp(d) - d - 1), 1 - fixedExp(d))  // rounding may take it below 0 where d is
        }
    }
}
