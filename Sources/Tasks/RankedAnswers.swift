import ModelFiles

/// Answers to one prompt, the best first.
public struct RankedAnswers: Sendable, Equatable {
    public var line: Int
    public var prompt: String
    public var answers: [String]
    /// Of each answer, never rising; equal ones are a tie.
    public var scores: [Double]
    /// By which the reward of a better answer should be ahead of a worse one's.
    public var margin: Double

    public init(line: Int, prompt: String, answers: [String], scores: [Double]? = nil, margin: Double = 0) {
        (self.line, self.prompt, self.answers, self.margin) = (line, prompt, answers, margin)
        self.scores = scores ?? answers.indices.map { Double(-$0) }
    }

    /// Places of the answers of each pair that is no tie.
    public var decided: [(better: Int, worse: Int)] {
        answers.indices.flatMap { first in answers.indices.dropFirst(first + 1).filter { scores[$0] < scores[first] }.map { (first, $0) } }
    }

    /// Reads {"prompt", "chosen", "rejected"}, a tie where "tie" is true or "score_chosen" is "score_rejected"; and {"prompt", "answers"}, the best first, with "scores" where
    /// some are as good as others. "margin" may stand beside them.
    /// - Throws: `FileError` that names the line, `JSONError`.
    public static func read(_ path: String) throws -> [RankedAnswers] {
        try JSONL.objects(path: path).map { line, object in
            func refuse(_ problem: String) -> FileError {
                FileError(file: path, problem: "line \(line) \(problem)", advice: "Write {\"prompt\": …, \"chosen\": …, \"rejected\": …} or {\"prompt\": …, \"answers\": [the best, …, the worst]}.")
            }
            func text(_ name: String) throws -> String {
                guard let text = object[name]?.string else { throw refuse("has no text '\(name)'") }
                return text
            }
            func number(_ name: String) throws -> Double? {
                guard let value = object[name], !value.isNull else { return nil }
                guard let number = value.double, number.isFinite else { throw refuse("has no finite number '\(name)'") }
                return number
            }
            var scores: [Double]?
            let answers: [String]
            if let list = object["answers"] {
                guard let texts = list.array?.map(\.string), texts.count > 1, !texts.contains(nil) else { throw refuse("has no two or more texts in 'answers'") }
                answers = texts.compactMap { $0 }
                if let given = object["scores"] {
                    guard let numbers = given.array?.compactMap(\.double), numbers.count == answers.count, numbers.allSatisfy(\.isFinite) else { throw refuse("has not one number in 'scores' for each answer") }
                    scores = numbers
                }
            } else {
                answers = [try text("chosen"), try text("rejected")]
                if let chosen = try number("score_chosen"), let rejected = try number("score_rejected") { scores = [chosen, rejected] }
                if object["tie"]?.bool == true { scores = [0, 0] }
            }
            guard Set(answers).count == answers.count else { throw refuse("has the same answer twice") }
            if let scores, zip(scores, scores.dropFirst()).contains(where: { $0 < $1 }) { throw refuse("scores a worse answer higher than a better one") }
            return RankedAnswers(line: line, prompt: try text("prompt"), answers: answers, scores: scores, margin: try number("margin") ?? 0)
        }
    }

    /// Some of the prompts for measuring, those with the smallest hashes, with all that is compared under them; the others for training.
    /// - Parameters:
    ///   - all: in any order, which does not matter.
    ///   - share: of the prompts that is measured, at least one.
    /// - Returns: nothing held where there is one prompt only.
    public static func split(_ all: [RankedAnswers], held share: Double) -> (train: [RankedAnswers], held: [RankedAnswers]) {
        let hashes = Set(all.map(\.promptHash)).sorted()
        let held = Set(hashes.prefix(hashes.count < 2 ? 0 : max(1, Int((Double(hashes.count) * share).rounded()))))
        return (all.filter { !held.contains($0.promptHash) }, all.filter { held.contains($0.promptHash) })
    }

    /// Of the prompt, whatever its case and spacing.
    public var promptHash: UInt64 { StableHash.mix(StableHash.fnv1a(Splitting.collapsed(prompt))) }
}
