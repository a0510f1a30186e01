import Sampling
import Tasks
import Training

/// STaR with a verifier: right completions train the policy, and right and wrong ones together a second model, whose likelihood then chooses among candidates.
///
/// Every round starts the policy from the base on all right completions so far. The verifier starts from the first policy, by DPO over pairs of all rounds.
/// Source: Hosseini et al. 2024, arXiv:2402.06457, algorithm 1.
public struct VSTaR: Recipe {
    public static let name = "v-star"
    public var iterations = 3
    public var samplesPerProblem = 8
    public var sampling = SamplingOptions(temperature: 0.7)
    public var epochs = 2
    /// Completions of one problem that train the policy, and pairs that train the verifier.
    public var cap = 4
    public var verifierEpochs = 1
    public var beta = 0.1
    /// Completions of a test problem among which the verifier chooses.
    public var candidates = 8

    public init() {}

    public func run(_ loop: isolated LearningLoop) async throws {
        let base = try await loop.start()
        let problems = try loop.environment.problems(in: .train), planned = max(1, iterations)
        var (policy, all, supervised, last) = (base, [Rollout](), base, planned), progress = Progress(base, try loop.devAccuracy(iteration: 0))
        for n in 1...planned {
            all += try await loop.sample(problems, samples: samplesPerProblem, from: policy, iteration: n, phase: "attempt", sampling).lastTurns()
            policy = try await loop.train(on: all, RightCompletions(cap: cap), NegativeLogLikelihood(), from: base, iteration: n, epochs: epochs, acrossIterations: true)
            last = n
            if n == 1 { supervised = policy }
            try await loop.evaluate(policy, iteration: n)
            if try progress.isOver(after: policy, iteration: n, loop.devAccuracy(iteration: n), isCutShort: loop.isCutShort) || loop.isSpent { break }
        }
        // A verifier that was cut short would be none.
        let verifier = try await loop.train(
            on: all, VerdictPairs(cap: cap), PreferenceObjective(.dpo(beta: beta), likelihood: 1), from: supervised, iteration: last, epochs: verifierEpochs, reference: supervised,
            acrossIterations: true, phase: "verifier", pastBudget: true)
        try await loop.finish(base, progress, last: last)
        try await loop.choose(among: candidates, from: progress.best, by: verifier, iteration: progress.iteration, sampling)
    }

    public func sampling(of phase: String) -> SamplingOptions { ["attempt", "candidates"].contains(phase) ? sampling : .greedy }

    public func workload(problems: Int) -> Workload {
        var workload = Workload(iterations: iterations, problems: problems, samples: samplesPerProblem, cap: cap, training: .epochs(epochs))
        workload.candidates = candidates
        // A pair takes two of the problem's completions of all rounds.
        workload.finalExamples = 2 * problems * min(cap, iterations * samplesPerProblem / 2) * verifierEpochs
        return workload
    }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try check(
            [iterations, samplesPerProblem, epochs, verifierEpochs, cap, candidates].allSatisfy((1...1_000_000).contains),
            "iterations, samplesPerProblem, epochs, verifierEpochs, cap and candidates", "1 to 1000000")
        try check(beta > 0 && beta.isFinite, "beta", "above 0")
        try sampling.validate("sampling", check)
    }
}
