import Evaluation
import Foundation
import ModelFiles
import Recipes
import Tasks
import Training

/// The page that explains a run: curves, numbers by category, the same problems before and after, recipe and lineage.
///
/// One file that needs nothing else: inline SVG, no scripts, no fonts, nothing fetched; light or dark as the reader's screen is.
public struct Report: Sendable {
    public let name: String
    public let recipe: String
    public let lineage: Lineage
    private let metrics: [MetricRecord]
    private let intervals: ShareIntervals
    private let steps: [StepRecord]
    private let summaries: [PhaseSummary]
    private let categories: [PhaseSummary]
    private let samples: [BeforeAfter]
    private let firstTraining: Int?
    private let state: String

    /// Reads all that the page shows.
    public init(_ record: RunRecord) throws {
        name = (record.folderPath as NSString).lastPathComponent
        recipe = try record.recipe()
        lineage = try record.lineage()
        metrics = try record.metrics()
        intervals = ShareIntervals(metrics)
        steps = try record.steps()
        summaries = try record.phaseSummaries()
        categories = try record.phaseSummaries(byCategory: true)
        samples = try record.beforeAfter()
        firstTraining = try record.trainings().first?.iteration
        state = try record.isFinished ? "finished" : "not finished yet"
    }

    /// Writes the page durably: whoever looks at a run may do so while it ends.
    public func write(to path: String) throws { try writeDurably(html(), to: path, isShared: true) }

    // MARK: - Curves

    /// One for each question that a reader asks of a run, also where there is no answer yet.
    public var plots: [Plot] {
        [
            Plot(title: "Accuracy", xLabel: "iteration", yLabel: "95 % intervals", isShare: true, series: accuracy),
            Plot(title: "Accuracy by category", xLabel: "iteration", yLabel: "95 % intervals", isShare: true, series: accuracyByCategory),
            Plot(title: "Loss", xLabel: "step", series: perStep(\.result.loss)),
            Plot(title: "Mean reward", xLabel: "iteration", series: perPhase(\.meanReward)),
            Plot(title: "Completion length", xLabel: "iteration", yLabel: "tokens, mean", series: perPhase { $0.meanCompletionLength }),
            Plot(title: "Share cut off", xLabel: "iteration", isShare: true, series: perPhase { Self.share($0.lengthStopped, of: $0.rollouts) }),
            Plot(
                title: "Share of groups without signal", xLabel: "iteration", isShare: true,
                series: perPhase { Self.share($0.groupsWithoutSignal, of: $0.groups) }),
            Plot(title: "Gradient norm", xLabel: "step", series: perStep(\.result.gradientNorm)),
            Plot(title: "Entropy", xLabel: "step", yLabel: "nats per trained token", series: perStep(\.result.entropy)),
            Plot(title: "Training speed", xLabel: "step", yLabel: "tokens computed per second", series: perStep { $0.seconds > 0 ? Double($0.result.computedTokens) / $0.seconds : nil }),
        ]
    }

    private static func share(_ part: Int, of all: Int) -> Double? { all > 0 ? Double(part) / Double(all) : nil }

    private var accuracies: [MetricRecord] { metrics.filter { $0.name == "accuracy" } }

    /// As measured; where a recipe measured none, the share of right verdicts.
    private var accuracy: [Plot.Series] {
        let overall = accuracies.filter(\.category.isEmpty)
        if overall.isEmpty {
            // Samples of one problem are no independent cases.
            return perPhase(interval: { $0.groups > 0 ? nil : ProportionInterval(successes: Double($0.right), count: $0.judged) }) { Self.share($0.right, of: $0.judged) }
        }
        return Self.series(overall.map { ($0.phase, point($0)) })
    }

    private var accuracyByCategory: [Plot.Series] {
        let parts = accuracies.filter { !$0.category.isEmpty }
        // The curve needs every iteration, and test is measured at the ends only.
        let phase = ["dev", "test"].first { phase in parts.contains { $0.phase == phase } } ?? parts.first?.phase
        return Self.series(parts.filter { $0.phase == phase }.map { ($0.category, point($0)) })
    }

    private func point(_ metric: MetricRecord) -> Plot.Point {
        let interval = intervals.interval(of: metric)
        return Plot.Point(x: Double(metric.iteration), y: metric.value, low: interval?.low, high: interval?.high)
    }

    private func perPhase(interval: (PhaseSummary) -> ProportionInterval? = { _ in nil }, _ value: (PhaseSummary) -> Double?) -> [Plot.Series] {
        Self.series(
            summaries.compactMap { summary in
                value(summary).map {
                    (summary.phase, Plot.Point(x: Double(summary.iteration), y: $0, low: interval(summary)?.low, high: interval(summary)?.high))
                }
            })
    }

    private func perStep(_ value: (StepRecord) -> Double?) -> [Plot.Series] {
        Self.series(steps.enumerated().compactMap { index, step in value(step).map { (step.training.phase, Plot.Point(x: Double(index + 1), y: $0)) } })
    }

    /// Points under the same name become one series, in the order in which names come first.
    private static func series(_ points: [(name: String, point: Plot.Point)]) -> [Plot.Series] {
        var series: [Plot.Series] = []
        for (name, point) in points {
            if let index = series.firstIndex(where: { $0.name == name }) {
                series[index].points.append(point)
            } else {
                series.append(Plot.Series(name, [point]))
            }
        }
        return series
    }

    // MARK: - The page

    /// A whole page that is also well-formed XML (but for its document type, which both allow).
    public func html() -> String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8"/>
        <meta name="viewport" content="width=device-width, initial-scale=1"/>
        <title>\(HTML.escaped(name))</title>
        <style>
        \(Self.style)
        </style>
        </head>
        <body>
        <h1>\(HTML.escaped(name))</h1>
        <p>This run is \(state).</p>
        \(section("Curves", "<div class=\"plots\">\n" + plots.map { "<figure>\n\($0.svg())</figure>\n" }.joined() + "</div>\n"))
        \(section("Accuracy by category", accuracyTables))
        \(section("Right and rationalised", rolloutTable))
        \(section("The same problems before and after", sampleTable))
        \(section("Every metric", metricTable))
        \(section("Recipe", "<pre>\(HTML.escaped(recipe))</pre>\n"))
        \(section("Lineage", lineageTables))
        </body>
        </html>

        """
    }

    private static let style = """
        :root { color-scheme: light dark; --ink: #1d2125; --paper: #ffffff; --line: #d5d9de; --soft: #f4f6f8; --right: #1f7a45; --wrong: #b3261e; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --paper: #15181b; --line: #3a4047; --soft: #1f2428; --right: #6fcf97; --wrong: #ff8a80; } }
        body { margin: 0 auto; max-width: 72rem; padding: 1rem; color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
        h1 { overflow-wrap: anywhere; }
        .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
        figure { margin: 0; padding: 0.5rem; border: 1px solid var(--line); border-radius: 8px; }
        svg.plot { display: block; width: 100%; height: auto; }
        .wide { overflow-x: auto; margin: 0 0 1rem; }
        table { border-collapse: collapse; font-size: 0.9rem; }
        th, td { border: 1px solid var(--line); padding: 0.3rem 0.5rem; text-align: left; vertical-align: top; }
        thead th { background: var(--soft); }
        pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--soft); padding: 0.5rem; border-radius: 6px; margin: 0; font-size: 0.85rem; }
        .samples td, .samples th { min-width: 14rem; }
        .right { color: var(--right); font-weight: 600; }
        .wrong { color: var(--wrong); font-weight: 600; }
        .small { font-size: 0.85rem; opacity: 0.8; overflow-wrap: anywhere; }
        """

    private func section(_ title: String, _ content: String) -> String {
        "<section>\n<h2>\(HTML.escaped(title))</h2>\n\(content.isEmpty ? "<p>no data yet</p>\n" : content)</section>"
    }

    private func heading(iteration: Int) -> String {
        if let firstTraining, iteration >= firstTraining { "iteration \(iteration)" } else { "iteration \(iteration), before training" }
    }

    /// For each phase that measured accuracy: categories down, iterations across.
    private var accuracyTables: String {
        let phases = Set(accuracies.map(\.phase)).sorted()
        return phases.map { phase in
            let measured = accuracies.filter { $0.phase == phase }
            let iterations = Set(measured.map(\.iteration)).sorted()
            let rows = Set(measured.map(\.category)).sorted(by: MetricRecord.categoryOrder).map { category in
                [category.isEmpty ? "all" : HTML.escaped(category)]
                    + iterations.map { iteration in
                        measured.first { $0.iteration == iteration && $0.category == category }.map(accuracyText) ?? "–"
                    }
            }
            return "<h3>\(HTML.escaped(phase))</h3>\n" + HTML.table(["category"] + iterations.map { heading(iteration: $0) }, rows)
        }.joined()
    }

    private func accuracyText(_ metric: MetricRecord) -> String {
        let share = String(format: "%.1f %%", 100 * metric.value)
        guard metric.count > 0 else { return share }
        let interval = intervals.interval(of: metric).map { String(format: " [%.1f, %.1f]", 100 * $0.low, 100 * $0.high) } ?? ""
        return share + interval + String(format: "<br/>%.0f of %d", (metric.value * Double(metric.count)).rounded(), metric.count)
    }

    /// What became of the rollouts: phases down, categories across; hinted ones count as rationalised.
    private var rolloutTable: String {
        guard !categories.isEmpty else { return "" }
        struct Line: Hashable, Comparable {
            var iteration: Int
            var phase: String
            var mode: String
            static func < (a: Line, b: Line) -> Bool { (a.iteration, a.phase, a.mode) < (b.iteration, b.phase, b.mode) }
        }
        let lines = Dictionary(grouping: categories) { Line(iteration: $0.iteration, phase: $0.phase, mode: $0.mode?.rawValue ?? "") }
        let names = Set(categories.compactMap(\.category)).sorted(by: MetricRecord.categoryOrder)
        let rows = lines.keys.sorted().map { line in
            let parts = lines[line]!
            func sum(_ count: KeyPath<PhaseSummary, Int>) -> Int { parts.reduce(0) { $0 + $1[keyPath: count] } }
            func percent(_ count: Int) -> String { Self.share(count, of: sum(\.rollouts)).map { String(format: "%.1f %%", 100 * $0) } ?? "–" }
            let hinted = line.mode == PromptMode.hinted.rawValue
            return [
                "\(line.iteration), \(HTML.escaped(line.phase))", hinted ? "rationalised" : "right", "\(sum(\.right)) of \(sum(\.judged))",
            ]
                + names.map { name in parts.first { $0.category == name }.map { "\($0.right) of \($0.judged)" } ?? "–" }
                + [percent(sum(\.unreadable)), percent(sum(\.lengthStopped)), percent(sum(\.failed))]
        }
        return HTML.table(["iteration, phase", "counted", "all"] + names.map { $0.isEmpty ? "(none)" : $0 } + ["unreadable", "cut off", "verifier failed"], rows)
    }

    private var sampleTable: String {
        guard !samples.isEmpty else { return "" }
        let header = ["problem", "before (iteration \(samples[0].before.key.iteration))", "after (iteration \(samples[0].after.key.iteration))"]
        let rows = samples.map { sample in
            let problem = sample.problem
            return [
                "<pre>\(Self.clipped(problem.question))</pre><div class=\"small\">\(Self.clipped(problem.id))"
                    + (problem.answer.map { ", answer: \(Self.clipped($0))" } ?? "") + "</div>",
                Self.completion(sample.before), Self.completion(sample.after),
            ]
        }
        return HTML.table(header, rows, class: "samples")
    }

    private static func completion(_ rollout: Rollout) -> String {
        let (word, evidence) =
            switch rollout.judgement {
            case nil: ("not judged", "")
            case .judged(let verdict): (verdict.outcome.rawValue, verdict.evidence)
            case .failed(let reason): ("verifier failed", reason)
            }
        return "<span class=\"\(rollout.isRight ? "right" : "wrong")\">\(word)</span><pre>\(clipped(rollout.text))</pre><div class=\"small\">\(clipped(evidence))</div>"
    }

    private static func clipped(_ text: String) -> String { HTML.escaped(text.count > 1500 ? text.prefix(1500) + " …" : text) }

    private var metricTable: String {
        HTML.table(
            ["metric", "phase", "category", "iteration", "value", "cases"],
            metrics.map { metric in
                [
                    HTML.escaped(metric.name), HTML.escaped(metric.phase), HTML.escaped(metric.category), "\(metric.iteration)",
                    String(format: "%.6g", metric.value), metric.count > 0 ? "\(metric.count)" : "",
                ]
            })
    }

    private var lineageTables: String {
        func short(_ hash: String) -> String { HTML.escaped(hash.count > 20 ? hash.prefix(19) + "…" : hash) }
        let nodes = lineage.nodes.map { node in
            [
                short(node.hash), node.kind.rawValue, HTML.escaped(node.name),
                HTML.escaped((node.paths + (node.order.map { ["order: \($0)"] } ?? [])).joined(separator: ", ")),
            ]
        }
        let edges = lineage.edges.map { [short($0.from), short($0.to), $0.kind.rawValue] }
        return HTML.table(["content", "kind", "name", "where"], nodes) + (edges.isEmpty ? "" : HTML.table(["made", "from", "which is"], edges))
    }
}

extension RunRecord {
    /// Writes report.html into the run's folder.
    public func writeReport() throws { try Report(self).write(to: "\(folderPath)/report.html") }
}
