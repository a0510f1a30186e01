import Sampling
import Tasks

/// A recipe that samples several completions of each problem, and trains on what they are beside each other. Every iteration starts from the policy before it.
public protocol ComparingRecipe: Recipe {
    var iterations: Int { get }
    var samplesPerProblem: Int { get }
    /// Comparisons of a problem; 0: all.
    var cap: Int { get }
    var sampling: SamplingOptions { get }
    var epochs: Int { get }
    /// Problems of an iteration, taken in turn from the training part; 0: all of them every time.
    var problemsPerIteration: Int { get }
}

extension ComparingRecipe {
    public func sampling(of phase: String) -> SamplingOptions { phase == "attempt" ? sampling : .greedy }

    public func workload(problems: Int) -> Workload { workload(problems: problems, examples: 2 * (cap > 0 ? cap : samplesPerProblem)) }

    /// - Parameter examples: of a problem, at most.
    func workload(problems: Int, examples: Int) -> Workload {
        let window = problemsPerIteration > 0 ? min(problems, problemsPerIteration) : problems
        return Workload(iterations: iterations, problems: window, samples: samplesPerProblem, cap: examples, training: .epochs(epochs))
    }

    /// - Parameters:
    ///   - loop: samples, judges and measures.
    ///   - train: makes the next policy of an iteration's last completions.
    func iterate(
        _ loop: isolated LearningLoop,
        _ train: (_ loop: isolated LearningLoop, _ rollouts: [Rollout], _ policy: PolicyVersion, _ iteration: Int) async throws -> PolicyVersion
    ) async throws {
        let base = try await loop.start()
        let problems = try loop.environment.problems(in: .train)
        var policy = base, last = max(1, iterations)
        for n in 1...last {
            let rollouts = try await loop.sample(
                problems.window(n, of: problemsPerIteration), samples: samplesPerProblem, from: policy, iteration: n, phase: "attempt", sampling).lastTurns()
            policy = try await train(loop, rollouts, policy, n)
            try await loop.evaluate(policy, iteration: n)
            last = n
            if loop.isSpent { break }
        }
        try await loop.finish(base, policy, iteration: last)
    }

    /// - Parameter samples: that a comparison needs.
    func validateComparisons(_ check: (Bool, String, String) throws -> Void, atLeast samples: Int = 2) throws {
        try check([iterations, samplesPerProblem, epochs].allSatisfy((1...1_000_000).contains), "iterations, samplesPerProblem and epochs", "1 to 1000000")
        try check(samplesPerProblem >= samples, "samplesPerProblem", "\(samples) or more: there must be something to compare")
        try check(cap >= 0 && problemsPerIteration >= 0, "cap and problemsPerIteration", "0 (all) or more")
        try sampling.validate("sampling", check)
    }
}
