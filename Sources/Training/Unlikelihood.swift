import Tensors

/// What a wrong answer's tokens lose: -ln(1 - p) of each trained token, divided by their number; right answers are trained by their likelihood.
///
/// Source: Welleck et al. 2019, arXiv:1908.04319. An example with a negative advantage is wrong.
public struct Unlikelihood: Objective, Codable, Equatable {
    /// What the term of wrong answers is multiplied by.
    public var weight: Double

    public init(weight: Double = 0.5) { self.weight = weight }

    public func counts(_ examples: [Example]) -> [TermCount] {
        func tokens(_ isWrong: Bool) -> Double { examples.reduce(0) { $0 + (Self.isWrong($1) == isWrong ? Double($1.trainedCount) : 0) } }
        return [TermCount("nll", tokens(false)), TermCount("unlikelihood", tokens(true))]
    }

    public func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        guard Self.isWrong(example) else { return NegativeLogLikelihood().sums(example, laws) }
        let losses = laws.map { -Dual.variable(Double($0.logProbability), 0).logOfRest }
        return [TermSum(
            "unlikelihood", weight: weight, sum: losses.reduce(0) { $0 + Double(example.weight) * $1.value },
            logProbabilityGradients: losses.map { example.weight * Float($0.slopes[0]) })]
    }

    private static func isWrong(_ example: Example) -> Bool { (example.advantage ?? 0) < 0 }
}
