import Architectures
import Training

/// How well a model tells better answers from worse ones: of any two that compare, is the better one the likelier, or has it gained more on a reference?
public struct AnswerScore: Sendable, Equatable, CustomStringConvertible {
    /// Pairs of answers of which one is better: of one comparison where examples say of which they are, of all others together where they do not.
    public let count: Int
    /// Those in which the better one is ahead; equal ones count half.
    public let right: Double
    /// Whether what counts is what an answer's log-probability has gained on the reference's, and not its mean over tokens.
    public let comparesWithReference: Bool
    /// Mean log-probability a token in nats, of the best answers of each comparison and of the others.
    public let best: Double, others: Double

    /// - Parameters:
    ///   - examples: answers with their scores as advantages, all or none of them with a reference's log-probabilities; all tokens count, trained or not.
    ///   - model: what is measured.
    ///   - microBatchTokens: computed in one pass.
    public init(_ examples: [Example], under model: Transformer, microBatchTokens: Int = TrainerOptions.defaultMicroBatchTokens) {
        let scores = examples.map { example in
            guard let score = example.advantage else { preconditionFailure("an answer that is measured has no score as its advantage") }
            return score
        }
        let whole = examples.map { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) }
        let sums = model.score(whole, microBatchTokens: microBatchTokens).map { laws in laws.reduce(0) { $0 + Double($1.logProbability) } }
        let references = examples.compactMap(\.referenceLogProbabilities).map { $0.reduce(0) { $0 + Double($1) } }
        let hasReference = !examples.isEmpty && references.count == examples.count
        func length(_ index: Int) -> Double { Double(max(1, examples[index].completionTokens.count)) }
        let values = sums.indices.map { hasReference ? sums[$0] - references[$0] : sums[$0] / length($0) }
        var (count, right, bestPlaces) = (0, 0.0, Set<Int>())
        for places in Dictionary(grouping: examples.indices, by: { examples[$0].standing?.comparison }).values {
            let highest = places.map { scores[$0] }.max()
            bestPlaces.formUnion(places.filter { scores[$0] == highest })
            for (place, first) in places.enumerated() {
                for second in places[(place + 1)...] where scores[first] != scores[second] {
                    let (better, worse) = scores[first] > scores[second] ? (first, second) : (second, first)
                    count += 1
                    right += values[better] > values[worse] ? 1 : values[better] == values[worse] ? 0.5 : 0
                }
            }
        }
        func mean(_ places: [Int]) -> Double { places.reduce(0) { $0 + sums[$1] } / max(1, places.reduce(0) { $0 + length($1) }) }
        (self.count, self.right, comparesWithReference) = (count, right, hasReference)
        (best, others) = (mean(examples.indices.filter(bestPlaces.contains)), mean(examples.indices.filter { !bestPlaces.contains($0) }))
    }

    public var description: String {
        func number(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }
        let share = String(percent: right / Double(max(1, count))), ahead = comparesWithReference ? "has gained more" : "is the likelier"
        return "the better of two answers \(ahead) in \(share) of \(count) comparisons; log-probability a token: best \(number(best)), others \(number(others))"
    }
}
