import Sampling
import Tasks
import Training

/// Learning from right and wrong completions alike: k of each problem are sampled and judged, and a loss makes right ones likelier and wrong ones less likely.
///
/// Every iteration starts from the policy before it, which is also the reference where the loss has one. Sources: Welleck et al. 2019, arXiv:1908.04319
/// (unlikelihood); Rafailov et al. 2023, arXiv:2305.18290 (DPO); Ethayarajh et al. 2024, arXiv:2402.01306 (KTO); Yuan et al. 2023, arXiv:2304.05302 (RRHF);
/// the others as in `PreferenceLoss`.
public struct VerdictContrast: ComparingRecipe {
    public static let name = "contrast"
    public static let rateShare = 0.1

    public enum Loss: String, Sendable, Codable, CaseIterable {
        case unlikelihood, dpo, ipo, conservative, simpo, orpo, slic, kto, rrhf
    }

    public var loss = Loss.dpo
    public var iterations = 2
    public var samplesPerProblem = 8
    /// Pairs of a problem, or completions of each kind; 0: all.
    public var cap = 4
    public var sampling = SamplingOptions(temperature: 1)
    public var epochs = 1
    /// How strongly a loss holds to the reference, or tells answers apart.
    public var beta = 0.1
    /// What unlikelihood counts beside likelihood, or what the likelihood of right answers counts beside a loss over pairs; DPO may make both answers of a
    /// pair less likely without it.
    public var weight = 0.5
    /// Problems of an iteration, taken in turn from the training part; 0: all of them every time.
    public var problemsPerIteration = 0

    public init() {}

    public func run(_ loop: isolated LearningLoop) async throws {
        try await iterate(loop) { loop, rollouts, policy, n in
            try await loop.train(on: rollouts, selector, objective, from: policy, iteration: n, epochs: epochs, reference: needsReference ? policy : nil)
        }
    }

    private var selector: any Selector {
        let cap = cap > 0 ? cap : nil
        return switch loss {
        case .unlikelihood: RightAndWrong(cap: cap)
        case .kto: RightAndWrong(cap: cap, sparesBeginnings: false, mismatches: true)
        case .rrhf: RankedCompletions()
        case .dpo, .ipo, .conservative, .simpo, .orpo, .slic: VerdictPairs(cap: cap)
        }
    }

    private var needsReference: Bool { loss == .kto || preference?.needsReference == true }

    private var preference: PreferenceLoss? {
        switch loss {
        case .unlikelihood, .kto, .rrhf: nil
        case .dpo: .dpo(beta: beta)
        // Of means over tokens: a fixed gap of sums is nothing for a long completion, and is passed in one step.
        case .ipo: .ipo(beta: beta, averaged: true)
        case .conservative: .conservativeDPO(beta: beta, noise: 0.1)
        // Means over tokens, not sums: 2 and 1 by default.
        case .simpo: .simpo(beta: 20 * beta, gamma: 10 * beta)
        case .orpo: .orpo(beta: beta)
        case .slic: .slic(delta: 1, lambda: weight)
        }
    }

    private var objective: any Objective {
        switch loss {
        case .unlikelihood: Unlikelihood(weight: weight)
        case .kto: KTO(beta: beta, balances: true)
        case .rrhf: RRHF()
        case .dpo, .ipo, .conservative, .simpo, .orpo, .slic: PreferenceObjective(preference!, likelihood: needsReference ? weight : 0)
        }
    }

    public var idleSettings: [(name: String, reason: String)] {
        let usual = VerdictContrast()
        let settings: [(name: String, isSet: Bool, losses: [Loss])] = [
            ("beta", beta != usual.beta, [.slic, .rrhf, .unlikelihood]), ("weight", weight != usual.weight, [.kto, .simpo, .orpo, .rrhf]), ("cap", cap != usual.cap, [.rrhf]),
        ]
        return settings.filter { $0.isSet && $0.losses.contains(loss) }.map { ($0.name, "\(loss.rawValue) has none") }
    }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try validateComparisons(check)
        try check(beta > 0 && beta.isFinite && weight >= 0 && weight.isFinite, "beta and weight", "above 0, and 0 or more")
    }
}
