import Sampling
import Tasks
import Training

/// REINFORCE with a baseline: of a problem's other completions (leave one out), of all completions, or none. The divergence from the reference is part of the reward.
///
/// Sources: Ahmadian et al. 2024, arXiv:2402.14740; Kool et al. 2019; Williams 1992.
public struct RLOO: PolicyRecipe {
    public static let name = "rloo"

    public var loop = {
        var loop = PolicyIteration()
        loop.klWeight = 0.05
        return loop
    }()
    public var baseline = Baseline.others

    public enum Baseline: String, Sendable, Codable, CaseIterable {
        /// The mean of the problem's other completions.
        case others
        /// The mean of all completions.
        case batch
        case none
    }

    public init() {}

    public func run(_ learning: isolated LearningLoop) async throws {
        // Of whole sequences: the sum over tokens, and the mean over completions.
        try await loop.run(
            learning, from: try await learning.start(), ClippedPolicyGradient(.length(1)), RelativeRewards(compared, klWeight: loop.klWeight, truncation: loop.truncation, countsEqualGroups: loop.resamples == 0),
            comparesWithReference: loop.klWeight > 0)
    }

    private var compared: RelativeRewards.Baseline {
        switch baseline {
        case .others: .group(.leaveOneOut)
        case .batch: .batch
        case .none: .none
        }
    }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try loop.validate(check)
        try check(loop.samplesPerProblem > 1 || baseline != .others, "loop.samplesPerProblem", "2 or more: completions are compared with each other")
    }
}
