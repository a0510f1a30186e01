/// A small trained change of a frozen weight: `W + scale · B A`, or that with its rows brought to learnt lengths.
///
/// Sources: Hu et al. 2021, arXiv:2106.09685 (LoRA); Liu et al. 2024, arXiv:2402.09353 (DoRA).
public final class WeightUpdate {
    public let a: Parameter  // [rank, inputs]
    public let b: Parameter  // [outputs, rank]
    public let scale: Float
    /// The lengths of the rows, `[outputs]`; nil for those of the sum.
    public let magnitude: Parameter?

    public init(a: Parameter, b: Parameter, scale: Float, magnitude: Parameter? = nil) {
        self.a = a
        self.b = b
        self.scale = scale
        self.magnitude = magnitude
    }

    /// What a layer gives under the update.
    /// - Parameters:
    ///   - x: `[…, inputs]`.
    ///   - y: `[rows, outputs]`: x Wᵀ, and with the bias where no lengths are learnt.
    func apply(_ x: Tensor, _ y: Tensor, weight: Parameter, bias: Parameter?) -> Tensor {
        let changed = add(y, Tensors.scale(linear(linear(x, a), b), by: scale))
        guard let magnitude else { return changed }
        let scaled = scaleColumns(changed, magnitude, over: rowLengths(of: weight))
        return bias.map { addVector(scaled, $0) } ?? scaled
    }

    /// The lengths of the rows of the changed weight: |W|² + 2 s W·(BA) + s² |BA|². They have no gradient.
    public func rowLengths(of weight: Parameter) -> Tensor {
        let backend = weight.backend, (outputs, inputs) = (weight.shape[0], weight.shape[1]), rank = a.shape[0]
        let rows = backend.readRows(0..<rank, of: a.matrix), factors = backend.readRows(0..<outputs, of: b.matrix)
        let across = backend.empty([rank, outputs])  // A Wᵀ
        backend.linear(backend.tensor(rows, shape: [rank, inputs]), [(weight.matrix, nil, across)])
        let products = across.read()
        var gram = [Double](repeating: 0, count: rank * rank)  // A Aᵀ
        for i in 0..<rank { for j in 0..<rank { for k in 0..<inputs { gram[i * rank + j] += Double(rows[i * inputs + k]) * Double(rows[j * inputs + k]) } } }
        let s = Double(scale), own = rowSquares(of: weight)
        let lengths = (0..<outputs).map { o in
            var cross = 0.0, square = 0.0
            for i in 0..<rank {
                let factor = Double(factors[o * rank + i])
                cross += factor * Double(products[i * outputs + o])
                for j in 0..<rank { square += factor * Double(factors[o * rank + j]) * gram[i * rank + j] }
            }
            return Float((own[o] + 2 * s * cross + s * s * square).squareRoot())
        }
        return backend.tensor(lengths, shape: [outputs])
    }

    private var squares: [Double]?

    /// The squared lengths of the frozen weight's rows, worked out once.
    private func rowSquares(of weight: Parameter) -> [Double] {
        if let squares { return squares }
        let width = weight.shape[1]
        var all: [Double] = []
        for first in stride(from: 0, to: weight.shape[0], by: 256) {
            let range = first..<min(weight.shape[0], first + 256)
            let values = weight.backend.readRows(range, of: weight.matrix)
            all += (0..<range.count).map { row in values[row * width..<(row + 1) * width].reduce(0) { $0 + Double($1) * Double($1) } }
        }
        squares = all
        return all
    }
}

/// `x · factors / divisors` in every row, by column; only `x` and `factors` have gradients.
func scaleColumns(_ x: Tensor, _ factors: Parameter, over divisors: Tensor) -> Tensor {
    let backend = x.backend
    let inverse = backend.tensor(divisors.read().map { 1 / $0 }, shape: divisors.shape), shares = backend.empty(divisors.shape)
    backend.multiply(factors.vector, inverse, into: shares)
    let y = backend.empty(x.shape)
    backend.multiplyVector(x, shares, into: y)
    guard x.node != nil else { return y }
    let (kept, source) = (Kept(x), GradientSink(x))
    return y.recorded(from: [x], training: [factors]) { dy, tape in
        source.add { backend.multiplyVector(dy, shares, into: $0) }
        guard tape.gradients.trains(factors) else { return }
        let products = backend.empty(dy.shape), each = backend.empty(dy.shape)
        backend.multiply(dy, kept.restore(), into: products)
        backend.multiplyVector(products, inverse, into: each)
        backend.columnSums(each, into: tape.gradients.vector(factors))
    }
}
