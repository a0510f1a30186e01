import Architectures
import Tasks
import Tensors

/// What one optimizer step did.
public struct StepResult: Sendable, Codable, Equatable {
    /// Counted from 1 within its training.
    public var step: Int
    public var loss: Double
    /// Each term's mean, before its weight.
    public var terms: [String: Double]
    public var gradientNorm: Double
    public var learningRate: Double
    /// Mean entropy in nats over the trained tokens.
    public var entropy: Double
    public var trainedTokens: Int
    /// Tokens computed; fewer than the examples hold where prefixes were shared.
    public var computedTokens: Int
}

/// A step that must not be taken.
public enum TrainingError: Error, Equatable, CustomStringConvertible {
    case notFinite(what: String, step: Int, examples: [RolloutKey])
    case nothingTrained(step: Int)

    public var description: String {
        switch self {
        case .notFinite(let what, let step, let examples):
            "step \(step): the \(what) is not finite; nothing was updated. Examples of the step: "
                + (examples.isEmpty ? "without rollouts" : examples.prefix(8).map { "\($0.phase) \($0.iteration)/\($0.index)/\($0.sample)" }.joined(separator: ", "))
                + ". Lower the learning rate, or look at these examples."
        case .nothingTrained(let step): "step \(step): no token of its examples is trained. Check the masks and the selection."
        }
    }
}

/// What may replace parts of a step, in declared order, at named points. A plug-in's state lies in the checkpoint.
///
/// Without plug-ins a step is bit-identical to one whose plug-ins return what they are given.
public protocol StepPlugin: AnyObject {
    var name: String { get }
    func beforeBatch(_ examples: [Example], step: Int) -> [Example]
    func beforeForward(_ pass: Pass, step: Int) -> Pass
    func afterLoss(_ terms: [TermSum], step: Int) -> [TermSum]
    func beforeUpdate(_ gradients: Gradients, rate: Double, step: Int) -> Double
    func afterUpdate(_ decoder: Transformer, step: Int)
    func iterationEnd(_ decoder: Transformer)
    /// Named row-major values to keep in checkpoints.
    var state: [String: [Float]] { get set }
}

extension StepPlugin {
    public func beforeBatch(_ examples: [Example], step: Int) -> [Example] { examples }
    public func beforeForward(_ pass: Pass, step: Int) -> Pass { pass }
    public func afterLoss(_ terms: [TermSum], step: Int) -> [TermSum] { terms }
    public func beforeUpdate(_ gradients: Gradients, rate: Double, step: Int) -> Double { rate }
    public func afterUpdate(_ decoder: Transformer, step: Int) {}
    public func iterationEnd(_ decoder: Transformer) {}
    public var state: [String: [Float]] {
        get { [:] }
        set {}
    }
}

/// How steps are taken.
public struct TrainerOptions: Sendable, Codable, Equatable {
    public var optimizer: OptimizerOptions
    public var schedule: Schedule
    /// Tokens computed at once; a global batch is cut into micro-batches of about this many, common prefixes counted once.
    public var microBatchTokens: Int
    public var sharesPrefixes: Bool
    public var runner: BlockRunner
    /// How the forward pass keeps what the backward pass needs.
    public var activations: ActivationFormat

    /// Enough for the matrix kernels; more would only take memory.
    public static let defaultMicroBatchTokens = 1024

    public init(
        optimizer: OptimizerOptions, schedule: Schedule = Schedule(.constant), microBatchTokens: Int = defaultMicroBatchTokens, sharesPrefixes: Bool = true, runner: BlockRunner = .plain,
        activations: ActivationFormat = .float32
    ) {
        self.optimizer = optimizer
        self.schedule = schedule
        self.microBatchTokens = microBatchTokens
        self.sharesPrefixes = sharesPrefixes
        self.runner = runner
        self.activations = activations
    }
}

/// The one step loop: batch, forward, loss, backward, clip, update.
public final class Trainer {
    public let decoder: Transformer
    public let objective: any Objective
    public let options: TrainerOptions
    public let optimizer: any Optimizer
    public var plugins: [any StepPlugin] = []
    /// Estimates what follows a token, where the objective asks for it.
    public let critic: Critic?
    /// Of the whole training, for the schedule.
    public let totalSteps: Int
    /// Steps stand at the points 1...n of a schedule that begins and may end with 0, so that none is without effect; warming up takes
    /// at most a tenth of them.
    private let schedule: Schedule
    private let gradients: Gradients

    public init(_ decoder: Transformer, objective: any Objective, options: TrainerOptions, totalSteps: Int) {
        self.decoder = decoder
        self.objective = objective
        self.options = options
        self.totalSteps = totalSteps
        var schedule = options.schedule
        schedule.warmupSteps = min(schedule.warmupSteps, totalSteps / 10)
        self.schedule = schedule
        optimizer = options.optimizer.makeOptimizer(for: decoder.parameters)
        gradients = Gradients(of: decoder.parameters, where: options.optimizer.trains)
        critic = objective.criticRate.map { Critic(width: decoder.head.weight.shape[1], learningRate: $0, maxGradientNorm: options.optimizer.maxGradientNorm, on: decoder.backend) }
    }

    /// One update from a global batch.
    /// - Throws: `TrainingError` before anything is updated.
    public func step(_ batch: [Example]) throws -> StepResult {
        let step = optimizer.steps + 1
        let examples = plugins.reduce(batch) { $1.beforeBatch($0, step: step) }
        let objective = objective.prepared(for: examples) { decoder.score($0, microBatchTokens: options.microBatchTokens) }
        let counts = Dictionary(uniqueKeysWithValues: objective.counts(examples).map { ($0.name, $0.count) })
        let groups = objective.groups(examples)
        gradients.clear()
        critic?.gradients.clear()
        var sums: [String: (weight: Double, sum: Double)] = [:]
        var (entropy, trained, computed) = (0.0, 0, 0)
        let tokens = examples.reduce(0) { $0 + $1.tokenCount }
        for micro in ExampleBatch.cut(examples, tokens: options.microBatchTokens, sharingPrefixes: options.sharesPrefixes, groups: groups, for: decoder.configuration) {
            let result = accumulate(micro, objective, counts: counts, share: Double(micro.reduce(0) { $0 + $1.tokenCount }) / Double(tokens), step: step, entropy: &entropy)
            for term in result.terms { sums[term.name] = (term.weight, (sums[term.name]?.sum ?? 0) + term.sum) }
            trained += result.trained
            computed += result.computed
        }
        guard trained > 0 else { throw TrainingError.nothingTrained(step: step) }
        var terms: [String: Double] = [:]
        for (name, term) in sums { terms[name] = mean(term.sum, of: name, counts) }
        let loss = sums.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value.weight * terms[$1.key]! }
        let norm = gradients.norm()
        func refuse(_ what: String) -> TrainingError { .notFinite(what: what, step: step, examples: examples.flatMap(\.rollouts)) }
        guard loss.isFinite else { throw refuse("loss") }
        guard norm.isFinite else { throw refuse("gradient") }

        let limit = options.optimizer.maxGradientNorm
        let scale = limit > 0 ? min(1, limit / (norm + 1e-6)) : 1
        let rate = plugins.reduce(schedule.multiplier(step: step, of: totalSteps + 1)) { $1.beforeUpdate(gradients, rate: $0, step: step) }
        optimizer.update(gradients, rate: rate, gradientScale: scale)
        critic?.update(rate: rate)
        for plugin in plugins { plugin.afterUpdate(decoder, step: step) }
        return StepResult(
            step: step, loss: loss, terms: terms, gradientNorm: norm, learningRate: options.optimizer.learningRate * rate, entropy: entropy / Double(trained),
            trainedTokens: trained, computedTokens: computed)
    }

    /// A sum over its term's global count. Where nothing counts but the sum is not 0, the result is not finite, and the step is refused.
    private func mean(_ sum: Double, of term: String, _ counts: [String: Double]) -> Double {
        guard let count = counts[term] else { preconditionFailure("the objective or a plug-in gave the term '\(term)', for which the objective has no count") }
        return sum / max(count, .leastNonzeroMagnitude)
    }

    private func accumulate(
        _ examples: ArraySlice<Example>, _ objective: any Objective, counts: [String: Double], share: Double, step: Int, entropy: inout Double
    ) -> (terms: [TermSum], trained: Int, computed: Int) {
        let examples = Array(examples)
        let batch = ExampleBatch(examples, sharingPrefixes: options.sharesPrefixes, for: decoder.configuration)
        guard !batch.targets.isEmpty else { return ([], 0, 0) }
        let tape = Tape(into: gradients, activations: options.activations)
        var pass = plugins.reduce(Pass(tape: tape, runner: options.runner)) { $1.beforeForward($0, step: step) }
        // Routers are balanced over each micro-batch, by its share of the tokens.
        if let balance = decoder.configuration.experts?.balance, balance > 0 { pass.balance = LoadBalance(coefficient: balance * share) }
        var all: [TermSum] = []
        let groups = objective.groups(examples)
        decoder.backward(batch, pass, critic: critic, groups: groups.map { batch.ranges[$0.lowerBound].lowerBound..<batch.ranges[$0.upperBound - 1].upperBound }) { some, laws in
            let first = batch.ranges[groups[some.lowerBound].lowerBound].lowerBound
            var gradients = RowGradients(count: laws.count)
            for group in groups[some] {
                let rows = group.map { batch.ranges[$0].lowerBound - first..<batch.ranges[$0].upperBound - first }
                for (rows, terms) in zip(rows, objective.sums(examples[group], rows.map { Array(laws[$0]) })) {
                    let terms = plugins.reduce(terms) { $1.afterLoss($0, step: step) }
                    for term in terms where term.weight != 0 {
                        let factor = Float(mean(term.weight, of: term.name, counts))
                        for (index, row) in rows.enumerated() {
                            gradients.logProbability[row] += factor * term.logProbabilityGradients[index]
                            if let entropy = term.entropyGradients { gradients.entropy[row] += factor * entropy[index] }
                            if let value = term.valueGradients { gradients.value[row] += factor * value[index] }
                            if let normalizer = term.normalizerGradients { gradients.normalizer[row] += factor * normalizer[index] }
                        }
                    }
                    all += terms
                }
            }
            // One running sum, so that the cut into micro-batches does not show.
            entropy = laws.reduce(entropy) { $0 + Double($1.entropy) }
            return gradients
        }
        return (all, batch.targets.count, batch.batch.count)
    }
}

extension Transformer {
    /// Natural log-probability of every completion token, under the full softmax at temperature 1; or of every label.
    /// - Parameter critic: gives every token its value.
    public func score(_ examples: [Example], microBatchTokens: Int = TrainerOptions.defaultMicroBatchTokens, critic: Critic? = nil) -> [[RowLaw]] {
        ExampleBatch.cut(examples, tokens: microBatchTokens, sharingPrefixes: true, for: configuration).flatMap { part in
            let batch = ExampleBatch(Array(part), for: configuration)
            guard !batch.targets.isEmpty else { return part.map { _ in [RowLaw]() } }
            let laws = laws(batch, critic: critic)
            return batch.ranges.map { Array(laws[$0]) }
        }
    }
}
