import Foundation

/// HumanEval or MBPP as a task: Python functions, judged by tests in a sandbox.
///
/// A problem with a prefix is a function to be completed; another is a sentence with the assertions that will judge, in the words of Austin et al. 2021,
/// arXiv:2108.07732. No prompt holds a problem's own reference, and there are no hints: the only one would be that reference.
public struct CodeTask: Environment {
    /// For all tests of one completion. The slowest reference takes a quarter of it on a machine of 2025.
    public static let timeLimit = Duration.seconds(10)

    public let name: String
    public let maxTokens: Int
    public let stops: [String]
    public let verifier: any Verifier
    private let form: QuestionAnswer.Form
    private let system: String?
    private let examples: [Problem]
    private let parts: [Split: [Problem]]
    private let removed: Int

    /// - Parameters:
    ///   - file: the settings of a task file of the kind `humaneval` or `mbpp`.
    ///   - problems: of each part.
    ///   - examples: shown with their references before each problem.
    ///   - stops: what ends a completion in text form.
    /// - Throws: `TaskError` for values of another type.
    init(_ file: TaskFile, problems: [Split: [Problem]], examples: [Problem] = [], stops: [String]) throws {
        name = file.name
        form = try file.choice("form", QuestionAnswer.Form.self) ?? .text
        system = try file.string("system")
        maxTokens = try file.count("max-tokens") ?? 512
        verifier = CodeVerifier(timeLimit: try file.duration("time-limit") ?? Self.timeLimit)
        self.stops = form == .text ? stops : []
        self.examples = examples
        var parts = problems
        _ = parts.separate()
        let shown = Set(examples.map(\.splitKey))
        parts[.train]?.removeAll { shown.contains($0.splitKey) }
        removed = problems.values.reduce(0) { $0 + $1.count } - parts.values.reduce(0) { $0 + $1.count }
        var generator = SeededGenerator(seed: try file.seed("seed") ?? 0, label: "code")
        parts[.train] = try Array(generator.shuffled(parts[.train] ?? []).prefix(file.count("train-count") ?? .max))
        parts[.dev] = try parts[.dev]?.thinned(to: file.count("dev-count"))
        parts[.test] = try parts[.test]?.thinned(to: file.count("test-count"))
        self.parts = parts
    }

    public var omission: String? { removed > 0 ? "\(removed) left out that nearly repeat a held-out problem or an example" : nil }

    public func problems(in split: Split) -> [Problem] { parts[split] ?? [] }

    /// - Throws: `TaskError.noHint` when hinted.
    public func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt {
        guard mode == .plain else {
            throw TaskError.noHint(task: name, problem: problem.id, reason: "it could only be the reference solution. Use a recipe without rationalisation.")
        }
        switch form {
        case .text: return .text((examples.map { ask($0) + reference($0) + "\n[DONE]" } + [ask(problem)]).joined(separator: "\n\n"))
        case .chat:
            let shown = examples.flatMap { [Message(role: "user", content: ask($0)), Message(role: "assistant", content: "```python\n\(reference($0))\n```")] }
            return .messages((system.map { [Message(role: "system", content: $0)] } ?? []) + shown + [Message(role: "user", content: ask(problem))])
        }
    }

    private func ask(_ problem: Problem) -> String {
        if let prefix = problem.details["prefix"] {
            return form == .text ? prefix : "Complete this Python function. Answer with the whole function in one code block.\n\n```python\n\(prefix)```"
        }
        let task = "You are an expert Python programmer, and here is your task: \(problem.question) Your code should pass these tests:\n\n\(problem.details["assertions"] ?? "")\n"
        return task + (form == .text ? "[BEGIN]\n" : "\nAnswer with the code in one code block.")
    }

    private func reference(_ problem: Problem) -> String { (problem.details["reference"] ?? "").trimmingCharacters(in: .newlines) }
}

extension TaskKind {
    private static let codeKeys = ["data-dir", "form", "system", "max-tokens", "time-limit", "test-count"]

    /// `type: humaneval`
    static let humaneval = TaskKind(name: "humaneval", summary: "Python functions to complete (Chen et al. 2021, arXiv:2107.03374)", keys: codeKeys) { file in
        let folder = try file.dataFolder(with: [.humaneval], for: "humaneval")
        return try CodeTask(file, problems: [.test: CodeProblems.humaneval(folder.appendingPathComponent(DataFile.humaneval.name))], stops: CodeVerifier.stops)
    }

    /// `type: mbpp`
    static let mbpp = TaskKind(
        name: "mbpp", summary: "Python functions from a sentence and three assertions (Austin et al. 2021, arXiv:2108.07732)",
        keys: codeKeys + ["few-shot", "seed", "train-count", "dev-count"]
    ) { file in
        let data = try CodeProblems.mbpp(file.dataFolder(with: [.mbpp], for: "mbpp").appendingPathComponent(DataFile.mbpp.name))
        let wanted = try file.count("few-shot") ?? 3
        guard wanted <= data.fewShot.count else {
            throw TaskError.badValue(file: file.source, line: file["few-shot"]?.line, key: "few-shot", value: "\(wanted)", reason: "There are \(data.fewShot.count) problems meant for prompts; ask for no more.")
        }
        // The authors show the second, third and fourth of the ten.
        let examples = (data.fewShot.dropFirst() + data.fewShot.prefix(1)).prefix(wanted)
        return try CodeTask(file, problems: data.splits, examples: Array(examples), stops: ["[DONE]"])
    }
}
