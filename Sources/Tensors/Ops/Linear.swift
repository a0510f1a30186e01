/// A fully connected layer: `y = x Wᵀ + b`.
///
/// - Parameters:
///   - x: `[…, inputs]`.
///   - weight: `[outputs, inputs]`.
///   - bias: `[outputs]`, added after the product.
/// - Returns: `[rows, outputs]`.
public func linear(_ x: Tensor, _ weight: Parameter, _ bias: Parameter? = nil) -> Tensor { linear(x, [(weight, bias)])[0] }

/// Several fully connected layers of the same `x`, computed together, each with the update of its weight where it has one.
///
/// - Parameters:
///   - x: `[…, inputs]`.
///   - layers: weights `[outputs, inputs]` and biases `[outputs]`.
/// - Returns: `[rows, outputs]` of every layer.
public func linear(_ x: Tensor, _ layers: [(weight: Parameter, bias: Parameter?)]) -> [Tensor] {
    let plain = plainLinear(x, layers.map { ($0.weight, $0.weight.update?.magnitude == nil ? $0.bias : nil) })
    return zip(plain, layers).map { y, layer in layer.weight.update?.apply(x, y, weight: layer.weight, bias: layer.bias) ?? y }
}

/// Without what is trained beside a weight.
private func plainLinear(_ x: Tensor, _ layers: [(weight: Parameter, bias: Parameter?)]) -> [Tensor] {
    let backend = x.backend
    let ys = layers.map { backend.empty([x.rows, $0.weight.shape[0]]) }
    backend.linear(x, zip(layers, ys).map { ($0.weight.matrix, $0.bias?.vector, $1) })
    guard let tape = x.node?.tape else { return ys }
    let (kept, source) = (layers.contains { tape.gradients.trains($0.weight) } ? Kept(x) : nil, GradientSink(x))
    return zip(layers, ys).map { layer, y in
        let (weight, bias) = layer
        return y.recorded(from: [x], training: [weight] + (bias.map { [$0] } ?? [])) { dy, tape in
            if tape.gradients.trains(weight) { backend.linearWeightGradient(dy, kept!.restore(), into: tape.gradients.matrix(weight)) }
            if let bias, tape.gradients.trains(bias) { backend.columnSums(dy, into: tape.gradients.vector(bias)) }
            source.add { dx in backend.linearInputGradient(dy, weight.matrix, into: dx) }
        }
    }
}
