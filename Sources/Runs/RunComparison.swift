import Evaluation
import Foundation
import Recipes

/// Two runs side by side: what their recipes disagree on, and how far their last metrics are apart.
public struct RunComparison: Sendable {
    /// A metric that both runs have, each as it was measured last.
    public struct Row: Equatable, Sendable {
        public var first: MetricRecord
        public var second: MetricRecord
        /// Second minus first.
        public var difference: Double
        /// 95 %, where both are shares over a known number of independent cases, which several samples of one problem are not: Newcombe's interval for two
        /// independent proportions.
        public var low: Double?
        public var high: Double?

        /// Zero is outside the interval.
        public var isSignificant: Bool? {
            guard let low, let high else { return nil }
            return low > 0 || high < 0
        }
    }

    public let firstName: String
    public let secondName: String
    /// In order of phase, name and category.
    public let rows: [Row]
    public let recipeDifferences: [RecipeDifference]
    /// Why the numbers may not mean the same; empty when they do.
    public let warnings: [String]
    /// Whether both records are equal but for times.
    public let isSameRun: Bool

    public init(_ first: RunRecord, _ second: RunRecord) throws {
        firstName = (first.folderPath as NSString).lastPathComponent
        secondName = (second.folderPath as NSString).lastPathComponent
        let recipes = (RecipeKeys(yaml: try first.recipe()), RecipeKeys(yaml: try second.recipe()))
        recipeDifferences = recipes.0.differences(to: recipes.1)
        let showsExamples = [recipes.0, recipes.1].contains { $0.values.contains { $0.key.hasSuffix("few-shot") && $0.value != "0" } }
        isSameRun = try first.digest() == second.digest()
        let metrics = (try first.metrics(), try second.metrics())
        let intervals = (ShareIntervals(metrics.0), ShareIntervals(metrics.1))
        let (before, after) = (Self.last(metrics.0), Self.last(metrics.1))
        rows = before.keys.filter { after[$0] != nil }.sorted().map { key in
            let (first, second) = (before[key]!, after[key]!)
            var row = Row(first: first, second: second, difference: second.value - first.value)
            if let a = intervals.0.interval(of: first), let b = intervals.1.interval(of: second) {
                let difference = b.difference(from: a)
                (row.low, row.high) = (difference.low, difference.high)
            }
            return row
        }

        var warnings = recipeDifferences.filter { Self.isDecisive($0.key, showsExamples: showsExamples) }.map { "measured differently: \($0)" }
        if let problem = try Self.askedDifferently((first, before), (second, after), haveOneVocabulary: recipes.0.values["model"] == recipes.1.values["model"]) { warnings.append("measured under different prompts, such as that of problem '\(problem)'") }
        let uneven = rows.filter { $0.first.iteration != $0.second.iteration }
        if let row = uneven.first {
            warnings.append("the last \(row.first.phase) is of iteration \(row.first.iteration) in \(firstName), of iteration \(row.second.iteration) in \(secondName)")
        }
        if let row = rows.first(where: { $0.first.count != $0.second.count }) {
            warnings.append("\(row.first.phase) \(row.first.name) is over \(row.first.count) cases in \(firstName), over \(row.second.count) in \(secondName)")
        }
        for (run, own, other) in [(firstName, before, after), (secondName, after, before)] {
            let missing = own.keys.filter { other[$0] == nil }.count
            if missing > 0 { warnings.append("\(missing) metrics are only in \(run)") }
        }
        self.warnings = warnings
    }

    /// For a terminal: warnings first, so that nobody reads the numbers without them.
    public var text: String {
        var lines = warnings.map { "warning: \($0)" }
        if isSameRun { lines.append("The two records are equal but for times.") }
        lines.append(recipeDifferences.isEmpty ? "The recipes are equal." : "Recipes:")
        lines += recipeDifferences.map { "  \($0)" }
        guard !rows.isEmpty else { return (lines + ["No metric is in both runs."]).joined(separator: "\n") + "\n" }
        var table = [["metric", firstName, secondName, "difference", "95 % interval"]]
        for row in rows {
            let category = row.first.category.isEmpty ? "" : " [\(row.first.category)]"
            let interval = row.low.flatMap { low in row.high.map { String(format: "%+.4f … %+.4f", low, $0) } } ?? ""
            table.append([
                "\(row.first.phase) \(row.first.name)\(category)", String(format: "%.4g", row.first.value), String(format: "%.4g", row.second.value),
                String(format: "%+.4g", row.difference), interval,
            ])
        }
        let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
        lines += table.map { row in
            var line = row.indices.map { row[$0] + String(repeating: " ", count: widths[$0] - row[$0].count) }.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line
        }
        return lines.joined(separator: "\n") + "\n"
    }

    // MARK: -

    private struct Key: Hashable, Comparable {
        var phase, name, category: String
        static func < (a: Key, b: Key) -> Bool { (a.phase, a.name, a.category) < (b.phase, b.name, b.category) }
    }

    /// Of every metric the one of the last iteration.
    private static func last(_ metrics: [MetricRecord]) -> [Key: MetricRecord] {
        metrics.reduce(into: [:]) { last, metric in
            let key = Key(phase: metric.phase, name: metric.name, category: metric.category)
            if last[key].map({ $0.iteration <= metric.iteration }) ?? true { last[key] = metric }
        }
    }

    private typealias Measured = (record: RunRecord, last: [Key: MetricRecord])

    /// A problem that both runs have measured last, in whatever iteration, and put differently, or in another number of turns: worked examples may follow the seed, and recipes have ways of asking.
    private static func askedDifferently(_ first: Measured, _ second: Measured, haveOneVocabulary: Bool) throws -> String? {
        for phase in ["test", "dev"] {
            func prompts(_ run: Measured) throws -> [String: [[Int32]]] {
                guard let iteration = run.last[Key(phase: phase, name: "accuracy", category: "")]?.iteration else { return [:] }
                // Only how it is asked, not what was answered: the first turn's prompt, and that there are others.
                return try Dictionary(grouping: run.record.rollouts(where: "iteration = ? AND phase = ? AND sample = 0", [iteration, Stored.text(phase)]), by: \.problem.id).mapValues { turns in
                    turns.map { $0.key.turn == 0 && haveOneVocabulary ? $0.promptTokens : [] }
                }
            }
            let (own, other) = (try prompts(first), try prompts(second))
            if let problem = own.keys.sorted().first(where: { id in other[id].map { $0.first != own[id]?.first } ?? false }) { return problem }
            // An answer that was cut off has no second turn.
            func turns(_ prompts: [String: [[Int32]]]) -> Int { prompts.values.map(\.count).max() ?? 0 }
            if !own.isEmpty, !other.isEmpty, turns(own) != turns(other) { return own.keys.sorted()[0] }
        }
        return nil
    }

    /// Whether a measurement depends on a key of the recipe, and not training alone. Seeds choose the worked examples in prompts.
    private static func isDecisive(_ key: String, showsExamples: Bool) -> Bool {
        if key.hasSuffix("seed") { return showsExamples }
        if key.hasPrefix("taskSettings.") { return !["train-count", "shares", "name"].contains(key.dropFirst("taskSettings.".count)) }
        return key.hasPrefix("prompts") || ["task", "options.devLimit", "options.testLimit"].contains(key)
    }
}
