import Tasks
import Tensors

/// How well rewards tell better from worse answers, beside what length alone tells, and how far their probabilities are to be believed.
public struct RewardScore: Sendable, Equatable {
    /// Pairs to which the model gives about the same probability.
    public struct Bin: Sendable, Equatable {
        /// Of the answer that is preferred, from one half.
        public var range: Range<Double>
        public var count: Int
        /// The mean of the probabilities, and the share of pairs in which the preferred answer is the better one.
        public var predicted: Double, right: Double
    }

    /// Pairs that are no ties; those of one prompt are no independent cases.
    public let count: Int
    /// Pairs in which the better answer has the higher reward, and in which it has the length that was preferred in training; equal ones count half.
    public let right: Double, rightByLength: Double
    /// Of each prompt that has such pairs, the shares of them that `right` and `rightByLength` count.
    public let shares: [Double], sharesByLength: [Double]
    public let prefersLonger: Bool
    /// Of the rewards of all answers with their lengths in characters.
    public let lengthCorrelation: Double
    /// Ten, up to probability 1; those without pairs are left out.
    public let bins: [Bin]
    /// Mean distance of probability and share right over bins, weighted by their pairs. Source: Guo et al. 2017, arXiv:1706.04599, equation 3.
    public let calibrationError: Double

    /// - Parameters:
    ///   - held: answers that were not trained.
    ///   - rewards: one for each answer of each of them.
    ///   - prefersLonger: what `prefersLonger` says of the answers that were trained.
    public init(_ held: [RankedAnswers], rewards: [[Double]], prefersLonger: Bool) {
        precondition(held.count == rewards.count && zip(held, rewards).allSatisfy { $0.answers.count == $1.count }, "a reward belongs to each answer")
        // The lines of one prompt are no independent cases.
        let prompts = Dictionary(grouping: held.indices) { held[$0].promptHash }.values.sorted { $0[0] < $1[0] }
        func byPrompt(_ differences: [[Double]]) -> [[Double]] { prompts.map { $0.flatMap { differences[$0] } } }
        let differencesByPrompt = byPrompt(zip(held, rewards).map { ranked, rewards in ranked.decided.map { rewards[$0.better] - rewards[$0.worse] } })
        let differences = differencesByPrompt.flatMap { $0 }
        count = differences.count
        right = Self.sum(differences)
        shares = Self.shares(differencesByPrompt)
        let longer = byPrompt(Self.longer(held)).map { $0.map { prefersLonger ? $0 : -$0 } }
        rightByLength = Self.sum(longer.flatMap { $0 })
        sharesByLength = Self.shares(longer)
        self.prefersLonger = prefersLonger
        lengthCorrelation = Correlation.linear(rewards.flatMap { $0 }, held.flatMap { $0.answers.map { Double($0.unicodeScalars.count) } })
        let pairs = differences.map { (probability: 1 / (1 + fixedExp(-abs($0))), right: Self.share($0)) }
        bins = (0..<10).compactMap { bin in
            let inside = pairs.filter { min(9, Int(($0.probability - 0.5) * 20)) == bin }, count = Double(inside.count)
            guard count > 0 else { return nil }
            return Bin(
                range: 0.5 + Double(bin) / 20..<0.5 + Double(bin + 1) / 20, count: inside.count, predicted: inside.reduce(0) { $0 + $1.probability } / count,
                right: inside.reduce(0) { $0 + $1.right } / count)
        }
        calibrationError = bins.reduce(0) { $0 + Double($1.count) * abs($1.predicted - $1.right) } / Double(max(1, count))
    }

    /// Whether of two answers the longer one is the better one more often.
    public static func prefersLonger(_ trained: [RankedAnswers]) -> Bool { longer(trained).flatMap { $0 }.reduce(0) { $0 + share($1) - 0.5 } >= 0 }

    /// By how much the better answer is longer, of each pair of each comparison.
    private static func longer(_ all: [RankedAnswers]) -> [[Double]] {
        all.map { ranked in
            let lengths = ranked.answers.map { Double($0.unicodeScalars.count) }
            return ranked.decided.map { lengths[$0.better] - lengths[$0.worse] }
        }
    }

    private static func sum(_ differences: [Double]) -> Double { differences.reduce(0) { $0 + share($1) } }

    private static func shares(_ differences: [[Double]]) -> [Double] { differences.filter { !$0.isEmpty }.map { sum($0) / Double($0.count) } }

    private static func share(_ difference: Double) -> Double { difference > 0 ? 1 : difference == 0 ? 0.5 : 0 }
}
