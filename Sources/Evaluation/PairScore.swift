import Architectures
import Training

/// How well a model tells chosen from rejected answers.
public struct PairScore: Sendable, Equatable, CustomStringConvertible {
    /// Pairs, and those in which the chosen answer is preferred.
    public let count: Int, preferred: Int
    /// The mean of what the chosen answer's log-probability has gained on the reference beyond the rejected one's; without a reference, of the difference of their
    /// log-probabilities a token. In nats.
    public let margin: Double
    /// Mean log-probability a token in nats, of chosen and of rejected answers, and of chosen ones under the reference: preference training can lower both.
    public let chosen: Double, rejected: Double, reference: Double

    /// - Parameters:
    ///   - pairs: in pairs, the chosen answer first, with the reference's log-probabilities.
    ///   - model: what is measured.
    ///   - loss: whether a pair is told apart beside the reference or without it.
    ///   - microBatchTokens: computed in one pass.
    public init(_ pairs: [Example], under model: Transformer, loss: PreferenceLoss, microBatchTokens: Int) {
        let scores = model.score(pairs, microBatchTokens: microBatchTokens).map { laws in laws.reduce(0) { $0 + Double($1.logProbability) } }
        let references = pairs.map { ($0.referenceLogProbabilities ?? []).reduce(0) { $0 + Double($1) } }
        func mean(_ values: [Double], _ side: Int) -> Double {
            let places = stride(from: side, to: pairs.count, by: 2)
            return places.reduce(0) { $0 + values[$1] } / Double(max(1, places.reduce(0) { $0 + pairs[$1].trainedCount }))
        }
        let gains = pairs.indices.map { loss.needsReference ? scores[$0] - references[$0] : scores[$0] / Double(max(1, pairs[$0].trainedCount)) }
        let margins = stride(from: 0, to: pairs.count, by: 2).map { gains[$0] - gains[$0 + 1] }
        (count, preferred) = (margins.count, margins.count { $0 > 0 })
        margin = margins.reduce(0, +) / Double(max(1, margins.count))
        (chosen, rejected, reference) = (mean(scores, 0), mean(scores, 1), mean(references, 0))
    }

    public var description: String {
        func number(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }
        return "\(preferred) of \(count) chosen answers preferred (\(String(percent: Double(preferred) / Double(max(1, count))))), margin \(number(margin)); log-probability a token: chosen \(number(chosen)) (was \(number(reference))), rejected \(number(rejected))"
    }
}
