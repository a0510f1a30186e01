import Tensors

/// What an epoch holds of several files: each file in its share, without repeats before all of the file was there.
///
/// Every place of an epoch follows from the seed, so that a training goes on anywhere without a state of its own.
public struct Mixture: Sendable, Equatable {
    /// Examples, or groups of them, in each file.
    public let counts: [Int]
    /// Examples of each file in one epoch.
    public let shares: [Int]
    private let isWhole: Bool
    private let key: RandomKey

    /// - Parameters:
    ///   - counts: examples, or groups that are judged together, of each file; above 0 wherever a weight is.
    ///   - weights: shares of the files in an epoch, in any unit; nil: as many as the files hold.
    ///   - size: examples of an epoch; nil: all of them, or with weights as many as pass the largest file once.
    ///   - seed: of the order.
    public init(counts: [Int], weights: [Double]? = nil, size: Int? = nil, seed: UInt64) {
        precondition(weights.map { $0.count == counts.count } ?? true, "\(weights?.count ?? 0) weights for \(counts.count) files")
        self.counts = counts
        key = RandomKey(seed: seed)
        isWhole = weights == nil && size == nil
        guard !isWhole else {
            shares = counts
            return
        }
        let weights = weights ?? counts.map(Double.init), total = weights.reduce(0, +), largest = counts.indices.filter { weights[$0] > 0 }.max { counts[$0] < counts[$1] } ?? 0
        let size = size ?? max(1, Int((Double(counts[largest]) * total / weights[largest]).rounded()))
        // The largest remainders make the sum right.
        let exact = weights.map { $0 / total * Double(size) }
        var shares = exact.map { Int($0) }
        let rest = exact.indices.sorted { (exact[$1] - Double(shares[$1]), $0) < (exact[$0] - Double(shares[$0]), $1) }
        for place in rest.prefix(max(0, size - shares.reduce(0, +))) { shares[place] += 1 }
        self.shares = shares
    }

    /// Examples of one epoch.
    public var size: Int { shares.reduce(0, +) }

    /// The examples of an epoch in their order, counted through all files.
    public func order(epoch: Int) -> [Int] {
        let order = key.folding("order").folding(epoch).permutation(size)
        guard !isWhole else { return order }
        var drawn: [Int] = [], first = 0
        for (file, (count, share)) in zip(counts, shares).enumerated() {
            var pass = (number: -1, order: [Int]())
            for place in epoch * share..<(epoch + 1) * share {
                if place / count != pass.number { pass = (place / count, key.folding("pass").folding(file).folding(place / count).permutation(count)) }
                drawn.append(first + pass.order[place % count])
            }
            first += count
        }
        return order.map { drawn[$0] }
    }
}
