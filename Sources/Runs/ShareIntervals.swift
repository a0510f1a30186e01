import Evaluation
import Recipes

/// The 95 % intervals of a run's metrics, of those that are shares of independent cases: samples of one problem are none.
struct ShareIntervals {
    /// Metrics that are shares of `count` samples.
    private static let ofSamples: Set<String> = ["accuracy", "cutOff", "unreadable", "failedJudgements"]
    /// Metrics that are shares of `count` problems.
    private static let ofProblems: Set<String> = ["withoutSignal"]

    /// Where problems have several samples.
    private let repeated: Set<TrainingKey>

    /// - Parameter metrics: all of the run.
    init(_ metrics: [MetricRecord]) {
        repeated = Set(metrics.filter { $0.name == "pass@2" }.map { TrainingKey(iteration: $0.iteration, phase: $0.phase) })
    }

    /// `nil` also where the value is no whole number of cases out of `count`.
    func interval(of metric: MetricRecord) -> ProportionInterval? {
        let isIndependent = Self.ofSamples.contains(metric.name) && !repeated.contains(TrainingKey(iteration: metric.iteration, phase: metric.phase))
        guard isIndependent || Self.ofProblems.contains(metric.name), metric.count > 0, (0...1).contains(metric.value) else { return nil }
        let successes = metric.value * Double(metric.count)
        guard abs(successes - successes.rounded()) < 1e-6 * Double(metric.count) else { return nil }
        return ProportionInterval(successes: successes.rounded(), count: metric.count)
    }
}
