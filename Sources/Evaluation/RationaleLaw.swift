import Training

/// What a model says of a question's candidate rationales r and its labels y together: ln p(r|x) + ln p(y|x,r), in double precision.
///
/// What is to be maximised is Σ ln Σ_r p(r|x) p(y|x,r) over the questions. EM weighs each candidate by its posterior, and trains both laws under these weights; STaR is its hard form.
/// Sources: Zelikman et al. 2022, arXiv:2203.14465; Dempster, Laird and Rubin 1977.
public struct RationaleLaw: Sendable, Equatable {
    /// Of each candidate, for each label; natural logarithms.
    public let joint: [[Double]]

    /// What a candidate counts for when a question is trained.
    public enum Weighting: String, Codable, Sendable, CaseIterable {
        /// Its posterior, as in EM.
        case soft
        /// STaR's filter: 1 for the candidate of the likeliest pair of candidate and label where that label is right, 0 for the others. Where it is not right, the question is left out.
        case hard
    }

    /// - Parameter joint: of each candidate one number for each label, of both at least one.
    public init(joint: [[Double]]) {
        precondition(!joint.isEmpty && joint.allSatisfy { $0.count == joint[0].count && !$0.isEmpty }, "a law over candidates with \(joint.map(\.count)) labels")
        self.joint = joint
    }

    private func candidates(_ label: Int) -> SoftmaxRow { SoftmaxRow(joint.map { $0[label] }) }
    private func isPossible(_ label: Int) -> Bool { joint.contains { $0[label] > -.infinity } }

    /// The E-step: q(r), in proportion to p(r|x) p(y|x,r).
    /// - Parameter label: y, which some candidate can give.
    /// - Returns: one weight for each candidate; their sum is 1.
    public func posterior(of label: Int) -> [Double] {
        precondition(isPossible(label), "no candidate gives the label \(label) any probability")
        return candidates(label).probabilities
    }

    /// ln Σ_r p(r|x) p(y|x,r).
    /// - Parameter label: y.
    public func logLikelihood(of label: Int) -> Double { isPossible(label) ? candidates(label).logSumExp : -.infinity }

    /// ln p(y|x) of each label, made to sum to 1.
    public var labels: [Double] { SoftmaxRow(joint[0].indices.map(logLikelihood)).logProbabilities }

    /// The label that is likeliest over all candidates; the first of equals.
    public var answer: Int {
        let laws = labels
        return laws.indices.reduce(0) { laws[$1] > laws[$0] ? $1 : $0 }
    }

    /// The likeliest pair of candidate and label; the first of equals.
    public var best: (candidate: Int, label: Int) {
        var best = (candidate: 0, label: 0)
        for candidate in joint.indices { for label in joint[candidate].indices where joint[candidate][label] > joint[best.candidate][best.label] { best = (candidate, label) } }
        return best
    }

    /// The weights of the M-step.
    /// - Parameters:
    ///   - label: the right one.
    ///   - weighting: of EM or of STaR's filter.
    /// - Returns: one for each candidate; nil where the filter leaves the question out.
    public func weights(for label: Int, _ weighting: Weighting) -> [Double]? {
        guard weighting == .hard else { return posterior(of: label) }
        let best = best
        return best.label == label ? joint.indices.map { $0 == best.candidate ? 1 : 0 } : nil
    }
}

/// How well a model explains the labels of questions by their rationales.
public struct RationaleScore: Sendable, Equatable, CustomStringConvertible {
    /// Questions, and those whose label is the likeliest.
    public let count: Int, right: Int
    /// The mean of ln Σ_r p(r|x) p(y|x,r) in nats.
    public let logLikelihood: Double
    /// The mean over questions of the greatest posterior weight: 1 over the number of candidates where nothing is preferred.
    public let greatestWeight: Double

    /// - Parameters:
    ///   - laws: one for each question.
    ///   - labels: the right ones.
    public init(_ laws: [RationaleLaw], labels: [Int]) {
        precondition(laws.count == labels.count, "\(laws.count) laws and \(labels.count) labels")
        let pairs = Array(zip(laws, labels)), shares = Double(max(1, pairs.count))
        count = pairs.count
        right = pairs.count { $0.answer == $1 }
        logLikelihood = pairs.reduce(0) { $0 + $1.0.logLikelihood(of: $1.1) } / shares
        greatestWeight = pairs.reduce(0) { $0 + ($1.0.posterior(of: $1.1).max() ?? 0) } / shares
    }

    public var description: String {
        func number(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }
        return "\(right) of \(count) labels met (\(String(percent: Double(right) / Double(max(1, count))))), marginal log-likelihood \(number(logLikelihood)) a question, greatest weight \(number(greatestWeight)) on average"
    }
}
