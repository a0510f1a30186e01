import ModelFiles

/// How a model's conversations are written as text: a Jinja template, interpreted within limits.
///
/// The language is that of transformers' chat templates: Jinja2 with `trim_blocks` and `lstrip_blocks`, `break` and `continue`, the tag `generation`,
/// `raise_exception`, `strftime_now` and a `tojson` that does not escape HTML, in the sandbox where nothing that a template is given can be changed.
/// Templates come with downloaded models: their size, nesting, steps and output are limited.
public struct ChatTemplate: Sendable {
    public static let maximumSourceBytes = 1 << 18
    /// What one rendering may use up: one step for each operation, each item made and each 64 bytes of text, more where every character is looked at.
    public static let maximumSteps = 5_000_000
    public static let maximumOutputBytes = 1 << 24
    /// Tags and brackets inside each other.
    static let maximumDepth = 64
    static let maximumExpressionHeight = 64
    /// Statements, expressions and macro calls inside each other while rendering. With the depths above it keeps within a stack of 512 KiB, optimized or not.
    static let maximumCallDepth = 120
    static let maximumMacros = 100_000
    /// Lists and dictionaries inside each other.
    static let maximumValueDepth = 128

    public let source: String
    /// Whether the template itself says, with `{% generation %}`, what assistants write.
    public let marksGeneration: Bool
    let body: [TemplateNode]

    /// - Throws: `ChatTemplateError`, naming what is wrong and its line.
    public init(_ source: String) throws {
        guard source.utf8.count <= ChatTemplate.maximumSourceBytes else {
            throw ChatTemplateError.limit("\(ChatTemplate.maximumSourceBytes) bytes of template", line: 1)
        }
        self.source = source
        var parser = TemplateParser(try TemplateLexer.tokens(of: source))
        body = try parser.template()
        marksGeneration = parser.hasGeneration
    }

    /// The conversation as text, for messages of nothing but a role and a text.
    ///
    /// With `addGenerationPrompt` it ends where the assistant's next message starts. `bosToken` and `eosToken` are what
    /// `bos_token` and `eos_token` stand for in the template; nil leaves them undefined.
    /// - Throws: `ChatTemplateError`.
    public func render(
        messages: [(role: String, content: String)], addGenerationPrompt: Bool, bosToken: String? = nil, eosToken: String? = nil
    ) throws -> String {
        var conversation = Conversation(messages: messages.map { ["role": .string($0.role), "content": .string($0.content)] })
        conversation.addGenerationPrompt = addGenerationPrompt
        if let bosToken { conversation.variables["bos_token"] = .string(bosToken) }
        if let eosToken { conversation.variables["eos_token"] = .string(eosToken) }
        return try render(conversation).text
    }
}
