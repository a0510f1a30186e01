import Sampling
import Tasks
import Training

/// What the policy gradients have in common: k completions of some problems, sampled by the policy as it is now, then a few updates; again and again.
public struct PolicyIteration: Sendable, Codable, Equatable {
    public var iterations = 50
    public var problemsPerIteration = 8
    public var samplesPerProblem = 8
    /// Times that an iteration's completions are trained, and updates of each time.
    public var epochs = 1
    public var batches = 1
    /// Further problems, as many as an iteration has, may be sampled so often until as many groups tell better from worse.
    public var resamples = 0
    public var truncation = Truncation.mask
    /// β: how strongly the policy is held to the reference.
    public var klWeight = 0.0
    /// How much the reference keeps of itself in an update, the rest becoming the policy's, so that it follows the policy; 0: it stays what the run began with.
    /// Source: Ramé et al. 2024, arXiv:2406.16768, section 3.1.
    public var referenceDecay = 0.0
    /// Iterations between measurements on dev; 0: only the last is measured.
    public var measureEvery = 10
    /// Iterations between checkpoints that are kept; 0: only the last is.
    public var keepEvery = 0

    public init() {}

    /// The policy is sampled as it is: what another temperature or a truncated law gives would be the gradient of another policy.
    static let sampling = SamplingOptions(temperature: 1)

    /// - Parameter base: what `loop.start()` gave, which also chooses the prompt.
    func run(_ loop: isolated LearningLoop, from base: PolicyVersion, _ objective: any Objective, _ selector: some Selector, comparesWithReference: Bool) async throws {
        let (policy, last) = try await train(loop, "improve", from: base, reference: comparesWithReference ? base : nil, objective, selector)
        try await loop.finish(base, policy, iteration: last)
    }

    /// All iterations of one training.
    /// - Parameters:
    ///   - loop: samples, judges and trains.
    ///   - phase: the training's name.
    ///   - start: what is trained.
    ///   - reference: whose log-probabilities the examples get, or with which a moving reference begins; nil: none.
    ///   - objective: what is minimised.
    ///   - selector: makes examples of all turns.
    ///   - earlier: iterations of an earlier training of the run.
    /// - Returns: the policy, and the iteration that it is of.
    func train(
        _ loop: isolated LearningLoop, _ phase: String, from start: PolicyVersion, reference: PolicyVersion?, _ objective: any Objective, _ selector: some Selector, after earlier: Int = 0
    ) async throws -> (policy: PolicyVersion, iteration: Int) {
        let problems = try loop.environment.problems(in: .train)
        var training = OnlineTraining(phase, from: start, objective, iterations: earlier + 1...earlier + iterations)
        (training.epochs, training.batches, training.keepEvery) = (epochs, batches, keepEvery)
        (training.reference, training.referenceDecay) = (reference, referenceDecay)
        var (policy, next, last) = (start, earlier * problemsPerIteration, earlier)
        for n in training.iterations {
            var rollouts: [Rollout] = []
            for attempt in 0...resamples {
                let count = min(problems.count, problemsPerIteration)
                let chosen = (0..<count).map { problems[(next + $0) % problems.count] }
                next += count
                rollouts += try await loop.sample(chosen, samples: samplesPerProblem, from: policy, iteration: n, phase: attempt == 0 ? "attempt" : "attempt-\(attempt + 1)", Self.sampling)
                if rollouts.lastTurns().grouped().count(where: { Set(truncation.rewards(of: $0).compactMap(\.self)).count > 1 }) >= count || loop.isSpent { break }
            }
            policy = try loop.advance(training, iteration: n, on: rollouts, selector)
            last = n
            let isLast = n == training.iterations.upperBound || loop.isSpent
            if isLast || (measureEvery > 0 && n % measureEvery == 0) { try await loop.evaluate(policy, iteration: n) }
            if isLast { break }
        }
        return (policy, last)
    }

    func workload(problems: Int) -> Workload {
        let problems = min(problems, problemsPerIteration)
        var workload = Workload(
            iterations: iterations, problems: problems, samples: samplesPerProblem, cap: samplesPerProblem, training: .steps(Array(repeating: epochs * batches, count: iterations)),
            batch: max(1, problems * samplesPerProblem / batches))
        workload.measured = Set((1...max(1, iterations)).filter { $0 == iterations || (measureEvery > 0 && $0 % measureEvery == 0) })
        workload.keepsAverage = referenceDecay > 0
        return workload
    }

    func validate(_ check: (Bool, String, String) throws -> Void) throws {
        try check(
            [iterations, problemsPerIteration, samplesPerProblem, epochs, batches].allSatisfy((1...1_000_000).contains), "loop's iterations, problemsPerIteration, samplesPerProblem, epochs and batches",
            "1 to 1000000")
        try check([resamples, measureEvery, keepEvery].allSatisfy((0...1_000_000).contains), "loop's resamples, measureEvery and keepEvery", "0 or more")
        try check(klWeight >= 0 && klWeight.isFinite, "loop.klWeight", "0 or more")
        try check((0..<1).contains(referenceDecay), "loop.referenceDecay", "0 (the reference stays), or more and below 1")
        try check(referenceDecay == 0 || klWeight > 0, "loop.referenceDecay", "0 where loop.klWeight is 0: nothing is held to a reference then")
    }
}

/// A recipe that is such an iteration, with a loss of its own.
public protocol PolicyRecipe: Recipe {
    var loop: PolicyIteration { get }
}

extension PolicyRecipe {
    public static var rateShare: Double { 0.1 }
    public func sampling(of phase: String) -> SamplingOptions { phase.hasPrefix("attempt") ? PolicyIteration.sampling : .greedy }
    public func workload(problems: Int) -> Workload { loop.workload(problems: problems) }
}
