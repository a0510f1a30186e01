/// Which policy is the result so far: the last one that was trained whole, or with patience the best on dev.
struct Progress {
    private(set) var best: PolicyVersion
    /// Of what `best` was trained.
    private(set) var iteration = 0
    private var accuracy: Double?
    private var waited = 0
    /// Iterations without a better one after which it is over; 0: never.
    let patience: Int

    /// - Parameters:
    ///   - start: what the recipe began with.
    ///   - accuracy: on dev; nil where there is none.
    ///   - patience: see there.
    init(_ start: PolicyVersion, _ accuracy: Double?, patience: Int = 0) {
        (best, self.accuracy, self.patience) = (start, accuracy, patience)
    }

    /// - Parameters:
    ///   - policy: what the iteration made.
    ///   - n: the iteration.
    ///   - accuracy: its own on dev; nil where there is none.
    ///   - isCutShort: whether it began anew and the budget ended it early, so that it may be far behind the one before: then only what dev shows counts.
    /// - Returns: whether it is over.
    mutating func isOver(after policy: PolicyVersion, iteration n: Int, _ accuracy: Double?, isCutShort: Bool = false) -> Bool {
        // What could not be measured does not take the place of what was.
        let isBetter = accuracy.map { $0 > self.accuracy ?? -1 } ?? (self.accuracy == nil && (!isCutShort || n == 1))
        if isBetter || (patience == 0 && (!isCutShort || n == 1)) {
            (best, iteration, self.accuracy, waited) = (policy, n, accuracy, 0)
        } else if accuracy != nil {
            waited += 1
        }
        return patience > 0 && accuracy != nil && waited >= patience
    }
}
