import Architectures
import Foundation
import ModelFiles
import Sampling
import Tasks
import Tensors
import Training

/// A model that says of a question's candidate rationales and of its labels together how likely they are, and answers by all candidates.
public final class RationaleModel {
    public enum Method: String, Codable, Sendable, CaseIterable {
        /// One head of classes reads the question and a candidate as two texts. Its softmax is p(y|x,r), and over the candidates the softmax of its log-sum-exp is p(r|x), as
        /// `RationaleObjective` trains them. A class reads it as any other sequence classifier.
        case head
        /// A generative model writes the candidate and then the label after the question: sums over the natural log-probabilities of their tokens and of the one that ends the answer.
        /// Candidates are not made to sum to 1: the model could write others.
        case likelihood
    }

    /// How a model was trained to be asked for rationales.
    public struct Form: AskingForm {
        /// Names of the classes; of a generative model also what it writes.
        public var labels: [String]
        public var method: Method
        /// Tokens of a question with a candidate. Of what is longer a head reads less of the longer text, and a generative model less of the question's beginning.
        public var maxTokens: Int

        public init(labels: [String], method: Method, maxTokens: Int) { (self.labels, self.method, self.maxTokens) = (labels, method, maxTokens) }

        public static let file = "rationales.json"
        public static let contents = "labels, method, maxTokens"
        public static let advice = "Train the model again with 'autodidact rationales'."
    }

    public let model: Model
    public private(set) var form: Form
    /// Tokens computed in one pass.
    public var batchTokens = 2048

    /// - Parameters:
    ///   - model: with a head of the classes, or generative.
    ///   - form: how it is asked.
    /// - Throws: `FileError` for fewer than two classes, or a model that is not of the form's kind.
    public init(_ model: Model, form: Form) throws {
        let c = model.transformer.configuration
        func refuse(_ problem: String, _ advice: String) -> FileError { FileError(file: model.source ?? "the model", problem: problem, advice: advice) }
        guard form.labels.count > 1, Set(form.labels).count == form.labels.count else {
            throw refuse("is to tell the classes '\(form.labels.joined(separator: ", "))' apart, which are not two or more, each once", "Write questions of several labels, or name the classes with --labels.")
        }
        switch form.method {
        case .head:
            guard c.purpose == .sequenceClassification, c.labels == form.labels else { throw refuse("has no head of the classes \(form.labels.joined(separator: ", "))", "Train one with 'autodidact rationales'.") }
        case .likelihood:
            guard c.isCausal, c.purpose == .languageModel else { throw refuse("does not write text", "Use --method head.") }
        }
        (self.model, self.form) = (model, form)
        self.form.maxTokens = min(form.maxTokens, c.maxPositionEmbeddings)
        _ = try model.room(self.form.maxTokens)
    }

    /// Opens a model that has not learnt from rationales yet.
    /// - Parameters:
    ///   - path: of a model folder or a GGUF file.
    ///   - labels: names of the classes.
    ///   - method: the likelihood of a generative model, and a head of any other, where nil.
    ///   - maxTokens: of a question with a candidate.
    ///   - key: of a new head's random values.
    ///   - backend: holds the weights and computes.
    public convenience init(path: String, labels: [String], method: Method? = nil, maxTokens: Int, key: RandomKey, on backend: any Backend) throws {
        let plain = try Model(path: path, on: backend), method = method ?? (plain.transformer.configuration.isCausal ? .likelihood : .head)
        let model = method == .head ? try Model(path: path, as: Model.Task(.sequenceClassification, labels: labels, key: key), on: backend) : plain
        try self.init(model, form: Form(labels: labels, method: method, maxTokens: maxTokens))
    }

    /// Opens what `save` has written.
    /// - Parameters:
    ///   - path: of the folder.
    ///   - backend: holds the weights and computes.
    public convenience init(path: String, on backend: any Backend) throws {
        guard let form = try Form.read(from: path) else {
            throw FileError(file: path, problem: "has no \(Form.file), which says how it is asked", advice: "Choose a folder that 'autodidact rationales' has written, or train one with --input and --output.")
        }
        try self.init(Model(path: path, on: backend), form: form)
    }

    /// Writes a model folder, with how it is asked.
    public func save(to folder: String) throws {
        try model.save(to: folder)
        try form.write(to: folder)
    }

    /// Another model with the same values, which can be trained.
    public func copy() throws -> RationaleModel { try RationaleModel(model.with(model.transformer.copy(expanding: true)), form: form) }

    /// What is minimised over `examples`.
    public var objective: any Objective { form.method == .head ? RationaleObjective() : NegativeLogLikelihood() }

    /// What trains the model on a question.
    /// - Parameters:
    ///   - question: with its candidates.
    ///   - number: of the question, another one for each of a batch.
    ///   - label: the class.
    ///   - weights: one for each candidate.
    /// - Returns: of a head an example of each candidate, all of them one comparison; else of each candidate that has a weight.
    /// - Throws: `FileError` for what the vocabulary has no token for, or a candidate that alone is too long to be written.
    public func examples(_ question: RationaleQuestion, number: Int, label: Int, weights: [Double]) throws -> [Example] {
        precondition(weights.count == question.rationales.count, "\(weights.count) weights for \(question.rationales.count) candidates")
        return try zip(question.rationales, weights).compactMap { rationale, weight in
            switch form.method {
            case .head:
                let input = try pair(question, rationale)
                var example = Example(tokens: input.tokens, segments: input.segments, labels: .init(targets: [Int32(label)]))
                example.standing = .init(comparison: number, score: weight)
                return example
            case .likelihood:
                guard weight > 0 else { return nil }
                var example = try text(question, rationale, form.labels[label])
                example.weight = Float(weight)
                return example
            }
        }
    }

    /// The law of each question's candidates and labels. Labels that questions have are not looked at.
    /// - Throws: what `examples` throws, and `SamplingError.notFinite`.
    public func laws(_ questions: [RationaleQuestion]) throws -> [RationaleLaw] {
        let joints = try form.method == .head ? headJoints(questions) : questions.map(likelihoodJoint)
        guard joints.allSatisfy({ $0.allSatisfy { $0.allSatisfy(\.isFinite) } }) else { throw SamplingError.notFinite }
        return joints.map { RationaleLaw(joint: $0) }
    }

    private func headJoints(_ questions: [RationaleQuestion]) throws -> [[[Double]]] {
        let inputs = try questions.flatMap { question in try question.rationales.map { try pair(question, $0) } }, width = form.labels.count
        var logits = batches(inputs.map(\.tokens.count), of: batchTokens).flatMap { range -> [[Double]] in
            let batch = RaggedBatch(inputs[range].map(\.tokens)), pass = Pass(segments: Array(inputs[range]))
            let values = model.transformer.labelLogits(model.transformer.hiddenStates(batch, pass), batch)!.read()
            return (0..<range.count).map { row in (0..<width).map { Double(values[row * width + $0]) } }
        }[...]
        return questions.map { question in
            let own = logits.prefix(question.rationales.count), normalizer = SoftmaxRow(own.flatMap { $0 }).logSumExp
            logits = logits.dropFirst(own.count)
            return own.map { $0.map { $0 - normalizer } }
        }
    }

    private func likelihoodJoint(_ question: RationaleQuestion) throws -> [[Double]] {
        let examples = try question.rationales.flatMap { rationale in try form.labels.map { try text(question, rationale, $0) } }, width = form.labels.count
        let sums = model.transformer.score(examples, microBatchTokens: batchTokens).map { $0.reduce(0) { $0 + Double($1.logProbability) } }
        return question.rationales.indices.map { Array(sums[$0 * width..<($0 + 1) * width]) }
    }

    private func pair(_ question: RationaleQuestion, _ rationale: String) throws -> (tokens: [Int32], segments: [Int32]?) {
        try model.encode(question.text, pair: rationale.isEmpty ? nil : rationale, limit: form.maxTokens)
    }

    /// Whether a question with a candidate fills the tokens that are read.
    public func isCut(_ question: RationaleQuestion, _ rationale: String) throws -> Bool {
        let count = switch form.method {
        case .head: try pair(question, rationale).tokens.count
        case .likelihood: try form.labels.map { try text(question, rationale, $0).tokenCount }.max() ?? 0
        }
        return count >= form.maxTokens
    }

    /// The question as the prompt; a candidate, a label and what ends an answer as the completion.
    private func text(_ question: RationaleQuestion, _ rationale: String, _ label: String) throws -> Example {
        let example = try Classifier.joined(model, prompt: "\(question.text)\nReason:", word: "\(rationale)\nAnswer: \(label)", separator: " ").example
        let completion = example.completionTokens + model.endTokens, room = form.maxTokens - completion.count
        guard room > 0 else {
            throw FileError(
                file: model.source ?? "the model", problem: "has room for \(form.maxTokens) tokens, but line \(question.line) has a rationale that takes \(completion.count) with its label: '\(rationale.prefix(60))'",
                advice: "Allow more with --max-tokens, or shorten it.")
        }
        return Example(promptTokens: Array(example.promptTokens.suffix(room)), completionTokens: completion)
    }
}
