/// A task whose training answers are wrong on purpose: a control that must stay at chance on held-out problems.
///
/// Answers are permuted among the training problems of one category. Dev and test problems, prompts and the verifier are
/// the base task's; a hinted prompt shows the wrong answer. Rationales are taken out, because they would tell the truth.
public struct ShuffledAnswers: Environment {
    public let base: any Environment
    /// Training problems left out because no problem of their category could lend them another answer.
    public let leftOut: Int
    private let train: [Problem]

    /// - Throws: `TaskError` when the task's problems have no answers, or no answer of a category differs from the others.
    public init(_ base: any Environment, seed: UInt64) throws {
        let problems = try base.problems(in: .train)
        var members: [String: [Int]] = [:]
        for (index, problem) in problems.enumerated() {
            guard problem.answer != nil else {
                throw TaskError.badProblem(id: problem.id, reason: "it has no answer, so task '\(base.name)' has nothing to shuffle. Use this control with a task of questions and answers.")
            }
            members[problem.category, default: []].append(index)
        }
        var changed: [Problem?] = problems.map { $0 }
        for category in members.keys.sorted() {
            let places = members[category]!
            let truths = places.map { CanonicalAnswer.canonical(problems[$0].answer!) }
            var generator = SeededGenerator(seed: seed, label: "shuffled answers \(category)")
            let lenders = Self.derangement(of: truths, using: &generator)
            for (position, place) in places.enumerated() {
                if truths[lenders[position]] == truths[position] {
                    changed[place] = nil
                } else {
                    changed[place]!.answer = problems[places[lenders[position]]].answer
                    changed[place]!.details["rationale"] = nil
                }
            }
        }
        train = changed.compactMap { $0 }
        leftOut = problems.count - train.count
        self.base = base
        guard !train.isEmpty else {
            throw TaskError.emptySplit(task: base.name, split: .train, reason: "Within each category all answers are equal, so none can be made wrong by shuffling. Use categories with different answers.")
        }
    }

    public var name: String { base.name + "+shuffled-answers" }
    public var stops: [String] { base.stops }
    public var maxTokens: Int { base.maxTokens }
    public var verifier: any Verifier { base.verifier }

    public func problems(in split: Split) throws -> [Problem] { split == .train ? train : try base.problems(in: split) }
    public func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt { try base.reset(problem, mode: mode) }
    public func step(_ problem: Problem, after completions: [String]) throws -> Prompt? { try base.step(problem, after: completions) }

    /// A random permutation, repaired by swaps until no place keeps an equal answer, or no swap helps.
    private static func derangement(of answers: [String], using generator: inout SeededGenerator) -> [Int] {
        var lenders = generator.shuffled(Array(answers.indices))
        for i in answers.indices where answers[lenders[i]] == answers[i] {
            let start = generator.below(answers.count)
            for offset in answers.indices {
                let j = (start + offset) % answers.count
                if answers[lenders[j]] != answers[i], answers[lenders[i]] != answers[j] {
                    lenders.swapAt(i, j)
                    break
                }
            }
        }
        return lenders
    }
}
