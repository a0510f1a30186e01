import Foundation
import ModelFiles

/// What a chat template is given.
public struct Conversation: Sendable {
    /// Objects with `role` and mostly `content`, a text or a list of parts; also `tool_calls`, `reasoning_content` and what else a template reads.
    public var messages: [JSON]
    public var tools: [JSON]?
    public var documents: [JSON]?
    /// Further variables: special tokens such as `bos_token`, switches such as `enable_thinking`.
    public var variables: JSONObject
    /// Whether the text ends where the assistant's next message starts.
    public var addGenerationPrompt = false
    /// Whether the text ends within the last message, so that a model goes on with it.
    public var continueFinalMessage = false
    /// What `strftime_now` writes.
    public var now = Date()
    public var timeZone = TimeZone.current

    public init(messages: [JSON], tools: [JSON]? = nil, documents: [JSON]? = nil, variables: JSONObject = JSONObject()) {
        (self.messages, self.tools, self.documents, self.variables) = (messages, tools, documents, variables)
    }
}

/// A conversation as text.
public struct RenderedConversation: Sendable, Equatable {
    public var text: String
    /// What stands inside of `{% generation %}`, the parts that assistants wrote: ranges of Unicode scalars of `text`.
    public var assistantSpans: [Range<Int>]

    /// The text of a range of Unicode scalars.
    public func text(of span: Range<Int>) -> String { TemplateText(text).slice(span).string }
}

extension ChatTemplate {
    /// The conversation as text.
    ///
    /// Reasoning under `reasoning_content`, `thinking` or `reasoning` is given to the template under the first two names.
    /// - Throws: `ChatTemplateError`.
    public func render(_ conversation: Conversation) throws -> RenderedConversation {
        guard conversation.continueFinalMessage else { return try renderWhole(conversation) }
        let (marked, final) = try ChatTemplate.marked(conversation)
        guard source.contains("content") else { throw ChatTemplateError.continuation(problem: "the template writes no contents") }
        return try ChatTemplate.cut(renderWhole(marked), final: final)
    }

    private func renderWhole(_ conversation: Conversation) throws -> RenderedConversation {
        let interpreter: TemplateInterpreter
        do {
            let budget = TemplateBudget()
            var variables: [String: TemplateValue] = [
                "messages": try TemplateValue(.array(conversation.messages.map { ChatTemplate.withReasoning($0) }), budget),
                "tools": try TemplateValue(conversation.tools.map { .array($0) } ?? .null, budget),
                "documents": try TemplateValue(conversation.documents.map { .array($0) } ?? .null, budget),
                "add_generation_prompt": .bool(conversation.addGenerationPrompt),
            ]
            for (name, value) in conversation.variables.members { variables[name] = try TemplateValue(value, budget) }
            interpreter = TemplateInterpreter(variables: variables, clock: TemplateClock(date: conversation.now, timeZone: conversation.timeZone))
        } catch TemplateProblem.limit(let limit) {
            throw ChatTemplateError.limit("\(limit) in the messages and variables", line: 1)
        }
        let text = try interpreter.render(body)
        return RenderedConversation(text: text, assistantSpans: interpreter.assistantSpans)
    }

    private static let reasoningNames = ["reasoning_content", "thinking", "reasoning"]

    /// The message with its reasoning under the names that templates read.
    private static func withReasoning(_ message: JSON) -> JSON {
        guard let object = message.object, let reasoning = reasoningNames.lazy.compactMap({ object[$0] }).first(where: { !$0.isNull }) else { return message }
        var result = object
        if object["thinking"] == nil { result = JSONObject([(key: "thinking", value: reasoning)] + object.members) }
        result["reasoning_content"] = reasoning
        return .object(result)
    }

    // MARK: Going on with a message

    /// Stands behind the last message's text while rendering. Its space tells whether the template trims.
    private static let continuationMark = "CONTINUE_FINAL_MESSAGE_TAG "

    private static func marked(_ conversation: Conversation) throws -> (Conversation, final: String) {
        guard var message = conversation.messages.last?.object else { throw ChatTemplateError.continuation(problem: "there is no message") }
        var conversation = conversation
        let final: String
        switch message["content"] {
        case .string(let text)?:
            final = text
            message["content"] = .string(text + continuationMark)
        case .array(var parts)?:
            guard let place = parts.lastIndex(where: { $0["text"]?.string != nil }), var part = parts[place].object, let text = part["text"]?.string else {
                throw ChatTemplateError.continuation(problem: "it has no part with a text")
            }
            final = text
            part["text"] = .string(text + continuationMark)
            parts[place] = .object(part)
            message["content"] = .array(parts)
        default: throw ChatTemplateError.continuation(problem: "it has no content")
        }
        conversation.messages[conversation.messages.count - 1] = .object(message)
        return (conversation, final)
    }

    private static func cut(_ rendered: RenderedConversation, final: String) throws -> RenderedConversation {
        let text = TemplateText(rendered.text)
        let mark = TemplateText(continuationMark)
        guard text.contains(TemplateText(final).stripped()), let place = text.placesFromEnd(of: mark.stripped(), limit: 1).first else {
            throw ChatTemplateError.continuation(problem: "the template does not write it as it is")
        }
        var kept = TemplateText(utf8: text.utf8[..<place])
        if !text.utf8[place...].starts(with: mark.utf8) { kept = kept.stripped(at: .end) }
        let end = kept.count
        let spans = rendered.assistantSpans.filter { $0.lowerBound < end }.map { $0.clamped(to: 0..<end) }
        return RenderedConversation(text: kept.string, assistantSpans: spans)
    }
}
