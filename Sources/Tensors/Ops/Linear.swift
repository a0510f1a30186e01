/// A fully connected layer: `y = x Wᵀ + b`.
///
/// - Parameters:
///   - x: `[…, inputs]`.
///   - weight: `[outputs, inputs]`.
///   - bias: `[outputs]`, added after the product.
/// - Returns: `[rows, outputs]`.
public func linear(_ x: Tensor, _ weight: Parameter, _ bias: Parameter? = nil) -> Tensor {
    let y = x.backend.empty([x.rows, weight.shape[0]])
    x.backend.linear(x, weight.matrix, bias: bias?.vector, into: y)
    let trained = [weight] + (bias.map { [$0] } ?? [])
    guard let tape = x.node?.tape else { return y }
    let trainsWeight = tape.gradients.trains(weight)
    let (kept, source, backend) = (trainsWeight ? Kept(x) : nil, GradientSink(x), x.backend)
    return y.recorded(from: [x], training: trained) { dy, tape in
        if let kept { backend.linearWeightGradient(dy, kept.restore(), into: tape.gradients.matrix(weight)) }
        if let bias, tape.gradients.trains(bias) { backend.columnSums(dy, into: tape.gradients.vector(bias)) }
        source.add { dx in backend.linearInputGradient(dy, weight.matrix, into: dx) }
    }
}
