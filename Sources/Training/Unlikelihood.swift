import Tensors

/// What a wrong answer's tokens lose: -ln(1 - p) of each trained token, divided by their number; right answers are trained by their likelihood.
///
/// Source: Welleck et al. 2019, arXiv:1908.04319. An example with a negative advantage is wrong.
public struct Unlikelihood: Objective, Codable, Equatable {
    /// What the term of wrong answers is multiplied by.
    public var weight: Double

    public init(weight: Double = 0.5) { self.weight = weight }

    public var trainsPlainText: Bool { true }

    public func counts(_ examples: [Example]) -> [TermCount] {
        func tokens(_ isWrong: Bool) -> Double { examples.reduce(0) { $0 + ($1.isWrong == isWrong ? Double($1.trainedCount) : 0) } }
        return [TermCount("nll", tokens(false)), TermCount("unlikelihood", tokens(true))]
    }

    public func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        guard example.isWrong else { return NegativeLogLikelihood().sums(example, laws) }
        let losses = laws.map { -Dual.variable(Double($0.logProbability), 0).logOfRest }
        return [TermSum(
            "unlikelihood", weight: weight, sum: losses.reduce(0) { $0 + Double(example.weight) * $1.value },
            logProbabilityGradients: losses.map { example.weight * Float($0.slopes[0]) })]
    }

    /// The same of a whole row of logits: -Σ ln(1 - p) over the tokens that should not follow.
    public static func row(_ logits: [Double], candidates: [Int32]) -> RowLoss {
        let law = SoftmaxRow(logits)
        var sum = 0.0, slopes = [Double](repeating: 0, count: logits.count)
        for token in candidates.map({ Int($0) }) {
            let loss = -Dual.variable(law.logProbabilities[token], 0).logOfRest
            sum += loss.value
            slopes[token] += loss.slopes[0]
        }
        return law.loss(sum, byLogProbability: slopes)
    }

    /// For each token of a text what should not stand in its place: all earlier tokens but itself, each once.
    public static func earlierTokens(_ targets: [Int32]) -> [[Int32]] {
        targets.indices.map { place in Set(targets[..<place]).subtracting([targets[place]]).sorted() }
    }
}
