import Architectures
import Foundation
import ModelFiles
import Tasks
import Tensors
import Tokenization
import Training

/// A model whose head gives one number: how good an answer to a prompt is.
///
/// A generative model reads both as one text, and its head the token that ends the text; a masked model reads them as two texts, and its head what it reads of a sequence.
/// Only differences of rewards to one prompt mean something: the better of two answers is the first with probability σ(r₁ - r₂). The mean over reference answers is 0.
/// Source: Ouyang et al. 2022, arXiv:2203.02155, section 3.5.
public final class RewardModel {
    /// How a model was trained to be asked for rewards.
    public struct Form: AskingForm {
        /// Whether prompts go through the model's chat template as a user's message.
        public var isChat: Bool
        /// Tokens of a prompt with its answer; longer ones are cut.
        public var maxTokens: Int
        /// What ends a text for a generative model: not the padding where there is another token, because libraries take the last one that is no padding for the end.
        public var endToken: Int32?
        /// Is subtracted, where the head has no bias that it could be taken from.
        public var mean = 0.0

        public init(isChat: Bool, maxTokens: Int) { (self.isChat, self.maxTokens) = (isChat, maxTokens) }

        public static let file = "reward.json"
        public static let contents = "isChat, maxTokens, mean"
        public static let advice = "Train the model again with 'autodidact reward'."
    }

    /// What opens a language model with a new head of one number.
    public static func task(key: RandomKey) -> Model.Task { Model.Task(.sequenceClassification, labels: ["reward"], key: key) }

    public let model: Model
    public private(set) var form: Form
    /// Tokens computed in one pass.
    public var batchTokens = 2048

    /// - Parameters:
    ///   - model: with a head of one number.
    ///   - form: how it is asked; where nil with its chat template if it has one, and as much as it can read.
    /// - Throws: `FileError` for a model with another head, or without a token that ends a text.
    public init(_ model: Model, form: Form? = nil) throws {
        let c = model.transformer.configuration, file = model.source ?? "the model", tokenizer = model.tokenizer
        guard c.purpose == .sequenceClassification, c.labelCount == 1 else {
            throw FileError(file: file, problem: "has no head of one number", advice: "Train one with 'autodidact reward'.")
        }
        self.model = model
        self.form = form ?? Form(isChat: c.isCausal && tokenizer.chatTemplate != nil, maxTokens: .max)
        let ends = [tokenizer.eosToken].compactMap { $0 } + model.stopTokens
        if c.isCausal, self.form.endToken == nil { self.form.endToken = ends.first { $0 != c.padTokenID && $0 != tokenizer.paddingToken } ?? ends.first }
        guard !c.isCausal || self.form.endToken != nil else { throw FileError(file: file, problem: "has no token that ends a text, which the head would read", advice: "Check tokenizer_config.json.") }
        self.form.maxTokens = min(self.form.maxTokens, c.maxPositionEmbeddings)
        guard !self.form.isChat || c.isCausal else { throw FileError(file: file, problem: "reads prompts and answers without a chat template", advice: "Leave out --chat.") }
        _ = try model.room(self.form.maxTokens)
    }

    /// Opens what `autodidact reward` has written, or another model with a head of one number.
    /// - Parameters:
    ///   - path: of the model.
    ///   - adapter: a PEFT folder over it.
    ///   - backend: holds the weights and computes.
    public convenience init(path: String, adapter: String? = nil, on backend: any Backend) throws {
        let model = try Model(path: path, as: adapter.flatMap { try Model.task(ofAdapter: $0) }, on: backend)
        try self.init(try adapter.map { try model.with(adapter: $0) } ?? model, form: Form.read(from: adapter ?? path))
    }

    /// What the model reads. A text that is too long loses the beginning of its prompt, and then the end of its answer.
    /// - Throws: `FileError` for what the vocabulary has no token for.
    public func example(prompt: String, answer: String) throws -> Example {
        let (tokens, segments) = try form.endToken.map { (try text(prompt, answer, end: $0), nil) } ?? pair(prompt, answer)
        return Example(tokens: tokens, segments: segments, labels: .init(targets: [0]))
    }

    private func text(_ prompt: String, _ answer: String, end: Int32) throws -> [Int32] {
        let parts: (prompt: [Int32], answer: [Int32])
        if form.isChat {
            parts = (try model.encode([("user", prompt)]), try model.encode(answer, addSpecialTokens: false).filter { $0 >= 0 })
        } else {
            let both = try Classifier.joined(model, prompt: prompt, word: String(answer.drop(while: \.isWhitespace)), separator: " ").example
            parts = (both.promptTokens, both.completionTokens)
        }
        let soft = parts.prompt.prefix { $0 < 0 }, answer = parts.answer.prefix(max(0, form.maxTokens - 1 - soft.count)) + [end]
        return soft + parts.prompt.dropFirst(soft.count).suffix(form.maxTokens - soft.count - answer.count) + answer
    }

    private func pair(_ prompt: String, _ answer: String) throws -> (tokens: [Int32], segments: [Int32]?) {
        let whole = try model.encode(prompt, pair: answer, limit: .max), excess = whole.tokens.count - form.maxTokens
        guard excess > 0 else { return whole }
        let soft = model.transformer.softPromptTokens.count, places = model.encodeWithOffsets(prompt, pair: answer, limit: .max).0.sequenceIDs
        let first = places.indices.filter { places[$0] == 0 }, second = places.indices.filter { places[$0] == 1 }
        let dropped = Set((first.prefix(excess) + second.suffix(max(0, excess - first.count))).map { $0 + soft })
        let kept = whole.tokens.indices.filter { !dropped.contains($0) }
        return (kept.map { whole.tokens[$0] }, whole.segments.map { segments in kept.map { segments[$0] } })
    }

    /// - Parameter examples: as `example` makes them.
    /// - Returns: the reward of each; the same bits alone and in any batch.
    public func rewards(_ examples: [Example]) -> [Double] { model.transformer.score(examples, microBatchTokens: batchTokens).map { Double($0[0].value) - form.mean } }

    /// Moves all rewards so that their mean over reference answers is 0, by the bias of the head where it has one.
    public func centre(on references: [Example]) {
        let mean = rewards(references).reduce(0, +) / Double(max(1, references.count)), parameters = model.transformer.parameters
        guard let bias = model.transformer.headModules.last.flatMap({ parameters["\($0).bias"] }) else { return form.mean += mean }
        [parameters.read(bias)[0] - Float(mean)].withUnsafeBufferPointer { parameters.write($0, to: bias) }
    }
}
