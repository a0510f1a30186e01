import CAutodidact
import Synchronization

#if canImport(Glibc)
import Glibc
#endif

/// Matrices on the CPU: panels and codes, conversions between formats, products with their gradients, rows of tables.
extension CPUBackend {
    static let lanes = Int(ad_lanes)

    public func matrixCount(outputs: Int, inputs: Int, _ format: WeightFormat) -> Int {
        (outputs + Self.lanes - 1) / Self.lanes * Self.panelCount(inputs: inputs, format)
    }

    /// Floats that a panel of 16 outputs takes.
    static func panelCount(inputs: Int, _ format: WeightFormat) -> Int {
        guard let code = format.code else { return inputs * lanes }
        precondition(inputs % format.group == 0, "\(inputs) inputs are no whole number of groups of \(format.group)")
        return inputs / format.group * ad_code_group_bytes(code) / MemoryLayout<Float>.stride
    }

    /// Some steps of a panel in float32: where they lie, or expanded to `scratch`, which has room for them. Steps begin and end at groups.
    @inline(__always)
    private func panel(_ index: Int, steps: Range<Int>, of matrix: Matrix, expandingTo scratch: @autoclosure () -> UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
        guard let code = matrix.format.code else { return UnsafePointer(matrix.pointer + (index * matrix.inputs + steps.lowerBound) * Self.lanes) }
        let (group, scratch) = (matrix.format.group, scratch())
        kernels.expand_panel(scratch, matrix.groups(panel: index, from: steps.lowerBound), code, steps.count / group)
        return UnsafePointer(scratch)
    }

    public func writeRows(_ values: UnsafeBufferPointer<Float>, rows: Range<Int>, of matrix: Matrix) {
        precondition(matrix.format == .float32, "a matrix of \(matrix.format) is filled, not written")
        let firstPanel = rows.lowerBound / Self.lanes
        let panels = (rows.upperBound + Self.lanes - 1) / Self.lanes - firstPanel
        chunks(panels, grain: max(1, (1 << 14) / max(1, matrix.inputs))) { range in
            for panel in range { write(values, rows: rows, of: matrix, panel: firstPanel + panel) }
        }
    }

    /// What of some rows lies in one panel.
    private func write(_ values: UnsafeBufferPointer<Float>, rows: Range<Int>, of matrix: Matrix, panel: Int) {
        guard let base = values.baseAddress else { return }
        let K = matrix.inputs, first = panel * Self.lanes
        let target = matrix.pointer + first * K
        let low = max(first, rows.lowerBound), high = min(first + Self.lanes, rows.upperBound)
        if low == first, high == min(first + Self.lanes, matrix.outputs) {
            kernels.pack_panel(target, base + (first - rows.lowerBound) * K, K, high - low, K)
        } else {
            for row in low..<high {
                for k in 0..<K { target[k * Self.lanes + row - first] = base[(row - rows.lowerBound) * K + k] }
            }
        }
    }

    public func mapRows<Result>(
        writing: [Matrix], reading: [Matrix], _ body: (_ rows: Range<Int>, _ written: inout [[Float]], _ read: [[Float]]) -> Result
    ) -> [Result] {
        let matrices = writing + reading, outputs = matrices[0].outputs, stretch = 256
        precondition(
            matrices.allSatisfy { $0.outputs == outputs && $0.inputs == matrices[0].inputs && $0.format == .float32 }, "rows of matrices that do not lie alike")
        var results = [Result?](repeating: nil, count: (outputs + stretch - 1) / stretch)
        results.withUnsafeMutableBufferPointer { results in
            pool.run(results.count) { index, _ in
                let rows = index * stretch..<min(outputs, (index + 1) * stretch)
                var written = writing.map { readRows(rows, of: $0) }
                results[index] = body(rows, &written, reading.map { readRows(rows, of: $0) })
                for (matrix, values) in zip(writing, written) {
                    values.withUnsafeBufferPointer { values in
                        for panel in rows.lowerBound / Self.lanes..<(rows.upperBound + Self.lanes - 1) / Self.lanes { write(values, rows: rows, of: matrix, panel: panel) }
                    }
                }
            }
        }
        return results.map { $0! }
    }

    public func readRows(_ rows: Range<Int>, of matrix: Matrix) -> [Float] {
        let K = matrix.inputs
        return [Float](unsafeUninitializedCapacity: rows.count * K) { buffer, count in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: matrix.format == .float32 ? 1 : K * Self.lanes) { scratch in
                var row = rows.lowerBound
                while row < rows.upperBound {
                    let lane = row % Self.lanes, lanes = min(Self.lanes - lane, rows.upperBound - row)
                    let values = panel(row / Self.lanes, steps: 0..<K, of: matrix, expandingTo: scratch.baseAddress!) + lane
                    kernels.unpack_panel(buffer.baseAddress! + (row - rows.lowerBound) * K, K, values, lanes, K)
                    row += lanes
                }
            }
            count = rows.count * K
        }
    }

    public func convert(_ source: Matrix, into target: Matrix) {
        let K = source.inputs
        precondition((source.outputs, K) == (target.outputs, target.inputs), "converting [\(source.outputs), \(K)] into [\(target.outputs), \(target.inputs)]")
        if source.format == target.format {
            let count = matrixCount(outputs: source.outputs, inputs: K, source.format)
            return chunks(count, grain: 1 << 16) { range in (target.pointer + range.lowerBound).update(from: source.pointer + range.lowerBound, count: range.count) }
        }
        switch target.format {
        case .float32:
            pool.run((source.outputs + Self.lanes - 1) / Self.lanes) { index, _ in
                let place = target.pointer + index * K * Self.lanes
                let values = panel(index, steps: 0..<K, of: source, expandingTo: place)
                if values != UnsafePointer(place) { place.update(from: values, count: K * Self.lanes) }
            }
        case .bfloat16:
            reserveScratch(K * Self.lanes)
            pool.run((source.outputs + Self.lanes - 1) / Self.lanes) { index, worker in
                let values = panel(index, steps: 0..<K, of: source, expandingTo: scratchPointer(worker))
                kernels.round_brains(UnsafeMutableRawPointer(mutating: target.groups(panel: index, from: 0)).assumingMemoryBound(to: UInt16.self), values, K * Self.lanes)
            }
        case .eightBitsHalf:
            let group = target.format.group
            fillCodes(of: target) { rows, coded in
                let values = readRows(rows, of: source)
                for block in 0..<values.count / group {
                    coded.scales[block] = Self.roundToBytes(values[block * group..<(block + 1) * group], coded.codes + block * group)
                }
            }
        default: preconditionFailure("nothing is rounded to \(target.format)")
        }
    }

    /// Codes of a block as Q8_0 has them: to nearest, ties away from zero, by the scale before that is rounded itself.
    /// - Returns: the scale, a value of float16.
    private static func roundToBytes(_ block: ArraySlice<Float>, _ codes: UnsafeMutablePointer<Int8>) -> Float {
        guard block.allSatisfy(\.isFinite) else { return .nan }
        let scale = block.reduce(0) { max($0, abs($1)) } / 127, inverse = scale == 0 ? 0 : 1 / scale
        for (index, value) in block.enumerated() { codes[index] = Int8(max(-127, min(127, (value * inverse).rounded(.toNearestOrAwayFromZero)))) }
        return scale.roundedToHalf
    }

    public func fillCodes<E: Error>(of matrix: Matrix, reading read: (_ rows: Range<Int>, _ values: CodedRows) throws(E) -> Void) throws(E) {
        let (K, group, lanes) = (matrix.inputs, matrix.format.group, Self.lanes)
        guard let code = matrix.format.code, matrix.format.isCoded else { preconditionFailure("a matrix of \(matrix.format) has no codes") }
        let bits = UInt32(matrix.format.bits), steps = 32 / matrix.format.bits
        let groups = K / group
        reserveScratch(lanes * (K / 4 + 2 * groups))
        try eachPanel(of: matrix) { (panel, rows, worker) throws(E) in
            let scales = scratchPointer(worker), offsets = scales + lanes * groups
            offsets.update(repeating: -0.0, count: lanes * groups)
            let codes = UnsafeMutableRawPointer(offsets + lanes * groups).bindMemory(to: Int8.self, capacity: lanes * K)
            try read(rows, CodedRows(codes: codes, scales: scales, offsets: offsets))
            var place = UnsafeMutableRawPointer(mutating: matrix.groups(panel: panel, from: 0))
            for g in 0..<groups {
                let words = (place + ad_code_factor_bytes(code)).assumingMemoryBound(to: UInt32.self)
                for lane in 0..<lanes {
                    let (scale, offset) = lane < rows.count ? (scales[lane * groups + g], offsets[lane * groups + g]) : (0, 0)
                    if matrix.format.hasHalves {
                        let factors = place.assumingMemoryBound(to: UInt16.self)
                        (factors[lane], factors[lanes + lane]) = (scale.halfBits, offset.halfBits)
                    } else {
                        let factors = place.assumingMemoryBound(to: Float.self)
                        (factors[lane], factors[lanes + lane]) = (scale, offset)
                    }
                    for word in 0..<group / steps {
                        var packed: UInt32 = 0
                        if lane < rows.count {
                            for step in 0..<steps {
                                let value = codes[lane * K + g * group + word * steps + step]
                                packed |= (UInt32(bitPattern: Int32(value)) & (1 << bits - 1)) << UInt32(8 * (step % 4) + 4 * (step / 4))
                            }
                        }
                        words[word * lanes + lane] = packed
                    }
                }
                place += ad_code_group_bytes(code)
            }
        }
    }

    public func fillRows(of matrix: Matrix, reading read: (_ rows: Range<Int>, _ values: UnsafeMutableBufferPointer<Float>) throws -> Void) throws {
        let K = matrix.inputs
        precondition(!matrix.format.isCoded, "a matrix of \(matrix.format) is filled with codes")
        reserveScratch(2 * Self.lanes * K)
        try eachPanel(of: matrix) { panel, rows, worker in
            let values = UnsafeMutableBufferPointer(start: scratchPointer(worker), count: rows.count * K)
            try read(rows, values)
            guard matrix.format != .float32 else { return kernels.pack_panel(matrix.pointer + rows.lowerBound * K, values.baseAddress!, K, rows.count, K) }
            let packed = scratchPointer(worker) + Self.lanes * K
            kernels.pack_panel(packed, values.baseAddress!, K, rows.count, K)
            let target = UnsafeMutableRawPointer(mutating: matrix.groups(panel: panel, from: 0)).assumingMemoryBound(to: UInt16.self)
            for index in 0..<Self.lanes * K { target[index] = matrix.format == .bfloat16 ? packed[index].brainBits : packed[index].halfBits }
        }
    }

    /// Calls `body` for the rows of every panel, on all threads; what one of the calls threw is thrown when all are done.
    private func eachPanel<E: Error>(of matrix: Matrix, _ body: (_ panel: Int, _ rows: Range<Int>, _ worker: Int) throws(E) -> Void) throws(E) {
        let failure = Mutex<E?>(nil)
        pool.run((matrix.outputs + Self.lanes - 1) / Self.lanes) { panel, worker in
            do throws(E) {
                try body(panel, panel * Self.lanes..<min(matrix.outputs, (panel + 1) * Self.lanes), worker)
            } catch {
                failure.withLock { $0 = error }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    private static let stepBlock = Int(ad_chain_steps)

    /// Panels that the kernels may compute together.
    private static let strip = 4

    /// Panels whose outputs, for a block of rows, stay in the cache beside the inputs.
    private static let panelsTogether = 16

    /// Rows per tile, at most: a block of their inputs takes about half of the second-level cache, and wide weights are read from memory seldom.
    private static let rowBlock: Int = {
        #if canImport(Glibc)
        let cache = sysconf(Int32(_SC_LEVEL2_CACHE_SIZE))
        #else
        let cache = 0  // unknown
        #endif
        let tileRows = Int(ad_tile_rows)
        return min(max(cache > 0 ? cache : 512 << 10, 256 << 10), 2 << 20) * 9 / 16 / (stepBlock * MemoryLayout<Float>.stride) / tileRows * tileRows
    }()

    public func linear(_ x: Tensor, _ layers: [(weight: Matrix, bias: Tensor?, y: Tensor)]) {
        guard let K = layers.first?.weight.inputs else { return }
        let M = x.count / K
        for (weight, _, y) in layers {
            precondition(x.width == K && weight.inputs == K && y.count == M * weight.outputs, "linear: x \(x.shape), weight [\(weight.outputs), \(weight.inputs)], y \(y.shape)")
        }
        guard M > 0 else { return }
        let rounded = layers.contains { $0.weight.roundsInputs } ? roundRows(x, inputs: K) : nil
        let tiles = tiles(rows: M, panels: layers.map { ($0.weight.outputs + Self.lanes - 1) / Self.lanes })
        if layers.contains(where: { $0.weight.format != .float32 }) { reserveScratch(Self.strip * Self.stepBlock * Self.lanes) }
        tiles.withUnsafeBufferPointer { tiles in
            pool.run(tiles.count) { index, worker in
                let tile = tiles[index], (weight, bias, y) = layers[tile.layer]
                let out = y.pointer + tile.rows.lowerBound * weight.outputs
                if weight.roundsInputs, let rounded {
                    linear(rounded.rows(tile.rows), weight, tile.panels, out)
                } else {
                    linear(x.pointer + tile.rows.lowerBound * K, tile.rows.count, weight, tile.panels, out, scratch: weight.format == .float32 ? nil : scratchPointer(worker))
                }
                guard let bias else { return }
                let columns = tile.panels.lowerBound * Self.lanes..<min(weight.outputs, tile.panels.upperBound * Self.lanes)
                for row in 0..<tile.rows.count {
                    let place = out + row * weight.outputs + columns.lowerBound
                    kernels.add(place, place, bias.pointer + columns.lowerBound, columns.count)
                }
            }
        }
    }

    /// A product is cut into blocks of rows and whole strips of panels: few enough that the outputs stay in the cache, so many that threads finish
    /// together; few rows read their weights in longer stretches. Of a single block of rows, tiles that would leave a thread without work are cut once more.
    private func tiles(rows: Int, panels: [Int]) -> [(layer: Int, rows: Range<Int>, panels: Range<Int>)] {
        var tiles: [(layer: Int, rows: Range<Int>, panels: Range<Int>)] = []
        let tileRows = Int(ad_tile_rows), blocks = (rows + Self.rowBlock - 1) / Self.rowBlock
        let size = ((rows + blocks - 1) / blocks + tileRows - 1) / tileRows * tileRows
        for first in stride(from: 0, to: rows, by: size) {
            for (layer, count) in panels.enumerated() {
                let strips = (count + Self.strip - 1) / Self.strip, groups = min(strips, max(count / Self.panelsTogether, pool.threads * (rows > Int(ad_coded_rows) ? 12 : 8) / blocks, 1))
                for group in 0..<groups {
                    tiles.append((layer, first..<min(rows, first + size), group * strips / groups * Self.strip..<min(count, (group + 1) * strips / groups * Self.strip)))
                }
            }
        }
        guard blocks == 1 else { return tiles }
        let threads = pool.threads, odd = tiles.suffix(tiles.count % threads), cutsRows = rows >= 2 * tileRows
        tiles.removeLast(odd.count)
        for tile in odd {
            for part in 0..<threads {
                func cut(_ range: Range<Int>) -> Range<Int> { range.lowerBound + part * range.count / threads..<range.lowerBound + (part + 1) * range.count / threads }
                let piece = cutsRows ? (tile.layer, cut(tile.rows), tile.panels) : (tile.layer, tile.rows, cut(tile.panels))
                if !piece.1.isEmpty, !piece.2.isEmpty { tiles.append(piece) }
            }
        }
        return tiles
    }

    /// Some panels of a product with a block of rows.
    private func linear(
        _ x: UnsafePointer<Float>, _ rows: Int, _ weight: Matrix, _ panels: Range<Int>, _ y: UnsafeMutablePointer<Float>, scratch: UnsafeMutablePointer<Float>?
    ) {
        let (K, N) = (weight.inputs, weight.outputs)
        let firstColumn = panels.lowerBound * Self.lanes, columns = min(N, panels.upperBound * Self.lanes) - firstColumn
        let out = y + firstColumn
        if let code = weight.format.code, rows <= Int(ad_coded_rows) {
            let bytes = Self.panelCount(inputs: K, weight.format) * MemoryLayout<Float>.stride
            kernels.matmul_coded(out, N, x, K, weight.groups(panel: panels.lowerBound, from: 0), bytes, code, K / weight.format.group, rows, columns)
        } else if weight.format == .float32, rows > Int(ad_tile_rows) {
            // A block of inputs stays in the cache while panels pass.
            for step in stride(from: 0, to: K, by: Self.stepBlock) {
                kernels.matmul(
                    out, N, Self.lanes, x + step, K, 1, weight.pointer + (panels.lowerBound * K + step) * Self.lanes, Self.lanes, K * Self.lanes, rows, columns,
                    min(K - step, Self.stepBlock), Int32(step > 0 ? ad_add : ad_overwrite))
            }
        } else {
            // Some panels at a time: codes are expanded, and few rows read the weights in the order in which they lie.
            for start in stride(from: panels.lowerBound, to: panels.upperBound, by: Self.strip) {
                let end = min(panels.upperBound, start + Self.strip), columns = min(N, end * Self.lanes) - start * Self.lanes
                for step in stride(from: 0, to: K, by: Self.stepBlock) {
                    let steps = min(K - step, Self.stepBlock)
                    var values = UnsafePointer(weight.pointer + (start * K + step) * Self.lanes)
                    if let scratch {
                        for index in start..<end { _ = panel(index, steps: step..<step + steps, of: weight, expandingTo: scratch + (index - start) * steps * Self.lanes) }
                        values = UnsafePointer(scratch)
                    }
                    kernels.matmul(
                        out + (start - panels.lowerBound) * Self.lanes, N, Self.lanes, x + step, K, 1, values, Self.lanes, (scratch == nil ? K : steps) * Self.lanes, rows,
                        columns, steps, Int32(step > 0 ? ad_add : ad_overwrite))
                }
            }
        }
    }

    /// Some panels of a product with rows that are rounded.
    private func linear(_ x: ad_rounded_rows, _ weight: Matrix, _ panels: Range<Int>, _ y: UnsafeMutablePointer<Float>) {
        let firstColumn = panels.lowerBound * Self.lanes, bytes = Self.panelCount(inputs: weight.inputs, weight.format) * MemoryLayout<Float>.stride
        withUnsafePointer(to: x) { x in
            kernels.matmul_rounded(
                y + firstColumn, weight.outputs, x, weight.groups(panel: panels.lowerBound, from: 0), bytes, weight.format.code!,
                min(weight.outputs, panels.upperBound * Self.lanes) - firstColumn)
        }
    }

    /// Rows of 8-bit values with their scales and sums, in one block of memory.
    private struct RoundedRows {
        let storage: Storage
        let count, inputs: Int

        var values: UnsafeMutablePointer<Int8> { UnsafeMutableRawPointer(scales + count * inputs / 32).assumingMemoryBound(to: Int8.self) }
        var scales: UnsafeMutablePointer<Float> { storage.pointer + count * inputs / 16 }
        var sums: UnsafeMutablePointer<Int32> { UnsafeMutableRawPointer(storage.pointer).assumingMemoryBound(to: Int32.self) }

        func rows(_ range: Range<Int>) -> ad_rounded_rows {
            let first = range.lowerBound * inputs
            return ad_rounded_rows(values: values + first, scales: scales + first / 32, sums: sums + first / 16, rows: range.count, inputs: inputs)
        }
    }

    private func roundRows(_ x: Tensor, inputs: Int) -> RoundedRows {
        let rows = x.count / inputs
        let rounded = RoundedRows(storage: allocator.allocate(rows * inputs * 11 / 32), count: rows, inputs: inputs)
        chunks(rows, grain: 8) { range in
            let first = range.lowerBound * inputs
            kernels.round_rows(rounded.values + first, rounded.scales + first / 32, rounded.sums + first / 16, x.pointer + first, range.count, inputs)
        }
        return rounded
    }

    public func linearInputGradient(_ dy: Tensor, _ weight: Matrix, into dx: Tensor) {
        let (K, N) = (weight.inputs, weight.outputs)
        let M = dy.count / N
        precondition(dy.width == N && dx.count == M * K, "linear gradient: dy \(dy.shape), weight [\(N), \(K)], dx \(dx.shape)")
        // A block of outputs by a group of inputs is transposed once for a part of the rows, which then pass it a block at a time.
        let block = 256, quads = ((K + Self.lanes - 1) / Self.lanes + Self.strip - 1) / Self.strip, groups = (quads + 2) / 3
        let width = (quads + groups - 1) / groups * Self.strip * Self.lanes
        let parts = max(1, min(M / block, (pool.threads * 3 + groups - 1) / groups))
        reserveScratch((block + Self.lanes) * width)
        pool.run(groups * parts) { tile, worker in
            let weights = scratchPointer(worker), expanded = weights + block * width
            let (group, part) = (tile % groups, tile / groups)
            // Begins at a group of codes.
            let inputs = group * quads / groups * Self.strip * Self.lanes..<min(K, (group + 1) * quads / groups * Self.strip * Self.lanes)
            let rows = part * M / parts..<(part + 1) * M / parts
            for first in stride(from: 0, to: N, by: block) {
                let steps = min(block, N - first)
                for panel in 0..<(steps + Self.lanes - 1) / Self.lanes {
                    let values = self.panel(first / Self.lanes + panel, steps: inputs, of: weight, expandingTo: expanded)
                    for strip in 0..<(inputs.count + Self.lanes - 1) / Self.lanes {
                        // 16 outputs × 16 inputs, transposed: the panel's own packing with the roles exchanged.
                        kernels.unpack_panel(
                            weights + (strip * block + panel * Self.lanes) * Self.lanes, Self.lanes, values + strip * Self.lanes * Self.lanes,
                            min(Self.lanes, steps - panel * Self.lanes), min(Self.lanes, inputs.count - strip * Self.lanes))
                    }
                }
                for row in stride(from: rows.lowerBound, to: rows.upperBound, by: Self.rowBlock) {
                    kernels.matmul(
                        dx.pointer + row * K + inputs.lowerBound, K, Self.lanes, dy.pointer + row * N + first, N, 1, weights, Self.lanes, block * Self.lanes,
                        min(rows.upperBound - row, Self.rowBlock), inputs.count, steps, Int32(first > 0 ? ad_add : ad_overwrite))
                }
            }
        }
    }

    public func linearWeightGradient(_ dy: Tensor, _ x: Tensor, into dWeight: Matrix) {
        let (K, N) = (dWeight.inputs, dWeight.outputs)
        let M = dy.count / N
        precondition(dy.width == N && x.count == M * K, "linear gradient: dy \(dy.shape), x \(x.shape), weight [\(N), \(K)]")
        guard M > 0 else { return }
        // Both sides lie in strips of 16 columns, which the kernel reads in order: the narrower side packed once for all tasks, of the wider one by each
        // task its own part, half a megabyte that stays in the cache. Columns of dy are panels of the gradient.
        let lanes = Self.lanes, isTall = N >= K, (wide, narrow) = isTall ? (dy, x.reshaped(M, K)) : (x.reshaped(M, K), dy)
        func strips(_ tensor: Tensor) -> Int { (tensor.width + lanes - 1) / lanes }
        let block = min(M, isTall ? 2048 : 512), partStrips = isTall ? max(Self.strip, min(16, 8192 / block / Self.strip * Self.strip)) : 12
        let panelsAtOnce = isTall ? partStrips : Self.strip
        let parts = (strips(wide) + partStrips - 1) / partStrips, cuts = max(1, min(strips(narrow) / Self.strip, (pool.threads * 12 + parts - 1) / parts))
        let shared = empty([strips(narrow) * block * lanes])
        reserveScratch(partStrips * block * lanes)
        for first in stride(from: 0, to: M, by: block) {
            let rows = min(block, M - first), stripCount = rows * lanes
            func pack(_ range: Range<Int>, of tensor: Tensor, to target: UnsafeMutablePointer<Float>) {
                let columns = range.lowerBound * lanes..<min(tensor.width, range.upperBound * lanes)
                kernels.copy_strips(target, stripCount, tensor.pointer + first * tensor.width + columns.lowerBound, tensor.width, rows, columns.count)
            }
            chunks(strips(narrow), grain: 1) { pack($0, of: narrow, to: shared.pointer + $0.lowerBound * stripCount) }
            pool.run(parts * cuts) { tile, worker in
                let (part, cut) = (tile / cuts, tile % cuts)
                let own = (range: part * partStrips..<min(strips(wide), (part + 1) * partStrips), values: scratchPointer(worker))
                let common = cut * strips(narrow) / cuts..<(cut + 1) * strips(narrow) / cuts
                let others = (range: common, values: shared.pointer + common.lowerBound * stripCount)
                pack(own.range, of: wide, to: own.values)
                let (inputs, outputs) = isTall ? (others, own) : (own, others)
                for panel in stride(from: outputs.range.lowerBound, to: outputs.range.upperBound, by: panelsAtOnce) {
                    let panels = min(panelsAtOnce, outputs.range.upperBound - panel)
                    for strip in inputs.range {
                        kernels.matmul(
                            dWeight.pointer + (panel * K + strip * lanes) * lanes, lanes, K * lanes, inputs.values + (strip - inputs.range.lowerBound) * stripCount, 1, lanes,
                            outputs.values + (panel - outputs.range.lowerBound) * stripCount, lanes, stripCount, min(lanes, K - strip * lanes), panels * lanes, rows, Int32(ad_continue))
                    }
                }
            }
        }
    }

    public func columnSums(_ dy: Tensor, into db: Tensor) {
        let n = db.count
        chunks((n + 15) / 16, grain: 4) { range in
            kernels.column_sums(db.pointer, dy.pointer, dy.count / n, n, range.lowerBound * 16, min(n, range.upperBound * 16))
        }
    }

    public func gather(_ tokens: [Int32], from table: Matrix, into y: Tensor) {
        let K = table.inputs
        if table.format != .float32 { reserveScratch(K * Self.lanes) }
        pool.run((tokens.count + 15) / 16) { tile, worker in
            for row in tile * 16..<min(tokens.count, (tile + 1) * 16) {
                let token = Int(tokens[row])
                precondition(token >= 0 && token < table.outputs, "token \(token) is outside the vocabulary of \(table.outputs)")
                let values = panel(token / Self.lanes, steps: 0..<K, of: table, expandingTo: scratchPointer(worker))
                kernels.unpack_panel(y.pointer + row * K, K, values + token % Self.lanes, 1, K)
            }
        }
    }

    public func scatterAdd(_ dy: Tensor, _ tokens: [Int32], into dTable: Matrix) {
        let K = dTable.inputs
        precondition(tokens.allSatisfy { $0 >= 0 && $0 < dTable.outputs }, "a token is outside the vocabulary of \(dTable.outputs)")
        // Cut by columns: each element's chain runs over the rows in order.
        chunks(K, grain: 32) { range in
            for (row, token) in tokens.enumerated() {
                let target = dTable.pointer + Int(token) / Self.lanes * Self.lanes * K + Int(token) % Self.lanes
                let source = dy.pointer + row * K
                for k in range { target[k * Self.lanes] += source[k] }
            }
        }
    }
}
