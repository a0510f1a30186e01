/// How likely at least one of k samples is right.
public enum PassAtK {
    /// Without bias from n samples of which c are right: `1 − C(n − c, k) / C(n, k)`. Source: Chen et al. 2021, arXiv:2107.03374, equation 1.
    /// - Parameters:
    ///   - k: at least 1, at most `samples`: fewer samples cannot tell.
    ///   - samples: n, all of which were judged.
    ///   - right: c.
    public static func estimate(_ k: Int, samples: Int, right: Int) -> Double {
        precondition(k >= 1 && k <= samples && (0...samples).contains(right), "pass@\(k) of \(samples) samples, \(right) of them right")
        guard samples - right >= k else { return 1 }
        let allWrong: Double = (samples - right..<samples).reduce(1) { $0 * (1 - Double(k) / Double($1 + 1)) }
        return 1 - allWrong
    }

    /// The mean over problems with at least k samples, its interval over problems; `nil` where there are none.
    /// - Parameters:
    ///   - k: at least 1.
    ///   - counts: of each problem, how many samples were judged and how many are right.
    public static func mean(_ k: Int, over counts: [(samples: Int, right: Int)]) -> ProportionInterval? {
        ProportionInterval(shares: counts.filter { $0.samples >= k }.map { estimate(k, samples: $0.samples, right: $0.right) })
    }
}
