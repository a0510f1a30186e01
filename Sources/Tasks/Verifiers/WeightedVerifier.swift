/// A mixture of verifiers: the reward is the weighted mean of theirs.
///
/// A weight of 0 makes a metric: recorded in the evidence, without influence. The outcome is right only where every part with a weight says so,
/// because what trains on right answers must not train on one that a part refuses; else it is cut off, wrong, unreadable or unknown, the first of
/// these that a weighted part says. Where one of these failed, the judgement fails, because a mean of the others would be another reward.
public struct WeightedVerifier: Verifier {
    public struct Part: Sendable {
        public let name: String
        public let weight: Double
        public let verifier: any Verifier

        /// - Parameters:
        ///   - name: in the evidence; `nil`: the verifier's own.
        ///   - weight: 0 or more, relative to those of the other parts.
        ///   - verifier: judges the same rollouts as the others.
        public init(_ name: String? = nil, weight: Double, _ verifier: any Verifier) {
            self.name = name ?? verifier.name
            self.weight = weight
            self.verifier = verifier
        }
    }

    public let name: String
    public let parts: [Part]

    /// - Parameters:
    ///   - name: the mixture's own.
    ///   - parts: two with one name could not be told apart in the evidence.
    /// - Throws: `TaskError.badValue` for weights that are negative, not finite or all 0, and for repeated names.
    public init(name: String = "weighted", _ parts: [Part]) throws {
        func refuse(_ value: String, _ reason: String) -> TaskError { .badValue(file: name, line: nil, key: "weights", value: value, reason: reason) }
        if let part = parts.first(where: { !($0.weight >= 0 && $0.weight.isFinite) }) { throw refuse("\(part.name): \(part.weight)", "A weight is a number, 0 or more.") }
        let total = parts.reduce(0) { $0 + $1.weight }
        guard total > 0, total.isFinite else { throw refuse("\(total) in all", "Give one part a weight above 0, and none an enormous one.") }
        guard Set(parts.map(\.name)).count == parts.count else { throw refuse(parts.map(\.name).joined(separator: ", "), "Give every part a name of its own.") }
        self.name = name
        self.parts = parts
    }

    public var settings: [String: String] {
        Dictionary(uniqueKeysWithValues: parts.map { part in
            (part.name, "\(part.weight) \(part.verifier.name)" + part.verifier.settings.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined())
        })
    }

    /// - Throws: what a part throws.
    public func checkReady() async throws { for part in parts { try await part.verifier.checkReady() } }

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        var judgements: [[Judgement]] = []
        for part in parts { judgements.append(await part.verifier.judge(rollouts)) }
        for (part, found) in zip(parts, judgements) {
            precondition(found.count == rollouts.count, "the verifier '\(part.name)' gave \(found.count) judgements for \(rollouts.count) rollouts")
        }
        return rollouts.indices.map { place in combined(judgements.map { $0[place] }) }
    }

    private func combined(_ judgements: [Judgement]) -> Judgement {
        var reward = 0.0
        var outcomes: Set<Verdict.Outcome> = []
        var evidence: [String] = []
        for (part, judgement) in zip(parts, judgements) {
            switch judgement {
            case .judged(let verdict):
                evidence.append("\(part.name) \(part.weight) × \(verdict.reward) (\(verdict.outcome.rawValue): \(verdict.evidence))")
                guard part.weight > 0 else { continue }
                reward += part.weight * verdict.reward
                outcomes.insert(verdict.outcome)
            case .failed(let reason):
                guard part.weight == 0 else { return .failed(reason: "\(part.name): \(reason)") }
                evidence.append("\(part.name) \(part.weight) (failed: \(reason))")
            }
        }
        reward /= parts.reduce(0) { $0 + $1.weight }
        guard reward.isFinite else { return .failed(reason: "a reward is not finite: \(evidence.joined(separator: "; "))") }
        let outcome = [.cutOff, .wrong, .unreadable, .unknown].first(where: outcomes.contains) ?? Verdict.Outcome.right
        return .judged(Verdict(outcome, reward: reward, evidence: evidence.joined(separator: "; ")))
    }
}
