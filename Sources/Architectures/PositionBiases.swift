import Tensors

/// Biases of scores by the distance of query and key, `[heads, 2·reach + 1]`.
enum DistanceBias {
    /// The slope of each head.
    case alibi([Float])
    /// A learnt table `[buckets, heads]`.
    case buckets(Parameter, maxDistance: Int, isBidirectional: Bool)

    func callAsFunction(_ context: BlockContext, tape: Tape?) -> Tensor {
        switch self {
        case .alibi(let slopes):
            let reach = context.longest - 1
            return context.backend.tensor(slopes.flatMap { slope in (-reach...reach).map { slope * Float($0) } }, shape: [slopes.count, 2 * reach + 1])
        case .buckets(let table, let maxDistance, let isBidirectional):
            // Beyond the largest distance nothing changes.
            let rows = (-maxDistance...maxDistance).map {
                Int32(relativeBucket($0, of: table.shape[0], maxDistance: maxDistance, isBidirectional: isBidirectional))
            }
            return transposed(embedding(rows, table, tape: tape))
        }
    }
}

/// One slope a head: powers of 2^(-8/n) for n heads where n is a power of two; otherwise those of the next smaller one, and every second of the
/// next larger. Source: Press et al. 2021, arXiv:2108.12409.
public func alibiSlopes(heads: Int) -> [Float] {
    func powers(_ n: Int, _ exponents: [Int]) -> [Float] { exponents.map { Float(fixedExp(-8 * Double($0) / Double(n) * fixedLog(2))) } }
    var whole = 1
    while whole * 2 <= heads { whole *= 2 }
    return powers(whole, Array(1...whole)) + powers(2 * whole, (0..<heads - whole).map { 2 * $0 + 1 })
}

/// The bucket of a distance, key position minus query position: exact for short ones, logarithmic up to `maxDistance`.
/// Source: Raffel et al. 2019, arXiv:1910.10683.
public func relativeBucket(_ distance: Int, of count: Int, maxDistance: Int, isBidirectional: Bool) -> Int {
    let buckets = isBidirectional ? count / 2 : count
    let offset = isBidirectional && distance > 0 ? buckets : 0
    let size = isBidirectional ? abs(distance) : max(0, -distance), exact = buckets / 2
    if size < exact { return offset + size }
    // In single precision, as published models were trained with.
    let share = Float(fixedLog(Double(Float(size) / Float(exact)))) / Float(fixedLog(Double(maxDistance) / Double(exact)))
    return offset + min(exact + Int(share * Float(buckets - exact)), buckets - 1)
}
