/// Runs `block` without recording it; the backward pass runs it again, with a tape of its own, to differentiate it.
public func checkpoint(_ x: Tensor, _ block: @escaping (Tensor) -> Tensor) -> Tensor {
    guard x.node != nil else { return block(x) }
    let y = block(x.detached)
    let (kept, source) = (Kept(x), GradientSink(x))
    // Recorded whenever there is a tape: parameters inside the block may train although `x` needs no gradient.
    return y.recorded(on: x.node!.tape, needsGradient: true) { dy, tape in
        let inner = Tape(into: tape.gradients)
        let input = inner.watch(kept.restore())
        let output = block(input)
        inner.backward([(output, dy)])
        if let gradient = inner.gradient(of: input) { source.add(gradient) }
    }
}
