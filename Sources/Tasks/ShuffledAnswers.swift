/// A task whose training answers are wrong on purpose: a control that must stay at chance on held-out problems.
///
/// Answers are permuted among the training problems of one category, and of one number of options; where problems have demands on form instead of answers,
/// the demands that are checked are permuted, among all problems, and those that are asked for stay. Dev and test problems,
/// prompts and the verifier are the base task's; a hinted prompt shows the wrong answer. Rationales are taken out, because they
/// would tell the truth.
public struct ShuffledAnswers: TaskVariant {
    public let base: any Environment
    /// Training problems left out because no problem of their category could lend them another answer.
    public let leftOut: Int
    private let train: [Problem]

    /// - Throws: `TaskError` when the task's problems have no answers, or no answer of a category differs from the others.
    public init(_ base: any Environment, seed: UInt64) throws {
        let problems = try base.problems(in: .train)
        var members: [String: [Int]] = [:]
        var truths: [String] = []
        // A letter that a problem does not have would be no answer to it.
        let counts = Dictionary(grouping: problems, by: \.category).mapValues { Set($0.map { Choices($0)?.texts.count ?? 0 }) }
        for (index, problem) in problems.enumerated() {
            guard let truth = problem.checked else {
                throw TaskError.badProblem(id: problem.id, reason: "it has no answer, so task '\(base.name)' has nothing to shuffle. Use this control with a task of questions and answers.")
            }
            truths.append(CanonicalAnswer.canonical(truth))
            let options = counts[problem.category]!.count > 1 ? " of \(Choices(problem)?.texts.count ?? 0) options" : ""
            members[problem.answer == nil ? "" : problem.category + options, default: []].append(index)
        }
        var changed: [Problem?] = problems.map { $0 }
        for category in members.keys.sorted() {
            let places = members[category]!
            var generator = SeededGenerator(seed: seed, label: "shuffled answers \(category)")
            let lenders = Self.derangement(of: places.map { truths[$0] }, using: &generator).map { places[$0] }
            for (place, lender) in zip(places, lenders) {
                if truths[lender] == truths[place] {
                    changed[place] = nil
                } else {
                    changed[place]!.checked = problems[lender].checked
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
    /// What is shown is of the exchanged answer; a task that works the answer out by itself has none.
    public func goldCompletion(_ problem: Problem) throws -> String? { base is Addition ? nil : try base.goldCompletion(problem) }

    public var omission: String? {
        let own = leftOut > 0 ? "\(leftOut) left out for which there was no wrong answer" : nil
        let all = [base.omission, own].compactMap { $0 }
        return all.isEmpty ? nil : all.joined(separator: "; ")
    }

    public func problems(in split: Split) throws -> [Problem] { split == .train ? train : try base.problems(in: split) }

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

extension Problem {
    /// What a completion is checked against: the answer, or the demand on its form.
    fileprivate var checked: String? {
        get { answer ?? details["constraint"] }
        set { if answer != nil { answer = newValue } else { details["constraint"] = newValue } }
    }
}
