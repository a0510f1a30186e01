import Architectures
import Tasks

extension Model {
    /// The tokens of what an environment puts to the model.
    func encode(_ prompt: Prompt) throws -> [Int32] {
        switch prompt {
        case .text(let text): try encode(text)
        case .messages(let messages): try encode(messages.map { (role: $0.role, content: $0.content) })
        }
    }
}
