/// -y ln σ(x) - (1 - y) ln σ(-x) of one logit x with a label y from 0 (no) to 1 (yes).
public func binaryCrossEntropy(_ logit: Double, label: Double) -> RowLoss {
    let loss = Dual.variable(logit, 0).logisticLoss(label)
    return RowLoss(loss.value, gradient: [loss.slopes[0]])
}

/// ELECTRA's loss: the generator's mean over masked tokens, and `weight` times the discriminator's mean over tokens.
///
/// No gradient goes through the generator's samples. Source: Clark et al. 2020, arXiv:2003.10555.
/// - Parameters:
///   - generator: cross-entropies of the masked tokens.
///   - discriminator: binary cross-entropies of all tokens, with the label 1 where a token was replaced by another.
///   - weight: of the discriminator.
/// - Returns: the loss, and its gradients by the rows of each.
/// - Throws: `NothingCounted` when no row of one of them counts.
public func electraLoss(
    generator: [RowLoss], discriminator: [RowLoss], weight: Double = 50
) throws(NothingCounted) -> (value: Double, generator: [[Double]], discriminator: [[Double]]) {
    let (g, d) = (try generator.mean(), try discriminator.map { weight * $0 }.mean())
    return (g.value + d.value, g.gradient, d.gradient)
}
