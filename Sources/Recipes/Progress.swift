/// Which policy was best on dev so far, and since when none has been better.
struct Progress {
    private(set) var best: PolicyVersion
    private var accuracy: Double?
    private var waited = 0
    /// Iterations without a better one after which it is over; 0: never.
    let patience: Int

    /// - Parameters:
    ///   - start: what the recipe began with.
    ///   - accuracy: on dev; nil where there is none.
    ///   - patience: see there.
    init(_ start: PolicyVersion, _ accuracy: Double?, patience: Int) {
        (best, self.accuracy, self.patience) = (start, accuracy, patience)
    }

    /// - Returns: whether it is over.
    mutating func isOver(after policy: PolicyVersion, _ accuracy: Double?) -> Bool {
        guard patience > 0, let accuracy else {
            // What could not be measured does not take the place of what was.
            if patience == 0 || self.accuracy == nil { best = policy }
            return false
        }
        if accuracy > self.accuracy ?? -1 {
            (best, self.accuracy, waited) = (policy, accuracy, 0)
        } else {
            waited += 1
        }
        return waited >= patience
    }
}
