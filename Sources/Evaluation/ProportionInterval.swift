/// A share with its 95 % interval.
public struct ProportionInterval: Codable, Equatable, Sendable {
    public var value: Double
    public var low: Double
    public var high: Double

    /// The standard normal's 97.5 % quantile.
    package static let z = 1.959963984540054

    /// Wilson's score interval: never outside 0…1, and honest for few cases and for shares near 0 and 1.
    ///
    /// Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22.
    /// - Returns: `nil` without cases.
    public init?(successes: Double, count: Int) {
        guard count > 0, successes >= 0, successes <= Double(count) else { return nil }
        let (n, z) = (Double(count), Self.z)
        let share = successes / n
        let center = (share + z * z / (2 * n)) / (1 + z * z / n)
        let half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot()
        value = share
        low = successes == 0 ? 0 : max(0, center - half)
        high = successes == n ? 1 : min(1, center + half)
    }

    /// The mean over problems of a share that each problem has, its spread over problems being all its uncertainty: samples of one problem, also of several
    /// seeds, are not independent cases. Where every share is 0 or 1, Wilson's interval; the wider of the two below thirty problems, whose spread may be small by chance.
    ///
    /// Source: Miller 2024, arXiv:2411.00640, section 2.2 (standard errors clustered by question).
    /// - Returns: `nil` without problems.
    public init?(shares: [Double]) {
        self.init(successes: shares.reduce(0, +), count: shares.count)
        guard shares.contains(where: { $0 > 0 && $0 < 1 }) else { return }
        let n = Double(shares.count), mean = value
        let error = n > 1 ? (shares.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (n - 1) / n).squareRoot() : 1
        let spread = (low: max(0, mean - Self.z * error), high: min(1, mean + Self.z * error))
        (low, high) = n < 30 ? (min(low, spread.low), max(high, spread.high)) : spread
    }

    /// The interval of `self − other`, the two measured independently.
    ///
    /// Source: Newcombe 1998, "Interval estimation for the difference between independent proportions", Statistics in Medicine
    /// 17, method 10.
    public func difference(from other: ProportionInterval) -> (value: Double, low: Double, high: Double) {
        func root(_ a: Double, _ b: Double) -> Double { (a * a + b * b).squareRoot() }
        let difference = value - other.value
        return (difference, difference - root(value - low, other.high - other.value), difference + root(high - value, other.value - other.low))
    }
}
