/// How unevenly a router spreads tokens over E experts: the mean of the rows' losses is E · Σ over experts of (choices per row) · (mean probability).
///
/// An even spread gives `perToken`. With one choice per token it is Switch's loss. Choices carry no gradient. Sources: Fedus et al. 2021, arXiv:2101.03961;
/// for more choices as the library of published models sums them, and as `LoadBalance` does while a model is trained.
/// - Parameters:
///   - logits: of each token over the experts, of all layers one after another.
///   - perToken: how many experts a token goes to; among equals the first.
///   - counts: whether a row counts; nil for all.
public func loadBalancing(_ logits: [[Double]], perToken: Int, counts: [Bool]? = nil) -> [RowLoss] {
    let width = logits.first?.count ?? 0, counts = counts ?? logits.map { _ in true }
    precondition(perToken <= width && counts.count == logits.count, "\(perToken) of \(width) experts, and \(counts.count) masks for \(logits.count) rows")
    var choices = [Double](repeating: 0, count: width)
    for (row, isCounted) in zip(logits, counts) where isCounted {
        for expert in row.indices.sorted(by: { (row[$1], $0) < (row[$0], $1) }).prefix(perToken) { choices[expert] += 1 }
    }
    let total = counts.reduce(0.0) { $0 + ($1 ? 1 : 0) }
    return zip(logits, counts).map { row, isCounted in
        guard isCounted else { return .ignored(width: width) }
        let law = SoftmaxRow(row), terms = zip(choices, law.probabilities).map { Double(width) * $0 / total * $1 }
        return law.loss(terms.reduce(0, +), byLogProbability: terms)
    }
}
