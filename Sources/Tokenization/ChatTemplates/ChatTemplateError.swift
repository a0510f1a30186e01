/// Why a chat template was refused, or could not be rendered.
public enum ChatTemplateError: Error, Equatable, CustomStringConvertible {
    /// Part of the language, but of a kind that a chat template alone cannot mean: other files, other modules.
    case unsupported(construct: String, line: Int)
    case syntax(problem: String, line: Int)
    /// The template does something that the language refuses while rendering, such as adding text to nothing.
    case rendering(problem: String, line: Int)
    /// The template itself called `raise_exception`.
    case raised(message: String)
    case limit(String, line: Int)
    /// `continueFinalMessage` was asked for, and the last message cannot be continued.
    case continuation(problem: String)
    /// It cannot be told which part of the text a message's author wrote, so nothing may be trained on it.
    case noMask(message: Int, reason: String)

    public var description: String {
        switch self {
        case .unsupported(let construct, let line):
            "chat template, line \(line): \(construct) is not supported. Write what it brings in into the template itself."
        case .syntax(let problem, let line): "chat template, line \(line): \(problem). Compare the template with the one of the model card."
        case .rendering(let problem, let line): "chat template, line \(line): \(problem). Check that the messages have what the template reads."
        case .raised(let message): "the chat template refused the messages: \(message)"
        case .limit(let limit, let line):
            "chat template, line \(line): over the limit of \(limit). Use a shorter conversation or another template."
        case .continuation(let problem): "the final message cannot be continued: \(problem). Ask for the generation prompt instead."
        case .noMask(let message, let reason):
            "message \(message): its part of the text cannot be found, \(reason). "
                + "Use a template with {% generation %} around what assistants write, or leave the conversation out."
        }
    }
}

/// A failure that does not know yet on which line it happened; the interpreter adds that.
enum TemplateProblem: Error {
    case refused(String)
    case limit(String)
    case raised(String)

    static func undefined(_ undefined: TemplateUndefined) -> TemplateProblem { .refused(undefined.problem) }
}
