/// The words that say of an answer, before it is given, whether it is a good one. Source: Liu et al. 2023, arXiv:2302.02676, section 2.
public struct HindsightPhrases: Codable, Sendable, Equatable {
    public var good: String
    public var bad: String

    public init(good: String = "A good answer:", bad: String = "A bad answer:") { (self.good, self.bad) = (good, bad) }

    private func phrase(_ isGood: Bool) -> String { isGood ? good : bad }

    /// A prompt that asks for an answer of a kind: the phrase ends its last message, or its text but for the white space that the text ended with.
    public func asking(_ prompt: Prompt, good isGood: Bool) -> Prompt {
        switch prompt {
        case .text(let text):
            let end = Self.whitespace(after: text), body = text.dropLast(end.count)
            return .text(body + (body.isEmpty ? "" : " ") + phrase(isGood) + end)
        case .messages(var messages):
            if let last = messages.popLast() { messages.append(Message(role: last.role, content: "\(last.content)\n\n\(phrase(isGood))")) }
            return .messages(messages)
        }
    }

    /// What asks for a second answer after the first, in the form of the prompt: another message, or a paragraph of its own.
    public func next(after prompt: Prompt, good isGood: Bool) -> Prompt {
        switch prompt {
        case .text(let text): .text("\n\n\(phrase(isGood))\(Self.whitespace(after: text))")
        case .messages: .messages([Message(role: "user", content: phrase(isGood))])
        }
    }

    private static func whitespace(after text: String) -> String { String(text.reversed().prefix { $0.isWhitespace }.reversed()) }
}

/// A task whose prompts end with the phrase for good answers: what a model that was trained on chains of hindsight is asked.
public struct HindsightPrompts: TaskVariant {
    public let base: any Environment
    public let phrases: HindsightPhrases

    public init(_ base: any Environment, phrases: HindsightPhrases = HindsightPhrases()) { (self.base, self.phrases) = (base, phrases) }

    public func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt { phrases.asking(try base.reset(problem, mode: mode), good: true) }
}
