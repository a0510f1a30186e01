import Autodidact
import Foundation

/// The figures of several evaluations, one a line. Columns that nobody has are left out.
struct EvaluationTable {
    private var rows: [[String: String]] = []
    private var passAt: Set<Int> = []

    /// "41.2 % (38.0–44.5)", the interval of 95 %.
    static func interval(_ share: ProportionInterval) -> String { String(format: "%.1f %% (%.1f–%.1f)", share.value * 100, share.low * 100, share.high * 100) }

    mutating func add(_ recipe: EvaluationRecipe, _ summary: EvaluationSummary, _ work: Evaluator.Work) {
        var row = [
            "task": recipe.parts["task"] ?? "", "split": recipe.parts["split"] ?? "", "problems": "\(summary.problems)", "recipe": recipe.shortHash,
            "cut off": share(summary.cutOff, summary), "unreadable": share(summary.unreadable, summary), "failed": "\(summary.failed)",
        ]
        row["unknown"] = summary.unknown.map { share($0, summary) }
        row["accuracy"] = summary.accuracy.map(Self.interval)
        for (k, value) in summary.passAt { row["pass@\(k)"] = Self.interval(value) }
        passAt.formUnion(summary.passAt.keys)
        row["majority"] = summary.majority.map(Self.interval)
        for rule in ChoiceRule.allCases where rule != .acc { row[rule.rawValue] = summary.rules[rule.rawValue].map(Self.interval) }
        row["distinct-2"] = summary.distinct2.map { String(format: "%.2f", $0) }
        row["self-BLEU"] = summary.selfBLEU.map { String(format: "%.2f", $0) }
        row["tokens/s"] = work.tokensPerSecond.map { "\(Int($0))" }
        if work.tokens == 0, work.samples > 0 { row["judged/s"] = String(format: "%.1f", Double(work.samples) / max(1e-9, work.duration / .seconds(1))) }
        if work.separateTokens > 0 { row["computed"] = String(percent: Double(work.computedTokens) / Double(work.separateTokens)) }
        rows.append(row)
    }

    var isEmpty: Bool { rows.isEmpty }

    private func share(_ count: Int, _ summary: EvaluationSummary) -> String { String(percent: Double(count) / Double(max(1, summary.samples))) }

    var text: String {
        let rules = ChoiceRule.allCases.filter { $0 != .acc }.map(\.rawValue)
        let columns = ["task", "split", "problems", "accuracy"]
            + passAt.sorted().map { "pass@\($0)" } + ["majority"] + rules
            + ["cut off", "unreadable", "unknown", "failed", "distinct-2", "self-BLEU", "tokens/s", "judged/s", "computed", "recipe"]
        let present = columns.filter { column in rows.contains { $0[column] != nil } }
        let cells = [present] + rows.map { row in present.map { row[$0] ?? "–" } }
        let widths = present.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        return cells.map { row in
            row.indices.map { row[$0] + String(repeating: " ", count: widths[$0] - row[$0].count) }.joined(separator: "  ").replacing(/\ +$/, with: "")
        }.joined(separator: "\n")
    }
}
