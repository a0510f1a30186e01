import Autodidact
import Foundation

/// One stage of a training as the command line describes it.
struct PreparedStage {
    /// A file that is trained.
    struct File {
        let path: String
        /// How it was read, where there was a choice.
        var format: String?
        let examples: [Example]
    }
    let name: String
    let stage: FineTuningStage
    let files: [File]
    /// Options that decide what is made of the files, by name.
    let reading: [String: String]
    /// What is said of a measurement beside its loss.
    var measure: () throws -> String? = { nil }
}

/// Says how a training goes.
final class StagePrinter {
    private let stages: [PreparedStage]
    private let model: Transformer
    private let unit: String
    private var (start, last, first) = (Date(), Date(), 0)
    private var loss = 0.0, steps = 0, tokens = 0

    init(_ stages: [PreparedStage], _ model: Transformer, unit: String) { (self.stages, self.model, self.unit) = (stages, model, unit) }

    private func number(_ value: Double) -> String { String(format: "%.4f", value) }

    /// What stands before a line, where there are several stages.
    private func title(_ stage: Int) -> String { stages.count == 1 ? "" : "stage \(stage + 1) of \(stages.count) (\(stages[stage].name)): " }

    private func describe(_ index: Int) {
        let prepared = stages[index], stage = prepared.stage, options = stage.tuning.trainer.optimizer
        let trained = model.parameters.parameters.filter(options.trains).reduce(0) { $0 + $1.shape.reduce(1, *) }
        printLine("\(title(index))\(stage.mixture.size) \(unit), \(stage.tuning.epochs) epochs of \(stage.updatesPerEpoch) updates; \(trained) of \(model.parameterCount) weights are trained")
        for (place, file) in prepared.files.enumerated() {
            let share = stage.mixture.shares[place], kind = file.format.map { " (\($0))" } ?? ""
            let mixed = stage.mixture.shares == stage.counts ? "" : ", \(share) in an epoch (\(String(percent: Double(share) / Double(stage.mixture.size))))"
            printLine("  \(file.path)\(kind): \(stage.counts[place]) \(unit)\(mixed); \(file.examples.reduce(0) { $0 + $1.trainedCount }) tokens trained of \(file.examples.reduce(0) { $0 + $1.tokenCount })")
        }
    }

    /// What would be done.
    func plan(_ estimate: FineTuningEstimate) {
        for index in stages.indices { describe(index) }
        printLine("updates: \(stages.reduce(0) { $0 + $1.stage.updates })")
        printLine(String(format: "memory: about %.2f GB, time: about %.1f minutes", Double(estimate.peakBytes) / 1e9, estimate.seconds / 60))
    }

    func show(_ event: FineTuningRun.Event) throws {
        switch event {
        case .began(let stage, let step):
            describe(stage)
            if step > 0 { printLine("going on after update \(step) of \(stages[stage].stage.updates)") }
            (start, last, first, loss, steps, tokens) = (Date(), Date(), step, 0, 0, 0)
        case .stepped(let stage, let result):
            let total = stages[stage].stage.updates
            (loss, steps, tokens) = (loss + result.loss, steps + 1, tokens + result.computedTokens)
            let seconds = Date().timeIntervalSince(last)
            guard seconds > 10 || result.step == total else { return }
            let left = Date().timeIntervalSince(start) / Double(result.step - first) * Double(total - result.step)
            printLine("\(title(stage))update \(result.step) of \(total): loss \(number(loss / Double(steps))), \(Int(Double(tokens) / max(seconds, 1e-3))) tokens/s, \(Int(left)) s left")
            (last, loss, steps, tokens) = (Date(), 0, 0, 0)
        case .measured(let stage, let measurement):
            let (step, own) = (measurement.step, stages[stage].stage), isEpoch = step % own.updatesPerEpoch == 0
            let time = step == 0 ? "before" : isEpoch ? "epoch \(step / own.updatesPerEpoch)" : "update \(step)", held = own.held ?? []
            let text = try stages[stage].measure().map { "\($0); loss \(number(measurement.loss))" } ?? "loss \(number(measurement.loss)) on \(held.reduce(0) { $0 + $1.trainedCount }) tokens of \(held.count) lines"
            printLine("\(title(stage))\(time): \(text)")
        case .ended(let stage, let result):
            let updates = result.losses.count, own = stages[stage].stage
            if updates < own.updates { printLine("\(title(stage))stopped after update \(updates) of \(own.updates): no lower loss in \(own.tuning.patience ?? 0) measurements") }
            guard let kept = result.kept, let measurement = result.measurements.last(where: { $0.step == kept }) else { return }
            printLine("\(title(stage))kept: the weights \(kept == 0 ? "from before the first update" : "after update \(kept)"), with loss \(number(measurement.loss)) on held-out \(unit)")
        }
    }

    /// The losses of all stages.
    func summary(_ progress: FineTuningProgress) {
        for (index, stage) in progress.stages.enumerated() {
            func mean(_ losses: ArraySlice<Double>) -> String { number(losses.reduce(0, +) / Double(max(1, losses.count))) }
            let tenth = max(1, stage.losses.count / 10)
            var text = "\(title(index))training loss \(mean(stage.losses.prefix(tenth))) in the first tenth, \(mean(stage.losses.suffix(tenth))) in the last"
            if let before = stage.measurements.first, let best = stage.measurements.last(where: { $0.step == stage.kept }) { text += "; held out \(number(before.loss)) before, \(number(best.loss)) now" }
            printLine(text)
        }
    }
}
