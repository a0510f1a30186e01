/// The answers that a problem offers, one of which is right.
public struct AnswerOptions: Sendable, Equatable {
    /// How an option of a list is said.
    public enum Form: String, Codable, Sendable, CaseIterable {
        /// "(b)", as the list letters it.
        case letter
        /// Its own words.
        case text
    }
    public let texts: [String]
    /// The place of the right one.
    public let right: Int
}

extension Environment {
    /// The options of a problem with `choices`, or the labels that the task's verifier knows; `nil` where there are neither or the right one is not among them.
    public func options(of problem: Problem, as form: AnswerOptions.Form = .letter) -> AnswerOptions? {
        guard let answer = problem.answer else { return nil }
        if let choices = Choices(problem) {
            guard let right = choices.right(answer) else { return nil }
            return AnswerOptions(texts: form == .text ? choices.texts : choices.texts.indices.map { "(\(Choices.letter($0)))" }, right: right)
        }
        guard let labels = (verifier as? LabelVerifier)?.labels, let right = labels.firstIndex(of: answer) else { return nil }
        return AnswerOptions(texts: labels, right: right)
    }
}
