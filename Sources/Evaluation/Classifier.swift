import Architectures
import Foundation
import ModelFiles
import Sampling
import Tensors
import Training

/// One call for every kind of model: a score for each class of a text.
///
/// A masked model says how likely each class's word is in place of its mask, a generative one how likely it is to go on with it, and a model with a
/// trained head what the head says. Source of the first: Schick and Schütze 2021, arXiv:2001.07676.
public final class Classifier {
    public enum Method: String, Codable, Sendable, CaseIterable {
        /// A trained head of classes.
        case head
        /// A word for each class in place of the mask.
        case mask
        /// The likelihood of each class's words after the text.
        case likelihood
    }
    /// How a model was trained to be asked for classes.
    public struct Form: AskingForm {
        public var labels: [String]
        public var words: [String]
        public var template: String
        public var method: Method

        public static let file = "classifier.json"
        public static let contents = "labels, words, template, method"
        public static let advice = "Remove it, and give --labels and --template."
    }

    public let model: Model
    public let labels: [String]
    public let method: Method
    public var form: Form { Form(labels: labels, words: words, template: template, method: method) }
    private let template: String
    /// Where words fill masks.
    private let filler: MaskFiller?
    private let words: [String]
    /// Scores are relative to those of texts that say nothing. Source: Zhao et al. 2021, arXiv:2102.09690.
    private let isCalibrated: Bool
    /// Tokens computed in one pass.
    public var batchTokens = 2048
    /// A head of classes reads no more tokens of a text; what is longer is cut.
    public var maxTokens = Int.max

    /// Where a template puts the text, the second text, and the mask.
    public static let slots = (text: "{text}", pair: "{pair}", mask: "{mask}")

    /// - Parameters:
    ///   - model: of any kind.
    ///   - labels: names of the classes; those of the model's head where nil.
    ///   - words: what stands for each class; its name where nil.
    ///   - template: with `{text}`; for a masked model also with `{mask}`; for a generative one what stands before the class's words.
    ///   - method: what the model is best at where nil.
    ///   - isCalibrated: whether scores are relative to those of texts that say nothing, where words stand for classes.
    /// - Throws: `FileError` for what does not fit the model.
    public init(_ model: Model, labels: [String]? = nil, words: [String]? = nil, template: String? = nil, method: Method? = nil, isCalibrated: Bool = false) throws {
        self.model = model
        self.isCalibrated = isCalibrated
        filler = try? MaskFiller(model)
        let c = model.transformer.configuration, source = model.source ?? "the model"
        let isHead = c.purpose == .sequenceClassification
        self.method = method ?? (isHead ? .head : c.isCausal ? .likelihood : .mask)
        func refuse(_ problem: String, _ advice: String) -> FileError { FileError(file: source, problem: problem, advice: advice) }
        let names = labels ?? (isHead ? c.labels : [])
        guard names.count > 1, Set(names).count == names.count else { throw refuse("needs two or more classes, each once", "Name them: --labels negative,positive.") }
        self.labels = names
        self.words = words ?? names
        guard self.words.count == names.count else { throw refuse("has \(self.words.count) words for \(names.count) classes", "Give one word for each class, in their order.") }
        guard self.method == .head || Set(self.words).count == names.count else { throw refuse("has one word for two classes: \(self.words.joined(separator: ", "))", "Give each class a word of its own with --words.") }
        switch self.method {
        case .head:
            guard !isCalibrated else { throw refuse("has a trained head, which is not calibrated", "Leave out --calibrate.") }
            guard isHead else { throw refuse("has no head of classes", "Train one with 'autodidact sft --objective classification', or leave out --method.") }
            guard names.count == c.labelCount else { throw refuse("has \(c.labelCount!) classes, but \(names.count) were named", "Leave out --labels.") }
            let isNamed = !c.labels.allSatisfy { $0.hasPrefix("LABEL_") }
            guard !isNamed || names == c.labels else {
                throw refuse("was trained for the classes \(c.labels.joined(separator: ", ")), in this order", "Leave out --labels.")
            }
            self.template = template ?? Self.slots.text
        case .mask:
            guard !c.isCausal, c.hasVocabularyHead else {
                throw refuse("has no head that fills masks", "Choose a masked language model, or train a head with 'autodidact sft --objective classification'.")
            }
            guard model.maskToken != nil else { throw refuse("has no mask token in its tokenizer", "Check tokenizer_config.json.") }
            self.template = template ?? "\(Self.slots.text) It was \(Self.slots.mask)."
            guard self.template.contains(Self.slots.mask) else { throw refuse("got a template without {mask}", "Write where the class's word stands: \"{text} It was {mask}.\"") }
        case .likelihood:
            guard c.isCausal, c.purpose == .languageModel else { throw refuse("does not write text", "Use --method mask or head.") }
            self.template = template ?? "\(Self.slots.text)\nLabel:"
        }
        guard self.method == .mask || !self.template.contains(Self.slots.mask) else { throw refuse("fills no mask by \(self.method.rawValue)", "Leave {mask} out of the template.") }
        guard self.template.contains(Self.slots.text) else { throw refuse("got a template without {text}", "Write where the text stands: \"Review: {text}\\nSentiment:\"") }
    }

    /// Natural log-probabilities of the classes, for each text.
    public func classify(_ texts: [(text: String, pair: String?)]) throws -> [[Double]] {
        let rows = try scores(texts).map(logProbabilities)
        guard isCalibrated else { return rows }
        // The mean law of texts without content.
        let contents = ["N/A", ""].map { (text: $0, pair: template.contains(Self.slots.pair) ? $0 : nil) }
        let empty = try scores(contents.filter { try !model.encode(filled($0)).isEmpty }).map(logProbabilities)
        let usual = labels.indices.map { label in fixedLog(empty.reduce(0) { $0 + fixedExp($1[label]) } / Double(empty.count)) }
        return try rows.map { row in try logProbabilities(zip(row, usual).map { $0 - $1 }) }
    }

    private func scores(_ texts: [(text: String, pair: String?)]) throws -> [[Double]] {
        switch method {
        case .head: try headScores(texts)
        case .mask: try maskScores(texts)
        case .likelihood: try likelihoodScores(texts)
        }
    }

    /// Whether a text is longer than the model reads, so that a part of it is left out.
    /// - Throws: `FileError` for a text that does not fit the template.
    public func exceeds(_ text: (text: String, pair: String?)) throws -> Bool {
        let context = model.transformer.configuration.maxPositionEmbeddings, isPair = template == Self.slots.text && method == .head
        let first = isPair ? text.text : try filled(text), second = isPair ? text.pair : nil
        // A token is at least a byte.
        guard first.utf8.count + (second?.utf8.count ?? 0) > context / 2 else { return false }
        let answer = method == .likelihood ? words.map { model.tokenizer.encode(" \($0)").count }.max() ?? 0 : 0
        return model.transformer.softPromptTokens.count + model.encodeWithOffsets(first, pair: second, limit: .max).0.ids.count + answer > context
    }

    private func filled(_ text: (text: String, pair: String?)) throws -> String {
        func refuse(_ problem: String, _ advice: String) -> FileError { FileError(file: "the template", problem: problem, advice: advice) }
        if method == .mask, let filler, filler.holdsMask(text.text + " " + (text.pair ?? "")) {
            throw FileError(file: "the text", problem: "holds a mask itself: '\(text.text.prefix(60))'", advice: "Leave it out: the class's word stands at the template's mask.")
        }
        if text.pair == nil, template.contains(Self.slots.pair) { throw refuse("has {pair}, but there is no second text", "Name its field with --pair-field.") }
        if text.pair != nil, !template.contains(Self.slots.pair), template != Self.slots.text { throw refuse("(\(template.debugDescription)) has no {pair} for the second text", "Write a template that says where it stands.") }
        // What a text holds is no slot.
        return template.components(separatedBy: Self.slots.text).map { $0.replacing(Self.slots.pair, with: text.pair ?? "") }.joined(separator: text.text)
    }

    /// A text that says nothing.
    private var neutral: String { template.replacing(Self.slots.text, with: "N/A").replacing(Self.slots.pair, with: "N/A") }

    private func headScores(_ texts: [(text: String, pair: String?)]) throws -> [[Double]] {
        let limit = min(maxTokens, model.transformer.configuration.maxPositionEmbeddings)
        let inputs = try texts.map { try model.encode(template == Self.slots.text ? $0.text : try filled($0), pair: template == Self.slots.text ? $0.pair : nil, limit: limit) }
        return batches(inputs.map(\.tokens.count), of: batchTokens).flatMap { range -> [[Double]] in
            let batch = RaggedBatch(inputs[range].map(\.tokens))
            let pass = Pass(segments: Array(inputs[range]))
            let logits = model.transformer.labelLogits(model.transformer.hiddenStates(batch, pass), batch)!.read()
            return (0..<range.count).map { row in labels.indices.map { Double(logits[row * labels.count + $0]) } }
        }
    }

    private func maskScores(_ texts: [(text: String, pair: String?)]) throws -> [[Double]] {
        let filler = filler!, tokens = try words.map { try filler.tokens($0) }
        func batched(_ texts: [String], _ score: ([String]) throws -> [[Double]]) rethrows -> [[Double]] {
            try batches(texts.map(\.utf8.count), of: batchTokens * 2).flatMap { try score(Array(texts[$0])) }
        }
        let filled = try texts.map { try self.filled($0) }
        if tokens.allSatisfy({ $0.count == 1 }) {
            return try batched(filled) { try filler.laws($0, cutting: true).map { masks in tokens.map { token in masks.reduce(0) { $0 + Double($1[Int(token[0])]) } } } }
        }
        func scores(_ texts: [String]) throws -> [[Double]] {
            try batched(texts) { texts in
                let columns = try tokens.map { try filler.score(texts, word: $0) }
                return texts.indices.map { row in columns.map { $0[row] } }
            }
        }
        return relative(try scores(filled), to: Set(tokens.map(\.count)).count > 1 ? try scores([neutral])[0] : nil)
    }

    /// Classes of different lengths are compared by what the text adds to each.
    private func relative(_ scores: [[Double]], to neutral: [Double]?) -> [[Double]] {
        neutral.map { neutral in scores.map { zip($0, neutral).map { $0 - $1 } } } ?? scores
    }

    private func likelihoodScores(_ texts: [(text: String, pair: String?)]) throws -> [[Double]] {
        let encoded = try texts.map { try examples(filled($0)) }
        let plain = try examples(neutral)
        return relative(encoded.map(total), to: Set(plain.map(\.completionTokens.count)).count > 1 ? total(plain) : nil)
    }

    private func total(_ examples: [Example]) -> [Double] {
        model.transformer.score(examples, microBatchTokens: batchTokens).map { $0.reduce(0) { $0 + Double($1.logProbability) } }
    }

    /// One example for each class: the prompt, and the tokens that its words add.
    private func examples(_ prompt: String) throws -> [Example] { try words.map { try Self.example(model, prompt: prompt, word: $0) } }

    /// What trains a model to say the word of a class.
    public func example(_ text: (text: String, pair: String?), class label: Int) throws -> Example {
        if method == .mask, let filler {
            let counts = try words.map { try filler.tokens($0).count }
            // The number of masks would tell the class.
            guard Set(counts).count == 1 else {
                throw FileError(file: model.source ?? "the model", problem: "writes the words \(words.joined(separator: ", ")) with \(counts.map { "\($0)" }.joined(separator: ", ")) tokens", advice: "To train, choose --words with one token each.")
            }
            return try filler.example(try filled(text), word: words[label])
        }
        return try Self.example(model, prompt: try filled(text), word: words[label])
    }

    /// A prompt and the word that answers it, cut into tokens as one text. A text too long for the model loses its beginning: the question stands at its end.
    public static func example(_ model: Model, prompt: String, word: String) throws -> Example {
        let whole = try joined(model, prompt: prompt, word: word, separator: " ").example, soft = model.transformer.softPromptTokens.count
        let dropped = model.transformer.configuration.encoderLayers == nil ? max(0, whole.tokenCount - model.transformer.configuration.maxPositionEmbeddings) : 0
        guard dropped > 0 else { return whole }
        let tokens = whole.promptTokens.prefix(soft) + (whole.promptTokens.dropFirst(soft) + whole.completionTokens).suffix(try model.room(whole.tokenCount - dropped))
        let split = max(soft + 1, whole.promptTokens.count - dropped)
        return Example(promptTokens: Array(tokens[..<split]), completionTokens: Array(tokens[split...]))
    }

    /// A prompt and what follows it, cut into tokens as one text of whatever length; a token that holds the end of the one and the beginning of the other is trained.
    /// - Parameters:
    ///   - model: whose tokens they are.
    ///   - prompt: what is read.
    ///   - word: what is written.
    ///   - separator: what stands between the two.
    ///   - addSpecialTokens: whether the text gets the tokens that the model puts around every text.
    /// - Returns: the example, and whether it begins with the prompt's own tokens, as a model that goes on with the prompt will.
    public static func joined(_ model: Model, prompt: String, word: String, separator: String, addSpecialTokens: Bool = true) throws -> (example: Example, isPrefix: Bool) {
        if model.transformer.configuration.encoderLayers != nil {
            return (Example(promptTokens: try model.encode(prompt, limit: model.transformer.configuration.maxPositionEmbeddings), completionTokens: model.tokenizer.encode(word)), true)
        }
        var start = try model.encode(prompt, addSpecialTokens: addSpecialTokens), whole = try model.encode("\(prompt)\(separator)\(word)", addSpecialTokens: addSpecialTokens)
        // What the tokenizer puts after every text does not belong to the word.
        let around = model.tokenizer.encode("a", addSpecialTokens: addSpecialTokens), plain = model.tokenizer.encode("a")
        let after = around.firstRange(of: plain).map { around.count - $0.upperBound } ?? 0
        start.removeLast(min(after, start.count))
        whole.removeLast(min(after, whole.count))
        let soft = model.transformer.softPromptTokens.count
        guard start.count > soft else {
            throw FileError(file: "the prompt", problem: "has no tokens, and the model puts none before a text", advice: "Write something that the answer goes on from.")
        }
        let common = zip(start, whole).prefix { $0 == $1 }.count, split = max(soft + 1, common)
        return (Example(promptTokens: Array(whole[..<split]), completionTokens: Array(whole[split...])), common == start.count)
    }
}
