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

    /// Pairs of answers to {"prompt", "chosen", "rejected"}, the chosen one first.
    /// - Parameters:
    ///   - path: of the JSON Lines file.
    ///   - model: whose tokens they are.
    ///   - limit: tokens of one example.
    ///   - isChat: whether prompts go through the model's chat template as a user's message.
    /// - Throws: `FileError` that names the line, `JSONError`.
    public static func preferences(_ path: String, _ model: Model, limit: Int, isChat: Bool) throws -> [Example] {
        try checkWriting(model)
        return try JudgedAnswers.read(path, [.pair]).flatMap { line in
            try line.answers.map { text in
                try line.named(in: path) { try answer(text, to: isChat ? .messages([Message(role: "user", content: line.prompt)]) : .text(line.prompt), model).cut(to: limit).example }
            }
        }
    }

    /// Answers are learnt by models that go on with their prompts.
    static func checkWriting(_ model: Model) throws {
        let c = model.transformer.configuration
        guard c.isCausal, c.purpose == .languageModel, c.encoderLayers == nil else {
            throw FileError(file: model.source ?? "the model", problem: "is of type '\(c.modelType)' and of a class that does not go on with a text", advice: "Choose a generative language model.")
        }
    }

    /// An answer after its prompt, with the token that ends it.
    static func answer(_ text: String, to prompt: Prompt, _ model: Model) throws -> Example {
        switch prompt {
        case .text(let prompt): try AnswerData.continuation(text, of: prompt, model).example
        case .messages: Example(promptTokens: try model.encode(prompt), completionTokens: model.tokenizer.encode(text) + model.endTokens)
        }
    }

    /// What a reward model reads of each answer, those of one comparison next to each other, the best first.
    /// - Throws: `FileError` that names the line, for what the vocabulary has no token for.
    public static func comparisons(_ all: [RankedAnswers], _ model: RewardModel) throws -> [Example] {
        try all.enumerated().flatMap { index, ranked in
            try zip(ranked.answers, ranked.scores).enumerated().map { place, judged in
                var example: Example
                do { example = try model.example(prompt: ranked.prompt, answer: judged.0) } catch let error as FileError {
                    throw FileError(file: error.file, problem: "\(error.problem), in line \(ranked.line) ('\(ranked.prompt.prefix(40))')", advice: error.advice)
                }
                example.standing = .init(comparison: index, score: judged.1, margin: ranked.margin)
                example.rollouts = [RolloutKey(iteration: 0, phase: "line", index: index, sample: place)]
                return example
            }
        }
    }
}
