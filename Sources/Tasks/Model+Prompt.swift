import Architectures

extension Model {
    /// The tokens of what an environment puts to the model.
    package func encode(_ prompt: Prompt) throws -> [Int32] {
        switch prompt {
        case .text(let text): try encode(text)
        case .messages(let messages): try encode(messages.map { (role: $0.role, content: $0.content) })
        }
    }

    /// What an environment puts to the model, as the model's template writes it.
    package func text(of prompt: Prompt) throws -> String {
        switch prompt {
        case .text(let text): text
        case .messages(let messages): try conversations.text(messages.map { ["role": .string($0.role), "content": .string($0.content)] })
        }
    }

    /// The tokens of the next observation, to be appended to the answer before it.
    package func encode(_ next: Prompt, after answer: [Int32]) throws -> [Int32] {
        switch next {
        case .text(let text): try encode(text, addSpecialTokens: false)
        case .messages(let messages): try encode(messages.map { (role: $0.role, content: $0.content) }, after: answer)
        }
    }
}
