import Evaluation
import Foundation
import Sampling
import Tasks
import Tensors
import Testing

/// A task whose every setting can be changed.
struct TinyTask: Tasks.Environment {
    var name = "tiny"
    var stops = ["\n"]
    var maxTokens = 8
    var template = "Q: %\nA:"
    var form = QuestionAnswer.Form.text
    var questions = ["1 + 1": "2", "2 + 3": "5", "4 + 4": "8"]
    var judge: any Verifier = AnswerVerifier()

    var verifier: any Verifier { judge }
    func problems(in split: Split) -> [Problem] {
        split == .train ? [] : questions.sorted { $0.key < $1.key }.map { Problem(id: $0.key, question: $0.key, answer: $0.value, details: ["reference": $0.value]) }
    }
    func reset(_ problem: Problem, mode: PromptMode) -> Prompt {
        let text = template.replacing("%", with: problem.question)
        return form == .text ? .text(text) : .messages([Message(role: "user", content: text)])
    }
}

@Suite("What decides a score")
struct EvaluationRecipeTests {
    private func hash(_ task: TinyTask = TinyTask(), split: Split = .test, limit: Int? = nil, template: String? = "T", precision: Precision? = .float32, _ change: (inout EvaluationPlan) -> Void = { _ in })
        throws -> String
    {
        var plan = try EvaluationPlan(task, split: split, limit: limit)
        change(&plan)
        return try EvaluationRecipe(plan, chatTemplate: template, precision: precision).hash
    }

    private func task(_ change: (inout TinyTask) -> Void) -> TinyTask {
        var task = TinyTask()
        change(&task)
        return task
    }

    @Test("the hash changes with everything that decides a score")
    func deciding() throws {
        let hot = SamplingOptions(temperature: 0.7)
        let hashes = try [
            hash(), hash(task { $0.name = "other" }), hash(task { $0.stops = [] }), hash(task { $0.maxTokens = 9 }), hash(task { $0.template = "%\nA:" }), hash(task { $0.questions["2 + 3"] = "6" }),
            hash(task { $0.judge = AnswerVerifier(comparison: .text) }), hash(task { $0.judge = AnswerVerifier(extraction: AnswerExtraction([.lastNumber])) }), hash(task { $0.judge = AcceptAll() }),
            hash(task { $0.form = .chat }), hash(task { $0.form = .chat }, template: "U"), hash(split: .dev), hash(limit: 2), hash(precision: .int8),
            hash { $0.method = .reference }, hash { $0.sampling = hot }, hash { ($0.sampling, $0.samples) = (hot, 4) }, hash { $0.sampling = SamplingOptions(temperature: 0.8) },
            hash { $0.sampling = SamplingOptions(temperature: 0.7, topK: 5) }, hash { $0.sampling = SamplingOptions(temperature: 0.7, topP: 0.9) },
            hash { $0.sampling = SamplingOptions(temperature: 0.7, minP: 0.1) }, hash { $0.sampling = SamplingOptions(temperature: 0.7, typicalP: 0.9) },
        ]
        for (place, hash) in hashes.enumerated() { #expect(hashes.firstIndex(of: hash) == place, "\(place) has the hash of another") }
        #expect(hashes.allSatisfy { $0.count == 64 })
    }

    @Test("and with nothing else: neither seed nor what the method does not use")
    func notDeciding() throws {
        #expect(try hash { $0.seed = 7 } == hash())
        #expect(try hash(template: "U") == hash(), "the prompts are no conversations")
        #expect(try hash { $0.form = .text } == hash())
        #expect(try hash(limit: 3) == hash())
        let labels = task { ($0.judge, $0.questions) = (LabelVerifier(["yes", "no"]), ["is it?": "yes"]) }
        func likelihood(_ task: TinyTask, _ change: (inout EvaluationPlan) -> Void = { _ in }) throws -> String {
            try hash(task) {
                $0.method = .likelihood
                change(&$0)
            }
        }
        var other = labels
        (other.maxTokens, other.stops) = (99, ["."])
        #expect(try likelihood(other) { $0.sampling.temperature = 1 } == likelihood(labels))
        other.judge = LabelVerifier(["yes", "no", "maybe"])
        #expect(try likelihood(other) != likelihood(labels))
    }

    @Test("the hash follows the data, not the place where it lies")
    func data() throws {
        func hash(_ content: String, options: [String: String] = [:]) throws -> String {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("evaluation-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            for name in ["train.jsonl", "test.jsonl"] {
                try (name == "test.jsonl" ? content : #"{"question": "How much is two and two?", "answer": "4"}"# + "\n" + #"{"question": "What does one and nine make?", "answer": "10"}"#)
                    .write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
            }
            let settings = ["train": "train.jsonl", "test": "test.jsonl", "splits": "{dev: 0, test: 0}"].merging(options) { $1 }
            return try EvaluationRecipe(EvaluationPlan(TaskRegistry.builtIn.environment(named: "jsonl", settings: settings, folder: folder))).hash
        }
        let content = #"{"question": "Add seven to eight.", "answer": "15"}"#
        #expect(try hash(content) == hash(content))
        #expect(try hash(content) != hash(content, options: ["few-shot": "1"]))
        #expect(try hash(content) != hash(content.replacing("15", with: "16")))
    }

    @Test("differences name what is short, and only name what is long")
    func differences() throws {
        var plan = try EvaluationPlan(TinyTask())
        let first = try EvaluationRecipe(plan)
        plan.sampling.temperature = 0.5
        let other = try EvaluationRecipe(plan, precision: .int8)
        #expect(first.differences(to: other).contains("temperature 0.0 and 0.5") && first.differences(to: other).contains("precision none and int8"))
        #expect(first.differences(to: try EvaluationRecipe(EvaluationPlan(task { $0.template = "%" }))) == ["prompts"])
    }

    @Test("reference solutions are judged without a model, and not again; a problem without one is named")
    func references() async throws {
        let kept = Kept()
        let plan = try EvaluationPlan(TinyTask())
        #expect(try await plan.judgeReferences(record: kept.add).samples == 3)
        #expect(kept.samples.count == 3 && kept.samples.allSatisfy(\.isRight))
        #expect(try await plan.judgeReferences(present: ["1 + 1"], record: kept.add).samples == 2)
        let without = try EvaluationPlan(WithoutSolutions())
        await #expect(throws: TaskError.self) { try await without.judgeReferences(record: kept.add) }
    }

    private struct WithoutSolutions: Tasks.Environment {
        let name = "without", stops: [String] = [], maxTokens = 1, verifier: any Verifier = AnswerVerifier()
        func problems(in split: Split) -> [Problem] { [Problem(id: "p", question: "?", answer: "1")] }
        func reset(_ problem: Problem, mode: PromptMode) -> Prompt { .text("?") }
    }
}

/// What an evaluation recorded, from any thread.
final class Kept: @unchecked Sendable {
    // @unchecked: touched under the lock alone.
    private let lock = NSLock()
    private var all: [EvaluatedSample] = []
    var samples: [EvaluatedSample] { lock.withLock { all } }
    var add: @Sendable ([EvaluatedSample]) throws -> Void { { some in self.lock.withLock { self.all += some } } }
}
