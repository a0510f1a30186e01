import Architectures
import Evaluation
import ModelFiles
import Tasks
import Tokenization
import Training

/// Examples for supervised training, from the lines of JSON Lines files.
public enum SupervisedData {
    /// A class for each text.
    public static func classification(_ texts: [LabelledText], classes: [Int], _ model: Model, limit: Int) throws -> [Example] {
        try zip(texts, classes).map { text, label in
            let (tokens, segments) = try model.encode(text.text, pair: text.pair, limit: limit)
            return Example(tokens: tokens, segments: segments, labels: .init(targets: [Int32(label)]))
        }
    }

    /// A tag for each word: trained on the word's first token.
    /// - Parameters:
    ///   - lines: with tags.
    ///   - labels: all tags, in their order.
    ///   - model: whose tokens they are.
    ///   - limit: tokens of one example.
    ///   - file: for errors.
    /// - Throws: `FileError` for a tag that is none of the labels, or a limit that leaves no room.
    public static func tagging(_ lines: [TaggedWords], labels: [String], _ model: Model, limit: Int, file: String) throws -> [Example] {
        try TaggedWords.named(lines, labels, file: file).map { line in
            guard let tags = line.tags else { throw FileError(file: file, problem: "line \(line.line) has no list 'tags'", advice: "Tag every line that is trained.") }
            let encoding = try TaggedTokens(line.words, model, limit: limit)
            return Example(
                tokens: encoding.tokens, segments: encoding.segments,
                labels: .init(places: encoding.places.map(\.token), targets: encoding.places.map { Int32(labels.firstIndex(of: tags[$0.word])!) }))
        }
    }

    /// The first and last token of each question's first answer. An answer beyond what the model reads cannot be pointed at, and is left out, as is a question
    /// without one.
    /// - Throws: `FileError` for a limit that leaves no room.
    public static func spans(_ questions: [SpanQuestion], _ model: Model, limit: Int) throws -> [Example] {
        let room = try model.room(limit), soft = model.transformer.softPromptTokens.count
        return questions.compactMap { question in
            guard let start = question.start, let answer = question.answers.first else { return nil }
            let end = start + answer.unicodeScalars.count, located = LocatedTokens(question.question, question.context, model, limit: room)
            let inside = located.inside.filter { $0.range.overlaps(start..<end) }
            guard let first = inside.first, let last = inside.last else { return nil }
            let isCut = located.tokens.count - soft >= room && last.token == located.inside.last!.token && last.range.upperBound < end
            return isCut ? nil : Example(tokens: located.tokens, segments: located.segments, labels: .init(targets: [Int32(first.token), Int32(last.token)]))
        }
    }

    /// An answer, with the token that ends texts. What is too long loses the beginning of its prompt, and then the end of its answer.
    private static func answer(_ answer: String, to prompt: String, _ model: Model, limit: Int) throws -> Example {
        let example = try Classifier.example(model, prompt: prompt, word: answer)
        let end = (model.tokenizer.eosToken ?? model.stopTokens.first).map { [$0] } ?? []
        return cut(example.promptTokens, example.completionTokens + end, limit: limit)
    }

    private static func cut(_ prompt: [Int32], _ answer: [Int32], limit: Int) -> Example {
        let soft = prompt.prefix { $0 < 0 }, answer = Array(answer.prefix(max(1, limit - 1 - soft.count))), room = max(1, limit - answer.count - soft.count)
        return Example(promptTokens: soft + prompt.dropFirst(soft.count).suffix(room), completionTokens: answer)
    }

    /// Pairs of answers to {"prompt", "chosen", "rejected"}, the chosen one first.
    /// - Parameters:
    ///   - path: of the JSON Lines file.
    ///   - model: whose tokens they are.
    ///   - limit: tokens of one example.
    ///   - isChat: whether prompts go through the model's chat template as a user's message.
    /// - Throws: `FileError` that names the line, `JSONError`.
    public static func preferences(_ path: String, _ model: Model, limit: Int, isChat: Bool) throws -> [Example] {
        let c = model.transformer.configuration
        guard c.isCausal, c.purpose == .languageModel, c.encoderLayers == nil else {
            throw FileError(file: model.source ?? "the model", problem: "is of type '\(c.modelType)' and of a class that does not go on with a text", advice: "Choose a generative language model.")
        }
        return try JSONL.objects(path: path).flatMap { line, object -> [Example] in
            func refuse(_ problem: String) -> FileError {
                FileError(file: path, problem: "line \(line) \(problem)", advice: "Write {\"prompt\": …, \"chosen\": …, \"rejected\": …}, all of them texts.")
            }
            let fields = try ["prompt", "chosen", "rejected"].map { name in
                guard let text = object[name]?.string else { throw refuse("has no text '\(name)'") }
                return text
            }
            guard fields[1] != fields[2] else { throw refuse("has the same text as 'chosen' and 'rejected'") }
            return try fields[1...].map { text in
                guard isChat else { return try answer(text, to: fields[0], model, limit: limit) }
                return cut(try model.encode([("user", fields[0])]), model.tokenizer.encode(text) + model.stopTokens.prefix(1), limit: limit)
            }
        }
    }

    /// Answers: of {"prompt", "completion"} the completion and the end of the text, of {"messages"} what assistants say, of {"text"} everything.
    /// - Parameters:
    ///   - path: of the JSON Lines file.
    ///   - textField: the field of whole texts.
    ///   - model: whose tokens they are.
    ///   - limit: tokens of one example.
    ///   - onUnfinished: lines in which an assistant's turn does not end with a token that ends a turn: a model trained on them may not learn to stop.
    ///   - onDropped: lines in which nothing is left to train within the limit.
    public static func answers(
        _ path: String, textField: String, _ model: Model, limit: Int, onUnfinished: (_ line: Int) -> Void, onDropped: (_ line: Int) -> Void
    ) throws -> [Example] {
        let c = model.transformer.configuration
        guard c.isCausal, c.purpose == .languageModel else {
            throw FileError(file: model.source ?? "the model", problem: "is of type '\(c.modelType)' and of a class that does not write text", advice: "Train it with another --objective.")
        }
        return try JSONL.objects(path: path).compactMap { line, object in
            func refuse(_ problem: String) -> FileError {
                FileError(file: path, problem: "line \(line) \(problem)", advice: "Write {\"prompt\": …, \"completion\": …}, {\"messages\": [{\"role\", \"content\"}, …]} or {\"text\": …}.")
            }
            if let prompt = object["prompt"]?.string, let completion = object["completion"]?.string { return try answer(completion, to: prompt, model, limit: limit) }
            if c.encoderLayers != nil { throw refuse("has no 'prompt' and 'completion', which a model with an encoder is trained on") }
            if let messages = object["messages"]?.array {
                let conversation: MaskedConversation
                do { conversation = try model.masked(messages, tools: object["tools"]?.array) } catch let error as ChatTemplateError { throw refuse("cannot be written as a conversation: \(error)") }
                if !conversation.unfinished.isEmpty { onUnfinished(line) }
                guard conversation.trained.contains(true) else { throw refuse("has no assistant's message to train") }
                let tokens = Array(conversation.tokens.prefix(limit)), first = max(1, model.transformer.softPromptTokens.count)
                _ = try model.room(limit)
                guard conversation.trained[first..<tokens.count].contains(true) else {
                    onDropped(line)
                    return nil
                }
                return Example(promptTokens: Array(tokens[..<first]), completionTokens: Array(tokens[first...]), trained: Array(conversation.trained[first..<tokens.count]))
            }
            guard let text = object[textField]?.string else { throw refuse("has neither 'prompt' and 'completion' nor 'messages' nor '\(textField)'") }
            let tokens = try model.encode(text, limit: limit)
            guard tokens.count(where: { $0 >= 0 }) > 1 else { throw refuse("has fewer than two tokens") }
            return Example(text: tokens)
        }
    }
}
