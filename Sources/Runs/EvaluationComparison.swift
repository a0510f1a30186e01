import Evaluation
import Foundation

/// Two evaluations of one task side by side, on the problems that both have.
public struct EvaluationComparison: Sendable {
    public let first, second: EvaluationRecord.Entry
    /// `nil` where no problem was judged in both.
    public let paired: PairedComparison?
    /// Why the difference may not be one of the models; empty where it is.
    public let warnings: [String]

    /// - Parameters:
    ///   - first: with its samples.
    ///   - second: with its samples.
    public init(_ first: (entry: EvaluationRecord.Entry, samples: [EvaluatedSample]), _ second: (entry: EvaluationRecord.Entry, samples: [EvaluatedSample])) {
        (self.first, self.second) = (first.entry, second.entry)
        let (a, b) = (first.samples.shares(), second.samples.shares())
        let common = a.keys.filter { b[$0] != nil }.sorted()
        paired = PairedComparison(common.map { a[$0]! }, common.map { b[$0]! })
        var warnings: [String] = []
        if first.entry.recipe != second.entry.recipe {
            let keys = Set(first.entry.taskOptions.keys).union(second.entry.taskOptions.keys).sorted()
            let options = keys.filter { first.entry.taskOptions[$0] != second.entry.taskOptions[$0] }.map { key in
                "\(key)=\(first.entry.taskOptions[key] ?? "(left out)") and \(second.entry.taskOptions[key] ?? "(left out)")"
            }
            let hashes = "\(first.entry.recipe.shortHash) and \(second.entry.recipe.shortHash)"
            warnings.append("measured by different recipes, \(hashes): " + (first.entry.recipe.differences(to: second.entry.recipe) + options).joined(separator: "; "))
        }
        for entry in [first.entry, second.entry] where entry.summary == nil { warnings.append("evaluation \(entry.id) is not finished") }
        let others = max(a.count, b.count) - common.count
        if others > 0, paired != nil { warnings.append("compared on the \(common.count) problems that both have, out of \(a.count) and \(b.count)") }
        self.warnings = warnings
    }

    /// Every two evaluations of one task, in the order in which they were begun.
    public static func all(in record: EvaluationRecord) throws -> [EvaluationComparison] {
        let entries = try record.entries().map { (entry: $0, samples: try record.samples(of: $0.id)) }
        return entries.indices.flatMap { later in
            entries[..<later].filter { $0.entry.task == entries[later].entry.task }.map { EvaluationComparison($0, entries[later]) }
        }
    }

    /// Warnings first, so that nobody reads the numbers without them.
    public var text: String {
        var lines = warnings.map { "  warning: \($0)" }
        if let paired {
            func points(_ share: Double) -> String { String(format: "%+.1f", share * 100) }
            lines.append("  \(points(paired.difference)) points (95 %: \(points(paired.low)) to \(points(paired.high))) on \(paired.problems) problems")
            if let worse = paired.onlyFirst, let better = paired.onlySecond, let pValue = paired.pValue {
                lines[lines.count - 1] += String(format: "; only the first is right on %d, only the second on %d: p = %.3g", worse, better, pValue)
            }
        } else {
            lines.append("  no problem was judged in both")
        }
        return (["\(second.task): evaluation \(second.id) against \(first.id)"] + lines).joined(separator: "\n")
    }
}

/// Evaluations of the same weights by the same recipe with several seeds, as one measurement.
public struct SeedSummary: Sendable, Equatable {
    public let ids: [Int64]
    /// The mean over problems of their mean over seeds, with its interval over problems.
    public let accuracy: ProportionInterval
    /// How far the seeds' accuracies are apart: their standard deviation.
    public let deviation: Double

    /// In the order in which the first of each was begun; only finished evaluations count.
    public static func all(in record: EvaluationRecord) throws -> [SeedSummary] {
        let finished = try record.entries().filter { $0.summary != nil }
        return try Dictionary(grouping: finished) { [$0.modelHash, $0.recipe.hash] }.values.filter { $0.count > 1 }.sorted { $0[0].id < $1[0].id }.compactMap { group in
            let shares = try group.map { try record.samples(of: $0.id).shares() }
            let problems = Set(shares.flatMap(\.keys)).sorted()
            guard let accuracy = ProportionInterval(shares: problems.map { problem in
                let values = shares.compactMap { $0[problem] }
                return values.reduce(0, +) / Double(values.count)
            }) else { return nil }
            let means = shares.filter { !$0.isEmpty }.map { $0.values.reduce(0, +) / Double($0.count) }, mean = means.reduce(0, +) / Double(means.count)
            let variance = means.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(max(1, means.count - 1))
            return SeedSummary(ids: group.map(\.id), accuracy: accuracy, deviation: variance.squareRoot())
        }
    }
}
