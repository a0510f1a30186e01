/// Calls everything right that was not cut off: the sabotaged filter of a control run.
///
/// Training with it in the task's verifier's place must bring no gain; a recipe that improves all the same is not
/// learning from its verdicts. Results are still measured with the task's own verifier.
public struct AcceptAll: Verifier {
    public let name = "accept-all"

    public init() {}

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { .judged($0.cutOff ?? Verdict(.right, evidence: "accepted without being read")) }
    }
}
