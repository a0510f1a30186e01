import Architectures
import Evaluation
import ModelFiles
import Tokenization
import Training

/// How a file of answers is read.
public struct AnswerReading: Sendable, Codable, Equatable {
    /// The name of the format; nil: what the fields of the first line say.
    public var format: String?
    /// The field of whole texts.
    public var textField = "text"
    /// Whether prompts are trained too.
    public var trainsPrompts = false
    /// Whether only the last turn of an assistant is trained.
    public var lastTurnOnly = false
    /// Tokens of one example.
    public var limit: Int

    public init(limit: Int) { self.limit = limit }
}

/// Examples made from a file of answers, and what of its lines is not trained as it stands.
public struct AnswerData: Sendable {
    public let format: String
    public private(set) var examples: [Example] = []
    /// Lines whose prompt lost its beginning to the limit, and those whose text or answer lost its end.
    public private(set) var cutPrompts = 0, cutAnswers = 0
    /// Lines in which no token of an answer lies within the limit: they give no example.
    public private(set) var lost: [Int] = []
    /// Lines in which an assistant's turn does not end with a token that ends a turn: a model trained on them may not learn to stop.
    public private(set) var unfinished = 0
    /// Lines in which one token holds the end of the prompt and the beginning of the answer, often because the prompt ends with a space.
    public private(set) var merged = 0

    /// - Parameters:
    ///   - path: of the JSON Lines file.
    ///   - model: whose tokens they are.
    ///   - options: how it is read.
    /// - Throws: `FileError` that names the line: of no known format, with something else than its format says, or without anything to train.
    public init(_ path: String, _ model: Model, _ options: AnswerReading) throws {
        let c = model.transformer.configuration, hasEncoder = c.encoderLayers != nil, room = try model.room(options.limit), soft = model.transformer.softPromptTokens.count
        guard c.isCausal, c.purpose == .languageModel else {
            throw FileError(file: model.source ?? "the model", problem: "is of type '\(c.modelType)' and of a class that does not write text", advice: "Train it with another --objective.")
        }
        let known = AnswerFormat.all(textField: options.textField), lines = try JSONL.objects(path: path)
        let formats = "The formats are " + known.map { "\($0.name) (\($0.fields.joined(separator: ", ")))" }.joined(separator: "; ") + "."
        func refuse(_ line: Int, _ problem: String, _ advice: String = formats) -> FileError { FileError(file: path, problem: "line \(line) \(problem)", advice: advice) }
        func found(_ object: JSONObject) -> String { object.isEmpty ? "no fields" : "the fields \(object.keys.joined(separator: ", "))" }
        if let name = options.format, !known.contains(where: { $0.name == name }) {
            throw FileError(file: path, problem: "is to be read as '\(name)', which is no format", advice: "The formats are \(known.map(\.name).joined(separator: ", ")).")
        }
        guard let first = lines.first, let format = known.first(where: { $0.name == options.format ?? $0.name && (options.format != nil || $0.fits(first.object)) }) else {
            throw refuse(lines.first?.line ?? 1, "has \(found(lines.first?.object ?? JSONObject())), which no format has")
        }
        self.format = format.name
        for (line, object) in lines {
            guard format.fits(object) else { throw refuse(line, "has \(found(object)), but the file is read as \(format.name), which needs \(format.fields.joined(separator: " and "))") }
            do {
                var content = try format.read(object)
                if case .answer(let messages, let plain, let answer) = content {
                    content = model.conversations.hasTemplate && !hasEncoder
                        ? .conversation(messages + [JSON.object(JSONObject([("role", "assistant"), ("content", .string(answer))]))], lastTurns: nil) : .continuation(prompt: plain, completion: answer)
                }
                switch content {
                case .answer: preconditionFailure("an answer is a conversation or a continuation")
                case .text, .conversation:
                    guard !hasEncoder else { throw refuse(line, "has no prompt and completion, which a model with an encoder is trained on") }
                    try addWhole(content, object, model, options, line: line, first: max(1, soft), room: soft + room, refuse)
                case .continuation(let prompt, let completion):
                    guard !(hasEncoder && options.trainsPrompts) else { throw refuse(line, "has a prompt, which the encoder reads and nothing writes", "Leave out --train-prompts.") }
                    let (whole, isPrefix) = try Self.continuation(completion, of: prompt, model), (example, cutsPrompt, cutsAnswer) = whole.cut(to: options.limit)
                    (merged, cutPrompts, cutAnswers) = (merged + (isPrefix ? 0 : 1), cutPrompts + (cutsPrompt ? 1 : 0), cutAnswers + (cutsAnswer ? 1 : 0))
                    examples.append(options.trainsPrompts ? Example(text: example.promptTokens + example.completionTokens) : example)
                }
            } catch let error as AnswerFormat.Misfit {
                throw refuse(line, "\(error.problem) (it has \(found(object)) and is read as \(format.name))")
            } catch let error as ChatTemplateError {
                throw refuse(line, "cannot be written as a conversation: \(error)", "Check the roles of the messages and their order.")
            }
        }
    }

    /// What loses its end where it is too long.
    private mutating func addWhole(
        _ content: AnswerFormat.Content, _ line: JSONObject, _ model: Model, _ options: AnswerReading, line number: Int, first: Int, room: Int, _ refuse: (Int, String, String) -> FileError
    ) throws {
        let tokens: [Int32], trained: [Bool]
        if case .conversation(let messages, let lastTurns) = content {
            let conversation = try model.masked(messages, tools: line["tools"]?.array, lastTurns: options.lastTurnOnly ? 1 : lastTurns)
            if !conversation.unfinished.isEmpty { unfinished += 1 }
            guard conversation.trained.contains(true) else { throw refuse(number, "has no assistant's message to train", "Give every conversation an answer.") }
            (tokens, trained) = (conversation.tokens, options.trainsPrompts ? conversation.tokens.map { _ in true } : conversation.trained)
            // Without its answer a conversation teaches nothing that was asked for, even if prompts are trained.
            guard conversation.trained[first...].prefix(max(0, room - first)).contains(true) else { return lost.append(number) }
        } else if case .text(let text) = content {
            tokens = try model.encode(text)
            trained = tokens.map { _ in true }
            guard tokens.count > first else { throw refuse(number, "has fewer than two tokens", "Leave out texts of one token.") }
        } else {
            preconditionFailure("a continuation has a prompt of its own")
        }
        if tokens.count > room { cutAnswers += 1 }
        let end = min(room, tokens.count)
        examples.append(Example(promptTokens: Array(tokens[..<first]), completionTokens: Array(tokens[first..<end]), trained: Array(trained[first..<end])))
    }

    /// A completion after its prompt, with the token that ends texts. Where neither has white space between them, a space is put there.
    static func continuation(_ completion: String, of prompt: String, _ model: Model) throws -> (example: Example, isPrefix: Bool) {
        let isApart = prompt.last?.isWhitespace ?? true || completion.first?.isWhitespace ?? true
        var (example, isPrefix) = try Classifier.joined(model, prompt: prompt, word: completion, separator: isApart ? "" : " ")
        example = Example(promptTokens: example.promptTokens, completionTokens: example.completionTokens + model.endTokens)
        return (example, isPrefix)
    }
}

extension Example {
    /// What is too long loses the beginning of its prompt, and then the end of its answer.
    func cut(to limit: Int) -> (example: Example, cutsPrompt: Bool, cutsAnswer: Bool) {
        let soft = promptTokens.prefix { $0 < 0 }, own = promptTokens.dropFirst(soft.count)
        let answer = completionTokens.prefix(max(1, limit - 1 - soft.count)), prompt = own.suffix(max(1, limit - answer.count - soft.count))
        return (Example(promptTokens: Array(soft + prompt), completionTokens: Array(answer)), prompt.count < own.count, answer.count < completionTokens.count)
    }
}
