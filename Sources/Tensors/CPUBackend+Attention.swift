import CAutodidact

/// Attention on the CPU: keys in panels, one strip of scores for a tile of queries, and the same with cached keys.
extension CPUBackend {
    private static func padded(_ count: Int) -> Int { (count + lanes - 1) / lanes * lanes }
    private static let attentionRows = Int(ad_attention_rows)

    /// Copies the keys of one head into panels and its values into padded rows.
    private func pack(
        _ sequence: AttentionPlan.Sequence, head: Int, heads: Int, headDim: Int, keys: UnsafePointer<Float>, keyPanels: UnsafeMutablePointer<Float>,
        values: UnsafePointer<Float>, valueRows: UnsafeMutablePointer<Float>
    ) {
        let width = Self.padded(headDim)
        var index = 0
        for run in sequence.runs {
            for row in run {
                let at = (row * heads + head) * headDim
                let panel = keyPanels + index / Self.lanes * Self.lanes * headDim + index % Self.lanes
                for d in 0..<headDim { panel[d * Self.lanes] = keys[at + d] }
                let out = valueRows + index * width
                for d in 0..<headDim { out[d] = values[at + d] }
                for d in headDim..<width { out[d] = 0 }
                index += 1
            }
        }
        // Lanes beyond the last key hold zeros: their scores are finite and then hidden.
        while index % Self.lanes != 0 {
            let panel = keyPanels + index / Self.lanes * Self.lanes * headDim + index % Self.lanes
            for d in 0..<headDim { panel[d * Self.lanes] = 0 }
            index += 1
        }
    }

    /// Calls `body` for tiles of at most 24 queries with the visible keys of each.
    private func tiles(
        _ sequence: AttentionPlan.Sequence, runs: UnsafePointer<ad_kv_run>, runCount: Int, keyPanelStride: Int, valueRowStride: Int, headDim: Int, head: Int,
        _ options: AttentionOptions, pairs: Int = 0, _ body: (_ row: Int, _ rows: Int, UnsafePointer<ad_attention>) -> Void
    ) {
        for row in stride(from: 0, to: sequence.queries.count, by: Self.attentionRows) {
            sequence.first.withUnsafeBufferPointer { first in
                sequence.last.withUnsafeBufferPointer { last in
                    sequence.position.withUnsafeBufferPointer { position in
                        var attention = ad_attention()
                        attention.runs = runs
                        attention.run_count = runCount
                        attention.key_panel_stride = keyPanelStride
                        attention.value_row_stride = valueRowStride
                        attention.head_dim = headDim
                        attention.scale = options.scale
                        attention.first_key = first.baseAddress! + row
                        attention.last_key = last.baseAddress! + row
                        attention.query_position = position.baseAddress! + row
                        if let bias = options.bias {
                            attention.bias = UnsafePointer(bias.pointer) + head * bias.shape[1]
                            attention.bias_reach = Int32(options.reach)
                        }
                        attention.cap = options.cap ?? 0
                        if let tensor = options.pairs {
                            attention.pair_row = sequence.keyCount
                            attention.pairs = UnsafePointer(tensor.pointer) + head * tensor.shape[1] + pairs + row * sequence.keyCount
                        }
                        let rows = min(Self.attentionRows, sequence.queries.count - row)
                        if let order = sequence.keyOrder, let limit = sequence.orderLimit {
                            order.withUnsafeBufferPointer { order in
                                limit.withUnsafeBufferPointer { limit in
                                    attention.key_order = order.baseAddress!
                                    attention.order_limit = limit.baseAddress! + row
                                    body(sequence.queries.lowerBound + row, rows, &attention)
                                }
                            }
                        } else {
                            body(sequence.queries.lowerBound + row, rows, &attention)
                        }
                    }
                }
            }
        }
    }

    public func attention(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ plan: AttentionPlan, _ options: AttentionOptions, into out: Tensor) {
        let (H, K, D) = (q.shape[1], k.shape[1], q.shape[2])
        let longest = Self.padded(plan.sequences.map(\.keyCount).max() ?? 0)
        reserveScratch(longest * (D + Self.padded(D) + Self.attentionRows))
        let pairs = plan.pairOffsets
        pool.run(plan.sequences.count * K) { tile, worker in
            let (sequence, head) = (plan.sequences[tile / K], tile % K)
            let keyPanels = scratchPointer(worker), valueRows = keyPanels + longest * D, strip = valueRows + longest * Self.padded(D)
            pack(sequence, head: head, heads: K, headDim: D, keys: k.pointer, keyPanels: keyPanels, values: v.pointer, valueRows: valueRows)
            var run = ad_kv_run(keys: keyPanels, values: valueRows, count: sequence.keyCount)
            for query in head * H / K..<(head + 1) * H / K {
                tiles(
                    sequence, runs: &run, runCount: 1, keyPanelStride: D * Self.lanes, valueRowStride: Self.padded(D), headDim: D, head: query, options, pairs: pairs[tile / K]
                ) { row, rows, attention in
                    let at = (row * H + query) * D
                    kernels.attention(out.pointer + at, H * D, q.pointer + at, H * D, rows, attention, strip)
                }
            }
        }
    }

    public func attentionBackward(
        _ dout: Tensor, _ q: Tensor, _ k: Tensor, _ v: Tensor, _ out: Tensor, _ plan: AttentionPlan, _ options: AttentionOptions,
        dq: Tensor, dk: Tensor, dv: Tensor, dBias: Tensor?, dPairs: Tensor?
    ) {
        let (H, K, D) = (q.shape[1], k.shape[1], q.shape[2])
        let width = Self.padded(D)
        let longest = Self.padded(plan.sequences.map(\.keyCount).max() ?? 0)
        // Key panels, value panels, key rows, value rows, the gradients of both, and three strips with their padded rows.
        let pairs = plan.pairOffsets
        reserveScratch(longest * (2 * D + 4 * width + 3 * Self.attentionRows) + 2 * Self.attentionRows * width)
        let tasks = plan.groups.count * K
        let biasWidth = dBias?.shape[1] ?? 0
        // One table of partial sums per group and head, joined in the order of the groups.
        let partials = dBias.map { _ in zeros([plan.groups.count, H, biasWidth]) }
        pool.run(tasks) { tile, worker in
            let (group, head) = (plan.groups[tile / K], tile % K)
            let keyPanels = scratchPointer(worker), valuePanels = keyPanels + longest * D
            let keyRows = valuePanels + longest * D, valueRows = keyRows + longest * width
            let keyGradients = valueRows + longest * width, valueGradients = keyGradients + longest * width
            let strip = valueGradients + longest * width
            for index in group {
                for run in plan.sequences[index].runs {
                    for row in run {
                        (dk.pointer + (row * K + head) * D).update(repeating: 0, count: D)
                        (dv.pointer + (row * K + head) * D).update(repeating: 0, count: D)
                    }
                }
            }
            for index in group {
                let sequence = plan.sequences[index]
                pack(sequence, head: head, heads: K, headDim: D, keys: k.pointer, keyPanels: keyPanels, values: v.pointer, valueRows: valueRows)
                pack(sequence, head: head, heads: K, headDim: D, keys: v.pointer, keyPanels: valuePanels, values: k.pointer, valueRows: keyRows)
                exchange(sequence, head: head, heads: K, headDim: D, dk, dv, keyGradients, valueGradients, load: true)
                var run = ad_kv_run(keys: keyPanels, values: valueRows, count: sequence.keyCount)
                for query in head * H / K..<(head + 1) * H / K {
                    tiles(
                        sequence, runs: &run, runCount: 1, keyPanelStride: D * Self.lanes, valueRowStride: width, headDim: D, head: query, options, pairs: pairs[index]
                    ) { row, rows, attention in
                        let at = (row * H + query) * D
                        let table = partials.map { $0.pointer + (tile / K * H + query) * biasWidth }
                        let pairTable = dPairs.map { $0.pointer + query * $0.shape[1] + pairs[index] + (row - sequence.queries.lowerBound) * sequence.keyCount }
                        kernels.attention_backward(
                            dq.pointer + at, H * D, keyGradients, valueGradients, table, pairTable, q.pointer + at, H * D, out.pointer + at, H * D, dout.pointer + at, H * D, rows,
                            keyRows, valuePanels, attention, strip)
                    }
                }
                exchange(sequence, head: head, heads: K, headDim: D, dk, dv, keyGradients, valueGradients, load: false)
            }
        }
        if let dBias, let partials {
            for group in plan.groups.indices {
                kernels.add(dBias.pointer, dBias.pointer, partials.pointer + group * H * biasWidth, H * biasWidth)
            }
        }
    }

    /// Loads the running sums of a sequence's keys and values from the gradients, or stores them back: the chain goes on.
    private func exchange(
        _ sequence: AttentionPlan.Sequence, head: Int, heads: Int, headDim: Int, _ dk: Tensor, _ dv: Tensor, _ keys: UnsafeMutablePointer<Float>,
        _ values: UnsafeMutablePointer<Float>, load: Bool
    ) {
        let width = Self.padded(headDim)
        var index = 0
        for run in sequence.runs {
            for row in run {
                let at = (row * heads + head) * headDim
                for (flat, local) in [(dk.pointer + at, keys + index * width), (dv.pointer + at, values + index * width)] {
                    if load {
                        local.update(from: flat, count: headDim)
                        (local + headDim).update(repeating: 0, count: width - headDim)
                    } else {
                        flat.update(from: local, count: headDim)
                    }
                }
                index += 1
            }
        }
    }

    // MARK: KV cache

    public func cacheBlockCounts(heads: Int, headDim: Int) -> (keys: Int, values: Int) {
        (heads * headDim * Self.lanes, heads * Self.padded(headDim) * Self.lanes)
    }

    public func store(_ k: Tensor, _ v: Tensor, slots: [Int32], keys: Storage, values: Storage) {
        let (K, D) = (k.shape[1], k.shape[2])
        let width = Self.padded(D)
        chunks(slots.count, grain: 8) { range in
            for row in range {
                let slot = Int(slots[row])
                for head in 0..<K {
                    let source = (row * K + head) * D
                    let panel = keys.pointer + ((slot / Self.lanes * K + head) * D) * Self.lanes + slot % Self.lanes
                    for d in 0..<D { panel[d * Self.lanes] = k.pointer[source + d] }
                    (values.pointer + (slot * K + head) * width).update(from: v.pointer + source, count: D)
                }
            }
        }
    }

    public func cachedAttention(_ q: Tensor, keys: Storage, values: Storage, heads K: Int, _ plan: AttentionPlan, _ options: AttentionOptions, into out: Tensor) {
        precondition(options.pairs == nil, "biases of single pairs are for attention without a cache")
        let (H, D) = (q.shape[1], q.shape[2])
        let width = Self.padded(D)
        let columns = plan.sequences.map { $0.runs.reduce(0) { $0 + Self.padded($1.count) } }.max() ?? 0
        reserveScratch(columns * Self.attentionRows)
        // Where every sequence has one query, heads that share keys are the rows of one tile, so that a cache is read once.
        let together = options.bias == nil && H / K <= Self.attentionRows && plan.sequences.allSatisfy { $0.queries.count == 1 } ? H / K : 1
        let tasks = H / together
        pool.run(plan.sequences.count * tasks) { tile, worker in
            let head = tile % tasks * together, kvHead = head * K / H
            var sequence = plan.sequences[tile / tasks]
            if together > 1 { sequence.queries = sequence.queries.lowerBound..<sequence.queries.lowerBound + together }
            let rowStride = together == 1 ? H * D : D
            withUnsafeTemporaryAllocation(of: ad_kv_run.self, capacity: sequence.runs.count) { runs in
                for (index, run) in sequence.runs.enumerated() {
                    precondition(run.lowerBound % Self.lanes == 0, "a run of cached keys starts at slot \(run.lowerBound)")
                    runs.initializeElement(at: index, to: ad_kv_run(
                        keys: keys.pointer + (run.lowerBound / Self.lanes * K + kvHead) * D * Self.lanes, values: values.pointer + (run.lowerBound * K + kvHead) * width,
                        count: run.count))
                }
                tiles(sequence, runs: runs.baseAddress!, runCount: runs.count, keyPanelStride: K * D * Self.lanes, valueRowStride: K * width, headDim: D, head: head, options) { row, rows, attention in
                    let at = (row * H + head) * D
                    kernels.attention(out.pointer + at, rowStride, q.pointer + at, rowStride, rows, attention, scratchPointer(worker))
                }
            }
        }
    }

    // MARK: Head by head

    public func headProducts(_ a: Tensor, _ b: Tensor, into y: Tensor) {
        let (N, H, D, R) = (a.shape[0], a.shape[1], a.shape[2], b.shape[0])
        reserveScratch(Self.padded(R) * D)
        pool.run(H) { head, worker in
            let panels = scratchPointer(worker)
            for first in stride(from: 0, to: R, by: Self.lanes) {
                kernels.pack_panel(panels + first * D, b.pointer + (first * H + head) * D, H * D, min(Self.lanes, R - first), D)
            }
            kernels.matmul(y.pointer + head * R, H * R, Self.lanes, a.pointer + head * D, H * D, 1, panels, Self.lanes, Self.lanes * D, N, R, D, Int32(ad_overwrite))
        }
    }

    public func headProductsBackward(_ dy: Tensor, _ a: Tensor, _ b: Tensor, da: Tensor?, db: Tensor?) {
        let (N, H, D, R) = (a.shape[0], a.shape[1], a.shape[2], b.shape[0])
        reserveScratch(max(N, R) * Self.padded(D))
        pool.run(H) { head, worker in
            let strips = scratchPointer(worker), slopes = dy.pointer + head * R
            if let da {
                kernels.copy_strips(strips, R * Self.lanes, b.pointer + head * D, H * D, R, D)
                kernels.matmul(da.pointer + head * D, H * D, Self.lanes, slopes, H * R, 1, strips, Self.lanes, R * Self.lanes, N, D, R, Int32(ad_overwrite))
            }
            if let db {
                kernels.copy_strips(strips, N * Self.lanes, a.pointer + head * D, H * D, N, D)
                kernels.matmul(db.pointer + head * D, H * D, Self.lanes, slopes, 1, H * R, strips, Self.lanes, N * Self.lanes, R, D, N, Int32(ad_overwrite))
            }
        }
    }

    public func gatherPairs(_ x: Tensor, rows: [Int32], columns: [Int32], into y: Tensor) {
        let (H, R, P) = (x.shape[1], x.shape[2], rows.count)
        pool.run(H) { head, _ in
            for pair in 0..<P { y.pointer[head * P + pair] = x.pointer[(Int(rows[pair]) * H + head) * R + Int(columns[pair])] }
        }
    }

    public func scatterPairs(_ dy: Tensor, rows: [Int32], columns: [Int32], into dx: Tensor) {
        let (H, R, P) = (dx.shape[1], dx.shape[2], rows.count)
        pool.run(H) { head, _ in
            for pair in 0..<P { dx.pointer[(Int(rows[pair]) * H + head) * R + Int(columns[pair])] += dy.pointer[head * P + pair] }
        }
    }
}
