import Synchronization
import Tasks

/// Judges and records samples, some at a time, while more are drawn.
struct JudgingQueue {
    /// Samples that go to the verifier, and into the record, together.
    static let size = 16

    let verifier: any Verifier
    /// From any thread.
    let record: @Sendable ([EvaluatedSample]) throws -> Void
    private var waiting: [(rollout: Rollout, prompt: String, tokens: Int)] = []
    private var judging: [Task<Void, any Error>] = []
    private let failure = Failure()

    private final class Failure: Sendable { let happened = Atomic<Bool>(false) }

    /// Whether something could not be recorded: more samples would be lost too.
    var hasFailed: Bool { failure.happened.load(ordering: .relaxed) }

    init(verifier: any Verifier, record: @escaping @Sendable ([EvaluatedSample]) throws -> Void) { (self.verifier, self.record) = (verifier, record) }

    /// - Parameters:
    ///   - rollout: of an episode its last.
    ///   - prompt: as the model read it.
    ///   - tokens: of the whole episode's answers.
    mutating func add(_ rollout: Rollout, prompt: String, tokens: Int) {
        waiting.append((rollout, prompt, tokens))
        if waiting.count >= Self.size { judge() }
    }

    /// What is to be awaited, all that was added with it.
    mutating func finish() -> [Task<Void, any Error>] {
        judge()
        return judging
    }

    private mutating func judge() {
        let (some, verifier, record, failure) = (waiting, verifier, record, failure)
        waiting = []
        guard !some.isEmpty else { return }
        // On no actor, so that it judges while the engine samples.
        judging.append(Task.detached {
            let judgements = await verifier.judge(some.map(\.rollout))
            precondition(judgements.count == some.count, "verifier '\(verifier.name)' gave \(judgements.count) judgements for \(some.count) rollouts")
            let samples = zip(some, judgements).map { sample, judgement in
                EvaluatedSample(
                    problem: sample.rollout.problem.id, sample: sample.rollout.key.sample, prompt: sample.prompt, text: sample.rollout.text, judgement: judgement,
                    answer: (verifier as? any AnswerReader)?.answer(in: sample.rollout), tokens: sample.tokens,
                    logProbability: sample.rollout.logProbabilities.reduce(0) { $0 + Double($1) })
            }
            do { try record(samples) } catch {
                failure.happened.store(true, ordering: .relaxed)
                throw error
            }
        })
    }
}
