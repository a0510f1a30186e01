import Tensors

/// What every block of one pass shares.
public struct BlockContext {
    /// What layers with a window see, or those without.
    struct View {
        let plan: AttentionPlan
        let rotary: RotaryTables?
    }
    let whole: View, windowed: View
    let backend: any Backend
    let cached: CachedBatch?
    let encoded: EncodedBatch?
    let balance: LoadBalance?
    let relative: RelativeContext?
    let disentangled: DisentangledContext?
    /// Keys of the longest sequence.
    let longest: Int

    func view(local: Bool) -> View { local ? windowed : whole }
}

/// A batch whose earlier keys and values lie in a cache.
public struct CachedBatch {
    public let cache: KeyValueCache
    /// Where each row's own keys and values go.
    public let slots: [Int32]
    /// For each sequence the rows of its queries, which are its last keys, and the blocks that hold its keys, with how many each.
    public let sequences: [(queries: Range<Int>, blocks: [(block: Int, count: Int)])]

    public init(cache: KeyValueCache, slots: [Int32], sequences: [(queries: Range<Int>, blocks: [(block: Int, count: Int)])]) {
        self.cache = cache
        self.slots = slots
        self.sequences = sequences
    }

    /// Keys of each sequence.
    var lengths: [Int] { sequences.map { $0.blocks.reduce(0) { $0 + $1.count } } }
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
/// block i, "hidden.final" what the head sees. Models with an encoder name its states "encoder.i" and the decoder's "decoder.i".
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
    /// Instead of what the model's layers see, with the same window or without.
    public var pattern: AttentionPattern?
    /// The segment of each row, for models that tell segments apart; 0 where nil.
    public var segments: [Int32]?
    /// What a decoder attends to beside its own tokens.
    public var encoded: EncodedBatch?
    /// Counts how routers spread the tokens, and adds the loss that balances them.
    public var balance: LoadBalance?
    /// Predicts some tokens in some order, in a model with two streams.
    public var streams: TwoStreams?

    public init(tape: Tape? = nil, cached: CachedBatch? = nil, probe: (any Probe)? = nil, runner: BlockRunner = .plain, pattern: AttentionPattern? = nil) {
        self.tape = tape
        self.cached = cached
        self.probe = probe
        self.runner = runner
        self.pattern = pattern
    }
}
