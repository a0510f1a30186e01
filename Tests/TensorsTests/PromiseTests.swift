import Testing

import Tensors

/// A small decoder block over a ragged batch, and its gradients: enough to meet every kernel.
private struct Block {
    let bench: Bench
    let width = 24, heads = 4, kvHeads = 2, headDim = 12

    init(threads: Int, kernels: String?) throws {
        bench = try Bench(threads: threads, kernels: kernels) { set in
            _ = set.declare("table", 37, 24)
            _ = set.declare("norm", 24)
            _ = set.declare("norm2", 24)
            _ = set.declare("q", 48, 24)
            _ = set.declare("k", 24, 24)
            _ = set.declare("v", 24, 24)
            _ = set.declare("o", 24, 48)
            _ = set.declare("gate", 50, 24)
            _ = set.declare("up", 50, 24)
            _ = set.declare("down", 24, 50)
        }
    }

    func projections(_ batch: RaggedBatch, _ tape: Tape?) -> (x: Tensor, q: Tensor, k: Tensor, v: Tensor) {
        let p = bench.parameters
        let x = embedding(batch.tokens, p["table"]!, tape: tape)
        let n = rmsNorm(x, p["norm"]!, epsilon: 1e-5)
        let tables = RotaryTables(positions: batch.positions, frequencies: rotaryFrequencies(rotated: headDim, base: 10_000).map { Float($0) }, on: bench.backend)
        let q = rotate(linear(n, p["q"]!).reshaped(batch.count, heads, headDim), tables)
        let k = rotate(linear(n, p["k"]!).reshaped(batch.count, kvHeads, headDim), tables)
        return (x, q, k, linear(n, p["v"]!).reshaped(batch.count, kvHeads, headDim))
    }

    func rest(_ x: Tensor, _ mixed: Tensor) -> Tensor {
        let p = bench.parameters
        let y = add(x, linear(mixed.reshaped(x.shape[0], heads * headDim), p["o"]!))
        let n = rmsNorm(y, p["norm2"]!, epsilon: 1e-5)
        return add(y, linear(gated(.silu, linear(n, p["gate"]!), linear(n, p["up"]!)), p["down"]!))
    }

    func forward(_ batch: RaggedBatch, _ pattern: AttentionPattern = .causal(), tape: Tape? = nil) -> Tensor {
        let (x, q, k, v) = projections(batch, tape)
        return rest(x, attention(q, k, v, AttentionPlan(batch, pattern), AttentionOptions(scale: 0.3)))
    }

    /// Outputs and all gradients.
    func everything(_ batch: RaggedBatch, _ pattern: AttentionPattern) -> [UInt32] {
        let gradients = Gradients(of: bench.parameters)
        let tape = Tape(into: gradients)
        let y = forward(batch, pattern, tape: tape)
        tape.backward([(y, bench.backend.tensor(noise(y.count, seed: 9), shape: y.shape))])
        return bits(y.read()) + bench.parameters.parameters.flatMap { bits(gradients.read($0)) } + bits([Float(gradients.norm())])
    }
}

/// Random sequences, some of which continue earlier ones.
private func randomBatch(_ key: RandomKey, sequences: Int, longest: Int) -> RaggedBatch {
    var spans: [Span] = []
    var tokens: [Int32] = []
    for index in 0..<sequences {
        let k = key.folding(index)
        let count = 1 + k.index(below: longest, 1)
        let parent = index > 0 && k.uniform(2) < 0.6 ? k.index(below: index, 3) : nil
        spans.append(Span(start: tokens.count, count: count, parent: parent))
        tokens += (0..<count).map { Int32(k.index(below: 37, UInt64(10 + $0))) }
    }
    return RaggedBatch(tokens: tokens, spans: spans)
}

@Suite("Promises of the engine")
struct PromiseTests {
    @Test("promise 1: the same bits on any number of threads and with every kernel variant", arguments: 0..<6)
    func threadsAndVariants(round: Int) throws {
        let batch = randomBatch(RandomKey(seed: UInt64(round)), sequences: 1 + round * 2, longest: 40)
        let order = RandomKey(seed: 3).permutation(batch.count).map { Int32($0) }
        let patterns: [AttentionPattern] = [.causal(), .causal(window: 4), .bidirectional(radius: 3), .permutation(order: order, queryStream: false), .bidirectional()]
        let pattern = patterns[round % patterns.count]
        var results: Set<[UInt32]> = []
        for variant in variants {
            for threads in [1, 2, 5] { results.insert(try Block(threads: threads, kernels: variant).everything(batch, pattern)) }
        }
        #expect(results.count == 1)
    }

    @Test("promise 2: a sequence gets the same bits alone, in a batch, and as the continuation of a parent", arguments: 0..<8)
    func batchInvariance(round: Int) throws {
        let block = try Block(threads: 2, kernels: nil)
        let batch = randomBatch(RandomKey(seed: UInt64(50 + round)), sequences: 7, longest: round % 2 == 0 ? 30 : 5)
        let together = block.forward(batch).read()
        for (index, span) in batch.spans.enumerated() {
            var tokens: [Int32] = []
            var at: Int? = index
            while let i = at {
                tokens.insert(contentsOf: batch.tokens[batch.spans[i].rows], at: 0)
                at = batch.spans[i].parent
            }
            let alone = block.forward(RaggedBatch([tokens])).read()
            #expect(bits(Array(alone.suffix(span.count * block.width))) == bits(Array(together[span.start * block.width..<(span.start + span.count) * block.width])))
        }
    }

    @Test("promise 2: decoded token by token with a cache whose prefix is shared, or in one pass: the same bits")
    func cacheEqualsOnePass() throws {
        let block = try Block(threads: 2, kernels: nil)
        let (width, size) = (block.width, KeyValueCache.blockSize)
        let cache = KeyValueCache(layers: 1, heads: block.kvHeads, headDim: block.headDim, blocks: 1, on: block.bench.backend)
        let prefix = (0..<21).map { Int32($0 * 3 % 37) }
        let tails = (0..<3).map { t in (0..<40).map { Int32(($0 * 5 + t) % 37) } }

        // The prefix fills two blocks, the second only partly; each tail then takes blocks of its own.
        let prefixBlocks = [cache.takeBlock(), cache.takeBlock()]
        let prefixBatch = RaggedBatch([prefix])
        let (_, q, k, v) = block.projections(prefixBatch, nil)
        let prefixRuns = [(block: prefixBlocks[0], count: size), (block: prefixBlocks[1], count: prefix.count - size)]
        _ = cache.attend(
            layer: 0, q, k, v, slots: (0..<prefix.count).map { Int32(prefixBlocks[$0 / size] * size + $0 % size) },
            AttentionPlan(cached: [(queries: 0..<prefix.count, blocks: prefixRuns)]), AttentionOptions(scale: 0.3))

        var blocks = tails.map { _ in [Int]() }
        var outputs = tails.map { _ in [Float]() }
        for step in 0..<40 {
            for t in tails.indices where step % size == 0 { blocks[t].append(cache.takeBlock()) }
            let batch = RaggedBatch(
                tokens: tails.map { $0[step] }, spans: tails.indices.map { Span(start: $0, count: 1) }, positions: tails.map { _ in Int32(prefix.count + step) })
            let (x, q, k, v) = block.projections(batch, nil)
            let plan = AttentionPlan(cached: tails.indices.map { t in
                (queries: t..<t + 1, blocks: prefixRuns + blocks[t].enumerated().map { (block: $1, count: min(size, step + 1 - $0 * size)) })
            })
            let slots = tails.indices.map { Int32(blocks[$0][step / size] * size + step % size) }
            let y = block.rest(x, cache.attend(layer: 0, q, k, v, slots: slots, plan, AttentionOptions(scale: 0.3))).read()
            for t in tails.indices { outputs[t] += y[t * width..<(t + 1) * width] }
        }
        for t in tails.indices {
            let onePass = block.forward(RaggedBatch([prefix + tails[t]])).read()
            #expect(bits(outputs[t]) == bits(Array(onePass.suffix(40 * width))))
        }
        #expect(cache.usedBlocks == 2 + 3 * 3)
        for b in blocks.joined() { cache.release(b) }
        #expect(cache.usedBlocks == 2)
    }

    @Test("the gradient with a shared prefix is that of separate sequences")
    func sharedPrefixGradient() throws {
        let block = try Block(threads: 2, kernels: nil)
        let prefix = (0..<9).map { Int32($0) }, tails = (0..<4).map { t in (0..<(t + 2)).map { Int32($0 * 2 + t) } }
        let shared = RaggedBatch(tokens: prefix + tails.flatMap { $0 }, spans: [Span(start: 0, count: 9)] + tails.indices.map { t in
            Span(start: 9 + tails[..<t].reduce(0) { $0 + $1.count }, count: tails[t].count, parent: 0)
        })
        let separate = RaggedBatch(tails.map { prefix + $0 })
        func gradients(_ batch: RaggedBatch, rows: [Int32]) -> [Float] {
            let gradients = Gradients(of: block.bench.parameters)
            let tape = Tape(into: gradients)
            let y = gatherRows(block.forward(batch, tape: tape), rows)
            tape.backward([(y, block.bench.backend.tensor(noise(y.count, seed: 9), shape: y.shape))])
            return block.bench.parameters.parameters.flatMap { gradients.read($0) }
        }
        let a = gradients(shared, rows: (9..<Int32(shared.count)).map { $0 })
        let b = gradients(separate, rows: separate.spans.flatMap { Array(Int32($0.start + 9)..<Int32($0.start + $0.count)) })
        let largest = b.map(abs).max()!
        #expect(zip(a, b).allSatisfy { abs($0 - $1) <= 1e-5 * largest })
    }

    @Test("cutting a batch into micro-batches changes no bit of the gradient")
    func microBatches() throws {
        let block = try Block(threads: 2, kernels: nil)
        let sequences = (0..<5).map { s in (0..<(4 + 3 * s)).map { Int32(($0 + s) % 37) } }
        func gradients(_ cuts: [Range<Int>]) -> [UInt32] {
            let gradients = Gradients(of: block.bench.parameters)
            for cut in cuts {
                let tape = Tape(into: gradients)
                let y = block.forward(RaggedBatch(Array(sequences[cut])), tape: tape)
                // The gradient of each row depends on the sequence alone.
                let seeds = cut.flatMap { noise(sequences[$0].count * block.width, seed: UInt64($0)) }
                tape.backward([(y, block.bench.backend.tensor(seeds, shape: y.shape))])
            }
            return block.bench.parameters.parameters.flatMap { bits(gradients.read($0)) }
        }
        #expect(Set([gradients([0..<5]), gradients([0..<1, 1..<5]), gradients([0..<3, 3..<4, 4..<5])]).count == 1)
    }

    @Test("evicted and fetched parameters compute the same bits; copies share memory until one is written")
    func residency() throws {
        let block = try Block(threads: 2, kernels: nil)
        let batch = RaggedBatch([[1, 2, 3]])
        let before = bits(block.forward(batch).read())
        let set = block.bench.parameters
        let live = block.bench.backend.allocator.liveBytes
        let copy = ParameterSet(on: block.bench.backend)
        for p in set.parameters { _ = p.shape.count == 2 ? copy.declare(p.name, p.shape[0], p.shape[1]) : copy.declare(p.name, p.shape[0]) }
        copy.share(set)
        #expect(block.bench.backend.allocator.liveBytes == live)
        noise(24, seed: 1).withUnsafeBufferPointer { copy.write($0, to: copy["norm"]!) }
        #expect(block.bench.backend.allocator.liveBytes > live)
        #expect(bits(block.forward(batch).read()) == before)
        let values = set.parameters.map { set.read($0) }
        set.evict(set.segments[0]) {
            let again = ParameterSet(on: block.bench.backend)
            for p in set.parameters { _ = p.shape.count == 2 ? again.declare(p.name, p.shape[0], p.shape[1]) : again.declare(p.name, p.shape[0]) }
            again.allocate()
            for (p, v) in zip(again.parameters, values) { v.withUnsafeBufferPointer { again.write($0, to: p) } }
            return again.flat(again.parameters[0]).storage
        }
        #expect(!set.segments[0].isResident)
        try set.fetch(set.segments[0])
        #expect(bits(block.forward(batch).read()) == before)
    }
}
