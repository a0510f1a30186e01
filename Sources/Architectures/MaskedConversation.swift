import ModelFiles
import Tokenization

/// A conversation as tokens, and which of them an assistant wrote.
public struct MaskedConversation: Sendable {
    public var text: String
    public var tokens: [Int32]
    /// Per token whether it is trained: the assistants' answers with the tokens that end them.
    public var trained: [Bool]
    /// Turns whose last trained token does not end a turn: a model trained on them may not learn to stop.
    public var unfinished: [Int]
}

/// Writes conversations as a model reads them: its template, its tokenizer, and the tokens that end a turn.
public struct ConversationReader: Sendable {
    public let tokenizer: Tokenizer
    public let stopTokens: [Int32]
    private let source: String

    init(tokenizer: Tokenizer, stopTokens: [Int32], source: String) {
        (self.tokenizer, self.stopTokens, self.source) = (tokenizer, stopTokens, source)
    }

    /// Of a model folder or a GGUF file, without reading its weights.
    public init(_ path: String) throws {
        let folder = try ModelFolder(path)
        let weights = try? folder.openWeights(), gguf = weights as? GGUFFile
        tokenizer = try gguf.map { try Tokenizer(gguf: $0) } ?? Tokenizer(path: folder.folder)
        let configured = (try? gguf.map { try TransformerConfiguration($0) } ?? TransformerConfiguration(folder.configFields()))?.eosTokenIDs ?? []
        stopTokens = Model.stops(configured, tokenizer, gguf == nil ? try folder.generationConfig() : nil)
        source = path
    }

    /// Whether it can write conversations at all.
    public var hasTemplate: Bool { tokenizer.chatTemplate != nil }

    private func template() throws -> ChatTemplate {
        guard let template = tokenizer.chatTemplate else {
            throw FileError(file: source, problem: "has no chat template", advice: "Use plain text prompts, or an instruction-tuned model.")
        }
        return try ChatTemplate(template)
    }

    private func conversation(_ messages: [JSON], tools: [JSON]?) -> Conversation {
        var variables = JSONObject()
        for (name, id) in [("bos_token", tokenizer.bosToken), ("eos_token", tokenizer.eosToken), ("pad_token", tokenizer.paddingToken), ("unk_token", tokenizer.unknownToken)] {
            if let piece = id.flatMap({ tokenizer.piece($0) }) { variables[name] = .string(piece) }
        }
        return Conversation(messages: messages, tools: tools, variables: variables)
    }

    /// The text up to where the assistant's next answer begins.
    /// - Throws: `FileError` for a model without a template, `ChatTemplateError`.
    public func text(_ messages: [JSON], tools: [JSON]? = nil) throws -> String {
        var conversation = conversation(messages, tools: tools)
        conversation.addGenerationPrompt = true
        return try template().render(conversation).text
    }

    /// The tokens, and which of them are trained: those that begin inside of what an assistant wrote.
    /// - Parameters:
    ///   - messages: objects with a role and a content.
    ///   - tools: that the template describes.
    ///   - lastTurns: of the assistants' turns the number that are trained, from the end; nil: all.
    /// - Throws: `FileError` for a model without a template, `ChatTemplateError`.
    public func masked(_ messages: [JSON], tools: [JSON]? = nil, lastTurns: Int? = nil) throws -> MaskedConversation {
        let rendered = try template().renderForTraining(conversation(messages, tools: tools))
        let encoding = tokenizer.encodeWithOffsets(rendered.text, addSpecialTokens: false)
        var trained = Array(repeating: false, count: encoding.ids.count), unfinished: [Int] = []
        // A span that begins where the last one ends goes on with its turn.
        var spans = rendered.trainableSpans, begun = 0
        if let lastTurns {
            spans = Array(spans.indices.reversed().prefix { place in
                defer { if place == 0 || spans[place - 1].upperBound != spans[place].lowerBound { begun += 1 } }
                return begun < lastTurns
            }.reversed().map { spans[$0] })
        }
        for (number, span) in spans.enumerated() {
            let inside = encoding.offsets.indices.filter { span.contains(encoding.offsets[$0].lowerBound) && !encoding.offsets[$0].isEmpty }
            for index in inside { trained[index] = true }
            if inside.last.map({ !stopTokens.contains(encoding.ids[$0]) }) ?? true { unfinished.append(number) }
        }
        return MaskedConversation(text: rendered.text, tokens: encoding.ids, trained: trained, unfinished: unfinished)
    }
}

extension Model {
    /// How the model reads conversations.
    public var conversations: ConversationReader { ConversationReader(tokenizer: tokenizer, stopTokens: stopTokens, source: source ?? "the model") }

    /// A conversation as the model is trained on it, after the tokens of a soft prompt where it has one.
    /// - Parameters:
    ///   - messages: objects with a role and a content.
    ///   - tools: that the template describes.
    ///   - lastTurns: of the assistants' turns the number that are trained, from the end; nil: all.
    public func masked(_ messages: [JSON], tools: [JSON]? = nil, lastTurns: Int? = nil) throws -> MaskedConversation {
        var masked = try conversations.masked(messages, tools: tools, lastTurns: lastTurns)
        let soft = transformer.softPromptTokens
        masked.tokens = soft + masked.tokens
        masked.trained = soft.map { _ in false } + masked.trained
        return masked
    }

    /// One or two texts as tokens with their places, cut to `limit` by taking from the end of the longer text, and the segments where the model
    /// tells them apart.
    public func encodeWithOffsets(_ text: String, pair: String?, limit: Int) -> (Encoding, segments: [Int32]?) {
        let whole = tokenizer.encodeWithOffsets(text, and: pair)
        var counts = [0, 1].map { sequence in whole.sequenceIDs.count { $0 == sequence } }
        for _ in 0..<max(0, whole.ids.count - limit) where counts != [0, 0] { counts[counts[1] >= counts[0] ? 1 : 0] -= 1 }
        let kept = whole.ids.indices.filter { index in
            guard let sequence = whole.sequenceIDs[index], counts.indices.contains(sequence) else { return true }
            counts[sequence] -= 1
            return counts[sequence] >= 0
        }
        let encoding = kept.count == whole.ids.count ? whole : whole.taking(kept)
        let hasSegments: Bool
        if case .twoStream = transformer.configuration.mechanism { hasSegments = true } else { hasSegments = transformer.configuration.segmentCount > 1 && pair != nil }
        return (encoding, hasSegments ? encoding.typeIDs.map { Int32($0) } : nil)
    }
}
