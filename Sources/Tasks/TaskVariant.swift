/// A task that is another one but for what it says itself.
public protocol TaskVariant: Environment {
    var base: any Environment { get }
}

extension TaskVariant {
    public var name: String { base.name }
    public var stops: [String] { base.stops }
    public var maxTokens: Int { base.maxTokens }
    public var verifier: any Verifier { base.verifier }
    public var omission: String? { base.omission }
    public func problems(in split: Split) throws -> [Problem] { try base.problems(in: split) }
    public func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt { try base.reset(problem, mode: mode) }
    public func step(_ problem: Problem, after completions: [String]) throws -> Prompt? { try base.step(problem, after: completions) }
    public func goldCompletion(_ problem: Problem) throws -> String? { try base.goldCompletion(problem) }
}

extension Environment {
    /// The task below all variants.
    public var original: any Environment { (self as? any TaskVariant)?.base.original ?? self }
}
