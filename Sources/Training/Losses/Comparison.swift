/// The Bradley–Terry law of comparisons, for rewards: the chosen answer wins with probability σ(w - l).
///
/// Sources: Bradley and Terry 1952; Touvron et al. 2023, arXiv:2307.09288 (margins); Eisenstein et al. 2023, arXiv:2312.09244 (centring).
public struct BradleyTerry: Sendable, Codable, Equatable {
    /// How strongly the sum of a pair's rewards is held to 0: only their difference is known from comparisons.
    public var centring: Double

    public init(centring: Double = 0) { self.centring = centring }

    /// -y ln σ(x) - (1 - y) ln σ(-x) + `centring` · (w + l)² with x = w - l - m. Its gradient has two entries: by w and by l.
    /// - Parameters:
    ///   - chosen: the reward w.
    ///   - rejected: the reward l.
    ///   - margin: m, by which the chosen answer should be ahead.
    ///   - label: y, the share of judges who chose it; 0.5 is a tie.
    public func callAsFunction(chosen: Double, rejected: Double, margin: Double = 0, label: Double = 1) -> RowLoss {
        let (w, l) = (Dual.variable(chosen, 0), Dual.variable(rejected, 1))
        let loss = (w - l - margin).logisticLoss(label) + Dual(centring) * (w + l).squared
        return RowLoss(loss.value, gradient: [loss.slopes[0], loss.slopes[1]])
    }
}

/// The Plackett–Luce law of rankings: -Σₖ ln (exp sₖ / Σⱼ exp sⱼ over j from k on), by the scores, best first.
/// Sources: Plackett 1975; Luce 1959.
public func plackettLuce(_ scores: [Double]) -> RowLoss {
    scores.indices.reduce(into: RowLoss(0, gradient: scores.map { _ in 0 })) { loss, place in
        let rest = SoftmaxRow(Array(scores[place...]))
        loss.value -= rest.logProbabilities[0]
        for (offset, p) in rest.probabilities.enumerated() { loss.gradient[place + offset] += p }
        loss.gradient[place] -= 1
    }
}
