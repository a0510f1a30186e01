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

    /// The tags of a file's words, in the order in which they first appear by name.
    public static func tags(_ path: String) throws -> [String] {
        var names: Set<String> = []
        for (line, object) in try JSONL.objects(path: path) { names.formUnion(try words(line, object, path).tags) }
        return names.sorted()
    }

    private static func words(_ line: Int, _ object: JSONObject, _ path: String) throws -> (words: [String], tags: [String]) {
        let words = object["tokens"]?.array?.compactMap(\.string), tags = object["tags"]?.array?.compactMap { $0.string ?? $0.int.map { "\($0)" } }
        guard let words, let tags, !words.isEmpty, words.count == tags.count else {
            throw FileError(file: path, problem: "line \(line) has no words with as many tags", advice: "Write {\"tokens\": [\"…\"], \"tags\": [\"…\"]} on every line.")
        }
        return (words, tags)
    }

    /// A tag for each word of {"tokens", "tags"}: trained on the word's first token.
    public static func tagging(_ path: String, labels: [String], _ model: Model, limit: Int) throws -> [Example] {
        try JSONL.objects(path: path).map { line, object in
            let (words, tags) = try words(line, object, path)
            var starts: [Int: Int] = [:], at = 0
            for (index, word) in words.enumerated() {
                starts[at] = index
                at += word.unicodeScalars.count + 1
            }
            let encoding = model.tokenizer.encodeWithOffsets(words.joined(separator: " "))
            var places: [Int32] = [], targets: [Int32] = [], seen: Set<Int> = []
            let soft = Int32(model.transformer.softPromptTokens.count), room = try model.room(limit)
            for (index, range) in encoding.offsets.enumerated().prefix(room) where !encoding.isAddedSpecial[index] && !range.isEmpty {
                // A token may begin with the space before its word.
                guard let word = starts[range.lowerBound] ?? starts[range.lowerBound + 1], seen.insert(word).inserted else { continue }
                guard let label = labels.firstIndex(of: tags[word]) else {
                    throw FileError(file: path, problem: "line \(line) has the tag '\(tags[word])', but the tags are \(labels.joined(separator: ", "))", advice: "Name all tags with --labels.")
                }
                places.append(Int32(index) + soft)
                targets.append(Int32(label))
            }
            return Example(tokens: model.transformer.softPromptTokens + encoding.ids.prefix(room), labels: .init(places: places, targets: targets))
        }
    }

    /// The first and last token of the answer to {"question", "context", "answer", "start"}, or to SQuAD's {"answers": {"text", "answer_start"}}.
    public static func spans(_ path: String, _ model: Model, limit: Int) throws -> [Example] {
        try JSONL.objects(path: path).compactMap { line, object in
            func refuse(_ problem: String) -> FileError {
                FileError(file: path, problem: "line \(line) \(problem)", advice: "Write {\"question\": …, \"context\": …, \"answer\": …, \"start\": the character of the context where it begins}.")
            }
            let text = object["answer"]?.string ?? object["answers"]?["text"]?.array?.first?.string
            let start = object["start"]?.int ?? object["answers"]?["answer_start"]?.array?.first?.int
            guard let question = object["question"]?.string, let context = object["context"]?.string, let text, let start else { throw refuse("has no question, context, answer or start") }
            let scalars = Array(context.unicodeScalars), end = start + text.unicodeScalars.count
            guard start >= 0, end <= scalars.count, scalars[start..<end].elementsEqual(text.unicodeScalars) else {
                throw refuse("says that '\(text.prefix(30))' begins at character \(start) of the context, where it does not stand")
            }
            let (encoding, segments) = model.encodeWithOffsets(question, pair: context, limit: try model.room(limit))
            let inside = encoding.offsets.indices.filter { encoding.sequenceIDs[$0] == 1 && encoding.offsets[$0].overlaps(start..<max(end, start + 1)) }
            // An answer beyond what the model reads cannot be pointed at.
            guard let first = inside.first, let last = inside.last else { return nil }
            let soft = Int32(model.transformer.softPromptTokens.count)
            return Example(
                tokens: model.transformer.softPromptTokens + encoding.ids, segments: segments.map { Array(repeating: 0, count: Int(soft)) + $0 },
                labels: .init(targets: [Int32(first) + soft, Int32(last) + soft]))
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
            if let prompt = object["prompt"]?.string, let completion = object["completion"]?.string {
                let example = try Classifier.example(model, prompt: prompt, word: completion)
                let end = (model.tokenizer.eosToken ?? model.stopTokens.first).map { [$0] } ?? []
                // The answer and the end of the prompt matter most.
                let answer = Array((example.completionTokens + end).prefix(max(1, limit - 1)))
                let soft = example.promptTokens.prefix { $0 < 0 }, room = max(1, limit - answer.count - soft.count)
                return Example(promptTokens: soft + example.promptTokens.dropFirst(soft.count).suffix(room), completionTokens: answer)
            }
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
