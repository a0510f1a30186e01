import Tensors

/// How far two evaluations of the same problems are apart: what problems have in common cancels.
public struct PairedComparison: Codable, Sendable, Equatable {
    public let problems: Int
    /// The mean over problems, second minus first.
    public let difference: Double
    /// 95 % of the differences that other draws of as many problems give (paired bootstrap, percentiles). Source: Efron 1979; Koehn 2004 (paired, W04-3250).
    public let low, high: Double
    /// Problems that only the first, or only the second, has wholly right; `nil` where problems have shares.
    public let onlyFirst, onlySecond: Int?
    /// How likely so uneven a division of these problems is if neither is better: McNemar's exact test, two-sided. Source: McNemar 1947.
    public let pValue: Double?

    /// - Parameters:
    ///   - first: of each problem the share of its samples that are right.
    ///   - second: of the same problems, in the same order.
    ///   - resamples: draws of problems; the same draws each time.
    /// - Returns: `nil` without problems.
    public init?(_ first: [Double], _ second: [Double], resamples: Int = 10_000) {
        precondition(first.count == second.count, "\(first.count) problems are compared with \(second.count)")
        guard !first.isEmpty else { return nil }
        let gains = zip(first, second).map { $1 - $0 }, count = gains.count
        problems = count
        difference = gains.reduce(0, +) / Double(count)
        let key = RandomKey(seed: 0).folding("paired bootstrap")
        let means = (0..<resamples).map { draw in
            let key = key.folding(draw)
            return (0..<count).reduce(0) { $0 + gains[key.index(below: count, UInt64($1))] } / Double(count)
        }.sorted()
        (low, high) = (means[resamples / 40], means[resamples - 1 - resamples / 40])
        guard (first + second).allSatisfy({ $0 == 0 || $0 == 1 }) else {
            (onlyFirst, onlySecond, pValue) = (nil, nil, nil)
            return
        }
        let (worse, better) = (gains.count { $0 < 0 }, gains.count { $0 > 0 })
        (onlyFirst, onlySecond, pValue) = (worse, better, Self.mcNemar(worse, better))
    }

    /// The two-sided tail of a fair coin that shows one side a times and the other b times.
    public static func mcNemar(_ a: Int, _ b: Int) -> Double {
        let n = a + b
        var (term, tail) = (-Double(n) * fixedLog(2), 0.0)  // the logarithm of C(n, i) / 2ⁿ
        for i in 0...min(a, b) {
            tail += fixedExp(term)
            term += fixedLog(Double(n - i)) - fixedLog(Double(i + 1))
        }
        return min(1, 2 * tail)
    }
}
