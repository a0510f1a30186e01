/// `a + b` of equal shapes.
public func add(_ a: Tensor, _ b: Tensor) -> Tensor {
    precondition(a.count == b.count, "add: \(a.shape) and \(b.shape)")
    let y = a.backend.empty(a.shape)
    a.backend.add(a, b, into: y)
    let (left, right) = (GradientSink(a), GradientSink(b))
    return y.recorded(from: [a, b]) { dy, _ in
        left.add(dy)
        right.add(dy)
    }
}

/// `a · b`, entry by entry.
public func multiply(_ a: Tensor, _ b: Tensor) -> Tensor {
    precondition(a.count == b.count, "multiply: \(a.shape) and \(b.shape)")
    let y = a.backend.empty(a.shape)
    a.backend.multiply(a, b, into: y)
    guard a.node != nil || b.node != nil else { return y }
    let (left, right, keptA, keptB) = (GradientSink(a), GradientSink(b), Kept(a), Kept(b))
    return y.recorded(from: [a, b]) { dy, _ in
        left.add { dy.backend.multiply(dy, keptB.restore(), into: $0) }
        right.add { dy.backend.multiply(dy, keptA.restore(), into: $0) }
    }
}

/// `x · factor`.
public func scale(_ x: Tensor, by factor: Float) -> Tensor {
    let y = x.backend.empty(x.shape)
    x.backend.scale(x, by: factor, into: y)
    let source = GradientSink(x)
    return y.recorded(from: [x]) { dy, _ in source.add { dy.backend.scale(dy, by: factor, into: $0) } }
}

/// What a layer does to every entry. Names are those of published configurations.
public enum Activation: String, Sendable, Codable, CaseIterable {
    /// x · σ(x)
    case silu
    /// x · Φ(x). Source: Hendrycks and Gimpel 2016, arXiv:1606.08415.
    case gelu
    /// Its approximation by a tanh.
    case geluTanh = "gelu_pytorch_tanh"
    /// x · σ(1.702 x)
    case quickGELU = "quick_gelu"
    case relu
    case tanh
}

/// The activation of every entry; made again in the backward pass from `x`, which is kept.
public func activate(_ activation: Activation, _ x: Tensor) -> Tensor {
    let compute = { (x: Tensor) in
        let y = x.backend.empty(x.shape)
        x.backend.activate(activation, x, into: y)
        return y
    }
    let y = compute(x)
    guard x.node != nil else { return y }
    let (kept, source) = (Kept(x), GradientSink(x))
    return y.recorded(from: [x], recompute: { compute(kept.restore()) }) { dy, _ in
        source.add { dy.backend.activateBackward(activation, dy, kept.restore(), into: $0) }
    }
}

/// `activation(gate) · up`, the middle of a gated MLP. Source: Shazeer 2020, arXiv:2002.05202.
///
/// The product is made again in the backward pass from the two that are kept.
public func gated(_ activation: Activation, _ gate: Tensor, _ up: Tensor) -> Tensor {
    precondition(gate.count == up.count, "gated: \(gate.shape) and \(up.shape)")
    let compute = { (gate: Tensor, up: Tensor) in
        let y = gate.backend.empty(gate.shape)
        gate.backend.gated(activation, gate, up, into: y)
        return y
    }
    let y = compute(gate, up)
    guard gate.node != nil || up.node != nil else { return y }
    let (keptGate, keptUp, gateSink, upSink) = (Kept(gate), Kept(up), GradientSink(gate), GradientSink(up))
    return y.recorded(from: [gate, up], recompute: { compute(keptGate.restore(), keptUp.restore()) }) { dy, _ in
        let (dGate, dUp) = (dy.backend.empty(dy.shape), dy.backend.empty(dy.shape))
        dy.backend.gatedBackward(activation, dy, keptGate.restore(), keptUp.restore(), dGate: dGate, dUp: dUp)
        gateSink.add(dGate)
        upSink.add(dUp)
    }
}

/// `x + v` in every row: x `[N, width]`, v `[width]`.
public func addVector(_ x: Tensor, _ v: Parameter) -> Tensor {
    let y = x.backend.empty(x.shape)
    x.backend.addVector(x, v.vector, into: y)
    let source = GradientSink(x)
    return y.recorded(from: [x], training: [v]) { dy, tape in
        source.add(dy)
        if tape.gradients.trains(v) { dy.backend.columnSums(dy.reshaped(dy.count / v.shape[0], v.shape[0]), into: tape.gradients.vector(v)) }
    }
}

/// `[R, C]` to `[C, R]`.
public func transposed(_ x: Tensor) -> Tensor {
    let y = x.backend.empty([x.shape[1], x.shape[0]])
    x.backend.transpose(x, into: y)
    let source = GradientSink(x)
    return y.recorded(from: [x]) { dy, _ in source.add { dy.backend.transpose(dy, into: $0) } }
}

/// Parts of the columns of `x`, one tensor `[rows, columns]` for each list of ranges.
///
/// Fused projections are cut this way; the gradient of `x` is put together again once.
public func columns(_ x: Tensor, _ parts: [[Range<Int>]]) -> [Tensor] {
    let (backend, rows) = (x.backend, x.rows)
    let ys = parts.map { ranges in
        let y = backend.empty([rows, ranges.reduce(0) { $0 + $1.count }])
        backend.gatherColumns(x, ranges, into: y)
        return y
    }
    guard let tape = x.node?.tape, x.node!.needsGradient else { return ys.map { $0.recorded(from: [x]) { _, _ in } } }
    let (source, shape) = (GradientSink(x), [rows, x.width])
    var whole: Tensor?
    // Recorded first, so that it runs after the parts have written their columns.
    tape.append {
        guard let gradient = whole else { return }
        whole = nil
        source.add(gradient)
    }
    return zip(ys, parts).map { y, ranges in
        y.recorded(from: [x]) { dy, _ in
            let gradient = whole ?? backend.zeros(shape)
            whole = gradient
            backend.scatterColumns(dy, ranges, into: gradient)
        }
    }
}
