import CAutodidact

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Why a backend could not be made.
public enum BackendError: Error, Equatable, CustomStringConvertible {
    case unknownKernels(String)
    case wrongKernels(String)

    public var description: String {
        switch self {
        case .wrongKernels(let name):
            "the kernels '\(name)', which no machine of ours has run, do not give the bits of the portable ones here. Leave AUTODIDACT_KERNELS unset, and please report the processor."
        case .unknownKernels(let name):
            "AUTODIDACT_KERNELS=\(name): this processor has no kernels of that name. Use 'portable', 'avx2' where the processor has AVX2, FMA and F16C, 'avx512' where it has AVX-512, 'avx2vnni' or 'avx512vnni' where it has byte products too, 'neon' on arm64, or leave it unset."
        }
    }
}

/// Tensors in main memory, computed by the C kernels on a pool of threads.
///
/// Matrices lie in panels of 16 outputs (see CAutodidact.h). Work is cut into tiles whose bits do not depend on the cut.
public final class CPUBackend: Backend {
    public let allocator = Allocator()
    let pool: ThreadPool
    let kernels: ad_kernels
    private var scratch: [Storage?]

    public var variant: String { String(cString: kernels.name) }
    public var threads: Int { pool.threads }

    /// - Parameters:
    ///   - threads: all processors when nil.
    ///   - name: which kernels, by the names of `ad_kernels_named`; when nil those that the environment's AUTODIDACT_KERNELS names, else the fastest tested ones.
    public init(threads: Int? = nil, kernels name: String? = nil) throws(BackendError) {
        kernels = try Self.kernels(named: name)
        pool = ThreadPool(threads: max(1, threads ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
        scratch = Array(repeating: nil, count: pool.threads)
    }

    static func kernels(named name: String?) throws(BackendError) -> ad_kernels {
        guard let name = name ?? getenv("AUTODIDACT_KERNELS").map({ String(cString: $0) }) else { return ad_kernels_best().pointee }
        guard let table = ad_kernels_named(name) else { throw .unknownKernels(name) }
        if ad_kernels_are_proven(table) == 0, ad_kernels_digest(table) != ad_kernels_digest(ad_kernels_named("portable")) { throw .wrongKernels(name) }
        return table.pointee
    }

    /// Scratch for every worker, made before the tiles start.
    func reserveScratch(_ count: Int) {
        for worker in scratch.indices where (scratch[worker]?.count ?? 0) < count {
            scratch[worker] = nil
            scratch[worker] = allocator.allocate(count)
        }
    }

    func scratchPointer(_ worker: Int) -> UnsafeMutablePointer<Float> { scratch[worker]!.pointer }

    /// Runs `body` over `count` units in tiles of at least `grain`.
    func chunks(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
        let size = max(grain, (count + pool.threads * 4 - 1) / (pool.threads * 4))
        pool.run((count + size - 1) / size) { tile, _ in body(tile * size..<min(count, (tile + 1) * size)) }
    }

    // MARK: Memory

    public func read(_ tensor: Tensor) -> [Float] { Array(UnsafeBufferPointer(start: tensor.pointer, count: tensor.count)) }

    public func write(_ values: [Float], to tensor: Tensor) {
        precondition(values.count == tensor.count, "\(values.count) values for shape \(tensor.shape)")
        values.withUnsafeBufferPointer { if let base = $0.baseAddress { tensor.pointer.update(from: base, count: values.count) } }
    }

    public func forEachRow(_ tensor: Tensor, _ body: (_ row: Int, _ values: UnsafeBufferPointer<Float>) -> Void) {
        let width = tensor.width
        chunks(tensor.rows, grain: 1) { range in
            for row in range { body(row, UnsafeBufferPointer(start: tensor.pointer + row * width, count: width)) }
        }
    }

    public func copy(_ source: Tensor, to target: Tensor) {
        precondition(source.count == target.count, "\(source.shape) into \(target.shape)")
        chunks(source.count, grain: 1 << 16) { range in
            (target.pointer + range.lowerBound).update(from: source.pointer + range.lowerBound, count: range.count)
        }
    }

    public func fill(_ tensor: Tensor, with value: Float) {
        chunks(tensor.count, grain: 1 << 16) { range in (tensor.pointer + range.lowerBound).update(repeating: value, count: range.count) }
    }

    public func round(_ source: Tensor, into target: Storage) {
        precondition(target.count >= (source.count + 1) / 2, "\(source.shape) into \(target.count) floats")
        let values = UnsafeMutableRawPointer(target.pointer).assumingMemoryBound(to: UInt16.self)
        chunks(source.count, grain: 1 << 14) { kernels.round_brains(values + $0.lowerBound, source.pointer + $0.lowerBound, $0.count) }
    }

    public func expand(_ source: Storage, into target: Tensor) {
        let values = UnsafeRawPointer(source.pointer).assumingMemoryBound(to: UInt16.self)
        chunks(target.count, grain: 1 << 14) { kernels.expand_brains(target.pointer + $0.lowerBound, values + $0.lowerBound, $0.count) }
    }

    // MARK: Rows

    public func gatherRows(_ x: Tensor, _ rows: [Int32], into y: Tensor) {
        let width = x.width
        chunks(rows.count, grain: 16) { range in
            for row in range { (y.pointer + row * width).update(from: x.pointer + Int(rows[row]) * width, count: width) }
        }
    }

    public func scatterAddRows(_ dy: Tensor, _ rows: [Int32], into dx: Tensor) {
        let width = dx.width
        for (row, target) in rows.enumerated() {
            let out = dx.pointer + Int(target) * width
            kernels.add(out, out, dy.pointer + row * width, width)
        }
    }

    public func meanRows(_ x: Tensor, _ runs: [Range<Int>], into y: Tensor) {
        let width = x.width
        chunks(runs.count, grain: 1) { range in
            for run in range {
                let sum = y.pointer + run * width
                sum.update(repeating: 0, count: width)
                for row in runs[run] { kernels.add(sum, sum, x.pointer + row * width, width) }
                kernels.scale(sum, sum, 1 / Float(max(1, runs[run].count)), width)
            }
        }
    }

    public func spreadRows(_ dy: Tensor, _ runs: [Range<Int>], into dx: Tensor) {
        let width = dy.width
        chunks(runs.count, grain: 1) { range in
            for run in range {
                for row in runs[run] { kernels.scale(dx.pointer + row * width, dy.pointer + run * width, 1 / Float(runs[run].count), width) }
            }
        }
    }

    // MARK: Norms and elementwise

    public func rmsNorm(_ x: Tensor, _ weight: Tensor, epsilon: Float, into y: Tensor) {
        let n = weight.count
        chunks(x.count / n, grain: 8) { kernels.rms_norm(y.pointer + $0.lowerBound * n, x.pointer + $0.lowerBound * n, weight.pointer, $0.count, n, epsilon) }
    }

    public func rmsNormBackward(_ dy: Tensor, _ x: Tensor, _ weight: Tensor, epsilon: Float, into dx: Tensor, weightGradient: Tensor?) {
        let n = weight.count, rows = x.count / n
        let scales = empty([rows])
        chunks(rows, grain: 8) { range in
            let at = range.lowerBound * n
            kernels.rms_norm_backward(dx.pointer + at, scales.pointer + range.lowerBound, dy.pointer + at, x.pointer + at, weight.pointer, range.count, n, epsilon)
        }
        if let weightGradient {
            chunks((n + 15) / 16, grain: 2) { range in
                kernels.norm_weight_backward(weightGradient.pointer, dy.pointer, x.pointer, nil, scales.pointer, rows, n, range.lowerBound * 16, min(n, range.upperBound * 16))
            }
        }
    }

    public func layerNorm(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?, epsilon: Float, into y: Tensor) {
        let n = weight.count
        chunks(x.count / n, grain: 8) {
            kernels.layer_norm(y.pointer + $0.lowerBound * n, x.pointer + $0.lowerBound * n, weight.pointer, bias?.pointer, $0.count, n, epsilon)
        }
    }

    public func layerNormBackward(_ dy: Tensor, _ x: Tensor, _ weight: Tensor, epsilon: Float, into dx: Tensor, weightGradient: Tensor?, biasGradient: Tensor?) {
        let n = weight.count, rows = x.count / n
        let means = empty([rows]), scales = empty([rows])
        chunks(rows, grain: 8) { range in
            let at = range.lowerBound * n
            kernels.layer_norm_backward(
                dx.pointer + at, means.pointer + range.lowerBound, scales.pointer + range.lowerBound, dy.pointer + at, x.pointer + at, weight.pointer, range.count, n, epsilon)
        }
        chunks((n + 15) / 16, grain: 2) { range in
            let (from, to) = (range.lowerBound * 16, min(n, range.upperBound * 16))
            if let weightGradient {
                kernels.norm_weight_backward(weightGradient.pointer, dy.pointer, x.pointer, means.pointer, scales.pointer, rows, n, from, to)
            }
            if let biasGradient { kernels.column_sums(biasGradient.pointer, dy.pointer, rows, n, from, to) }
        }
    }

    public func rotate(_ x: Tensor, cosines: Tensor, sines: Tensor, interleaved: Bool, direction: Float, into y: Tensor) {
        let (heads, headDim, half) = (x.shape[1], x.shape[2], cosines.shape[1])
        chunks(x.shape[0], grain: 8) { range in
            let at = range.lowerBound * heads * headDim
            kernels.rotate(
                y.pointer + at, x.pointer + at, cosines.pointer + range.lowerBound * half, sines.pointer + range.lowerBound * half, range.count, heads, headDim,
                half * 2, interleaved ? 1 : 0, direction)
        }
    }

    public func add(_ a: Tensor, _ b: Tensor, into y: Tensor) {
        chunks(y.count, grain: 1 << 14) { kernels.add(y.pointer + $0.lowerBound, a.pointer + $0.lowerBound, b.pointer + $0.lowerBound, $0.count) }
    }

    public func multiply(_ a: Tensor, _ b: Tensor, into y: Tensor) {
        chunks(y.count, grain: 1 << 14) { kernels.multiply(y.pointer + $0.lowerBound, a.pointer + $0.lowerBound, b.pointer + $0.lowerBound, $0.count) }
    }

    public func scale(_ x: Tensor, by factor: Float, into y: Tensor) {
        chunks(y.count, grain: 1 << 14) { kernels.scale(y.pointer + $0.lowerBound, x.pointer + $0.lowerBound, factor, $0.count) }
    }

    public func offset(_ x: Tensor, by constant: Float, into y: Tensor) {
        chunks(y.count, grain: 1 << 14) { for index in $0 { y.pointer[index] = x.pointer[index] + constant } }
    }

    public func addVector(_ x: Tensor, _ v: Tensor, into y: Tensor) {
        let width = v.count
        chunks(y.count / width, grain: 16) { for row in $0 { kernels.add(y.pointer + row * width, x.pointer + row * width, v.pointer, width) } }
    }

    public func multiplyVector(_ x: Tensor, _ v: Tensor, into y: Tensor) {
        let width = v.count
        chunks(y.count / width, grain: 16) { for row in $0 { kernels.multiply(y.pointer + row * width, x.pointer + row * width, v.pointer, width) } }
    }

    public func transpose(_ x: Tensor, into y: Tensor) {
        let (R, C) = (x.shape[0], x.shape[1])
        chunks(C, grain: 16) { for column in $0 { for row in 0..<R { y.pointer[column * R + row] = x.pointer[row * C + column] } } }
    }

    public func activate(_ activation: Activation, _ x: Tensor, into y: Tensor) {
        chunks(y.count, grain: 1 << 12) { kernels.activate(activation.kernel, y.pointer + $0.lowerBound, x.pointer + $0.lowerBound, $0.count) }
    }

    public func activateBackward(_ activation: Activation, _ dy: Tensor, _ x: Tensor, into dx: Tensor) {
        chunks(dy.count, grain: 1 << 12) {
            kernels.activate_backward(activation.kernel, dx.pointer + $0.lowerBound, dy.pointer + $0.lowerBound, x.pointer + $0.lowerBound, $0.count)
        }
    }

    public func gated(_ activation: Activation, _ gate: Tensor, _ up: Tensor, into y: Tensor) {
        chunks(y.count, grain: 1 << 12) {
            kernels.gated(activation.kernel, y.pointer + $0.lowerBound, gate.pointer + $0.lowerBound, up.pointer + $0.lowerBound, $0.count)
        }
    }

    public func gatedBackward(_ activation: Activation, _ dy: Tensor, _ gate: Tensor, _ up: Tensor, dGate: Tensor, dUp: Tensor) {
        chunks(dy.count, grain: 1 << 12) { range in
            let at = range.lowerBound
            kernels.gated_backward(activation.kernel, dGate.pointer + at, dUp.pointer + at, dy.pointer + at, gate.pointer + at, up.pointer + at, range.count)
        }
    }

    public func gatherColumns(_ x: Tensor, _ columns: [Range<Int>], into y: Tensor) {
        eachColumnRun(columns, rows: x.rows, from: x.width, to: y.width) { wide, narrow, count in (y.pointer + narrow).update(from: x.pointer + wide, count: count) }
    }

    public func scatterColumns(_ dy: Tensor, _ columns: [Range<Int>], into dx: Tensor) {
        eachColumnRun(columns, rows: dx.rows, from: dx.width, to: dy.width) { wide, narrow, count in (dx.pointer + wide).update(from: dy.pointer + narrow, count: count) }
    }

    private func eachColumnRun(_ columns: [Range<Int>], rows: Int, from wide: Int, to narrow: Int, _ body: (_ wide: Int, _ narrow: Int, _ count: Int) -> Void) {
        chunks(rows, grain: 16) { range in
            for row in range {
                var at = row * narrow
                for run in columns {
                    body(row * wide + run.lowerBound, at, run.count)
                    at += run.count
                }
            }
        }
    }

    // MARK: Experts

    public func mix(_ part: Tensor, _ places: [ExpertPlace], weights: Tensor, into y: Tensor) {
        let (width, slots) = (y.width, weights.width)
        // Rows of one expert are different rows of the batch.
        chunks(places.count, grain: 4) { range in
            for index in range {
                let weight = weights.pointer[Int(places[index].row) * slots + Int(places[index].slot)]
                let (out, row) = (y.pointer + Int(places[index].row) * width, part.pointer + index * width)
                for column in 0..<width { out[column] += weight * row[column] }
            }
        }
    }

    public func mixBackward(_ dy: Tensor, _ part: Tensor, _ places: [ExpertPlace], weights: Tensor, dPart: Tensor, dWeights: Tensor) {
        let (width, slots) = (dy.width, weights.width)
        chunks(places.count, grain: 4) { range in
            for index in range {
                let place = Int(places[index].row) * slots + Int(places[index].slot)
                let row = dy.pointer + Int(places[index].row) * width
                kernels.scale(dPart.pointer + index * width, row, weights.pointer[place], width)
                var sum: Float = 0
                for column in 0..<width { sum += row[column] * part.pointer[index * width + column] }
                dWeights.pointer[place] = sum
            }
        }
    }

    // MARK: The vocabulary's law

    public func laws(_ logits: Tensor, targets: [Int32]) -> [RowLaw] {
        let V = logits.width
        precondition(targets.count == logits.count / V, "\(targets.count) targets for logits \(logits.shape)")
        precondition(targets.allSatisfy { $0 < V }, "a target is outside the vocabulary of \(V)")
        return [RowLaw](unsafeUninitializedCapacity: targets.count) { buffer, count in
            let laws = buffer.baseAddress
            chunks(targets.count, grain: 1) { range in
                for row in range {
                    let values = logits.pointer + row * V
                    let normalizer = kernels.log_sum_exp(values, V, 1)
                    let target = Int(targets[row])
                    laws![row] = RowLaw(
                        logProbability: target >= 0 ? values[target] - normalizer : 0, logSumExp: normalizer, entropy: kernels.entropy(values, V, normalizer))
                }
            }
            count = targets.count
        }
    }

    public func headBackward(_ logits: Tensor, targets: [Int32], laws: [RowLaw], logProbabilityGradients: [Float], entropyGradients: [Float]) {
        let V = logits.width
        precondition(targets.allSatisfy { $0 < V }, "a target is outside the vocabulary of \(V)")
        chunks(targets.count, grain: 1) { range in
            for row in range {
                kernels.head_backward(
                    logits.pointer + row * V, V, targets[row], logProbabilityGradients[row], entropyGradients[row], laws[row].logSumExp, laws[row].entropy)
            }
        }
    }

    // MARK: Optimizer

    public func adamW(_ parameters: Tensor, first: Tensor, second: Tensor, gradients: Tensor, _ step: AdamWStep) {
        let power = Double(step.step)
        let values = ad_adamw_step(
            learning_rate: step.learningRate, beta1: step.beta1, beta2: step.beta2, epsilon: step.epsilon, decay: step.decay,
            correction1: Float(1 - ad_exp(power * ad_log(Double(step.beta1)))), correction2: Float(1 - ad_exp(power * ad_log(Double(step.beta2)))),
            gradient_scale: step.gradientScale)
        chunks(parameters.count, grain: 1 << 14) { range in
            withUnsafePointer(to: values) { values in
                let at = range.lowerBound
                kernels.adamw(parameters.pointer + at, first.pointer + at, second.pointer + at, gradients.pointer + at, range.count, values)
            }
        }
    }

    public func update(_ weights: Tensor, gradients: Tensor, state: [Tensor], _ rule: (inout Elements) -> Void) {
        precondition(
            state.count <= 3 && weights.count % Self.lanes == 0 && ([gradients] + state).allSatisfy { $0.count == weights.count },
            "an update of \(weights.count) values with \(gradients.count) gradients and state \(state.map(\.count))")
        let (places, slots) = (UnsafeMutableRawPointer(weights.pointer), UnsafeRawPointer(gradients.pointer))
        let kept = state.map { UnsafeMutableRawPointer($0.pointer) }
        chunks(weights.count / Self.lanes, grain: 1 << 10) { range in
            for index in range {
                let at = index * MemoryLayout<SIMD16<Float>>.stride
                var elements = Elements(weight: places.load(fromByteOffset: at, as: SIMD16<Float>.self), gradient: slots.load(fromByteOffset: at, as: SIMD16<Float>.self))
                if kept.count > 0 { elements.first = kept[0].load(fromByteOffset: at, as: SIMD16<Float>.self) }
                if kept.count > 1 { elements.second = kept[1].load(fromByteOffset: at, as: SIMD16<Float>.self) }
                if kept.count > 2 { elements.third = kept[2].load(fromByteOffset: at, as: SIMD16<Float>.self) }
                rule(&elements)
                places.storeBytes(of: elements.weight, toByteOffset: at, as: SIMD16<Float>.self)
                if kept.count > 0 { kept[0].storeBytes(of: elements.first, toByteOffset: at, as: SIMD16<Float>.self) }
                if kept.count > 1 { kept[1].storeBytes(of: elements.second, toByteOffset: at, as: SIMD16<Float>.self) }
                if kept.count > 2 { kept[2].storeBytes(of: elements.third, toByteOffset: at, as: SIMD16<Float>.self) }
            }
        }
    }

    public func sumOfSquares(_ x: Tensor) -> Double {
        let block = Int(ad_reduction_block)
        let blocks = (x.count + block - 1) / block
        let partial = [Double](unsafeUninitializedCapacity: blocks) { buffer, count in
            let sums = buffer.baseAddress
            chunks(blocks, grain: 8) { range in
                for index in range { sums![index] = kernels.sum_of_squares(x.pointer + index * block, min(block, x.count - index * block)) }
            }
            count = blocks
        }
        return partial.reduce(0, +)
    }
}

extension Activation {
    var kernel: ad_activation {
        switch self {
        case .silu: ad_silu
        case .gelu: ad_gelu
        case .geluTanh: ad_gelu_tanh
        case .quickGELU: ad_quick_gelu
        case .relu: ad_relu
        case .tanh: ad_tanh
        }
    }
}

extension Tensor {
    var pointer: UnsafeMutablePointer<Float> { storage.pointer + offset }
}

extension Matrix {
    var pointer: UnsafeMutablePointer<Float> { storage.pointer + offset }

    /// The coded groups of a panel, from the one that begins at `step`.
    func groups(panel: Int, from step: Int) -> UnsafeRawPointer {
        UnsafeRawPointer(pointer + panel * CPUBackend.panelCount(inputs: inputs, format)) + step / format.group * ad_code_group_bytes(format.code!)
    }
}
