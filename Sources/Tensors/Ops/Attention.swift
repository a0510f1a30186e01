/// Attention over a ragged batch: softmax(q kᵀ · scale + bias) v, each query over the keys that the plan lets it see.
///
/// - Parameters:
///   - q: `[N, heads, headDim]`.
///   - k: `[keys, kvHeads, headDim]`; query head h reads key/value head h·kvHeads/heads.
///   - v: `[keys, kvHeads, headDim]`.
///   - plan: which rows of `k` and `v` each row of `q` sees.
///   - options: the scale, the cap and what is added to scores.
/// - Returns: `[N, heads, headDim]`. A query that sees no key gets 0.
public func attention(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ plan: AttentionPlan, _ options: AttentionOptions) -> Tensor {
    precondition(q.shape.count == 3 && k.shape.count == 3 && k.shape == v.shape && q.shape[2] == k.shape[2] && q.shape[1] % k.shape[1] == 0,
        "attention: q \(q.shape), k \(k.shape), v \(v.shape)")
    precondition(plan.keyRows <= k.shape[0], "the plan refers to \(plan.keyRows) keys of \(k.shape[0])")
    let out = q.backend.empty(q.shape)
    q.backend.attention(q, k, v, plan, options, into: out)
    if let pairs = options.pairs { precondition(pairs.shape[1] == plan.pairOffsets.last, "\(pairs.shape[1]) biases for \(plan.pairOffsets.last!) pairs") }
    let hasBias = options.bias != nil
    let inputs = [q, k, v] + [options.bias, options.pairs].compactMap { $0 }
    guard let tape = inputs.lazy.compactMap({ $0.node?.tape }).first else { return out }
    let kept = inputs.map { Kept($0) }, keptOut = Kept(out, on: tape)
    let sinks = inputs.map(GradientSink.init)
    let result = out.recorded(from: inputs) { dout, _ in
        let (q, k, v) = (kept[0].restore(), kept[1].restore(), kept[2].restore())
        let backend = dout.backend
        // Keys that no sequence of the plan owns keep gradient 0.
        let (dq, dk, dv) = (backend.empty(q.shape), backend.zeros(k.shape), backend.zeros(v.shape))
        var options = options
        if hasBias { options.bias = kept[3].restore() }
        if options.pairs != nil { options.pairs = kept.last!.restore() }
        let dBias = options.bias.flatMap { sinks[3].isNeeded ? backend.zeros($0.shape) : nil }
        let dPairs = options.pairs.flatMap { sinks.last!.isNeeded ? backend.zeros($0.shape) : nil }
        backend.attentionBackward(dout, q, k, v, keptOut.restore(), plan, options, dq: dq, dk: dk, dv: dv, dBias: dBias, dPairs: dPairs)
        for (sink, gradient) in zip(sinks, [dq, dk, dv]) { sink.add(gradient) }
        if let dBias { sinks[3].add(dBias) }
        if let dPairs { sinks.last!.add(dPairs) }
    }
    keptOut.share(with: result)
    return result
}
