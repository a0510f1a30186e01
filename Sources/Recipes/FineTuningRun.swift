import Architectures
import Foundation
import ModelFiles
import Tensors
import Training

/// Supervised training in one or more stages, each from what the last one gave. Stopped or killed it goes on from its last save, to the bits of one that was not.
public struct FineTuningRun {
    public enum Event {
        /// A stage begins, or goes on after so many updates.
        case began(stage: Int, step: Int)
        case stepped(stage: Int, StepResult)
        /// Held-out examples were measured.
        case measured(stage: Int, FineTuningProgress.Measurement)
        case ended(stage: Int, FineTuningProgress.Stage)
    }

    let model: Transformer
    let objective: any Objective
    let stages: [FineTuningStage]
    let folder: String
    let saveEvery: Int
    let origin: [String: String]

    /// - Parameters:
    ///   - model: is trained in place.
    ///   - objective: what is minimised.
    ///   - stages: in their order; all train the same weights.
    ///   - folder: for what it takes to go on.
    ///   - saveEvery: updates from one save to the next.
    ///   - origin: what the result depends on, by names that a message can show: a training goes on only with the same.
    public init(_ model: Transformer, objective: any Objective = NegativeLogLikelihood(), stages: [FineTuningStage], folder: String, saveEvery: Int, origin: [String: String]) {
        (self.model, self.objective, self.stages, self.folder, self.saveEvery, self.origin) = (model, objective, stages, folder, saveEvery, origin)
    }

    private var saved: ResumeState { ResumeState(path: "\(folder)/state.safetensors") }
    private static let encoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return encoder
    }()

    private func text(_ value: some Encodable) throws -> String { String(decoding: try Self.encoder.encode(value), as: UTF8.self) }

    private var originPath: String { "\(folder)/origin.json" }
    private func start() throws -> String { sha256(Data(try text(origin).utf8)) }

    /// How far an earlier process came.
    /// - Throws: `FileError` that names what is not as it was then.
    private func restoredProgress() throws -> FineTuningProgress? {
        func decoded<Value: Decodable>(_ data: Data, of file: String) throws -> Value {
            do { return try JSONDecoder().decode(Value.self, from: data) } catch {
                throw FileError(file: file, problem: "is not of a training of this version", advice: "Remove \(folder) and begin anew.")
            }
        }
        // Without it, it was killed before it began.
        guard let begun = FileManager.default.contents(atPath: originPath) else { return nil }
        let before: [String: String] = try decoded(begun, of: originPath)
        let changed = Set(before.keys).union(origin.keys).filter { before[$0] != origin[$0] }.sorted()
        guard changed.isEmpty else {
            let named = changed.map { Self.difference($0, before[$0] ?? "", origin[$0] ?? "") }
            throw FileError(file: folder, problem: "was begun with other \(named.joined(separator: ", "))", advice: "Go on with the same command as then, or remove the folder and begin anew.")
        }
        return try saved.metadata().map { try decoded(Data(($0["progress"] ?? "").utf8), of: saved.path) }
    }

    /// What changed, with the options by name where both values hold several.
    private static func difference(_ name: String, _ before: String, _ now: String) -> String {
        let then = settings(before), now = settings(now)
        let options = Set(then.keys).union(now.keys).sorted().filter { then[$0] != now[$0] }.map { "\($0) was \(then[$0] ?? "not given") and is \(now[$0] ?? "not given")" }
        return options.isEmpty ? name : "\(name) (\(options.joined(separator: "; ")))"
    }

    /// The settings of a JSON object, under their own names as options are spelt: 'learning-rate', and of a choice the name of what is chosen: 'optimizer'. None of another text.
    private static func settings(_ text: String) -> [String: String] {
        func leaves(_ value: JSON, _ path: [String]) -> [(String, String)] {
            if let object = value.object { return object.members.flatMap { leaves($0.value, path + [$0.key]) } }
            guard let last = path.last else { return [] }
            let name = ["kind", "shape"].contains(last) && path.count > 1 ? path[path.count - 2] : last
            return [(name.replacing(/[A-Z]/) { "-\($0.0.lowercased())" }, value.string ?? value.text())]
        }
        return (try? JSON.parse(text, source: "settings")).map { Dictionary(leaves($0, []), uniquingKeysWith: { "\($0), \($1)" }) } ?? [:]
    }

    private func save(_ trainer: Trainer, _ progress: FineTuningProgress) throws {
        try saved.save(trainer, training: place(progress), start: start(), notes: ["progress": text(progress)])
        // Weights that an older state named.
        let named = best(progress).map { [($0.path as NSString).lastPathComponent] } ?? []
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) where name.hasPrefix("best-") && !named.contains(name) { try? FileManager.default.removeItem(atPath: "\(folder)/\(name)") }
        Fault.point("after a save of fine-tuning")
    }

    private func place(_ progress: FineTuningProgress) -> TrainingKey { TrainingKey(iteration: progress.stages.count, phase: "fine-tuning") }

    /// The best weights of the stage that runs.
    private func best(_ progress: FineTuningProgress) -> KeptWeights? {
        progress.stages.last?.best.map { KeptWeights(path: "\(folder)/best-\(progress.stages.count)-\($0.step).safetensors") }
    }

    /// Trains all stages.
    /// - Parameters:
    ///   - isResuming: whether what an earlier process saved in the folder is taken up.
    ///   - report: of what happens.
    ///   - isCancelled: looked at before every update.
    /// - Throws: `Interrupted` after saving, when it was cancelled; `TrainingError`, `FileError`.
    public func run(isResuming: Bool = false, report: (Event) throws -> Void = { _ in }, isCancelled: () -> Bool = { false }) throws -> FineTuningProgress {
        var progress = try isResuming ? restoredProgress() ?? FineTuningProgress() : FineTuningProgress()
        try writeDurably(try text(origin), to: originPath)
        var isRestored = !progress.stages.isEmpty
        for index in max(0, progress.stages.count - 1)..<stages.count {
            let stage = stages[index], trainer = stage.trainer(model, objective), keepsBest = stage.tuning.keepsBest && stage.held != nil
            if isRestored {
                try saved.restore(trainer, training: place(progress), start: start())
            } else {
                progress.stages.append(FineTuningProgress.Stage())
                if index > 0 { try save(trainer, progress) }
            }
            isRestored = false
            try report(.began(stage: index, step: trainer.optimizer.steps))
            func measure() throws {
                guard let held = stage.held else { return }
                let measurement = FineTuningProgress.Measurement(step: trainer.optimizer.steps, loss: objective.loss(held, under: model, microBatchTokens: stage.tuning.trainer.microBatchTokens))
                guard measurement.loss.isFinite else { throw TrainingError.notFinite(what: "loss of held-out examples", step: measurement.step, examples: []) }
                progress.stages[index].measurements.append(measurement)
                if keepsBest, progress.stages[index].best == measurement { try best(progress)?.write(model, trainer.optimizer.trains) }
                try report(.measured(stage: index, measurement))
            }
            if progress.stages[index].measurements.isEmpty { try measure() }
            var epoch: FineTuningStage.Epoch?
            while trainer.optimizer.steps < stage.updates, !progress.stages[index].isOver(patience: stage.tuning.patience) {
                let step = trainer.optimizer.steps
                if isCancelled() {
                    try save(trainer, progress)
                    throw Interrupted()
                }
                let number = step / stage.updatesPerEpoch, now = epoch?.number == number ? epoch! : FineTuningStage.Epoch(number, of: stage, objective)
                epoch = now
                let result = try trainer.step(now.batches[step % stage.updatesPerEpoch])
                progress.stages[index].losses.append(result.loss)
                try report(.stepped(stage: index, result))
                if result.step % stage.evalEvery == 0 || result.step == stage.updates { try measure() }
                if result.step % saveEvery == 0, result.step < stage.updates { try save(trainer, progress) }
            }
            let last = trainer.optimizer.steps, kept = keepsBest ? progress.stages[index].best?.step ?? last : last
            if kept != last { try best(progress)?.read(into: model, trainer.optimizer.trains) }
            progress.stages[index].kept = kept
            try report(.ended(stage: index, progress.stages[index]))
        }
        return progress
    }
}

/// The trained weights at one instant, in one file that is there whole or not at all.
private struct KeptWeights {
    let path: String

    func write(_ model: Transformer, _ trains: (Parameter) -> Bool) throws {
        let trained = model.parameters.parameters.filter(trains)
        let writer = try SafetensorsWriter(path: path, tensors: trained.map { ($0.name, .f32, $0.shape) }, metadata: [:])
        for parameter in trained { try writer.append(model.parameters.read(parameter)) }
        try writer.finish()
    }

    func read(into model: Transformer, _ trains: (Parameter) -> Bool) throws {
        let file = try SafetensorsFile(path: path)
        for parameter in model.parameters.parameters where trains(parameter) {
            try file.floats(parameter.name).withUnsafeBufferPointer { model.parameters.write($0, to: parameter) }
        }
    }
}
