/// One tensor's place in a recorded computation.
public final class Node {
    let tape: Tape
    /// False for values that no trainable parameter reaches; they carry the tape onward.
    let needsGradient: Bool
    /// Summed as the backward pass meets the uses; freed once passed on.
    var gradient: Tensor?
    /// How to make the value again from what is kept anyway, instead of keeping it.
    let recompute: (() -> Tensor)?
    /// The rounded copy that closures keep of the value, as long as one of them does.
    weak var rounded: Kept.Rounded?

    init(tape: Tape, needsGradient: Bool, recompute: (() -> Tensor)? = nil) {
        self.tape = tape
        self.needsGradient = needsGradient
        self.recompute = recompute
    }

    func accumulate(_ update: Tensor) {
        if let gradient {
            // The first gradient may be shared with another node (an addition hands the same tensor to both sides).
            let sum = update.backend.empty(update.shape)
            update.backend.add(gradient, update, into: sum)
            self.gradient = sum
        } else {
            gradient = update
        }
    }
}

/// Records a forward pass, and differentiates it once in reverse.
///
/// Ops append closures that keep only what cannot be recomputed elementwise; each closure is freed as soon as the
/// backward pass has run it. Gradients of parameters go straight into `gradients`.
public final class Tape {
    public let gradients: Gradients
    /// How the closures keep what they need.
    public let activations: ActivationFormat
    private var steps: [() -> Void] = []

    public init(into gradients: Gradients, activations: ActivationFormat = .float32) {
        self.gradients = gradients
        self.activations = activations
    }

    /// The leaf from which recorded computation starts where no parameter does.
    public func watch(_ tensor: Tensor) -> Tensor { tensor.with(Node(tape: self, needsGradient: true)) }

    /// A value without a gradient that later ops are recorded from.
    public func constant(_ tensor: Tensor) -> Tensor { tensor.with(Node(tape: self, needsGradient: false)) }

    /// The gradient that reached a watched tensor.
    public func gradient(of tensor: Tensor) -> Tensor? { tensor.node?.gradient }

    func append(_ step: @escaping () -> Void) { steps.append(step) }

    /// Runs the recorded closures from the last to the first.
    /// - Parameter seeds: tensors whose gradients are known, with those gradients.
    public func backward(_ seeds: [(of: Tensor, gradient: Tensor)] = []) {
        for seed in seeds { seed.of.node?.accumulate(seed.gradient) }
        while let step = steps.popLast() { step() }
    }
}

/// How a tape keeps the values that its backward pass needs. The forward pass is the same either way.
public enum ActivationFormat: String, Sendable, Codable, CaseIterable {
    case float32
    /// Rounded to half of the memory: gradients are those of slightly other activations.
    case bfloat16
}

/// What a closure keeps of a tensor: the value, the value rounded, or a way to make it again.
struct Kept {
    private enum Source {
        case value(Tensor)
        case rounded(Rounded)
        case recomputed(Node)
    }
    private let source: Source

    /// A copy in bfloat16, which all closures that keep the same tensor share.
    final class Rounded {
        private let storage: Storage
        private let backend: any Backend

        init(_ tensor: Tensor) {
            backend = tensor.backend
            storage = backend.allocator.allocate((tensor.count + 1) / 2)
            backend.round(tensor, into: storage)
        }

        func restore(as shape: [Int]) -> Tensor {
            let tensor = backend.empty(shape)
            backend.expand(storage, into: tensor)
            return tensor
        }
    }
    private let shape: [Int]

    /// - Parameter tape: that of the op, where the tensor has none of its own.
    init(_ tensor: Tensor, on tape: Tape? = nil) {
        shape = tensor.shape
        if let node = tensor.node, node.recompute != nil {
            source = .recomputed(node)
        } else if (tensor.node?.tape ?? tape)?.activations == .bfloat16 {
            let rounded = tensor.node?.rounded ?? Rounded(tensor)
            tensor.node?.rounded = rounded
            source = .rounded(rounded)
        } else {
            source = .value(tensor.detached)
        }
    }

    func restore() -> Tensor {
        switch source {
        case .value(let tensor): tensor
        case .rounded(let rounded): rounded.restore(as: shape)
        case .recomputed(let node): node.recompute!()
        }
    }

    /// Lets what keeps `result`, the same values, share the rounded copy.
    func share(with result: Tensor) {
        if case .rounded(let rounded) = source { result.node?.rounded = rounded }
    }
}

extension Tensor {
    /// Attaches to `self`, the result of an op on `inputs`, the closure that passes its gradient on.
    ///
    /// - Parameter recompute: given when the value is cheap to make again from tensors that are kept anyway.
    func recorded(
        from inputs: [Tensor], training parameters: [Parameter] = [], recompute: (() -> Tensor)? = nil,
        _ backward: @escaping (_ gradient: Tensor, _ tape: Tape) -> Void
    ) -> Tensor {
        guard let tape = inputs.lazy.compactMap({ $0.node?.tape }).first else { return self }
        return recorded(
            on: tape, needsGradient: inputs.contains { $0.node?.needsGradient == true } || parameters.contains { tape.gradients.trains($0) },
            recompute: recompute, backward)
    }

    func recorded(
        on tape: Tape, needsGradient: Bool, recompute: (() -> Tensor)? = nil, _ backward: @escaping (_ gradient: Tensor, _ tape: Tape) -> Void
    ) -> Tensor {
        let node = Node(tape: tape, needsGradient: needsGradient, recompute: recompute)
        if needsGradient {
            tape.append { [shape] in
                guard let gradient = node.gradient else { return }
                node.gradient = nil
                backward(gradient.reshaped(shape), tape)
            }
        }
        return with(node)
    }
}

/// Where a closure sends an input's gradient. It holds the input's shape and node, never its values.
struct GradientSink {
    private let node: Node?
    private let shape: [Int]
    private let backend: any Backend

    init(_ tensor: Tensor) {
        node = tensor.node?.needsGradient == true ? tensor.node : nil
        shape = tensor.shape
        backend = tensor.backend
    }

    var isNeeded: Bool { node != nil }

    /// Lets `compute` fill a gradient, and adds it, where one is needed.
    func add(_ compute: (Tensor) -> Void) {
        guard let node else { return }
        let gradient = backend.empty(shape)
        compute(gradient)
        node.accumulate(gradient)
    }

    func add(_ gradient: Tensor) { node?.accumulate(gradient.reshaped(shape)) }
}
