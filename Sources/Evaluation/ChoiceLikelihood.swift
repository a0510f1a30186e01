import Architectures
import ModelFiles
import Sampling
import Tasks
import Training

/// Multiple choice by the likelihood of each option.
///
/// A question and an option are cut into tokens as one text; tokens that the question has alone are its own, the rest is scored, so a token that
/// reaches over the border counts as the option's. What prompts have in common (worked examples, the question itself) is computed once for all options and
/// all questions of a pass.
public final class ChoiceLikelihood {
    private let model: Model
    private let microBatchTokens: Int
    /// Per option, after "Answer:" alone.
    private var unconditional: [String: Double] = [:]
    /// Tokens computed so far, and how many one pass for each option would have taken.
    public private(set) var computedTokens = 0, separateTokens = 0

    /// - Parameters:
    ///   - model: generative.
    ///   - microBatchTokens: computed in one pass.
    /// - Throws: `SamplingError.notGenerative`.
    public init(_ model: Model, microBatchTokens: Int = 4096) throws {
        let c = model.transformer.configuration
        guard c.isCausal, c.purpose == .languageModel else { throw SamplingError.notGenerative(modelType: c.modelType) }
        (self.model, self.microBatchTokens) = (model, microBatchTokens)
    }

    /// - Parameter questions: each with options that stand apart from the prompt by one space; where the prompt ends in white space, by that. Either counts with the option.
    /// - Returns: a score for each option of each question.
    /// - Throws: `FileError` for a question that is longer than the model's context, `SamplingError.notFinite`, and what encoding throws.
    public func scores(_ questions: [(prompt: Prompt, options: [String])]) throws -> [[ChoiceScore]] {
        let unseen = Set(questions.flatMap(\.options)).subtracting(unconditional.keys).sorted()
        let examples = try questions.flatMap { question in try question.options.map { try example(question.prompt, $0) } } + unseen.map { try example(.text("Answer:"), $0) }
        let parts = ExampleBatch.cut(examples, tokens: microBatchTokens, sharingPrefixes: true, for: model.transformer.configuration)
        computedTokens += parts.reduce(0) { $0 + ExampleBatch(Array($1), for: model.transformer.configuration).batch.count }
        separateTokens += examples.reduce(0) { $0 + $1.tokenCount - 1 }
        let likelihoods = model.transformer.score(examples, microBatchTokens: microBatchTokens).map { $0.reduce(0) { $0 + Double($1.logProbability) } }
        guard likelihoods.allSatisfy(\.isFinite) else { throw SamplingError.notFinite }
        for (text, value) in zip(unseen, likelihoods.suffix(unseen.count)) { unconditional[text] = value }
        var next = 0
        return questions.map { question in
            question.options.map { text in
                defer { next += 1 }
                return ChoiceScore(text: text, logLikelihood: likelihoods[next], unconditional: unconditional[text]!, tokens: examples[next].completionTokens.count)
            }
        }
    }

    private func example(_ prompt: Prompt, _ option: String) throws -> Example {
        let context = try model.text(of: prompt)
        // White space at the end belongs to the option: tokenizers write spaces together with the word behind. Line ends too, as in lm-evaluation-harness.
        let own = String(context.reversed().drop(while: \.isWhitespace).reversed()), border = own == context ? " " : String(context.dropFirst(own.count))
        var isText = false
        if case .text = prompt { isText = true }
        let limit = model.transformer.configuration.maxPositionEmbeddings
        let example = try Classifier.joined(model, prompt: own, word: option, separator: border, addSpecialTokens: isText).example
        guard example.tokenCount <= limit else {
            throw FileError(
                file: model.source ?? "the model", problem: "has a context of \(limit) tokens, but a question with its option has \(example.tokenCount): '…\(own.suffix(60))'",
                advice: "Show fewer worked examples, or choose a model with a longer context.")
        }
        return example
    }
}
