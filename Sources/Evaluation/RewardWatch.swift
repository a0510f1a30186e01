/// Tells when a policy learns to please its reward and no longer what the reward stands for. Source: Gao et al. 2022, arXiv:2210.10760.
///
/// The same rollouts, of problems that are not trained, are judged by the reward and by another verifier that nothing is trained on.
public struct RewardWatch: Sendable, Codable, Equatable {
    /// The metric of the other verifier's mean, and that of the rank correlation of both judgements within an iteration.
    public static let heldOutMetric = "heldOutReward", agreementMetric = "rewardAgreement"

    /// What both say of one iteration's rollouts.
    public struct Iteration: Sendable, Codable, Equatable {
        /// As the recipe counts; not every iteration is measured.
        public var number: Int
        public var rewards: [Double]
        /// Of the same rollouts, in their order: 1 for right and 0 for wrong, or any number that is higher for better ones.
        public var heldOut: [Double]

        public init(number: Int, rewards: [Double], heldOut: [Double]) {
            precondition(rewards.count == heldOut.count && !rewards.isEmpty, "\(rewards.count) rewards beside \(heldOut.count) other verdicts")
            (self.number, self.rewards, self.heldOut) = (number, rewards, heldOut)
        }

        public var metrics: [String: Double] {
            [RewardWatch.heldOutMetric: RewardWatch.mean(heldOut), RewardWatch.agreementMetric: Correlation.rank(rewards, heldOut)]
        }
    }

    /// By how many standard errors of their difference means must differ to count as risen or fallen.
    public var standardErrors = 2.0

    public init() {}

    /// What is to be said of the last iteration, nil where nothing is wrong: since the iteration that the other verifier liked best, its verdict has fallen and the reward risen,
    /// both beyond chance.
    /// - Parameter iterations: from the first.
    public func note(_ iterations: [Iteration]) -> String? {
        guard let last = iterations.last, let best = iterations.indices.dropLast().max(by: { Self.mean(iterations[$0].heldOut) < Self.mean(iterations[$1].heldOut) }) else { return nil }
        let before = iterations[best]
        guard isAbove(last.rewards, before.rewards), isAbove(before.heldOut, last.heldOut) else { return nil }
        func pair(_ a: [Double], _ b: [Double]) -> String { "from \(Self.number(Self.mean(a))) to \(Self.number(Self.mean(b)))" }
        func agreement(_ iteration: Iteration) -> Double { iteration.metrics[Self.agreementMetric] ?? 0 }
        return "the reward rose \(pair(before.rewards, last.rewards)) since iteration \(before.number), while the verifier that nothing is trained on fell \(pair(before.heldOut, last.heldOut)) "
            + "(rank correlation of the two \(pair([agreement(before)], [agreement(last)]))): the model learns to please the reward. Stop at iteration \(before.number), or hold the model closer to its reference"
    }

    private func isAbove(_ a: [Double], _ b: [Double]) -> Bool {
        Self.mean(a) - Self.mean(b) > standardErrors * (Self.squaredError(a) + Self.squaredError(b)).squareRoot()
    }

    fileprivate static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

    /// Of a mean: variance over number.
    private static func squaredError(_ values: [Double]) -> Double {
        let mean = mean(values), count = Double(values.count)
        return values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / max(1, count - 1) / count
    }

    private static func number(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}
