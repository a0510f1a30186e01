/// How two lists of numbers go together: 1 where one rises with the other, -1 where it falls, 0 where one of them does not vary.
public enum Correlation {
    /// Of the numbers themselves. Source: Pearson 1895.
    public static func linear(_ a: [Double], _ b: [Double]) -> Double {
        precondition(a.count == b.count, "a correlation of \(a.count) and \(b.count) numbers")
        func centred(_ values: [Double]) -> [Double] {
            let mean = values.reduce(0, +) / Double(max(1, values.count))
            return values.map { $0 - mean }
        }
        func product(_ x: [Double], _ y: [Double]) -> Double { zip(x, y).reduce(0) { $0 + $1.0 * $1.1 } }
        let (x, y) = (centred(a), centred(b)), scale = (product(x, x) * product(y, y)).squareRoot()
        return scale > 0 ? product(x, y) / scale : 0
    }

    /// Of their ranks; equal numbers share the mean of theirs. Source: Spearman 1904.
    public static func rank(_ a: [Double], _ b: [Double]) -> Double { linear(ranks(a), ranks(b)) }

    private static func ranks(_ values: [Double]) -> [Double] {
        let order = values.indices.sorted { values[$0] < values[$1] }
        var ranks = values
        var start = 0
        while start < order.count {
            let end = order[start...].prefix { values[$0] == values[order[start]] }.endIndex
            for place in order[start..<end] { ranks[place] = Double(start + end - 1) / 2 }
            start = end
        }
        return ranks
    }
}
