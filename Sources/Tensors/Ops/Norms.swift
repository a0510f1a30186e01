/// `x / sqrt(mean(x²) + ε) · w` over the last axis. Source: Zhang and Sennrich 2019, arXiv:1910.07467.
///
/// The result is cheap to make again, so what follows keeps `x` instead.
/// `constant` is added to the weights, for models that store them minus one.
public func rmsNorm(_ x: Tensor, _ weight: Parameter, plus constant: Float = 0, epsilon: Float) -> Tensor {
    let factors = { [backend = x.backend] in
        guard constant != 0 else { return weight.vector }
        let sum = backend.empty(weight.shape)
        backend.offset(weight.vector, by: constant, into: sum)
        return sum
    }
    let compute = { [backend = x.backend] (x: Tensor) in
        let y = backend.empty(x.shape)
        backend.rmsNorm(x, factors(), epsilon: epsilon, into: y)
        return y
    }
    let y = compute(x)
    guard x.node != nil else { return y }
    let (kept, source) = (Kept(x), GradientSink(x))
    return y.recorded(from: [x], training: [weight], recompute: { compute(kept.restore()) }) { dy, tape in
        let dx = dy.backend.empty(dy.shape)
        dy.backend.rmsNormBackward(
            dy, kept.restore(), factors(), epsilon: epsilon, into: dx, weightGradient: tape.gradients.trains(weight) ? tape.gradients.vector(weight) : nil)
        source.add(dx)
    }
}

/// `(x - mean) / sqrt(var + ε) · w + b` over the last axis, biased variance. Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450.
public func layerNorm(_ x: Tensor, _ weight: Parameter, _ bias: Parameter?, epsilon: Float) -> Tensor {
    let compute = { [backend = x.backend] (x: Tensor) in
        let y = backend.empty(x.shape)
        backend.layerNorm(x, weight.vector, bias?.vector, epsilon: epsilon, into: y)
        return y
    }
    let y = compute(x)
    guard x.node != nil else { return y }
    let (kept, source) = (Kept(x), GradientSink(x))
    return y.recorded(from: [x], training: [weight] + (bias.map { [$0] } ?? []), recompute: { compute(kept.restore()) }) { dy, tape in
        let dx = dy.backend.empty(dy.shape)
        dy.backend.layerNormBackward(
            dy, kept.restore(), weight.vector, epsilon: epsilon, into: dx,
            weightGradient: tape.gradients.trains(weight) ? tape.gradients.vector(weight) : nil,
            biasGradient: bias.flatMap { tape.gradients.trains($0) ? tape.gradients.vector($0) : nil })
        source.add(dx)
    }
}
