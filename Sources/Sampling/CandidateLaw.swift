import Tensors

/// The tokens that may still be drawn, in increasing index, with their probabilities.
public struct CandidateLaw: Sendable {
    public private(set) var tokens: [Int]
    /// Logit below the largest, over temperature.
    private var scaled: [Float]
    /// Normalised over `tokens`.
    private var probabilities: [Double] = []

    init(_ logits: UnsafeBufferPointer<Float>, temperature: Float) {
        tokens = []
        scaled = []
        tokens.reserveCapacity(logits.count)
        scaled.reserveCapacity(logits.count)
        // The largest is taken off first: a very low temperature must not overflow.
        let top = logits.max() ?? 0
        for (index, logit) in logits.enumerated() where logit > -.infinity {
            tokens.append(index)
            scaled.append((logit - top) / temperature)
        }
        renormalise()
    }

    public func probability(of token: Int) -> Double {
        // Tokens are in increasing order.
        var (low, high) = (0, tokens.count)
        while low < high {
            let middle = (low + high) / 2
            if tokens[middle] < token { low = middle + 1 } else { high = middle }
        }
        return low < tokens.count && tokens[low] == token ? probabilities[low] : 0
    }

    func token(at uniform: Double) -> Int {
        let target = uniform * probabilities.reduce(0, +)
        var cumulative = 0.0
        for (token, probability) in zip(tokens, probabilities) {
            cumulative += probability
            if cumulative > target { return token }
        }
        return tokens[tokens.count - 1]
    }

    private mutating func renormalise() {
        let top = scaled.max() ?? 0
        var weights = scaled.map { $0 - top }
        RowMath.exponentiate(&weights)
        let total = weights.reduce(0.0) { $0 + Double($1) }
        probabilities = weights.map { Double($0) / total }
    }

    private mutating func keep(_ kept: [Int]) {
        if kept.count == tokens.count { return }
        tokens = kept.map { tokens[$0] }
        scaled = kept.map { scaled[$0] }
        renormalise()
    }

    /// Keeps what is not below the k-th largest.
    mutating func keepTopK(_ k: Int) {
        guard k < scaled.count else { return }
        let threshold = largest(k, of: scaled)
        keep(scaled.indices.filter { scaled[$0] >= threshold })
    }

    /// The k-th largest value, by quickselect.
    private func largest(_ k: Int, of values: [Float]) -> Float {
        var values = values
        var (low, high) = (0, values.count - 1)
        let target = k - 1
        while low < high {
            let pivot = values[(low + high) / 2]
            var (i, j) = (low, high)
            while i <= j {
                while values[i] > pivot { i += 1 }
                while values[j] < pivot { j -= 1 }
                if i <= j {
                    values.swapAt(i, j)
                    i += 1
                    j -= 1
                }
            }
            if target <= j { high = j } else if target >= i { low = i } else { break }
        }
        return values[target]
    }

    /// The shortest prefix of `order` with at least `mass`, or all.
    private func prefix(of order: [Int], mass: Double) -> Int {
        var cumulative = 0.0
        for (rank, index) in order.enumerated() {
            cumulative += probabilities[index]
            if cumulative >= mass { return rank + 1 }
        }
        return order.count
    }

    /// Indices by decreasing probability, ties by increasing token: all that a prefix of `mass` can need.
    private func descending(mass: Double) -> [Int] {
        let top = scaled.max() ?? 0
        for reach: Float in [6, 12, 24] {
            let near = scaled.indices.filter { scaled[$0] >= top - reach }
            if near.count == scaled.count { break }
            if near.reduce(0.0, { $0 + probabilities[$1] }) >= mass + 1e-9 { return sorted(near) }
        }
        return sorted(Array(scaled.indices))
    }

    private func sorted(_ indices: [Int]) -> [Int] { indices.sorted { (scaled[$1], $0) < (scaled[$0], $1) } }

    /// Keeps the smallest set of the most probable tokens whose mass reaches p: the token that crosses p is kept.
    mutating func keepTopP(_ p: Double) {
        let order = descending(mass: p)
        keep(order.prefix(prefix(of: order, mass: p)).sorted())
    }

    mutating func keepMinP(_ share: Double) {
        let threshold = share * (probabilities.max() ?? 0)
        keep(probabilities.indices.filter { probabilities[$0] >= threshold })
    }

    /// Keeps the tokens whose information content is nearest to the entropy, up to the mass; ties with the last stay.
    mutating func keepTypical(_ mass: Double) {
        let information = probabilities.map { $0 > 0 ? -fixedLog($0) : .infinity }
        let entropy = zip(probabilities, information).reduce(0.0) { $0 + ($1.0 > 0 ? $1.0 * $1.1 : 0) }
        let distance = information.map { abs($0 - entropy) }
        let order = tokens.indices.sorted { (distance[$0], $0) < (distance[$1], $1) }
        let threshold = distance[order[prefix(of: order, mass: mass) - 1]]
        keep(distance.indices.filter { distance[$0] <= threshold })
    }
}
