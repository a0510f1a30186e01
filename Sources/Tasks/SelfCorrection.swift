/// A task in two turns: the model answers, hears that there may or may not be an error, and answers again.
///
/// The second turn must not reveal whether the first was right. Source: Kumar et al. 2024, arXiv:2409.12917, section 3.
public struct SelfCorrection: TaskVariant {
    public let base: any Environment
    /// What the model hears. `{question}` in it is the problem's question.
    public let instruction: String

    /// As the authors put it to models for mathematics, in words that fit any task.
    public static let usualInstruction =
        "There might be an error in the answer above because of lack of understanding of the question. Please correct the error, if any, and write the whole answer again."

    public init(_ base: any Environment, instruction: String = usualInstruction) {
        self.base = base
        self.instruction = instruction
    }

    /// In the form of the first prompt: another message, or text of its own paragraph, which the second answer follows on a new line; where the question stands in it
    /// again, the answer goes on from its last word.
    public func step(_ problem: Problem, after completions: [String]) throws -> Prompt? {
        guard completions.count == 1 else { return nil }
        let asked = instruction.replacing("{question}", with: problem.question)
        if case .messages = try base.reset(problem, mode: .plain) { return .messages([Message(role: "user", content: asked)]) }
        return .text("\n\n\(asked)" + (instruction.contains("{question}") ? "" : "\n"))
    }
}
