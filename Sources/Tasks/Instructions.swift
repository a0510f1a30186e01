import Foundation

/// Real instructions, each with a demand on the answer's form that a program can check.
///
/// Instructions are split by their own text, whatever input comes with them. Half of the test problems make their demands
/// with words and phrases seen in training, the other half with others (`details["words"]` is "seen" or "unseen"); the
/// second half only has demands that name words. Dev and test are the same for every seed.
/// Source of the idea: Zhou et al. 2023, arXiv:2311.07911 (verifiable instructions).
public struct Instructions: Environment {
    public let name: String
    public let stops: [String] = []
    public let maxTokens: Int
    /// Records not used: blank, too long, or the text of an earlier one.
    public let skipped: Int
    private let system: String?
    private let prompt: PromptTemplate
    private let train, dev, test: [Problem]
    /// The data's own answers, which know nothing of the demands, by problem.
    private let outputs: [String: String]

    /// - Parameters:
    ///   - data: JSON Lines with `instruction` (or `prompt`) and, if there are any, `input`, `id` and `output`, the data's own answer; other fields are not read.
    ///   - seed: which demand each training instruction gets, and their order.
    ///   - trainCount: `nil`: all.
    ///   - devCount: fewer where the data has fewer.
    ///   - testCount: over both halves; fewer where the data has fewer.
    ///   - longest: instructions with more characters, input included, are left out.
    ///   - maxTokens: the most that an answer may take.
    ///   - prompt: the user's message, with `{question}` and `{demand}`; `nil`: the two with a blank line between them.
    ///   - system: the system's message before it.
    ///   - splitting: the shares of dev and test, and which instructions stay together.
    ///   - name: of the task, in records and errors; it also begins the ids of records without one.
    /// - Throws: `TaskError` for an unreadable file, a record without an instruction, or a split that comes out empty.
    public init(
        data: URL, seed: UInt64 = 0, trainCount: Int? = nil, devCount: Int = 200, testCount: Int = 400, longest: Int = 400,
        maxTokens: Int = 256, prompt: String? = nil, system: String? = nil, splitting: Splitting = Splitting(), name: String = "instructions"
    ) throws {
        let template = prompt ?? "{question}\n\n{demand}"
        self.prompt = try PromptTemplate(template, allowed: [.question, .demand], file: name, key: "prompt")
        guard self.prompt.has(.question), self.prompt.has(.demand) else {
            throw TaskError.badValue(file: name, line: nil, key: "prompt", value: template, reason: "Put '{question}' and '{demand}' where they belong.")
        }
        self.system = system
        self.name = name
        self.maxTokens = maxTokens
        var seen: Set<String> = []
        var ids: Set<String> = []
        var skipped = 0
        var parts: [Split: [Item]] = [:], outputs: [String: String] = [:]
        for record in try TaskRecord.read(data) {
            let field = record.fields["instruction"] == nil && record.fields["prompt"] != nil ? "prompt" : "instruction"
            let instruction = try record.requiredText(field).trimmingCharacters(in: .whitespacesAndNewlines)
            let input = (try record.text("input") ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
            let question = input.isEmpty ? instruction : instruction + "\n\n" + input
            guard !instruction.isEmpty, question.count <= longest, seen.insert(question).inserted else {
                skipped += 1
                continue
            }
            let hash = StableHash.mix(StableHash.fnv1a(question))
            let id = try record.text("id") ?? "\(name)-\(StableHash.hex(hash))"
            guard ids.insert(id).inserted else {
                throw TaskError.badRecord(file: record.file, line: record.line, reason: "the id '\(id)' stands twice. Give every record its own id.")
            }
            outputs[id] = try record.text("output")
            let key = splitting.key(of: instruction)
            parts[splitting.split(ofKey: key), default: []].append(Item(id: id, question: question, key: key, hash: hash))
        }
        self.skipped = skipped
        self.outputs = outputs

        var order = SeededGenerator(seed: seed, label: "instructions order")
        let trained = order.shuffled(parts[.train] ?? []).prefix(trainCount ?? .max)
        train = try trained.map { try $0.problem(seed: seed, isSeen: true) }
        // By hash, so that a smaller count takes a part of the larger one's problems.
        dev = try Self.ordered(parts[.dev] ?? []).prefix(devCount).map { try $0.problem(seed: 0, isSeen: true) }
        let heldOut = Self.ordered(parts[.test] ?? [])
        let seenWords = heldOut.filter { $0.hash & 1 == 0 }.prefix(testCount - testCount / 2)
        let unseenWords = heldOut.filter { $0.hash & 1 == 1 }.prefix(testCount / 2)
        test = try seenWords.map { try $0.problem(seed: 0, isSeen: true) } + unseenWords.map { try $0.problem(seed: 0, isSeen: false) }

        for (split, problems, wanted) in [
            (Split.train, train, trainCount ?? 1), (.dev, dev, splitting.dev > 0 ? devCount : 0), (.test, test, splitting.test > 0 ? testCount : 0),
        ] where problems.isEmpty && wanted > 0 {
            throw TaskError.emptySplit(
                task: name, split: split,
                reason: "\(data.lastPathComponent) has too few different instructions for the shares asked for. Add data or change 'splits'.")
        }
    }

    public func problems(in split: Split) -> [Problem] {
        switch split {
        case .train: train
        case .dev: dev
        case .test: test
        }
    }

    /// The instruction and the demand as one message of the user, after the system's if there is one. Hinted, an exchange in
    /// which the same is demanded and done comes first.
    public func reset(_ problem: Problem, mode: PromptMode) throws -> Prompt {
        guard let demand = problem.details["instruction"], let encoded = problem.details["constraint"] else {
            throw TaskError.badProblem(id: problem.id, reason: "its details have no 'instruction' and 'constraint'. Use problems that this task made.")
        }
        func ask(_ question: String, _ demand: String) -> Message { Message(role: "user", content: prompt.filled(question: question, demand: demand)) }
        var messages = system.map { [Message(role: "system", content: $0)] } ?? []
        if mode == .hinted {
            // In the control, what is checked is not what is asked for; the hint shows what is checked.
            messages += [ask(Constraint.demonstratedQuestion, demand), Message(role: "assistant", content: try Constraint(encoded: encoded).demonstration)]
        }
        return .messages(messages + [ask(problem.question, demand)])
    }

    public func goldCompletion(_ problem: Problem) throws -> String? { outputs[problem.id] }

    public var verifier: any Verifier { ConstraintVerifier() }
    public var omission: String? { skipped > 0 ? "\(skipped) left out that are blank, too long or stand twice" : nil }

    private struct Item {
        var id, question, key: String
        var hash: UInt64

        func problem(seed: UInt64, isSeen: Bool) throws -> Problem {
            var generator = SeededGenerator(seed: seed, label: isSeen ? "constraint" : "unseen constraint", index: hash)
            let constraint = (isSeen ? ConstraintPool.seen : .unseen).constraint(withWords: !isSeen, using: &generator)
            return Problem(
                id: id, question: question, category: constraint.kind.rawValue,
                details: [
                    "constraint": try constraint.encoded(),
                    "instruction": constraint.instruction(phrasing: generator.below(Constraint.phrasings)),
                    "kinds": constraint.parts.map(\.kind.rawValue).joined(separator: "+"),
                    "words": isSeen ? "seen" : "unseen",
                    "splitKey": key,
                ])
        }
    }

    private static func ordered(_ items: [Item]) -> [Item] { items.sorted { ($0.hash, $0.id) < ($1.hash, $1.id) } }
}

extension TaskKind {
    /// `type: instructions`
    static let instructions = TaskKind(
        name: "instructions", summary: "instructions with checkable demands on form, from a JSON Lines file",
        keys: ["data", "seed", "train-count", "dev-count", "test-count", "longest", "max-tokens", "prompt", "system", "splits"]
    ) { file in
        try Instructions(
            data: file.required("data", file.path("data"), "Give the JSON Lines file with the instructions."),
            seed: file.seed("seed") ?? 0, trainCount: file.count("train-count"), devCount: file.count("dev-count") ?? 200,
            testCount: file.count("test-count") ?? 400, longest: file.count("longest") ?? 400,
            maxTokens: file.count("max-tokens") ?? 256, prompt: file.string("prompt"), system: file.string("system"), splitting: file.splitting("splits") ?? Splitting(), name: file.name)
    }
}
