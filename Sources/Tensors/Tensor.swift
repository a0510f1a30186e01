/// A contiguous, row-major array of float32 on a backend.
///
/// Reshaping and slices of the leading axis are free; everything else is an op. A tensor made while a `Tape` records
/// carries its `Node`, through which the backward pass finds its gradient.
public struct Tensor {
    public let storage: Storage
    public let offset: Int
    public let shape: [Int]
    public let backend: any Backend
    public let node: Node?

    init(storage: Storage, offset: Int = 0, shape: [Int], backend: any Backend, node: Node? = nil) {
        precondition(offset + shape.reduce(1, *) <= storage.count, "a tensor of shape \(shape) at \(offset) leaves its storage of \(storage.count)")
        self.storage = storage
        self.offset = offset
        self.shape = shape
        self.backend = backend
        self.node = node
    }

    public var count: Int { shape.reduce(1, *) }
    /// The product of all axes but the last, and the last.
    var rows: Int { shape.dropLast().reduce(1, *) }
    var width: Int { shape.last ?? 1 }

    /// The same values under another shape.
    public func reshaped(_ shape: Int...) -> Tensor { reshaped(shape) }

    public func reshaped(_ shape: [Int]) -> Tensor {
        precondition(shape.reduce(1, *) == count, "\(self.shape) has \(count) values, \(shape) needs \(shape.reduce(1, *))")
        return Tensor(storage: storage, offset: offset, shape: shape, backend: backend, node: node)
    }

    /// A run of the leading axis. Not differentiable: gradients of slices go through `gatherRows`.
    public func slice(_ range: Range<Int>) -> Tensor {
        precondition(range.upperBound <= shape[0] && range.lowerBound >= 0, "rows \(range) of a tensor with shape \(shape)")
        let stride = shape.dropFirst().reduce(1, *)
        return Tensor(storage: storage, offset: offset + range.lowerBound * stride, shape: [range.count] + shape.dropFirst(), backend: backend)
    }

    /// The values, after everything they depend on has been computed.
    public func read() -> [Float] { backend.read(self) }

    /// What records the computation that the tensor is part of.
    public var tape: Tape? { node?.tape }

    /// The same values, cut off from the tape.
    public var detached: Tensor { Tensor(storage: storage, offset: offset, shape: shape, backend: backend) }

    func with(_ node: Node?) -> Tensor { Tensor(storage: storage, offset: offset, shape: shape, backend: backend, node: node) }
}

extension Backend {
    /// A tensor with undefined contents.
    public func empty(_ shape: [Int]) -> Tensor {
        Tensor(storage: allocator.allocate(shape.reduce(1, *)), shape: shape, backend: self)
    }

    public func zeros(_ shape: [Int]) -> Tensor {
        Tensor(storage: allocator.allocate(shape.reduce(1, *), zeroed: true), shape: shape, backend: self)
    }

    public func tensor(_ values: [Float], shape: [Int]) -> Tensor {
        precondition(values.count == shape.reduce(1, *), "\(values.count) values for shape \(shape)")
        let tensor = empty(shape)
        write(values, to: tensor)
        return tensor
    }
}
