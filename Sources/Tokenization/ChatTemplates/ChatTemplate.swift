/// How a model's conversations are written as text: a Jinja template, of which a small subset is interpreted.
///
/// The subset is what ChatML-like templates need: `for`, `if`, `set`, comments, indexing, comparison, `and`/`or`/`not`, `in`, `+`, `-`, `~`,
/// `a if b else c`, the filters `trim`, `length`, `upper`, `lower`, the tests `defined`, `undefined`, `none`, `string`, and `raise_exception`.
/// Anything else is refused, most of it when the template is made and the rest when it is rendered. As in transformers, `trim_blocks` and `lstrip_blocks` are on.
/// Templates come with downloaded models: their size, steps and output are limited.
public struct ChatTemplate: Sendable {
    public static let maximumSourceBytes = 1 << 18
    public static let maximumSteps = 1_000_000
    static let maximumOutputBytes = 1 << 24
    static let maximumDepth = 64
    static let maximumExpressionHeight = 256

    public let source: String
    private let body: [TemplateNode]

    /// - Throws: `ChatTemplateError`, naming the construct and its line.
    public init(_ source: String) throws {
        guard source.utf8.count <= ChatTemplate.maximumSourceBytes else {
            throw ChatTemplateError.limit("\(ChatTemplate.maximumSourceBytes) bytes of template")
        }
        self.source = source
        var parser = TemplateParser(try TemplateLexer.tokens(of: source))
        body = try parser.template()
    }

    /// The conversation as text.
    ///
    /// With `addGenerationPrompt` it ends where the assistant's next message starts. `bosToken` and `eosToken` are what
    /// `bos_token` and `eos_token` stand for in the template; nil leaves them undefined.
    /// - Throws: `ChatTemplateError`.
    public func render(
        messages: [(role: String, content: String)], addGenerationPrompt: Bool, bosToken: String? = nil, eosToken: String? = nil
    ) throws -> String {
        var variables: [String: TemplateValue] = [
            "messages": .list(messages.map { .record([("role", .string($0.role)), ("content", .string($0.content))]) }),
            "add_generation_prompt": .bool(addGenerationPrompt), "tools": .none, "documents": .none,
        ]
        if let bosToken { variables["bos_token"] = .string(bosToken) }
        if let eosToken { variables["eos_token"] = .string(eosToken) }
        var interpreter = TemplateInterpreter(variables: variables)
        try interpreter.run(body)
        return String(decoding: interpreter.output, as: UTF8.self)
    }
}
