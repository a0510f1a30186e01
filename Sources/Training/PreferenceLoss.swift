import Tensors

/// What is minimised over a chosen and a rejected answer to one prompt.
///
/// With a and c the log-probabilities of the chosen and the rejected answer relative to a reference, σ the logistic function, and β how strongly the model
/// is held to the reference. Where nothing else is said, log-probabilities are sums over an answer's tokens.
public enum PreferenceLoss: Sendable, Codable, Equatable {
    /// -ln σ(β(a - c)). Source: Rafailov et al. 2023, arXiv:2305.18290.
    case dpo(beta: Double)
    /// max(0, 1 - β(a - c)). Source: Liu et al. 2023, arXiv:2309.06657.
    case hinge(beta: Double)
    /// (a - c - 1/2β)², of sums, or of means over tokens as TRL has it. Source: Azar et al. 2023, arXiv:2310.12036.
    case ipo(beta: Double, averaged: Bool = false)
    /// DPO where a share of the labels is wrong. Source: Mitchell 2023.
    case conservativeDPO(beta: Double, noise: Double)
    /// The same without bias. Source: Chowdhury et al. 2024, arXiv:2403.00409.
    case robustDPO(beta: Double, noise: Double)
    /// Reverse KL to the labels' law. Source: Ji et al. 2024, arXiv:2402.00856.
    case exo(beta: Double, noise: Double)
    /// Source: Chen et al. 2024, arXiv:2402.05369.
    case nca(beta: Double)
    /// Without the shift of rewards. Source: Jung et al. 2024, arXiv:2404.04656.
    case bco(beta: Double)
    /// (a - 1/2β)² + (c + 1/2β)². Source: Wu et al. 2024, arXiv:2405.00675.
    case sppo(beta: Double)
    /// The chosen answer up, the rejected one down. Source: D'Oosterlinck et al. 2024, arXiv:2408.06266.
    case apoZero(beta: Double)
    /// Both down, the rejected one more. Source: as above.
    case apoDown(beta: Double)
    /// -ln σ(β(w - l) - γ) of means over tokens, without a reference. Source: Meng et al. 2024, arXiv:2405.14734.
    case simpo(beta: Double, gamma: Double)
    /// The chosen answer's negative log-likelihood, and β times how its odds exceed the other's; means over tokens, without a reference. Source: Hong et al. 2024,
    /// arXiv:2403.07691.
    case orpo(beta: Double)
    /// -ln σ(β(w - l)) and `alpha` times the chosen answer's negative log-likelihood a token, without a reference. Source: Xu et al. 2024, arXiv:2401.08417.
    case cpo(beta: Double, alpha: Double)
    /// max(0, δ - w + l), less λ times the log-likelihood of what supervised training would train: here the chosen answer. Source: Zhao et al. 2023,
    /// arXiv:2305.10425.
    case slic(delta: Double, lambda: Double)

    /// Whether a reference's log-probabilities are needed.
    public var needsReference: Bool {
        switch self {
        case .simpo, .orpo, .cpo, .slic: false
        default: true
        }
    }

    /// A pair as the formulas see it.
    struct Pair {
        /// Log-probabilities summed over an answer's tokens.
        var chosen: Dual, rejected: Dual
        var referenceChosen = 0.0, referenceRejected = 0.0
        /// Tokens.
        var chosenLength = 1.0, rejectedLength = 1.0
    }

    func callAsFunction(_ pair: Pair) -> Dual {
        let (w, l) = (pair.chosen, pair.rejected), a = w - pair.referenceChosen, c = l - pair.referenceRejected
        let (meanW, meanL) = (w / pair.chosenLength, l / pair.rejectedLength)
        switch self {
        case .dpo(let b): return -(b * (a - c)).logSigmoid
        case .hinge(let b): return (1 - b * (a - c)).positive
        case .ipo(let b, let averaged):
            let gap = averaged ? a / pair.chosenLength - c / pair.rejectedLength : a - c
            return (gap - 1 / (2 * b)).squared
        case .conservativeDPO(let b, let e):
            let x = b * (a - c)
            return -((1 - e) * x.logSigmoid) - e * (-x).logSigmoid
        case .robustDPO(let b, let e):
            let x = b * (a - c)
            return (e * (-x).logSigmoid - (1 - e) * x.logSigmoid) / (1 - 2 * e)
        case .exo(let b, let e):
            let x = b * (a - c)
            return x.sigmoid * (x.logSigmoid - fixedLog(1 - e)) + (-x).sigmoid * ((-x).logSigmoid - fixedLog(e))
        case .nca(let b): return -(b * a).logSigmoid - 0.5 * (b * -a).logSigmoid - 0.5 * (b * -c).logSigmoid
        case .bco(let b): return -(b * a).logSigmoid - (b * -c).logSigmoid
        case .sppo(let b): return (a - 1 / (2 * b)).squared + (c + 1 / (2 * b)).squared
        case .apoZero(let b): return 1 - (b * a).sigmoid + (b * c).sigmoid
        case .apoDown(let b): return (b * a).sigmoid + (1 - (b * (a - c)).sigmoid)
        case .simpo(let b, let gamma): return -(b * (meanW - meanL) - gamma).logSigmoid
        case .orpo(let b):
            let odds = (meanW - meanL) - (meanW.logOfRest - meanL.logOfRest)
            return -meanW - b * odds.logSigmoid
        case .cpo(let b, let alpha): return alpha * -meanW - (b * (w - l)).logSigmoid
        case .slic(let delta, let lambda): return (Dual(delta) - w + l).positive - lambda * w
        }
    }
}

/// A preference loss over examples that lie in pairs, the chosen answer first, divided by the number of pairs.
public struct PreferenceObjective: Objective, Codable, Equatable {
    public var loss: PreferenceLoss
    /// What the negative log-likelihood of a chosen answer's tokens, their mean, counts beside the pairs: DPO alone may make both answers less likely.
    public var likelihood: Double

    public init(_ loss: PreferenceLoss, likelihood: Double = 0) {
        self.loss = loss
        self.likelihood = likelihood
    }

    public func groups(_ examples: [Example]) -> [Range<Int>] { stride(from: 0, to: examples.count, by: 2).map { $0..<min($0 + 2, examples.count) } }

    public func counts(_ examples: [Example]) -> [TermCount] {
        ["preference", "nll", "chosen", "rejected"].map { TermCount($0, Double(examples.count / 2)) }
    }

    public func sums(_ group: ArraySlice<Example>, _ laws: [[RowLaw]]) -> [[TermSum]] {
        let both = Array(group)
        precondition(both.count == 2, "a preference is one of 2 examples, not of \(both.count)")
        let sums = laws.map { $0.reduce(0) { $0 + Double($1.logProbability) } }, lengths = laws.map { Double(max(1, $0.count)) }
        var pair = PreferenceLoss.Pair(chosen: .variable(sums[0], 0), rejected: .variable(sums[1], 1), chosenLength: lengths[0], rejectedLength: lengths[1])
        if loss.needsReference { (pair.referenceChosen, pair.referenceRejected) = (both[0].referenceSum, both[1].referenceSum) }
        let result = loss(pair), weight = Double(both[0].weight) * Double(both[1].weight)
        return [0, 1].map { side in
            var terms = [TermSum("preference", sum: side == 0 ? weight * result.value : 0, logProbabilityGradients: laws[side].map { _ in Float(weight * result.slopes[side]) })]
            // Shown: how likely both answers are, since both may fall.
            terms.append(.shown(side == 0 ? "chosen" : "rejected", sums[side], tokens: laws[side].count))
            if side == 0, likelihood > 0 {
                let share = Double(both[0].weight) / lengths[0], slope = Float(-share)
                terms.append(TermSum("nll", weight: likelihood, sum: -share * sums[0], logProbabilityGradients: laws[0].map { _ in slope }))
            }
            return terms
        }
    }
}
