import Autodidact
import Foundation

/// Held-out accuracy by category with what was trained on: on dev before and after every iteration, on test before and after all.
struct ResultTable {
    let text: String

    fileprivate struct Row: Hashable, Comparable {
        var part: String
        var iteration: Int
        static func < (a: Row, b: Row) -> Bool { (a.part, a.iteration) < (b.part, b.iteration) }
    }

    init(_ record: RunRecord) throws {
        let metrics = try record.metrics()
        let measured = metrics.filter { ["dev", "test"].contains($0.phase) && $0.name == "accuracy" }
        let categories = Array(Set(measured.map(\.category).filter { !$0.isEmpty })).sorted(by: MetricRecord.categoryOrder)
        func value(_ iteration: Int, _ phase: String, _ name: String, _ category: String = "") -> MetricRecord? {
            metrics.first { $0.iteration == iteration && $0.phase == phase && $0.name == name && $0.category == category }
        }
        func percent(_ metric: MetricRecord?) -> String { metric.map { String(format: "%.1f", $0.value * 100) } ?? "–" }
        func count(_ metric: MetricRecord?) -> String { metric.map { "\(Int($0.value))" } ?? "–" }
        // A control accepts what is not right, and a reward model what it likes.
        let verifier = try RunPlan(yaml: record.recipe(), file: record.folderPath).verifier, isOther = verifier != "task"
        var rows = [["part", "iteration"] + categories + ["mean", isOther ? "accepted" : "right", "rationalised"]]
        for (part, iteration) in Set(measured.map { Row(part: $0.phase, iteration: $0.iteration) }).sorted().map({ ($0.part, $0.iteration) }) {
            let mean = value(iteration, part, "macroAccuracy") ?? value(iteration, part, "accuracy")
            // What was found while learning stands once, beside the part that is measured while learning.
            let found = part == "dev" ? ["attempt", "rationalise"].map { count(value(iteration, $0, "right")) } : ["", ""]
            rows.append([part, "\(iteration)"] + categories.map { percent(value(iteration, part, "accuracy", $0)) } + [percent(mean)] + found)
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let table = "held-out accuracy in %, and training samples that \(isOther ? "the \(verifier == "accept-all" ? "control" : "reward model") accepted" : "were right")\n" + rows.map { row in
            zip(row, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }.joined(separator: "  ")
        }.joined(separator: "\n")
        text = ([table] + Self.candidates(metrics)).joined(separator: "\n")
    }

    /// How well a trained verifier chooses among several candidates, in the intervals of so many problems.
    private static func candidates(_ metrics: [MetricRecord]) -> [String] {
        func figure(_ name: String) -> MetricRecord? { metrics.last { $0.phase == "candidates" && $0.name == name } }
        guard let verified = figure("verified") else { return [] }
        let parts = [("the verifier's choice", "verified"), ("the majority's", "majority"), ("a candidate on average", "average"), ("any of them", "anyRight")].compactMap { words, name in
            figure(name).flatMap { metric in
                // The average is no share of problems.
                let interval = name == "average" ? nil : ProportionInterval(successes: metric.value * Double(metric.count), count: metric.count)
                return "\(words) \(interval.map(EvaluationTable.interval) ?? String(percent: metric.value))"
            }
        }
        return ["right among the candidates of \(verified.count) test problems: \(parts.joined(separator: ", "))"]
    }
}
