import Architectures
import Evaluation
import Foundation
import ModelFiles
import Sampling
import Tasks
import Tensors
import Testing
import Tokenization
import Training

/// Multiple choice by likelihood. Source: METHODS 10.4.
@Suite("Likelihood of options")
struct ChoiceLikelihoodTests {
    private func score(_ text: String, _ logLikelihood: Double, unconditional: Double = 0, tokens: Int = 1) -> ChoiceScore {
        ChoiceScore(text: text, logLikelihood: logLikelihood, unconditional: unconditional, tokens: tokens)
    }

    @Test("each rule has its own measure: characters, bytes, tokens, what the option has alone")
    func rules() {
        let scores = [score("no", -2, unconditional: -1), score("ééééé", -4, unconditional: -9, tokens: 1), score("certainly", -8, unconditional: -8, tokens: 4)]
        #expect(ChoiceRule.acc.choice(of: scores) == 0)
        #expect(ChoiceRule.accNorm.choice(of: scores) == 1 && ChoiceRule.accNorm.value(of: scores[1]) == -0.8)
        #expect(ChoiceRule.accNormBytes.value(of: scores[1]) == -0.4)
        #expect(ChoiceRule.accNormTokens.choice(of: scores) == 0 && ChoiceRule.accNormTokens.value(of: scores[2]) == -2)
        #expect(ChoiceRule.accMutualInfo.choice(of: scores) == 1)
    }

    @Test("with uniform logits acc prefers the shortest option and acc_norm ties, of which the first is taken")
    func uniform() {
        let scores = ["abc", "a", "ab"].map { score($0, -Double($0.count) * log(50), tokens: $0.count) }
        #expect(ChoiceRule.acc.choice(of: scores) == 1)
        #expect(Set(scores.map { (ChoiceRule.accNorm.value(of: $0) * 1e9).rounded() }).count == 1)
        #expect(ChoiceRule.accNorm.choice(of: [score("abc", -3), score("a", -1)]) == 0)
    }

    // MARK: With a model

    /// A fresh decoder over symbols of which the longest that fits is taken: "a b" is one token, so that an option " b" behind "a" reaches over the border.
    private func model(context: Int = 64) throws -> Model {
        let tokenizer = try Tokenizer.symbols(["Answer", ":", " ", "a", "b", "c", " a", " b", " c", "a b", "Q", "\n"], special: ["<eos>"])
        let configuration = TransformerConfiguration(
            modelType: "llama", vocabularySize: 16, hiddenSize: 32, intermediateSize: 64, numHiddenLayers: 2, numAttentionHeads: 2, maxPositionEmbeddings: context,
            rope: RotaryScaling(base: 10_000), tieWordEmbeddings: true)
        let transformer = Transformer(configuration, on: try CPUBackend(threads: 1))
        transformer.initialize(RandomKey(seed: 5), deviation: 0.3)
        return Model(transformer: transformer, tokenizer: tokenizer, stopTokens: tokenizer.eosTokens)
    }

    private func logLikelihood(_ model: Model, _ tokens: [Int32], from split: Int) -> Double {
        model.transformer.score([Example(promptTokens: Array(tokens[..<split]), completionTokens: Array(tokens[split...]))])[0].reduce(0) { $0 + Double($1.logProbability) }
    }

    @Test("a score is the likelihood of the option's tokens after the context, and after \"Answer:\" alone")
    func scores() throws {
        let model = try model()
        let score = try ChoiceLikelihood(model).scores([(.text("Q:c:"), ["a b", "c"])])[0]
        let context = try model.encode("Q:c:"), whole = try model.encode("Q:c: a b")
        #expect(Array(whole.prefix(context.count)) == context && whole.count == context.count + 2)
        #expect(abs(score[0].logLikelihood - logLikelihood(model, whole, from: context.count)) < 1e-5 && score[0].tokens == 2)
        #expect(abs(score[1].unconditional - logLikelihood(model, try model.encode("Answer: c"), from: 2)) < 1e-5)
    }

    @Test("white space at the end of a context moves to the option; a token that reaches over the border is the option's")
    func border() throws {
        let model = try model()
        let plain = try ChoiceLikelihood(model).scores([(.text("Q:"), ["b", "c"])]), spaced = try ChoiceLikelihood(model).scores([(.text("Q: "), ["b", "c"])])
        #expect(plain == spaced)
        let ended = try ChoiceLikelihood(model).scores([(.text("Q:\n"), ["b", "c"])])[0]
        #expect(abs(ended[1].logLikelihood - logLikelihood(model, try model.encode("Q:\nc"), from: 2)) < 1e-5 && ended[1].tokens == 2)
        // "Qa" and " b" are written Q, "a b": the context's "a" stands in no token of its own.
        let crossing = try ChoiceLikelihood(model).scores([(.text("Qa"), ["b", "c"])])[0]
        let whole = try model.encode("Qa b")
        let apart = try model.encode("Qa") + model.encode(" b", addSpecialTokens: false)
        #expect(whole.count == 2 && whole != apart)
        #expect(abs(crossing[0].logLikelihood - logLikelihood(model, whole, from: 1)) < 1e-5 && crossing[0].tokens == 1)
        #expect(abs(crossing[1].logLikelihood - logLikelihood(model, try model.encode("Qa c"), from: 2)) < 1e-5)
    }

    @Test("other orders of options permute the scores; what questions have in common is computed once, and changes nothing")
    func permuted() throws {
        let model = try model()
        let shared = "Q:" + String(repeating: "abc:", count: 6), options = ["a", "b c", "c c c"]
        let contexts = ["a:", "b:", "c:"].map { Prompt.text(shared + $0) }
        let together = try ChoiceLikelihood(model), rows = try together.scores(contexts.map { ($0, options) })
        #expect(try ChoiceLikelihood(model).scores(contexts.map { ($0, Array(options.reversed())) }) == rows.map { $0.reversed() })
        for (context, row) in zip(contexts, rows) { #expect(try ChoiceLikelihood(model).scores([(context, options)])[0] == row) }
        for option in options.indices { #expect(try ChoiceLikelihood(model).scores([(contexts[0], [options[option]])])[0] == [rows[0][option]]) }
        #expect(Double(together.computedTokens) < 0.3 * Double(together.separateTokens), "\(together.computedTokens) of \(together.separateTokens)")
    }

    @Test("a question too long for the model is refused, not cut")
    func long() throws {
        let question = Prompt.text(String(repeating: "Q", count: 70))
        let likelihood = try ChoiceLikelihood(model())
        #expect(throws: FileError.self) { try likelihood.scores([(question, ["a", "b"])]) }
    }

    // MARK: Evaluations

    private static let numbers = TinyTask(stops: [":"], maxTokens: 4, template: "Q:%", questions: ["a": "1", "b": "2", "c": "3"], judge: ReadsLetters())

    /// Right where the completion is what the problem's answer numbers; its answer is the text.
    private struct ReadsLetters: AnswerReader {
        let name = "letters"
        func judge(_ rollouts: [Rollout]) async -> [Judgement] { rollouts.map { .judged(Verdict($0.text.contains($0.problem.question) ? .right : .wrong, evidence: $0.text)) } }
        func answer(in rollout: Rollout) -> String? { rollout.text }
    }

    /// Fails until it may judge.
    private struct Unready: Verifier {
        let name = "letters"
        func judge(_ rollouts: [Rollout]) async -> [Judgement] { rollouts.map { _ in .failed(reason: "no sandbox") } }
    }

    private func run(_ plan: EvaluationPlan, recorded: [EvaluatedSample] = [], stopping: Bool = false) async throws -> (samples: [EvaluatedSample], work: Evaluator.Work) {
        let kept = Kept(), steps = Steps()
        let evaluator = try Evaluator(executor: SerialThread(), maxSequences: 2) { try self.model() }
        let work = try await evaluator.run(plan, recorded: recorded, record: kept.add, isCancelled: { stopping && steps.next() > 6 })
        return (kept.samples.sorted { ($0.problem, $0.sample) < ($1.problem, $1.sample) }, work)
    }

    @Test("a stopped evaluation goes on to what one without a stop gives; nothing is drawn twice, and failed judgements are made again")
    func resumed() async throws {
        var plan = try EvaluationPlan(Self.numbers)
        (plan.samples, plan.sampling, plan.seed) = (4, SamplingOptions(temperature: 1), 3)
        let whole = try await run(plan)
        #expect(whole.samples.count == 12 && Set(whole.samples.map(\.text)).count > 3)
        let part = try await run(plan, stopping: true)
        #expect((1..<12).contains(part.samples.count))
        let rest = try await run(plan, recorded: part.samples)
        #expect(rest.work.samples == 12 - part.samples.count)
        let merged = (part.samples + rest.samples).sorted { ($0.problem, $0.sample) < ($1.problem, $1.sample) }
        #expect(merged == whole.samples)
        #expect(try await run(plan, recorded: whole.samples).work.samples == 0)

        var unready = Self.numbers
        unready.judge = Unready()
        var failing = try EvaluationPlan(unready)
        (failing.samples, failing.sampling, failing.seed) = (4, SamplingOptions(temperature: 1), 3)
        let failed = try await run(failing)
        #expect(failed.samples.allSatisfy { $0.outcome == nil } && EvaluationSummary(failed.samples, verifier: Unready()).accuracy == nil)
        #expect(try await run(plan, recorded: failed.samples).samples == whole.samples)

        plan.seed = 4
        #expect(try await run(plan).samples != whole.samples)
    }

    @Test("by likelihood, options come from the task's labels, and every rule has its accuracy; a task without any is refused")
    func likelihood() async throws {
        var plan = try EvaluationPlan(TinyTask(template: "Q:%", questions: ["a": "a", "b": "b", "c": "a"], judge: LabelVerifier(["a", "b"])))
        plan.method = .likelihood
        let samples = try await run(plan).samples
        #expect(samples.count == 3 && samples.allSatisfy { $0.choices?.map(\.text) == ["a", "b"] && ($0.text == $0.choices?[$0.right!].text) == $0.isRight })
        #expect(Set(EvaluationSummary(samples, verifier: plan.environment.verifier).rules.keys) == Set(ChoiceRule.allCases.map(\.rawValue)))
        #expect(try await run(plan, recorded: Array(samples.prefix(2))).samples == [samples[2]])
        var without = try EvaluationPlan(Self.numbers)
        without.method = .likelihood
        let refused = without
        await #expect(throws: TaskError.self) { try await run(refused) }
    }

    private final class Steps: @unchecked Sendable {
        // @unchecked: touched under the lock alone.
        private let lock = NSLock()
        private var count = 0
        func next() -> Int { lock.withLock { count += 1; return count } }
    }
}

/// One queue that runs an actor's work in order.
final class SerialThread: SerialExecutor {
    private let queue = DispatchQueue(label: "evaluation tests")
    func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        queue.async { unowned.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}
