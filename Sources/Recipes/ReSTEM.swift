import Sampling
import Tasks
import Training

/// Iterated fine-tuning on the model's own verified samples: k per problem, right ones deduplicated and capped, from the base.
///
/// With `startsFrom` at `.previous` and a part of the problems each time it is expert iteration, which needs fewer samples.
/// Source: Singh et al. 2024, arXiv:2312.06585, algorithm 1; Anthony et al. 2017, arXiv:1705.08439 (expert iteration).
public struct ReSTEM: Recipe {
    public static let name = "rest-em"
    public var iterations = 2
    public var samplesPerProblem = 4
    /// Right completions kept of one problem.
    public var cap = 10
    public var sampling = SamplingOptions(temperature: 0.7, topK: 40)
    public var epochs = 4
    /// Whether problems that no sample solved are tried again as often with a hint, as STaR does.
    public var rationalises = false
    public var startsFrom = NextStart.base
    /// Problems of an iteration, taken in turn from the training part; 0: all of them every time.
    public var problemsPerIteration = 0
    /// Iterations without a better accuracy on dev after which it is over, and the best policy is the result; 0: all iterations, and the last policy that was trained whole.
    public var patience = 0

    public init() {}

    public func run(_ loop: isolated LearningLoop) async throws {
        let base = try await loop.start(hints: rationalises)
        let problems = try loop.environment.problems(in: .train)
        var policy = base, progress = Progress(base, try loop.devAccuracy(iteration: 0), patience: patience), last = max(1, iterations)
        for n in 1...max(1, iterations) {
            let window = problems.window(n, of: problemsPerIteration)
            var rollouts = try await loop.sample(window, samples: samplesPerProblem, from: policy, iteration: n, phase: "attempt", sampling(of: "attempt")).lastTurns()
            if rationalises, !loop.isSpent {
                let failed = rollouts.grouped().filter { !$0.contains(where: \.isRight) }.map { $0[0].problem }
                rollouts += try await loop.sample(failed, mode: .hinted, samples: samplesPerProblem, from: policy, iteration: n, phase: "rationalise", sampling(of: "rationalise")).lastTurns()
            }
            let examples = try loop.examples(from: rollouts, RightCompletions(cap: cap), iteration: n)
            let start = startsFrom == .base ? base : policy
            let trained = try await loop.train(on: examples, NegativeLogLikelihood(), from: start, iteration: n, epochs: epochs)
            // Where nothing was right, what was learnt before stays.
            if !examples.isEmpty { policy = trained }
            try await loop.evaluate(policy, iteration: n)
            last = n
            if try progress.isOver(after: policy, iteration: n, loop.devAccuracy(iteration: n), isCutShort: loop.isCutShort && startsFrom == .base) || loop.isSpent { break }
        }
        try await loop.finish(base, progress, last: last)
    }

    public func sampling(of phase: String) -> SamplingOptions { ["attempt", "rationalise"].contains(phase) ? sampling : .greedy }

    public func workload(problems: Int) -> Workload {
        let window = problemsPerIteration > 0 ? min(problems, problemsPerIteration) : problems
        return Workload(iterations: iterations, problems: window, samples: samplesPerProblem, cap: cap, training: .epochs(epochs))
    }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try check([iterations, samplesPerProblem, epochs, cap].allSatisfy((1...1_000_000).contains), "iterations, samplesPerProblem, epochs and cap", "1 to 1000000")
        try check(problemsPerIteration >= 0 && patience >= 0, "problemsPerIteration and patience", "0 (all) or more")
        try sampling.validate("sampling", check)
    }
}

extension Array {
    /// The n-th part of so many elements, from the front again after the end; everything where `count` is 0 or too large.
    func window(_ n: Int, of count: Int) -> [Element] {
        guard count > 0, count < self.count else { return self }
        return (0..<count).map { self[((n - 1) * count + $0) % self.count] }
    }
}
