import Tasks

/// The figures of an evaluation. What the verifier could not judge, or calls unknown, is counted apart, and neither right nor wrong.
public struct EvaluationSummary: Codable, Sendable, Equatable {
    public let problems, samples, right, judged, cutOff, unreadable, failed, tokens: Int
    /// Samples that the verifier calls unknown; nil: none.
    public let unknown: Int?
    /// The share of judged samples that are right: the mean over problems.
    public let accuracy: ProportionInterval?
    /// By k. Problems with fewer than k judged samples are left out.
    public let passAt: [Int: ProportionInterval]
    /// The share of problems whose most frequent answer is right, where the verifier reads answers; a problem without any is not right.
    public let majority: ProportionInterval?
    /// Accuracy by each rule, where the likelihood of options decides.
    public let rules: [String: ProportionInterval]
    /// Means over problems with several samples.
    public let distinct1, distinct2, selfBLEU: Double?

    /// - Parameters:
    ///   - all: in any order.
    ///   - passAt: the k of pass@k.
    ///   - verifier: reads answers and says which are equal, where it can.
    public init(_ all: [EvaluatedSample], passAt: [Int] = [], verifier: any Verifier) {
        let groups = Dictionary(grouping: all, by: \.problem).sorted { $0.key < $1.key }.map { $0.value.sorted { $0.sample < $1.sample } }
        let judged = groups.map { $0.filter(\.isDecided) }.filter { !$0.isEmpty }
        func count(_ outcome: Verdict.Outcome?) -> Int { all.count { $0.outcome == outcome } }
        (problems, samples, right, cutOff, unreadable, failed) = (groups.count, all.count, count(.right), count(.cutOff), count(.unreadable), count(nil))
        self.judged = all.count(where: \.isDecided)
        unknown = count(.unknown) == 0 ? nil : count(.unknown)
        tokens = all.reduce(0) { $0 + $1.tokens }
        let counts = judged.map { (samples: $0.count, right: $0.count(where: \.isRight)) }
        accuracy = ProportionInterval(shares: counts.map { Double($0.right) / Double($0.samples) })
        self.passAt = Dictionary(passAt.compactMap { k in PassAtK.mean(k, over: counts).map { (k, $0) } }) { $1 }
        let several = groups.filter { $0.count > 1 }
        if let reader = verifier as? any AnswerReader, !several.isEmpty {
            majority = ProportionInterval(shares: judged.map { group in
                let votes = group.map { MajorityVote.Vote($0.answer, logProbability: $0.logProbability) }
                return MajorityVote.winner(of: votes, areEqual: reader.areEqual).map { group[$0].isRight } == true ? 1 : 0
            })
        } else {
            majority = nil
        }
        let choices = all.compactMap { sample in sample.choices.flatMap { scores in sample.right.map { (scores: scores, right: $0) } } }
        rules = Dictionary(ChoiceRule.allCases.compactMap { rule in
            ProportionInterval(shares: choices.map { rule.choice(of: $0.scores) == $0.right ? 1 : 0 }).map { (rule.rawValue, $0) }
        }) { $1 }
        func mean(_ measure: ([String]) -> Double?) -> Double? {
            let values = several.compactMap { measure($0.map(\.text)) }
            return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
        }
        (distinct1, distinct2) = (mean { TextDiversity.distinct(1, in: $0) }, mean { TextDiversity.distinct(2, in: $0) })
        selfBLEU = mean(TextDiversity.selfBLEU)
    }
}
