import Autodidact
import Foundation

/// Held-out accuracy by category, before and after every iteration, with what was trained on.
struct ResultTable {
    let text: String

    init(_ record: RunRecord) throws {
        let metrics = try record.metrics()
        let test = metrics.filter { $0.phase == "test" && $0.name == "accuracy" }
        let categories = Array(Set(test.map(\.category).filter { !$0.isEmpty })).sorted()
        func value(_ iteration: Int, _ phase: String, _ name: String, _ category: String = "") -> MetricRecord? {
            metrics.first { $0.iteration == iteration && $0.phase == phase && $0.name == name && $0.category == category }
        }
        func percent(_ metric: MetricRecord?) -> String { metric.map { String(format: "%.1f", $0.value * 100) } ?? "–" }
        func count(_ metric: MetricRecord?) -> String { metric.map { "\(Int($0.value))" } ?? "–" }
        var rows = [["iteration"] + categories + ["mean", "right", "rationalised"]]
        for iteration in Set(test.map(\.iteration)).sorted() {
            let mean = value(iteration, "test", "macroAccuracy") ?? value(iteration, "test", "accuracy")
            rows.append(
                ["\(iteration)"] + categories.map { percent(value(iteration, "test", "accuracy", $0)) } + [percent(mean)]
                    + [count(value(iteration, "attempt", "right")), count(value(iteration, "rationalise", "right"))])
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        text = "held-out accuracy in %, and training problems solved\n" + rows.map { row in
            zip(row, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
