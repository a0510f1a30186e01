import Tensors

/// The law softmax(z / T) of one row of logits z, in double precision.
public struct SoftmaxRow: Sendable {
    /// T.
    public let temperature: Double
    public let probabilities: [Double]
    /// -∞ where the logit is.
    public let logProbabilities: [Double]
    /// ln Σ exp(z / T).
    public let logSumExp: Double

    public init(_ logits: [Double], temperature: Double = 1) {
        precondition(!logits.isEmpty && temperature > 0, "a law over \(logits.count) logits at temperature \(temperature)")
        let scaled = logits.map { $0 / temperature }, top = scaled.reduce(-.infinity, max)
        let powers = scaled.map { fixedExp($0 - top) }, sum = powers.reduce(0, +), log = fixedLog(sum)
        self.temperature = temperature
        probabilities = powers.map { $0 / sum }
        logProbabilities = scaled.map { $0 - top - log }
        logSumExp = top + log
    }

    /// A loss of the logits, from its derivatives by the log-probabilities as if these were free.
    func loss(_ value: Double, byLogProbability slopes: [Double]) -> RowLoss {
        let sum = slopes.reduce(0, +)
        return RowLoss(value, gradient: zip(slopes, probabilities).map { ($0 - $1 * sum) / temperature })
    }

    /// -Σ share · ln p: what the law costs under the shares of another one.
    /// - Parameter shares: one per class, 0 or more; their sum need not be 1.
    public func crossEntropy(_ shares: [Double]) -> RowLoss {
        precondition(shares.count == probabilities.count, "\(shares.count) shares for \(probabilities.count) classes")
        return loss(-zip(shares, logProbabilities).reduce(0) { $0 + weighted($1.0, $1.1) }, byLogProbability: shares.map { -$0 })
    }

    /// -Σ p ln p.
    public var entropy: RowLoss {
        let terms = zip(probabilities, logProbabilities).map { -weighted($0, $1) }
        return loss(terms.reduce(0, +), byLogProbability: terms)
    }
}

/// A value times its probability: 0 where that is 0, be the value infinite.
func weighted(_ probability: Double, _ value: Double) -> Double { probability == 0 ? 0 : probability * value }
