import Sampling
import Tasks
import Training

/// Self-taught reasoner: keep what led to the right answer, show the answer where it failed, train from the base, repeat.
/// Source: Zelikman et al. 2022, arXiv:2203.14465, algorithm 1.
public struct STaR: Recipe {
    public static let name = "star"
    public var iterations = 4
    /// Steps of the first training; each later one takes `stepGrowth` times as many.
    public var firstSteps = 40
    public var stepGrowth = 1.2
    /// Whether failed problems are tried again with the answer as a hint.
    public var rationalises = true
    /// As of `ReSTEM`.
    public var patience = 0

    public init() {}

    public func run(_ loop: isolated LearningLoop) async throws {
        let base = try await loop.start(hints: rationalises)
        let problems = try loop.environment.problems(in: .train)
        var policy = base, progress = Progress(base, try loop.devAccuracy(iteration: 0), patience: patience), last = max(1, iterations)
        for n in 1...max(1, iterations) {
            let attempts = try await loop.sample(problems, from: policy, iteration: n, phase: "attempt", .greedy).lastTurns()
            var rollouts = attempts
            if rationalises, !loop.isSpent {
                let failed = attempts.filter { !$0.isRight }.map(\.problem)
                rollouts += try await loop.sample(failed, mode: .hinted, from: policy, iteration: n, phase: "rationalise", .greedy).lastTurns()
            }
            let examples = try loop.examples(from: rollouts, RightCompletions(), iteration: n)
            let trained = try await loop.train(on: examples, NegativeLogLikelihood(), from: base, iteration: n, steps: steps(n))
            // Where nothing was right, what was learnt before stays.
            if !examples.isEmpty { policy = trained }
            try await loop.evaluate(policy, iteration: n)
            last = n
            if try progress.isOver(after: policy, iteration: n, loop.devAccuracy(iteration: n), isCutShort: loop.isCutShort) || loop.isSpent { break }
        }
        try await loop.finish(base, progress, last: last)
    }

    public func sampling(of phase: String) -> SamplingOptions { .greedy }

    public func workload(problems: Int) -> Workload {
        Workload(iterations: iterations, problems: problems, samples: 1, cap: 1, training: .steps((1...max(1, iterations)).map(steps)))
    }

    public func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try check((1...1_000_000).contains(iterations) && firstSteps >= 1, "iterations and firstSteps", "1 or more, the iterations at most 1000000")
        try check(patience >= 0, "patience", "0 (off) or more")
        let last = (1...iterations).reduce(Double(firstSteps)) { steps, n in n > 1 ? steps * stepGrowth : steps }
        try check(stepGrowth > 0 && last < 1e9, "stepGrowth", "above 0, and give fewer than a billion steps")
    }

    /// S_n from n itself, so that it does not jitter with what was found.
    func steps(_ n: Int) -> Int {
        var steps = Double(firstSteps)
        for _ in 1..<max(1, n) { steps *= stepGrowth }
        return max(1, Int(steps.rounded()))
    }
}
