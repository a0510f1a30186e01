import Architectures
import ModelFiles
import Tasks
import Training

/// Files of answers that are known to be right or wrong, or better and worse, as what learns from wrong answers too is trained on.
public struct JudgedData {
    private let paths: [String]
    private let model: Model
    private let limit: Int
    private let isChat: Bool

    /// - Parameters:
    ///   - paths: of JSON Lines files, which are taken together.
    ///   - model: whose tokens they are.
    ///   - limit: tokens of one example.
    ///   - isChat: whether prompts go through the model's chat template as a user's message.
    /// - Throws: `FileError` for a model that does not go on with a text.
    public init(_ paths: [String], _ model: Model, limit: Int, isChat: Bool) throws {
        try SupervisedData.checkWriting(model)
        (self.paths, self.model, self.limit, self.isChat) = (paths, model, limit, isChat)
    }

    /// For KTO: right answers with the advantage 1 and wrong ones with -1, from {"prompt", "completion", "label"} and from pairs.
    ///
    /// Each has another prompt's completion beside its prompt, for KTO to compare with, where the file has another prompt. The weights of all right ones have the sum of those of
    /// all wrong ones, which are multiplied by `wrongWeight` then. Source: Ethayarajh et al. 2024, arXiv:2402.01306, which asks for sums in a ratio of 1 to 4/3.
    /// - Parameters:
    ///   - wrongWeight: of all wrong answers, beside all right ones.
    ///   - shares: of an epoch that the files get, in any unit; nil: as many as they hold.
    /// - Returns: the examples of each file, without a reference's log-probabilities.
    /// - Throws: `FileError` that names the line, also where all files hold one kind only; `JSONError`.
    public func desirability(wrongWeight: Double = 1, shares: [Double]? = nil) throws -> [[Example]] {
        var files = try verdicts().map { $0.map(\.example) }
        // How often an answer of each file is trained.
        let rates = zip(shares ?? files.map { Double($0.count) }, files).map { $0 / Double(max(1, $1.count)) }
        let right = zip(rates, files).reduce(0) { $0 + $1.0 * Double($1.1.count { !$0.isAgainst }) }, wrong = zip(rates, files).reduce(0) { $0 + $1.0 * Double($1.1.count(where: \.isAgainst)) }
        for file in files.indices {
            files[file].addMismatches()
            for place in files[file].indices { files[file][place].weight = Float(files[file][place].isAgainst ? wrongWeight * max(1, right / wrong) : max(1, wrong / right)) }
        }
        return files
    }

    /// For likelihood and unlikelihood: the same answers, of wrong ones only what follows their longest common beginning with a right one to the same prompt; without a right
    /// one to compare with, all of it.
    /// - Returns: the examples of each file, and how many wrong answers are left out because they only begin as right ones do.
    /// - Throws: as `desirability`.
    public func likelihoods() throws -> (examples: [[Example]], lost: Int) {
        let files = try verdicts(), right = Dictionary(grouping: files.joined().filter { !$0.example.isAgainst }, by: \.prompt).mapValues { $0.map(\.example) }
        let examples = files.map { $0.compactMap { $0.example.isAgainst ? $0.example.sparing(right[$0.prompt] ?? []) : $0.example } }
        return (examples, files.joined().count - examples.joined().count)
    }

    /// For RRHF: answers with their scores as advantages, those of a line next to each other, from {"prompt", "completions", "scores"} and from pairs.
    /// - Returns: the examples of each file, and how many lines are left out because all of their scores are equal.
    /// - Throws: `FileError` that names the line, also where no line of a file has a better and a worse answer; `JSONError`.
    public func rankings() throws -> (examples: [[Example]], tied: Int) {
        let (files, tied) = try decided([.scores, .pair])
        return (try answers(files).map { $0.map(\.example) }, tied)
    }

    /// For chains of hindsight: the best and the worst answer of each line, from the same forms.
    /// - Parameter phrases: that say which answer is which.
    /// - Returns: the chains of each file, of any length, and how many lines are left out because all of their scores are equal.
    /// - Throws: as `rankings`.
    public func chains(_ phrases: HindsightPhrases) throws -> (chains: [[HindsightChain]], tied: Int) {
        let (files, tied) = try decided([.pair, .scores])
        let chains = try zip(paths, files).map { path, lines in
            try lines.map { line in
                let order = line.scores.indices.sorted { (line.scores[$1], $0) < (line.scores[$0], $1) }
                func answer(_ place: Int, good: Bool) throws -> Example { try SupervisedData.answer(line.answers[place], to: phrases.asking(prompt(line), good: good), model) }
                return try line.named(in: path) { try HindsightChain(prompt(line), better: answer(order[0], good: true), worse: answer(order[order.count - 1], good: false), phrases, model) }
            }
        }
        return (chains, tied)
    }

    private func prompt(_ line: JudgedAnswers) -> Prompt { isChat ? .messages([Message(role: "user", content: line.prompt)]) : .text(line.prompt) }

    /// Lines that say which answer is better, and how many do not.
    private func decided(_ forms: [JudgedAnswers.Form]) throws -> (files: [[JudgedAnswers]], tied: Int) {
        let files = try paths.map { try JudgedAnswers.read($0, forms) }, decided = files.map { $0.filter { !$0.isTied } }
        for (path, lines) in zip(paths, decided) where lines.isEmpty {
            throw FileError(file: path, problem: "holds no line in which one answer is better than another", advice: "Give answers different 'scores', or write pairs.")
        }
        return (decided, files.joined().count - decided.joined().count)
    }

    private func verdicts() throws -> [[(prompt: String, example: Example)]] {
        let files = try answers(paths.map { try JudgedAnswers.read($0, [.verdict, .pair]) })
        for isRight in [true, false] where !files.joined().contains(where: { $0.example.isAgainst != isRight }) {
            throw FileError(
                file: paths.joined(separator: ", "), problem: "holds no \(isRight ? "right" : "wrong") answer",
                advice: "Both kinds are needed: add lines with \"label\": \(isRight), or a file that has them.")
        }
        return files
    }

    /// Every answer of every line, with the score as its advantage; lines with several are comparisons, counted through all files.
    private func answers(_ files: [[JudgedAnswers]]) throws -> [[(prompt: String, example: Example)]] {
        var comparison = 0
        return try zip(paths, files).map { path, lines in
            try lines.flatMap { line in
                defer { comparison += 1 }
                return try line.answers.indices.map { place in
                    var example = try line.named(in: path) { try SupervisedData.answer(line.answers[place], to: prompt(line), model).cut(to: limit).example }
                    example.advantage = Float(line.scores[place])
                    if line.answers.count > 1 { example.standing = Example.Standing(comparison: comparison, score: line.scores[place]) }
                    example.rollouts = [RolloutKey(iteration: 0, phase: "line", index: comparison, sample: place)]
                    return (line.prompt, example)
                }
            }
        }
    }
}

extension JudgedAnswers {
    /// What is wrong with a line's texts is said of the line.
    func named<Result>(in path: String, _ make: () throws -> Result) throws -> Result {
        do { return try make() } catch let error as FileError {
            throw FileError(file: path, problem: "line \(line): \(error.file) \(error.problem)", advice: error.advice)
        }
    }
}

extension Example {
    fileprivate var isAgainst: Bool { (advantage ?? 0) < 0 }
}
