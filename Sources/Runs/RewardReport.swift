import Evaluation
import Foundation

/// What is to be known of a reward model before anything is optimised by it.
public struct RewardReport: Sendable, CustomStringConvertible {
    public let score: RewardScore
    /// 95 % intervals of the share of held-out pairs that are told apart by the reward, and by length alone: the mean over prompts, since pairs of one are no
    /// independent cases; where each has one pair, Wilson's interval over pairs. nil without pairs.
    public let accuracy: ProportionInterval?, byLength: ProportionInterval?
    /// Whether every prompt has one pair.
    private let hasOnePairEach: Bool

    public init(_ score: RewardScore) {
        self.score = score
        hasOnePairEach = score.shares.count == score.count
        accuracy = hasOnePairEach ? ProportionInterval(successes: score.right, count: score.count) : ProportionInterval(shares: score.shares)
        byLength = hasOnePairEach ? ProportionInterval(successes: score.rightByLength, count: score.count) : ProportionInterval(shares: score.sharesByLength)
    }

    /// Below this share of right pairs nothing should be optimised by a reward.
    public static let usefulAccuracy = 0.6

    /// Why the reward must not be optimised, nil where nothing speaks against it.
    public var warning: String? {
        guard let accuracy, let byLength else { return "no pair was measured" }
        if accuracy.value < Self.usefulAccuracy { return "fewer than \(String(percent: Self.usefulAccuracy)) of held-out pairs are told apart: do not optimise this reward" }
        return accuracy.low > byLength.high ? nil : "the reward tells pairs apart no better than their lengths do, beyond chance: what optimises it may only change the length"
    }

    public var description: String {
        func share(_ interval: ProportionInterval?) -> String {
            guard let interval else { return "–" }
            let mean = hasOnePairEach ? "" : " as the mean over \(score.shares.count) prompts"
            return "\(String(percent: interval.value))\(mean), 95 % interval \(String(percent: interval.low)) to \(String(percent: interval.high))"
        }
        func number(_ value: Double) -> String { value == value.rounded() ? "\(Int(value))" : "\(value)" }
        let lines = [
            "held-out pairs told apart: \(number(score.right)) of \(score.count) (\(share(accuracy)))",
            "by length alone, the \(score.prefersLonger ? "longer" : "shorter") answer wins: \(number(score.rightByLength)) of \(score.count) (\(share(byLength)))",
            "correlation of reward and length: \(String(format: "%.2f", score.lengthCorrelation))",
            "calibration error \(String(percent: score.calibrationError)); of pairs by the probability of the preferred answer:",
        ]
        let bins = score.bins.map { bin in
            String(format: "    %3.0f to %3.0f %%  %5d pairs  predicted %5.1f %%  right %5.1f %%", 100 * bin.range.lowerBound, 100 * bin.range.upperBound, bin.count, 100 * bin.predicted, 100 * bin.right)
        }
        return (lines + bins).joined(separator: "\n")
    }

    /// The share of right pairs over the predicted probability, in percent, beside what it should be; with 95 % intervals where every prompt has one pair.
    public var plot: Plot {
        let measured = score.bins.map { bin in
            let interval = hasOnePairEach ? ProportionInterval(successes: bin.right * Double(bin.count), count: bin.count) : nil
            return Plot.Point(x: 100 * bin.predicted, y: bin.right, low: interval?.low, high: interval?.high)
        }
        return Plot(
            title: "Held-out pairs told apart, calibration error \(String(percent: score.calibrationError))", xLabel: "predicted probability of the preferred answer, %", isShare: true,
            series: [Plot.Series("measured", measured), Plot.Series("as predicted", [Plot.Point(x: 50, y: 0.5), Plot.Point(x: 100, y: 1)])])
    }
}
