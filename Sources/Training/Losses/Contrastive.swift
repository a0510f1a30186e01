/// Each anchor should be nearer to its own positive than to those of the other anchors: cross-entropy over cosine(aᵢ, bⱼ) / T with the target i.
///
/// Source: van den Oord et al. 2018, arXiv:1807.03748.
public struct InfoNCE: Sendable, Codable, Equatable {
    /// T.
    public var temperature: Double

    public init(temperature: Double = 0.05) { self.temperature = temperature }

    /// - Parameters:
    ///   - anchors: one vector of each pair.
    ///   - positives: the other, in the same order.
    /// - Returns: the mean over anchors, and its gradient by both. A vector of zeros has no direction: its cosine with all others is 0, and so is its gradient.
    /// - Throws: `NothingCounted` when there is no pair.
    public func callAsFunction(anchors: [[Double]], positives: [[Double]]) throws(NothingCounted) -> (value: Double, anchors: [[Double]], positives: [[Double]]) {
        precondition(anchors.count == positives.count, "\(anchors.count) anchors and \(positives.count) positives")
        let (a, b) = (anchors.map { Direction($0) }, positives.map { Direction($0) })
        let rows = a.enumerated().map { index, anchor in CrossEntropy()(b.map { anchor.cosine($0) / temperature }, target: Int32(index)) }
        let (value, byLogit) = try rows.mean()
        func combined(_ directions: [Direction], _ weights: [Double]) -> [Double] {
            (directions.first?.unit.indices ?? 0..<0).map { place in zip(directions, weights).reduce(0) { $0 + $1.0.unit[place] * $1.1 / temperature } }
        }
        return (
            value, a.indices.map { a[$0].gradient(combined(b, byLogit[$0])) },
            b.indices.map { index in b[index].gradient(combined(a, byLogit.map { $0[index] })) }
        )
    }
}

/// 1 - cosine(a, b), by a: how DistilBERT's hidden states follow their teacher's. Source: Sanh et al. 2019, arXiv:1910.01108.
public func cosineDistance(_ a: [Double], to b: [Double]) -> RowLoss {
    let (a, b) = (Direction(a), Direction(b))
    return RowLoss(1 - a.cosine(b), gradient: a.gradient(b.unit.map { -$0 }))
}

/// A vector divided by its length, and the way of gradients back through that.
private struct Direction {
    let unit: [Double]
    let length: Double

    init(_ vector: [Double]) {
        length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        unit = length > 0 ? vector.map { [length] in $0 / length } : vector
    }

    func cosine(_ other: Direction) -> Double { Self.dot(unit, other.unit) }

    /// By the vector, from that by its direction.
    func gradient(_ byUnit: [Double]) -> [Double] {
        let along = Self.dot(unit, byUnit)
        return zip(unit, byUnit).map { length > 0 ? ($1 - along * $0) / length : 0 }
    }

    private static func dot(_ a: [Double], _ b: [Double]) -> Double {
        precondition(a.count == b.count, "vectors of \(a.count) and of \(b.count)")
        return zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    }
}
