import Tasks

extension EvaluationPlan {
    /// Judges the solution that each problem gives in `details["reference"]` as if a model had written it: a sound task calls all of them right.
    /// - Parameters:
    ///   - present: ids of the problems that were judged before.
    ///   - record: takes samples as they are judged, from any thread.
    /// - Returns: what it took.
    /// - Throws: `TaskError` for a problem without a solution, and what `record` throws.
    public func judgeReferences(present: Set<String> = [], record: @escaping @Sendable ([EvaluatedSample]) throws -> Void) async throws -> Evaluator.Work {
        let began = ContinuousClock.now
        var queue = JudgingQueue(verifier: environment.verifier, record: record), samples = 0
        for (index, problem) in problems.enumerated() where !present.contains(problem.id) {
            guard let solution = problem.details["reference"] else {
                throw TaskError.badProblem(id: problem.id, reason: "it has no solution of its own (details 'reference'), so task '\(environment.name)' cannot be tested with them.")
            }
            let rollout = Rollout(
                key: RolloutKey(iteration: 0, phase: split.rawValue, index: index), problem: problem, mode: .plain, promptTokens: [], completionTokens: [], finishReason: .stop,
                text: solution, logProbabilities: [], behaviorLogProbabilities: [], temperatures: [], weightsHash: "")
            samples += 1
            queue.add(rollout, prompt: problem.question, tokens: 0)
        }
        for task in queue.finish() { try await task.value }
        return Evaluator.Work(samples: samples, duration: ContinuousClock.now - began)
    }
}
