import CAutodidact
import Tensors
import Testing

/// Values in -1...1 that are the same in every run.
func noise(_ count: Int, seed: UInt64) -> [Float] {
    let key = RandomKey(seed: seed)
    return (0..<count).map { Float(key.uniform(UInt64($0)) * 2 - 1) }
}

/// Every kernel variant that this processor can run.
let variants: [String] = ["portable", "avx2", "avx2vnni", "avx512", "avx512vnni"].filter { (name: String) in ad_kernels_named(name) != nil }

func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

@Suite("Kernels")
struct KernelTests {
    @Test("the product of every variant is one chain of fused multiply-adds in increasing step for each output", arguments: variants)
    func product(variant: String) {
        let kernels = ad_kernels_named(variant)!.pointee
        for (rows, columns, steps) in [(1, 16, 0), (1, 1, 1), (2, 7, 5), (5, 16, 17), (6, 15, 64), (7, 16, 127), (13, 3, 33), (6, 64, 9), (7, 100, 20), (8, 130, 31), (1, 83, 3)] {
            // Panels of both sides lie apart, as in matrices, and rows of c too.
            let panels = (columns + 15) / 16, (bPanel, cRow, cPanel) = (16 * max(1, steps) + 16, 19, 19 * rows + 5)
            let a = noise(rows * max(1, steps), seed: 1), b = noise(bPanel * panels, seed: 2), start = noise(cPanel * panels, seed: 3)
            for mode in [ad_overwrite, ad_continue, ad_add] {
                var c = start
                kernels.matmul(&c, cRow, cPanel, a, steps, 1, b, 16, bPanel, rows, columns, steps, Int32(mode))
                var expected = start
                for r in 0..<rows {
                    for column in 0..<columns {
                        let place = column / 16 * cPanel + r * cRow + column % 16
                        var sum = mode == ad_continue ? start[place] : 0
                        for k in 0..<steps { sum = sum.addingProduct(a[r * steps + k], b[column / 16 * bPanel + k * 16 + column % 16]) }
                        expected[place] = mode == ad_add ? start[place] + sum : sum
                    }
                }
                #expect(bits(c) == bits(expected), "\(rows)×\(columns)×\(steps), mode \(mode)")
            }
        }
    }

    /// Enough rows that every way in which the work is cut is met.
    @Test("a layer and its gradients are the same chains however many rows there are", arguments: variants, [1, 2, 5])
    func layer(variant: String, threads: Int) throws {
        let backend = try CPUBackend(threads: threads, kernels: variant)
        let (inputs, outputs) = (70, 83)
        let set = ParameterSet(on: backend)
        let weight = set.declare("weight", outputs, inputs)
        set.allocate()
        let w = noise(outputs * inputs, seed: 1)
        w.withUnsafeBufferPointer { set.write($0, to: weight) }
        for rows in [1, 289, 600, 1300] {
            let x = noise(rows * inputs, seed: 2), dy = noise(rows * outputs, seed: 3)
            let gradients = Gradients(of: set), tape = Tape(into: gradients)
            let watched = tape.watch(backend.tensor(x, shape: [rows, inputs]))
            let y = linear(watched, weight)
            tape.backward([(y, backend.tensor(dy, shape: [rows, outputs]))])
            let (forward, input) = (y.read(), tape.gradient(of: watched)!.read())
            for row in stride(from: 0, to: rows, by: 7) {
                for n in 0..<outputs {
                    let sum = (0..<inputs).reduce(Float(0)) { $0.addingProduct(x[row * inputs + $1], w[n * inputs + $1]) }
                    #expect(forward[row * outputs + n].bitPattern == sum.bitPattern)
                }
                for k in 0..<inputs {
                    let sum = (0..<outputs).reduce(Float(0)) { $0.addingProduct(dy[row * outputs + $1], w[$1 * inputs + k]) }
                    #expect(input[row * inputs + k].bitPattern == sum.bitPattern)
                }
            }
            let dw = gradients.read(weight)
            for place in stride(from: 0, to: dw.count, by: 13) {
                let sum = (0..<rows).reduce(Float(0)) { $0.addingProduct(dy[$1 * outputs + place / inputs], x[$1 * inputs + place % inputs]) }
                #expect(dw[place].bitPattern == sum.bitPattern)
            }
        }
    }

    @Test("cache blocks of one sequence lie together while there is room, and every block is found")
    func cacheBlocks() throws {
        let cache = KeyValueCache(layers: 1, heads: 1, headDim: 4, blocks: 20, on: try CPUBackend(threads: 1))
        let first = cache.takeBlock(), second = cache.takeBlock()
        var run = [first]
        for _ in 0..<6 { run.append(cache.takeBlock(after: run.last)) }
        #expect(run == Array(first..<first + 7) && abs(second - first) >= 8)
        var taken = Set(run + [second])
        while taken.count < 20 { #expect(taken.insert(cache.takeBlock(after: first)).inserted) }
        #expect(taken == Set(0..<20) && cache.usedBlocks == 20)
        cache.release(5)
        #expect(cache.takeBlock(after: 19) == 5)
        // A full cache doubles.
        #expect(!taken.contains(cache.takeBlock()) && cache.usedBlocks == 21)
        for block in taken { cache.release(block) }
        #expect(cache.usedBlocks == 1)
    }

    /// As in the head's backward pass: one large term, then tens of thousands of tiny ones, which one chain would round away.
    @Test("long sums are as exact as sums of short ones", arguments: variants)
    func longSums(variant: String) throws {
        let backend = try CPUBackend(threads: 2, kernels: variant)
        let set = ParameterSet(on: backend)
        let (outputs, inputs) = (49_152, 16)
        let parameter = set.declare("w", outputs, inputs)
        set.allocate()
        let weights = noise(outputs * inputs, seed: 5)
        weights.withUnsafeBufferPointer { set.write($0, to: parameter) }
        var dy = noise(outputs, seed: 6).map { abs($0) * 1e-5 }
        dy[0] = -0.5
        let tape = Tape(into: Gradients(of: set))
        let x = tape.watch(backend.tensor(noise(inputs, seed: 7), shape: [1, inputs]))
        tape.backward([(linear(x, parameter), backend.tensor(dy, shape: [1, outputs]))])
        for (k, value) in tape.gradient(of: x)!.read().enumerated() {
            let exact = (0..<outputs).reduce(0.0) { $0 + Double(dy[$1]) * Double(weights[$1 * inputs + k]) }
            #expect(abs(Double(value) - exact) < 1e-6)
        }
    }

    @Test("packing into panels and back gives the same matrix", arguments: [1, 7, 8, 15, 16, 17, 33])
    func panels(outputs: Int) throws {
        let backend = try CPUBackend(threads: 2)
        let set = ParameterSet(on: backend)
        let parameter = set.declare("w", outputs, 19)
        set.allocate()
        let values = noise(outputs * 19, seed: 4)
        values.withUnsafeBufferPointer { set.write($0, to: parameter) }
        #expect(set.read(parameter) == values)
        #expect(set.read(parameter, rows: outputs - 1..<outputs) == Array(values.suffix(19)))
    }

    @Test("single precision exp is within 1 ulp, and exact at the ends")
    func exponential() {
        var worst = 0.0
        for i in 0..<20_000 {
            let x = Float(i) / 20_000 * 190 - 102
            let exact = ad_exp(Double(x)), ours = ad_expf(x)
            if exact > 1e-37, exact < 3e38 {
                let error = abs(Double(ours) - exact) / Double(Float(exact).ulp)
                if !(error <= worst) { worst = error.isNaN ? .infinity : error } }
        }
        #expect(worst < 1.01)
        #expect(ad_expf(0) == 1 && ad_expf(-.infinity) == 0 && ad_expf(-105) == 0 && ad_expf(.infinity) == .infinity && ad_expf(.nan).isNaN)
    }

    @Test("elementary functions agree with mathematics")
    func elementary() {
        #expect(abs(ad_exp(1) - 2.718281828459045) < 1e-15)
        #expect(abs(ad_log(10) - 2.302585092994046) < 1e-15)
        #expect(ad_log(1) == 0 && ad_exp(0) == 1 && ad_log(0) == -.infinity && ad_log(-1).isNaN)
        #expect(abs(ad_sin(1) - 0.8414709848078965) < 1e-15 && abs(ad_cos(1) - 0.5403023058681398) < 1e-15)
        #expect(abs(ad_cos(12345.678) - 0.7101193587160628) < 1e-12)
        for i in 0..<1000 {
            let x = Double(i) * 7.3 - 3000
            #expect(abs(ad_sin(x) * ad_sin(x) + ad_cos(x) * ad_cos(x) - 1) < 1e-14)
            #expect(abs(ad_log(ad_exp(x / 10)) - x / 10) < 1e-12)
        }
    }

    /// The same function is what a variant that no machine of ours has run is compared by before it is used, and what Tests/arm64.sh compares.
    @Test("the digest over all kernels is the same for every variant")
    func digests() {
        let digests = variants.map { ad_kernels_digest(ad_kernels_named($0)!) }
        #expect(Set(digests).count == 1)
        // A kernel that is off by one bit somewhere shows.
        var broken = ad_kernels_named("portable")!.pointee
        broken.scale = { y, x, factor, n in for i in 0..<n { y![i] = x![i] * factor.nextUp } }
        #expect(ad_kernels_digest(&broken) != digests[0])
    }

    @Test("all variants give each other's bits in every kernel of a row", arguments: [1, 7, 8, 9, 15, 16, 17, 64, 127])
    func variantsAgree(n: Int) {
        let rows = 3
        let (x, dy, w, b) = (noise(rows * n, seed: 1), noise(rows * n, seed: 2), noise(n, seed: 3), noise(n, seed: 4))
        var results: [[UInt32]] = []
        for variant in variants {
            let kernels = ad_kernels_named(variant)!.pointee
            var all: [Float] = []
            var y = [Float](repeating: 0, count: rows * n), z = y, s = [Float](repeating: 0, count: rows), m = s, dw = b
            kernels.rms_norm(&y, x, w, rows, n, 1e-5)
            all += y
            kernels.rms_norm_backward(&y, &s, dy, x, w, rows, n, 1e-5)
            all += y + s
            kernels.norm_weight_backward(&dw, dy, x, nil, s, rows, n, 0, n)
            all += dw
            kernels.layer_norm(&y, x, w, b, rows, n, 1e-5)
            all += y
            kernels.layer_norm_backward(&y, &m, &s, dy, x, w, rows, n, 1e-5)
            all += y + m + s
            for kind in [ad_silu, ad_gelu, ad_gelu_tanh, ad_quick_gelu, ad_relu, ad_tanh] {
                kernels.activate(kind, &y, x, rows * n)
                all += y
                kernels.activate_backward(kind, &y, dy, x, rows * n)
                all += y
                kernels.gated(kind, &y, x, dy, rows * n)
                all += y
                kernels.gated_backward(kind, &y, &z, dy, x, dy, rows * n)
                all += y + z
            }
            kernels.exponential(&y, x, rows * n)
            all += y
            let lse = kernels.log_sum_exp(x, n, 0.7)
            all += [lse, kernels.entropy(x, n, lse)]
            y = x
            kernels.head_backward(&y, n, 0, 0.3, 0.2, lse, 1.1)
            all += y
            var p = x, first = dy, second = x.map { $0 * $0 }
            var step = ad_adamw_step(learning_rate: 1e-2, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.1, correction1: 0.1, correction2: 0.01, gradient_scale: 0.5)
            kernels.adamw(&p, &first, &second, dy, rows * n, &step)
            all += p + first + second
            results.append(bits(all))
        }
        #expect(Set(results).count == 1)
    }
}
