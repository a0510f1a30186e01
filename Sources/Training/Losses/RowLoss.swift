/// A loss of one row of numbers, such as a token's logits, and its gradient by them. A batch's loss is a list of these.
public struct RowLoss: Sendable, Equatable {
    public var value: Double
    /// ∂value/∂input.
    public var gradient: [Double]
    /// What the row counts for in a mean: 1, or its class's weight, or 0 where it is ignored.
    public var weight: Double

    public init(_ value: Double, gradient: [Double], weight: Double = 1) {
        self.value = value
        self.gradient = gradient
        self.weight = weight
    }

    /// A row that is not trained: no loss, no gradient, no weight.
    public static func ignored(width: Int) -> RowLoss { RowLoss(0, gradient: Array(repeating: 0, count: width), weight: 0) }

    /// Another loss of the same row beside this one; the row counts for what it did.
    public static func + (a: RowLoss, b: RowLoss) -> RowLoss {
        precondition(a.gradient.count == b.gradient.count, "losses of rows of \(a.gradient.count) and of \(b.gradient.count)")
        return RowLoss(a.value + b.value, gradient: zip(a.gradient, b.gradient).map { $0 + $1 }, weight: a.weight)
    }

    public static func * (scale: Double, loss: RowLoss) -> RowLoss {
        RowLoss(scale * loss.value, gradient: loss.gradient.map { scale * $0 }, weight: loss.weight)
    }
}

/// A mean over rows of which none counts: it would be 0/0.
public struct NothingCounted: Error, Equatable, CustomStringConvertible {
    public var rows: Int

    public init(rows: Int) { self.rows = rows }

    public var description: String { "none of \(rows) rows counts in the mean of a loss. Check the labels, the masks and the weights of classes." }
}

extension [RowLoss] {
    /// The sum over rows, divided by a count that the caller knows, such as that of a batch of which these are a part.
    public func sum(dividedBy count: Double = 1) -> (value: Double, gradient: [[Double]]) {
        (reduce(0) { $0 + $1.value } / count, map { $0.gradient.map { $0 / count } })
    }

    /// The sum over rows, divided by what they count for.
    /// - Throws: `NothingCounted` when no row counts.
    public func mean() throws(NothingCounted) -> (value: Double, gradient: [[Double]]) {
        let count = reduce(0) { $0 + $1.weight }
        guard count > 0 else { throw NothingCounted(rows: self.count) }
        return sum(dividedBy: count)
    }
}
