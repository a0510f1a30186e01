import Sampling
import Tasks
import Training

/// Group relative policy optimization: completions of one problem are compared with each other, and the better ones become likelier.
///
/// Sources: Shao et al. 2024, arXiv:2402.03300 (GRPO); Yu et al. 2025, arXiv:2503.14476 (DAPO); Liu et al. 2025, arXiv:2503.20783 (Dr. GRPO); Zheng et al. 2025,
/// arXiv:2507.18071 (GSPO); MiniMax 2025, arXiv:2506.13585 (CISPO).
public struct GRPO: PolicyRecipe {
    public static let name = "grpo"

    public enum Variant: String, Sendable, Codable, CaseIterable {
        /// Advantages in deviations of the group; each sequence's mean over its tokens.
        case grpo
        /// The mean over all tokens; weights may rise further than they may fall.
        case dapo
        /// No deviations, and a fixed length in place of each sequence's own.
        case drGRPO = "dr-grpo"
        /// Weights of whole sequences.
        case gspo
        /// Weights are bounded from above, and every token moves.
        case cispo
    }

    public var variant = Variant.grpo
    public var loop = PolicyIteration()
    /// How far weights may fall and rise before they are clipped; 0: as the variant's authors have it.
    public var clipLow = 0.0
    public var clipHigh = 0.0

    public init() {}

    public func run(_ learning: isolated LearningLoop) async throws {
        let base = try await learning.start(), objective = objective(maxTokens: learning.environment.maxTokens)
        // Means over tokens are over those of groups that tell something, as DAPO has it.
        let selector = RelativeRewards(
            .group(variant == .drGRPO ? .none : .group), truncation: loop.truncation, countsEqualGroups: loop.resamples == 0 && objective.normalization != .tokens)
        try await loop.run(learning, from: base, objective, selector, comparesWithReference: loop.klWeight > 0)
    }

    func objective(maxTokens: Int) -> ClippedPolicyGradient {
        let (normalization, low, high): (ClippedPolicyGradient.Normalization, Double, Double) =
            switch variant {
            case .grpo: (.sequences, 0.2, 0.2)
            case .dapo: (.tokens, 0.2, 0.28)
            case .drGRPO: (.length(maxTokens), 0.2, 0.2)
            case .gspo: (.sequences, 3e-4, 4e-4)
            case .cispo: (.tokens, 0.2, 5)
            }
        var objective = ClippedPolicyGradient(normalization, clipLow: clipLow > 0 ? clipLow : low, clipHigh: clipHigh > 0 ? clipHigh : high)
        objective.level = variant == .gspo ? .sequence : .token
        objective.surrogate = variant == .cispo ? .bounded : .clipped
        objective.klWeight = loop.klWeight
        return objective
    }

    public var idleSettings: [(name: String, reason: String)] { variant == .cispo && clipLow != 0 ? [("clipLow", "cispo bounds weights from above only")] : [] }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try loop.validate(check)
        try check(loop.samplesPerProblem > 1, "loop.samplesPerProblem", "2 or more: completions are compared with each other")
        try check([clipLow, clipHigh].allSatisfy { $0 >= 0 && $0.isFinite } && clipLow < 1, "clipLow and clipHigh", "0 (as the variant has it) or more, clipLow below 1")
    }
}
