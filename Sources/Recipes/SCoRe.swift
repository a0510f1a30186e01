import Sampling
import Tasks
import Tensors
import Training

/// Self-correction by reinforcement learning: the model learns to make its own first answer better in a second turn, without being told whether it was wrong.
///
/// The first stage rewards only second answers and holds first ones to the base; the second rewards both, and second ones for what they make better or worse.
/// Source: Kumar et al. 2024, arXiv:2409.12917, equations 3 and 4.
public struct SCoRe: PolicyRecipe {
    public static let name = "score"

    /// Of both stages together; a third of the iterations is the first stage's.
    public var loop = {
        var loop = PolicyIteration()
        (loop.iterations, loop.klWeight) = (60, 0.01)
        return loop
    }()
    /// β₂: how strongly the first stage holds first answers to the base, besides the `klWeight` of all.
    public var firstAnswerWeight = 0.1
    /// α: what making an answer better earns, and making it worse costs, besides its reward.
    public var progressBonus = 10.0
    /// What the model hears before its second answer. Tasks as text with worked examples need one that ends as their prompts do, with the problem's `{question}` in it:
    /// after other words a pretrained model hardly answers again.
    public var instruction = SelfCorrection.usualInstruction

    public init() {}

    public func environment(_ base: any Tasks.Environment) -> any Tasks.Environment { SelfCorrection(base, instruction: instruction) }

    /// Of the first stage, whose policy is measured at its end.
    private var firstIterations: Int { max(1, loop.iterations / 3) }

    public func run(_ learning: isolated LearningLoop) async throws {
        let base = try await learning.start()
        let objective = ClippedPolicyGradient(.length(1))
        var stages = (first: loop, second: loop)
        stages.first.iterations = firstIterations
        stages.second.iterations = max(1, loop.iterations - stages.first.iterations)
        var rewards = TwoTurnRewards(firstAnswerWeight: firstAnswerWeight, klWeight: loop.klWeight, truncation: loop.truncation, countsEqualGroups: loop.resamples == 0)
        let (initialised, middle) = try await stages.first.train(learning, "initialise", from: base, reference: base, objective, rewards)
        if learning.isSpent {
            learning.report(.note("the budget of \(learning.options.tokenBudget) tokens ended in the first stage, which rewards second answers only: ask for fewer loop.iterations, of which a third are its"))
            return try await learning.finish(base, initialised, iteration: middle)
        }
        (rewards.firstAnswerWeight, rewards.progressBonus) = (nil, progressBonus)
        let (policy, last) = try await stages.second.train(learning, "improve", from: initialised, reference: base, objective, rewards, after: middle)
        try await learning.finish(base, policy, iteration: last)
    }

    public func workload(problems: Int) -> Workload {
        var workload = loop.workload(problems: problems)
        // Both turns are sampled, trained and measured.
        workload.turns = 2
        workload.measured?.insert(firstIterations)
        workload.cap *= 2
        workload.samples *= 2
        workload.batch = workload.batch.map { $0 * 2 }
        return workload
    }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try loop.validate(check)
        try check(loop.iterations > 1 && loop.samplesPerProblem > 1, "loop.iterations and samplesPerProblem", "2 or more")
        try check(loop.referenceDecay == 0, "loop.referenceDecay", "0: both stages are held to what the run began with")
        try check([firstAnswerWeight, progressBonus].allSatisfy { $0 >= 0 && $0.isFinite }, "firstAnswerWeight and progressBonus", "0 or more")
        try check(!instruction.isEmpty, "instruction", "a text")
    }
}

/// Two turns of each sample, each with its own reward alone (a discount of 0), less the divergence from the reference; compared with the same turn of the problem's
/// other samples. What then has no advantage is left out, and the others weigh what they would weigh beside it.
public struct TwoTurnRewards: Selector, Codable, Equatable {
    /// nil: both answers are rewarded. Otherwise only second ones, and this is β₂ of the first ones' divergence.
    public var firstAnswerWeight: Double?
    public var progressBonus = 0.0
    public var klWeight: Double
    public var truncation: Truncation
    /// As of `RelativeRewards`.
    public var countsEqualGroups: Bool

    public init(firstAnswerWeight: Double? = nil, progressBonus: Double = 0, klWeight: Double = 0.01, truncation: Truncation = .mask, countsEqualGroups: Bool = true) {
        (self.firstAnswerWeight, self.progressBonus, self.klWeight, self.truncation, self.countsEqualGroups) = (firstAnswerWeight, progressBonus, klWeight, truncation, countsEqualGroups)
    }

    public var trainsAsSampled: Bool { true }
    public var comparesFirst: Bool { true }

    /// What an answer earns besides its divergence.
    func rewards(first: Double, second: Double) -> (first: Double, second: Double) {
        firstAnswerWeight == nil ? (first, second + progressBonus * (second - first)) : (0, second)
    }

    public func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example] {
        let compared = groups.flatMap { group -> [Example] in
            let known = Dictionary(zip(group.map(\.key), truncation.rewards(of: group)), uniquingKeysWith: { first, _ in first })
            let turns = Dictionary(grouping: group, by: \.key.sample).sorted { $0.key < $1.key }.map(\.value)
            // Samples whose second turn is missing or not to be judged take no part, nor do their first turns; but a first answer that was cut off has no second.
            let samples = turns.compactMap { turns -> [(example: Example, reward: Double)]? in
                let isAlone = turns.count == 1 && turns[0].finishReason == .length
                guard turns.count == 2 || isAlone, case let (r1?, r2?) = (known[turns[0].key] ?? nil, known[turns[turns.count - 1].key] ?? nil) else { return nil }
                let earned = rewards(first: r1, second: r2), examples = turns.compactMap(make)
                guard examples.count == turns.count else { return nil }
                return examples.enumerated().map { turn, example in
                    let (reward, weight) = turn == 0 ? (earned.first, klWeight + (firstAnswerWeight ?? 0)) : (earned.second, klWeight)
                    return (example, reward - weight * RelativeRewards.divergence(example))
                }
            }
            return [0, 1].flatMap { turn -> [Example] in
                let answers = samples.filter { $0.count > turn }.map { $0[turn] }
                let advantages = groupAdvantages([answers.map(\.reward)], dividedBy: .leaveOneOut)[0]
                return zip(answers, advantages).map { answer, advantage in
                    var example = answer.example
                    example.advantage = Float(advantage)
                    return example
                }
            }
        }
        let told = compared.filter { $0.advantage != 0 }, share = countsEqualGroups ? Float(told.count) / Float(max(1, compared.count)) : 1
        return told.map { example in
            var example = example
            example.advantage! *= share
            return example
        }
    }
}
