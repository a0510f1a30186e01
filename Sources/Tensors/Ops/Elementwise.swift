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

/// `silu(gate) · up`, the middle of a gated MLP. Source: Shazeer 2020, arXiv:2002.05202 (SwiGLU).
///
/// The product is made again in the backward pass from the two that are kept.
public func gatedSiLU(_ gate: Tensor, _ up: Tensor) -> Tensor {
    precondition(gate.count == up.count, "gatedSiLU: \(gate.shape) and \(up.shape)")
    let compute = { (gate: Tensor, up: Tensor) in
        let y = gate.backend.empty(gate.shape)
        gate.backend.gatedSiLU(gate, up, into: y)
        return y
    }
    let y = compute(gate, up)
    guard gate.node != nil || up.node != nil else { return y }
    let (keptGate, keptUp, gateSink, upSink) = (Kept(gate), Kept(up), GradientSink(gate), GradientSink(up))
    return y.recorded(from: [gate, up], recompute: { compute(keptGate.restore(), keptUp.restore()) }) { dy, _ in
        let (dGate, dUp) = (dy.backend.empty(dy.shape), dy.backend.empty(dy.shape))
        dy.backend.gatedSiLUBackward(dy, keptGate.restore(), keptUp.restore(), dGate: dGate, dUp: dUp)
        gateSink.add(dGate)
        upSink.add(dUp)
    }
}
