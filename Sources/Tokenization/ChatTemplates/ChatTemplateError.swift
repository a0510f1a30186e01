/// Why a chat template was refused, or could not be rendered.
public enum ChatTemplateError: Error, Equatable, CustomStringConvertible {
    /// Valid Jinja perhaps, but outside the subset that is implemented.
    case unsupported(construct: String, line: Int)
    case syntax(problem: String, line: Int)
    /// The template does something that Jinja refuses while rendering, such as adding text to nothing.
    case rendering(problem: String, line: Int)
    /// The template itself called `raise_exception`.
    case raised(message: String)
    case limit(String)

    public var description: String {
        switch self {
        case .unsupported(let construct, let line):
            "chat template, line \(line): \(construct) is not supported. Rewrite the template with for, if, set, comparisons, + and trim."
        case .syntax(let problem, let line): "chat template, line \(line): \(problem). Compare the template with the one of the model card."
        case .rendering(let problem, let line): "chat template, line \(line): \(problem). Check that the messages have what the template reads."
        case .raised(let message): "the chat template refused the messages: \(message)"
        case .limit(let limit): "the chat template went over the limit of \(limit). Use a shorter conversation or another template."
        }
    }
}
