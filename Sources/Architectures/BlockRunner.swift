import Tensors

/// What every block of one pass shares.
public struct BlockContext {
    let rotary: RotaryTables
    let plan: AttentionPlan
    let cached: CachedBatch?
}

/// A batch whose earlier keys and values lie in a cache.
public struct CachedBatch {
    public let cache: KeyValueCache
    /// Where each row's own keys and values go.
    public let slots: [Int32]
    /// Which cached keys each row sees.
    public let plan: AttentionPlan

    public init(cache: KeyValueCache, slots: [Int32], plan: AttentionPlan) {
        self.cache = cache
        self.slots = slots
        self.plan = plan
    }
}

/// How the blocks of a model are run. The forward bits are the same for all.
public enum BlockRunner: String, Sendable, Codable, CaseIterable {
    /// Keeps what the backward pass needs.
    case plain
    /// Keeps only what enters each block and runs it again in the backward pass. Source: Chen et al. 2016, arXiv:1604.06174.
    case checkpointed

    func run(_ block: @escaping (Tensor) -> Tensor, _ x: Tensor) -> Tensor {
        switch self {
        case .plain: block(x)
        case .checkpointed: checkpoint(x, block)
        }
    }
}

/// Reads, replaces or perturbs named hidden states: "hidden.0" is what enters the first block, "hidden.i" what leaves
/// block i, "hidden.final" what the head sees.
public protocol Probe: AnyObject {
    /// - Returns: what the model goes on with; `value` itself to only look.
    func visit(_ name: String, _ value: Tensor) -> Tensor
}

/// Everything about one run through a model that is not the batch.
public struct Pass {
    /// Records for the backward pass.
    public var tape: Tape?
    public var cached: CachedBatch?
    public var probe: (any Probe)?
    public var runner: BlockRunner
    /// Instead of the causal pattern.
    public var pattern: AttentionPattern?

    public init(tape: Tape? = nil, cached: CachedBatch? = nil, probe: (any Probe)? = nil, runner: BlockRunner = .plain, pattern: AttentionPattern? = nil) {
        self.tape = tape
        self.cached = cached
        self.probe = probe
        self.runner = runner
        self.pattern = pattern
    }
}
