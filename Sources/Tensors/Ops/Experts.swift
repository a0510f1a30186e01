/// A row of an expert's output: the row of the batch that it belongs to, and as which of its choices.
public struct ExpertPlace: Sendable {
    public var row: Int32
    public var slot: Int32
}

/// How evenly the rows of one pass are spread over the experts, and the loss that asks for it.
///
/// E · Σ over experts of (share of choices) · (mean probability), over the rows of all layers together; it is not divided by the number of
/// choices, so that an even spread gives `perToken`. Source: Fedus et al. 2021, arXiv:2101.03961, as the library of published models sums it.
public final class LoadBalance {
    /// What the loss is multiplied by in its gradient.
    public let coefficient: Double
    private var choices: [Double] = []
    private var probabilities: [Double] = []
    private var rows = 0
    private var isComplete = false

    public init(coefficient: Double) { self.coefficient = coefficient }

    /// Counts the rows of one layer, unless the backward pass runs the layer again.
    fileprivate func count(_ experts: [Int32], _ law: [Float], of E: Int) {
        guard !isComplete else { return }
        if choices.isEmpty { (choices, probabilities) = (Array(repeating: 0, count: E), Array(repeating: 0, count: E)) }
        for expert in experts { choices[Int(expert)] += 1 }
        for (index, p) in law.enumerated() { probabilities[index % E] += Double(p) }
        rows += law.count / E
    }

    /// The loss before it is weighted. No row is counted any more.
    public func loss() -> Double {
        isComplete = true
        guard rows > 0 else { return 0 }
        return Double(choices.count) * zip(choices, probabilities).reduce(0) { $0 + $1.0 * $1.1 } / (Double(rows) * Double(rows))
    }

    /// From here on no row is counted: blocks that run again in the backward pass are known.
    public func complete() { isComplete = true }

    /// By one row's probability of an expert.
    fileprivate func gradient(_ expert: Int) -> Float {
        _ = loss()
        return Float(coefficient * Double(choices.count) * choices[expert] / (Double(rows) * Double(rows)))
    }
}

/// Sends each row to its most probable experts.
///
/// - Parameters:
///   - logits: `[N, experts]`.
///   - k: how many experts a row goes to; among equals the first.
///   - normalised: the chosen probabilities are divided by their sum.
///   - balance: counts, and adds its gradient.
/// - Returns: the experts `[N · perToken]`, and their weights `[N, perToken]`.
public func route(_ logits: Tensor, perToken k: Int, normalised: Bool, balance: LoadBalance?) -> (experts: [Int32], weights: Tensor) {
    let (N, E) = (logits.shape[0], logits.shape[1])
    precondition(k <= E, "\(k) of \(E) experts")
    let values = logits.read()
    var law = [Float](repeating: 0, count: N * E), experts: [Int32] = [], weights: [Float] = []
    for row in 0..<N {
        let top = values[row * E..<(row + 1) * E].max()!
        var sum: Float = 0
        for e in 0..<E {
            law[row * E + e] = Float(fixedExp(Double(values[row * E + e] - top)))
            sum += law[row * E + e]
        }
        for e in 0..<E { law[row * E + e] /= sum }
        let order = (0..<E).sorted { values[row * E + $0] != values[row * E + $1] ? values[row * E + $0] > values[row * E + $1] : $0 < $1 }.prefix(k)
        let total = normalised ? order.reduce(Float(0)) { $0 + law[row * E + $1] } : 1
        for e in order {
            experts.append(Int32(e))
            weights.append(law[row * E + e] / total)
        }
    }
    balance?.count(experts, law, of: E)
    let result = logits.backend.tensor(weights, shape: [N, k])
    let source = GradientSink(logits)
    return (experts, result.recorded(from: [logits]) { [experts] dWeights, _ in
        let given = dWeights.read()
        var gradient = [Float](repeating: 0, count: N * E)
        for row in 0..<N {
            let slots = row * k..<(row + 1) * k, at = row * E
            let total = normalised ? slots.reduce(Float(0)) { $0 + law[at + Int(experts[$1])] } : 1
            let pull = normalised ? slots.reduce(Float(0)) { $0 + given[$1] * weights[$1] } : 0
            for slot in slots { gradient[at + Int(experts[slot])] = (given[slot] - pull) / total }
            if let balance { for e in 0..<E { gradient[at + e] += balance.gradient(e) } }
            let level = (0..<E).reduce(Float(0)) { $0 + gradient[at + $1] * law[at + $1] }
            for e in 0..<E { gradient[at + e] = law[at + e] * (gradient[at + e] - level) }
        }
        source.add(dWeights.backend.tensor(gradient, shape: [N, E]))
    })
}

/// Sends rows through the experts chosen for them and adds the results by their weights, expert after expert.
///
/// - Parameters:
///   - x: `[N, width]`.
///   - experts: `[N · perToken]`.
///   - weights: `[N, perToken]`.
///   - expert: what expert e makes of rows `[M, width]`.
/// - Returns: `[N, width]`.
public func mixture(_ x: Tensor, experts: [Int32], weights: Tensor, _ expert: (_ index: Int, _ rows: Tensor) -> Tensor) -> Tensor {
    let k = weights.shape[1], backend = x.backend
    var places: [Int32: [ExpertPlace]] = [:]
    for (index, e) in experts.enumerated() { places[e, default: []].append(ExpertPlace(row: Int32(index / k), slot: Int32(index % k))) }
    let parts = places.keys.sorted().map { e in (places: places[e]!, part: expert(Int(e), gatherRows(x, places[e]!.map(\.row)))) }
    let y = backend.zeros(x.shape)
    for (places, part) in parts { backend.mix(part, places, weights: weights, into: y) }
    let inputs = parts.map(\.part) + [weights]
    guard let tape = inputs.lazy.compactMap({ $0.node?.tape }).first else { return y }
    let kept = parts.map { (places: $0.places, part: Kept($0.part, on: tape), sink: GradientSink($0.part)) }
    let (keptWeights, weightSink) = (Kept(weights, on: tape), GradientSink(weights))
    return y.recorded(from: inputs) { dy, _ in
        let weights = keptWeights.restore(), dWeights = backend.empty(weights.shape)
        for (places, part, sink) in kept {
            let part = part.restore(), dPart = backend.empty(part.shape)
            backend.mixBackward(dy, part, places, weights: weights, dPart: dPart, dWeights: dWeights)
            sink.add(dPart)
        }
        weightSink.add(dWeights)
    }
}
