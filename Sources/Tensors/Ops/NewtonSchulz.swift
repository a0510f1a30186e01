extension Parameter {
    /// Brings all singular values of a matrix near 1: five steps of `X ← a X + (b A + c A²) X` with `A = X Xᵀ`, from `X` over its Euclidean norm.
    ///
    /// Source: Jordan 2024, "Muon: an optimizer for hidden layers in neural networks".
    /// - Parameters:
    ///   - values: a flat buffer that lies like this parameter; becomes the result.
    ///   - inBFloat16: round to bfloat16 after every step and product, as PyTorch's Muon does.
    public func orthogonalise(_ values: Tensor, inBFloat16: Bool) {
        let matrix = Matrix(storage: values.storage, offset: values.offset, outputs: shape[0], inputs: shape[1], format: .float32)
        let isTall = shape[0] > shape[1], (rows, columns) = isTall ? (shape[1], shape[0]) : (shape[0], shape[1])
        let backend = backend
        func rounded(_ x: Tensor) -> Tensor {
            guard inBFloat16 else { return x }
            let half = backend.allocator.allocate((x.count + 1) / 2)
            backend.round(x, into: half)
            backend.expand(half, into: x)
            return x
        }
        func combined(_ a: Float, _ x: Tensor, _ b: Float, _ y: Tensor) -> Tensor {
            let sum = backend.empty(x.shape), other = backend.empty(y.shape)
            backend.scale(x, by: a, into: sum)
            backend.scale(y, by: b, into: other)
            backend.add(sum, other, into: sum)
            return rounded(sum)
        }
        func transposed(_ x: Tensor) -> Tensor {
            let turned = backend.empty([x.shape[1], x.shape[0]])
            backend.transpose(x, into: turned)
            return turned
        }
        let read = rounded(backend.tensor(backend.readRows(0..<shape[0], of: matrix), shape: shape))
        var x = isTall ? transposed(read) : read  // [rows, columns], no taller than wide
        backend.scale(x, by: Float(1 / max(backend.sumOfSquares(x).squareRoot(), 1e-7)), into: x)
        x = rounded(x)
        for _ in 0..<5 {
            let packed = backend.packed(x), gram = backend.empty([rows, rows]), square = backend.empty([rows, rows]), product = backend.empty([rows, columns])
            backend.linear(x, [(packed, nil, gram)])
            let a = rounded(gram)
            backend.linear(a, [(backend.packed(a), nil, square)])  // A is symmetric
            backend.linearInputGradient(combined(-4.7750, a, 2.0315, square), packed, into: product)
            x = combined(3.4445, x, 1, product)
        }
        (isTall ? transposed(x) : x).read().withUnsafeBufferPointer { backend.writeRows($0, rows: 0..<shape[0], of: matrix) }
    }
}

extension Backend {
    /// A matrix of these values in the backend's own layout.
    fileprivate func packed(_ x: Tensor) -> Matrix {
        let count = matrixCount(outputs: x.shape[0], inputs: x.shape[1], .float32)
        let matrix = Matrix(storage: allocator.allocate(count, zeroed: true), offset: 0, outputs: x.shape[0], inputs: x.shape[1], format: .float32)
        x.read().withUnsafeBufferPointer { writeRows($0, rows: 0..<x.shape[0], of: matrix) }
        return matrix
    }
}
