import Architectures
import Foundation
import Tensors
import Training

/// How one stage of supervised training is done: epochs in a new order each, batches of a number of examples, a rate that warms up and falls.
public struct FineTuning: Sendable, Codable, Equatable {
    public var epochs = 3
    /// Examples, or groups of them, of one update.
    public var batch = 32
    public var trainer: TrainerOptions
    /// Share of the updates in which the rate rises, a tenth at most.
    public var warmup = 0.1
    public var seed: UInt64 = 0
    /// The shares of the files in an epoch; nil: as many as they hold.
    public var weights: [Double]?
    /// Examples of an epoch; nil: as the weights ask.
    public var epochSize: Int?
    /// Updates from one measurement of held-out examples to the next; nil: an epoch.
    public var evalEvery: Int?
    /// Measurements without a lower loss after which the stage ends; nil: it never ends early.
    public var patience: Int?
    /// Whether the weights with the lowest held-out loss are kept, and not the last.
    public var keepsBest = true

    public init(trainer: TrainerOptions) { self.trainer = trainer }
}

/// What is trained and measured in one stage.
public struct FineTuningStage {
    public var tuning: FineTuning
    /// Examples, or groups that the objective judges together, of each file.
    public let counts: [Int]
    /// Of an epoch, counted from 0, file after file: masks may be drawn anew.
    public let examples: (_ epoch: Int) -> [Example]
    /// Measured and never trained.
    public let held: [Example]?
    public let mixture: Mixture

    public init(_ tuning: FineTuning, counts: [Int], examples: @escaping (_ epoch: Int) -> [Example], held: [Example]? = nil) {
        (self.tuning, self.counts, self.examples, self.held) = (tuning, counts, examples, held)
        mixture = Mixture(counts: counts, weights: tuning.weights, size: tuning.epochSize, seed: tuning.seed)
    }

    public var updatesPerEpoch: Int { (mixture.size + tuning.batch - 1) / tuning.batch }
    public var updates: Int { updatesPerEpoch * tuning.epochs }
    public var evalEvery: Int { tuning.evalEvery ?? updatesPerEpoch }

    /// SHA-256 over the examples of the first epoch and those that are held out.
    public func digest() -> String {
        var digests = "\(counts) \(held?.count ?? 0)\n"
        for example in examples(0) + (held ?? []) {
            let labels = example.labels.map { [$0.places, $0.targets] } ?? []
            let lists = [example.promptTokens, example.completionTokens, example.trained.map { $0 ? 1 : 0 }, example.segments ?? []] + labels + [example.judgement]
            digests += sha256(lists.flatMap { [Int32($0.count)] + $0 }.withUnsafeBytes { Data($0) })
        }
        return sha256(Data(digests.utf8))
    }

    func trainer(_ model: Transformer, _ objective: any Objective) -> Trainer {
        var options = tuning.trainer
        options.schedule.warmupSteps = Int(Double(updates) * tuning.warmup)
        return Trainer(model, objective: objective, options: options, totalSteps: updates)
    }
}

/// What a training has done so far, stage by stage; it is kept with the weights.
public struct FineTuningProgress: Sendable, Codable, Equatable {
    public struct Measurement: Sendable, Codable, Equatable {
        /// Updates before it.
        public var step: Int
        /// Of the held-out examples.
        public var loss: Double
    }

    public struct Stage: Sendable, Codable, Equatable {
        /// The training loss of each update.
        public var losses: [Double] = []
        public var measurements: [Measurement] = []
        /// After how many updates the weights were taken that the stage ends with; nil while it runs.
        public var kept: Int?

        /// The first of the lowest losses.
        public var best: Measurement? { measurements.min { $0.loss < $1.loss } }

        func isOver(patience: Int?) -> Bool {
            guard let patience, let best = measurements.firstIndex(where: { $0.loss == self.best?.loss }) else { return false }
            return measurements.count - 1 - best >= patience
        }
    }
    public var stages: [Stage] = []

    public init() {}
}

extension FineTuningStage {
    /// The order of one epoch, made once.
    struct Epoch {
        let number: Int
        let batches: [[Example]]

        init(_ number: Int, of stage: FineTuningStage, _ objective: any Objective) {
            self.number = number
            let all = stage.examples(number), groups = objective.groups(all), order = stage.mixture.order(epoch: number), size = stage.tuning.batch
            precondition(groups.count == stage.counts.reduce(0, +), "an epoch has \(groups.count) groups of examples, its files \(stage.counts)")
            batches = stride(from: 0, to: order.count, by: size).map { start in order[start..<min(order.count, start + size)].flatMap { all[groups[$0]] } }
        }
    }
}

extension Example {
    /// The bits of what is said of it.
    fileprivate var judgement: [Int32] {
        let numbers = [advantage.map(Double.init), Double(weight), standing?.score, standing?.margin, (standing?.comparison).map(Double.init)]
        return numbers.flatMap { number in number.map { [Int32(truncatingIfNeeded: $0.bitPattern), Int32(truncatingIfNeeded: $0.bitPattern >> 32)] } ?? [] }
    }
}
