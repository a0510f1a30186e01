/// One thing to solve: what is asked, and what is known about the right answer.
public struct Problem: Codable, Sendable, Equatable {
    /// Stable within its task, whatever the order in which problems are listed.
    public var id: String
    /// The question as the task states it, before any prompt is built around it.
    public var question: String
    /// The gold answer; `nil` where the verifier needs none.
    public var answer: String?
    /// What a report groups by: the number of digits, the kind of constraint.
    public var category: String
    /// What the task's verifier needs besides the answer (a constraint's numbers and words, say).
    public var details: [String: String]

    public init(id: String, question: String, answer: String? = nil, category: String = "", details: [String: String] = [:]) {
        self.id = id
        self.question = question
        self.answer = answer
        self.category = category
        self.details = details
    }
}

/// The three parts of a data set. No problem, and no near-duplicate of one, is in two of them.
public enum Split: String, Codable, Sendable, CaseIterable {
    case train, dev, test
}

/// One turn of a conversation.
public struct Message: Codable, Sendable, Equatable {
    public var role: String
    public var content: String

    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }
}

/// What is put to the model.
public enum Prompt: Codable, Sendable, Equatable {
    /// Plain text to be continued.
    case text(String)
    /// A conversation, rendered by the model's chat template with the generation prompt.
    case messages([Message])
}

/// Whether the prompt gives the answer away (STaR's rationalisation).
public enum PromptMode: String, Codable, Sendable {
    case plain, hinted
}

/// Where problems come from and how they are put to a model.
///
/// A task of one prompt and one completion is the special case whose `step` is always done.
public protocol Environment: Sendable {
    var name: String { get }
    /// Strings that end a completion; the completion's text is cut before them.
    var stops: [String] { get }
    /// The most tokens that an answer may take.
    var maxTokens: Int { get }
    func problems(in split: Split) throws -> [Problem]
    /// The first observation.
    func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt
    /// The next observation after the completions so far; `nil` when the episode is over.
    func step(_ problem: Problem, after completions: [String]) throws -> Prompt?
    var verifier: any Verifier { get }
    /// What the data gives as the completion of a problem's plain prompt; nil where it gives none.
    func goldCompletion(_ problem: Problem) throws -> String?
    /// Which records of the data are no problems, and why, in words; nil: none.
    var omission: String? { get }
}

extension Environment {
    public func step(_ problem: Problem, after completions: [String]) throws -> Prompt? { nil }
    public func goldCompletion(_ problem: Problem) throws -> String? { nil }
    public var omission: String? { nil }
}
