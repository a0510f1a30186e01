import Autodidact
import Foundation
import Synchronization

/// Shows a run: a bar on a terminal, a plain line per step otherwise, JSON lines where asked for.
final class ProgressPrinter: Sendable {
    enum Style { case bar, lines, json }
    private let style: Style
    /// How fast something goes since it was first heard of: what was done before may be another process's work.
    private struct Pace {
        let first: Int
        let began = ContinuousClock.now

        /// nil before anything is known.
        func secondsLeft(_ done: Int, of total: Int) -> Double? {
            let elapsed = (ContinuousClock.now - began) / .seconds(1)
            return done > first ? elapsed / Double(done - first) * Double(total - done) : nil
        }
    }
    private struct State {
        var sampling: Pace?
        var training: Pace?
        var lastStep = 0
        var lastLine = ContinuousClock.now
        var barIsOpen = false
    }
    private let state = Mutex(State())

    init(json: Bool) { style = json ? .json : isatty(1) == 1 ? .bar : .lines }

    func show(_ event: LoopEvent) {
        if style == .json {
            try? printJSON(event)
            return
        }
        switch event {
        case .phaseStarted:
            state.withLock { $0.sampling = nil }
        case .sampled(let iteration, let phase, let done, let total, let right, let cutOff, let rate):
            let pace = state.withLock { state in
                let pace = state.sampling ?? Pace(first: done)
                state.sampling = pace
                return pace
            }
            progress("iteration \(iteration) \(phase)", done, total, pace, "right \(right), cut off \(cutOff), \(Int(rate)) tokens/s")
        case .stepped(let record, let total):
            let result = record.result
            // An online training goes on through iterations, with sampling between its steps.
            let pace = state.withLock { state in
                let going = result.step == state.lastStep + 1 ? state.training : nil
                let pace = going ?? Pace(first: result.step)
                (state.training, state.lastStep) = (pace, result.step)
                return pace
            }
            let detail = String(
                format: "loss %.4f, norm %.2f, entropy %.3f, %d tokens/s", result.loss, result.gradientNorm, result.entropy, Int(Double(result.computedTokens) / max(record.seconds, 1e-9)))
            // A line for every step of a long training would drown the rest; none for minutes would look like a standstill.
            let isSilent = state.withLock { $0.lastLine.duration(to: .now) > .seconds(60) }
            if style == .bar || isSilent || result.step == total || result.step % max(1, total / 20) == 0 {
                progress("iteration \(record.training.iteration) \(record.training.phase)", result.step, total, pace, detail)
            }
        case .evaluated(let metrics):
            line("iteration \(metrics.first?.iteration ?? 0) \(metrics.first?.phase ?? ""): \(accuracies(metrics))")
        case .checkpointed(let record):
            line("saved \(record.path ?? "") (weights \(record.weightsHash.prefix(12)))")
        case .note(let text):
            line(text)
        }
    }

    private func accuracies(_ metrics: [MetricRecord]) -> String {
        func percent(_ value: Double) -> String { String(format: "%.1f %%", value * 100) }
        let parts = metrics.filter { $0.name == "accuracy" && !$0.category.isEmpty }.map { "\($0.category): \(percent($0.value))" }
        let mean = metrics.first { $0.name == "macroAccuracy" } ?? metrics.first { $0.name == "accuracy" && $0.category.isEmpty }
        return (parts + [mean.map { "mean \(percent($0.value))" } ?? ""]).joined(separator: "   ")
    }

    private func progress(_ title: String, _ done: Int, _ total: Int, _ pace: Pace, _ detail: String) {
        guard style == .bar else { return line("\(title) \(done)/\(total): \(detail)") }
        let remaining = pace.secondsLeft(done, of: total).map { ", \(Int($0)) s left" } ?? ""
        let width = 24, filled = total > 0 ? width * done / total : width
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
        printNow("\r\u{1B}[K\(title) \(bar) \(done)/\(total)  \(detail)\(remaining)")
        state.withLock { $0.barIsOpen = done < total }
        if done >= total { printNow("\n") }
    }

    private func line(_ text: String) {
        let wasOpen = state.withLock { state in
            defer { (state.barIsOpen, state.lastLine) = (false, .now) }
            return state.barIsOpen
        }
        if wasOpen { printNow("\n") }
        printNow(text + "\n")
    }
}
