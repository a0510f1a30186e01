/// Keys and values of earlier tokens, in blocks of 16 that sequences may share.
///
/// A sequence owns a list of blocks and a count of keys in each; a prefix shared by many is a list that many begin with.
/// The cache only keeps memory and counts references; which sequence holds which block is the caller's business.
public final class KeyValueCache {
    public static let blockSize = 16
    public let layers: Int
    public let heads: Int
    public let headDim: Int
    let backend: any Backend
    private var keys: [Storage] = []
    private var values: [Storage] = []
    private var references: [Int] = []
    /// Blocks come in groups that lie together, and a sequence stays in its group while it can: attention reads long runs faster.
    private static let groupSize = 8
    private var freeInGroup: [Int] = []
    public private(set) var usedBlocks = 0

    public init(layers: Int, heads: Int, headDim: Int, blocks: Int = 64, on backend: any Backend) {
        self.layers = layers
        self.heads = heads
        self.headDim = headDim
        self.backend = backend
        resize(to: max(1, blocks))
    }

    /// A block with one reference: the one that follows `previous` in memory where it is free and begins no group that is in use, else the first
    /// of a free group. The cache doubles when none is free.
    public func takeBlock(after previous: Int? = nil) -> Int {
        let block = freeBlock(after: previous)
        references[block] = 1
        freeInGroup[block / Self.groupSize] -= 1
        usedBlocks += 1
        return block
    }

    private func freeBlock(after previous: Int?) -> Int {
        if let next = previous.map({ $0 + 1 }), next < references.count, references[next] == 0 {
            if next % Self.groupSize != 0 || freeInGroup[next / Self.groupSize] == Self.groupSize { return next }
        }
        if let group = freeInGroup.firstIndex(of: Self.groupSize) { return group * Self.groupSize }
        if let block = references.firstIndex(of: 0) { return block }
        let first = references.count
        resize(to: first * 2)
        return first
    }

    /// Whether one sequence alone holds the block.
    public func isUnique(_ block: Int) -> Bool { references[block] == 1 }

    public func retain(_ block: Int) { references[block] += 1 }

    public func release(_ block: Int) {
        precondition(references[block] > 0, "block \(block) is released once too often")
        references[block] -= 1
        if references[block] == 0 {
            freeInGroup[block / Self.groupSize] += 1
            usedBlocks -= 1
        }
    }

    private func resize(to blocks: Int) {
        let counts = backend.cacheBlockCounts(heads: heads, headDim: headDim)
        let old = references.count
        for layer in 0..<layers {
            for (isKeys, count) in [(true, counts.keys), (false, counts.values)] {
                let fresh = backend.allocator.allocate(blocks * count, zeroed: true)
                if old > 0 {
                    let source = isKeys ? keys[layer] : values[layer]
                    backend.copy(Tensor(storage: source, shape: [old * count], backend: backend), to: Tensor(storage: fresh, shape: [old * count], backend: backend))
                    if isKeys { keys[layer] = fresh } else { values[layer] = fresh }
                } else if isKeys {
                    keys.append(fresh)
                } else {
                    values.append(fresh)
                }
            }
        }
        references += Array(repeating: 0, count: blocks - old)
        freeInGroup += Array(repeating: 0, count: (blocks + Self.groupSize - 1) / Self.groupSize - freeInGroup.count)
        for block in old..<blocks { freeInGroup[block / Self.groupSize] += 1 }
    }

    /// Stores the new keys and values of one layer, then attends with `q` over all that the plan names.
    public func attend(layer: Int, _ q: Tensor, _ k: Tensor, _ v: Tensor, slots: [Int32], _ plan: AttentionPlan, _ options: AttentionOptions) -> Tensor {
        backend.store(k, v, slots: slots, keys: keys[layer], values: values[layer])
        let out = backend.empty(q.shape)
        backend.cachedAttention(q, keys: keys[layer], values: values[layer], heads: heads, plan, options, into: out)
        return out
    }
}

extension AttentionPlan {
    /// A plan over cache slots: for each sequence its query rows, the blocks that hold its keys, and how many keys.
    ///
    /// - Parameters:
    ///   - sequences: rows of the queries, which are the last keys, and block numbers with the keys used in each.
    ///   - window: how many keys a query sees at most, its own included; `nil` for all up to its own.
    public init(cached sequences: [(queries: Range<Int>, blocks: [(block: Int, count: Int)])], window: Int? = nil) {
        self.sequences = sequences.map { sequence in
            var runs: [Range<Int>] = []
            for (block, count) in sequence.blocks {
                let start = block * KeyValueCache.blockSize
                // Full neighbours in memory make one run.
                if let last = runs.last, last.upperBound == start, last.count % KeyValueCache.blockSize == 0 {
                    runs[runs.count - 1] = last.lowerBound..<start + count
                } else {
                    runs.append(start..<start + count)
                }
            }
            let keys = runs.reduce(0) { $0 + $1.count }
            // Of a single query, entries for as many rows as heads may become together.
            let position = sequence.queries.count == 1 ? Array(repeating: Int32(keys - 1), count: Sequence.mostRows) : (keys - sequence.queries.count..<keys).map { Int32($0) }
            return Sequence(
                queries: sequence.queries, runs: runs, first: position.map { position in window.map { max(0, position + 1 - Int32($0)) } ?? 0 },
                last: position.map { $0 + 1 }, position: position)
        }
        groups = []
        keyRows = 0
    }
}
