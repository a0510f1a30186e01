/// What a verifier found, and what it compared.
public struct Verdict: Codable, Sendable, Equatable {
    public enum Outcome: String, Codable, Sendable, CaseIterable {
        case right, wrong
        /// No answer could be extracted.
        case unreadable
        /// The completion was cut by its length; it never trains by likelihood.
        case cutOff
        case unknown
    }
    public var outcome: Outcome
    /// Before any comparison with the group.
    public var reward: Double
    /// What was compared with what: the extracted answer, the failing check.
    public var evidence: String

    public init(_ outcome: Outcome, reward: Double? = nil, evidence: String) {
        self.outcome = outcome
        self.reward = reward ?? (outcome == .right ? 1 : 0)
        self.evidence = evidence
    }
}

public enum Judgement: Codable, Sendable, Equatable {
    case judged(Verdict)
    /// The verifier could not do its work: neither trained nor counted as wrong.
    case failed(reason: String)
}

/// Judges completions. A verifier that cannot do its work fails the judgement: reward 0 means "read, and wrong".
public protocol Verifier: Sendable {
    var name: String { get }
    /// What decides its verdicts besides the problems; two verifiers with one name and equal settings judge alike. Empty unless it says otherwise.
    var settings: [String: String] { get }
    /// Finds out once, before a run, whether it can do its work on this machine. Does nothing unless it says otherwise.
    /// - Throws: what is missing, and how to get it.
    func checkReady() async throws
    /// - Returns: one judgement per rollout, in order.
    func judge(_ rollouts: [Rollout]) async -> [Judgement]
}

extension Verifier {
    public var settings: [String: String] { [:] }
    public func checkReady() async throws {}
}

/// A verifier that finds one answer in a completion, so that completions can vote.
public protocol AnswerReader: Verifier {
    /// What the completion answers, in the form in which answers are compared; `nil` where it was cut off or nothing can be read.
    func answer(in rollout: Rollout) -> String?
    /// Whether two such forms are one answer.
    func areEqual(_ a: String, _ b: String) -> Bool
}

extension AnswerReader {
    public func areEqual(_ a: String, _ b: String) -> Bool { a == b }
}

extension Rollout {
    /// The verdict on a completion that was cut by its length, `nil` on another.
    var cutOff: Verdict? {
        finishReason == .length ? Verdict(.cutOff, evidence: "cut off after \(completionTokens.count) tokens") : nil
    }
}
