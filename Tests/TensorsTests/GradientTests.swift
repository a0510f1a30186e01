import Foundation
import Tensors
import Testing

/// Parameters with random values, and a loss that weighs every output by a fixed random number.
struct Bench {
    let backend: CPUBackend
    let parameters: ParameterSet

    init(threads: Int = 2, kernels: String? = nil, _ declare: (ParameterSet) -> Void) throws {
        backend = try CPUBackend(threads: threads, kernels: kernels)
        parameters = ParameterSet(on: backend)
        declare(parameters)
        parameters.allocate()
        for (index, parameter) in parameters.parameters.enumerated() {
            noise(parameter.shape.reduce(1, *), seed: UInt64(100 + index)).withUnsafeBufferPointer { parameters.write($0, to: parameter) }
        }
    }

    /// Σ output · noise, in Double.
    func loss(_ output: Tensor) -> Double {
        zip(output.read(), noise(output.count, seed: 7)).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }

    /// Compares every gradient, of inputs and parameters, with central differences.
    func expectGradients(
        inputs: [(values: [Float], shape: [Int])] = [], tolerance: Double = 2e-3, sourceLocation: SourceLocation = #_sourceLocation,
        _ f: ([Tensor], Tape?) -> Tensor
    ) {
        let gradients = Gradients(of: parameters)
        let tape = Tape(into: gradients)
        let tensors = inputs.map { tape.watch(backend.tensor($0.values, shape: $0.shape)) }
        let output = f(tensors, tape)
        tape.backward([(output, backend.tensor(noise(output.count, seed: 7), shape: output.shape))])
        func compare(_ gradient: [Float], _ values: [Float], _ name: String, _ lossWith: ([Float]) -> Double) {
            let largest = Double(gradient.map(abs).max() ?? 0)
            let checked = Swift.stride(from: 0, to: values.count, by: Swift.max(1, values.count / 40))
            for i in checked {
                let step: Float = 4e-3
                var (above, below) = (values, values)
                above[i] += step
                below[i] -= step
                let numeric = (lossWith(above) - lossWith(below)) / Double(above[i] - below[i])
                #expect(abs(numeric - Double(gradient[i])) <= tolerance * Swift.max(1, largest), "\(name)[\(i)]: \(gradient[i]), by differences \(numeric)", sourceLocation: sourceLocation)
            }
        }
        for (index, input) in inputs.enumerated() {
            guard let gradient = tape.gradient(of: tensors[index])?.read() else {
                Issue.record("no gradient reached input \(index)", sourceLocation: sourceLocation)
                continue
            }
            compare(gradient, input.values, "input \(index)") { changed in
                loss(f(inputs.enumerated().map { backend.tensor($0 == index ? changed : $1.values, shape: $1.shape) }, nil))
            }
        }
        for parameter in parameters.parameters {
            let original = parameters.read(parameter)
            compare(gradients.read(parameter), original, parameter.name) { changed in
                changed.withUnsafeBufferPointer { parameters.write($0, to: parameter) }
                defer { original.withUnsafeBufferPointer { parameters.write($0, to: parameter) } }
                return loss(f(inputs.map { backend.tensor($0.values, shape: $0.shape) }, nil))
            }
        }
    }
}

@Suite("Gradients agree with central differences")
struct GradientTests {
    @Test("linear", arguments: [(1, 5, 3), (7, 16, 16), (13, 33, 17)])
    func linearLayer(M: Int, K: Int, N: Int) throws {
        let bench = try Bench { set in
            _ = set.declare("w", N, K)
            _ = set.declare("b", N)
        }
        bench.expectGradients(inputs: [(noise(M * K, seed: 1), [M, K])]) { x, _ in linear(x[0], bench.parameters["w"]!, bench.parameters["b"]!) }
    }

    @Test("norms")
    func norms() throws {
        let bench = try Bench { set in
            _ = set.declare("w", 19)
            _ = set.declare("b", 19)
        }
        let x: [(values: [Float], shape: [Int])] = [(noise(5 * 19, seed: 1), [5, 19])]
        bench.expectGradients(inputs: x) { x, _ in layerNorm(x[0], bench.parameters["w"]!, bench.parameters["b"]!, epsilon: 1e-5) }
        let rms = try Bench { _ = $0.declare("w", 19) }
        rms.expectGradients(inputs: x) { x, _ in rmsNorm(x[0], rms.parameters["w"]!, epsilon: 1e-5) }
        rms.expectGradients(inputs: x) { x, _ in rmsNorm(x[0], rms.parameters["w"]!, plus: 1, epsilon: 1e-5) }
    }

    @Test("embedding, chosen rows, sums, products, gated SiLU and what is made again in the backward pass")
    func elementwise() throws {
        let bench = try Bench { set in
            _ = set.declare("table", 21, 6)
            _ = set.declare("norm", 6)
            _ = set.declare("gate", 9, 6)
            _ = set.declare("up", 9, 6)
            _ = set.declare("down", 6, 9)
        }
        let p = bench.parameters
        bench.expectGradients { _, tape in
            let x = embedding([3, 0, 20, 3, 17], p["table"]!, tape: tape)
            let y = rmsNorm(x, p["norm"]!, epsilon: 1e-5)
            let mixed = linear(gated(.silu, linear(y, p["gate"]!), linear(y, p["up"]!)), p["down"]!)
            return gatherRows(multiply(add(x, mixed), scale(mixed, by: 0.7)), [4, 0, 0, 2])
        }
    }

    @Test("activations, alone and as gates", arguments: Activation.allCases)
    func activations(activation: Activation) throws {
        let bench = try Bench { _ in }
        // Away from 0, where the slope of relu jumps.
        let x = noise(37, seed: 1).map { $0 + ($0 < 0 ? -0.1 : 0.1) }
        bench.expectGradients(inputs: [(x, [37])]) { x, _ in activate(activation, x[0]) }
        bench.expectGradients(inputs: [(x, [37]), (noise(37, seed: 2), [37])]) { x, _ in gated(activation, x[0], x[1]) }
    }

    @Test("activations are their definitions", arguments: [-9, -4.1, -1, -0.9, -0.3, -1e-4, 0, 1e-4, 0.3, 0.7, 1.1, 3.9, 4.2, 12] as [Float])
    func activationValues(x: Float) throws {
        let backend = try CPUBackend(threads: 1), d = Double(x)
        func sigmoid(_ x: Double) -> Double { 1 / (1 + Foundation.exp(-x)) }
        let expected: [(Activation, Double)] = [
            (.silu, d * sigmoid(d)), (.gelu, 0.5 * d * (1 + Foundation.erf(d / 2.squareRoot()))),
            (.geluTanh, 0.5 * d * (1 + Foundation.tanh((2 / Double.pi).squareRoot() * (d + 0.044715 * d * d * d)))), (.quickGELU, d * sigmoid(1.702 * d)), (.relu, max(0, d)),
            (.tanh, Foundation.tanh(d)),
        ]
        for (activation, value) in expected {
            let y = activate(activation, backend.tensor([x], shape: [1])).read()[0]
            #expect(abs(Double(y) - value) <= 3e-7 * max(1, abs(d)), "\(activation) of \(x): \(y), not \(value)")
        }
    }

    @Test("columns of a fused projection, joined rows, means of rows, transposition, a vector added to rows")
    func rearrangements() throws {
        let bench = try Bench { _ = $0.declare("v", 10) }
        bench.expectGradients(inputs: [(noise(5 * 10, seed: 1), [5, 10]), (noise(2 * 10, seed: 2), [2, 10])]) { x, _ in
            let shifted = addVector(x[0], bench.parameters["v"]!)
            let parts = columns(shifted, [[0..<2, 6..<8], [2..<6], [8..<10]])
            let rows = joinRows(shifted, x[1])
            // Everything in one row, so that each part has its own weights in the loss.
            return [meanRows(rows, [0..<3, 4..<7]), transposed(parts[1]), parts[0], parts[2], x[1]].map { $0.reshaped($0.count, 1) }.reduce(rows.reshaped(70, 1)) { joinRows($0, $1) }
        }
    }

    @Test("products with vectors of distances, and biases of single pairs in capped attention")
    func pairs() throws {
        let bench = try Bench { _ in }
        let batch = RaggedBatch(tokens: Array(repeating: 0, count: 9), spans: [Span(start: 0, count: 5), Span(start: 5, count: 4)])
        let plan = AttentionPlan(batch, .bidirectional()), (queries, keys) = plan.pairs
        let distances = zip(queries, keys).map { batch.positions[Int($0)] - batch.positions[Int($1)] + 4 }
        #expect(queries.count == 25 + 16)
        let inputs: [(values: [Float], shape: [Int])] = [
            (noise(9 * 2 * 6, seed: 1), [9, 2, 6]), (noise(9 * 2 * 6, seed: 2), [9, 2, 6]), (noise(9 * 2 * 6, seed: 3), [9, 2, 6]), (noise(9 * 2 * 6, seed: 4), [9, 2, 6]),
        ]
        for cap in [nil, 0.8] as [Float?] {
            bench.expectGradients(inputs: inputs) { x, _ in
                let biases = gatherPairs(headProducts(x[0], x[3]), rows: queries, columns: distances)
                return attention(x[0], x[1], x[2], plan, AttentionOptions(scale: 0.6, cap: cap, pairs: biases))
            }
        }
    }

    @Test("a mixture of experts, with the chosen weights normalised or not", arguments: [true, false])
    func experts(normalised: Bool) throws {
        let bench = try Bench { set in for name in ["a", "b", "c"] { _ = set.declare(name, 6, 6) } }
        let p = bench.parameters, weights = [p["a"]!, p["b"]!, p["c"]!]
        // The first two experts lead clearly in half of the rows, the last two in the others: no step changes a choice.
        let small = noise(18, seed: 5)
        var logits: [Float] = []
        for row in 0..<6 {
            for expert in 0..<3 { logits.append(Float(row % 2 == 0 ? 2 - expert : expert) * 0.8 + small[row * 3 + expert] * 0.1) }
        }
        bench.expectGradients(inputs: [(noise(36, seed: 1), [6, 6]), (logits, [6, 3])]) { x, _ in
            let (experts, shares) = route(x[1], perToken: 2, normalised: normalised, balance: nil)
            return mixture(x[0], experts: experts, weights: shares) { linear($1, weights[$0]) }
        }
    }

    @Test("the loss that balances experts is their number per token when they are evenly used, and all of them when one choice takes all")
    func balance() throws {
        let backend = try CPUBackend(threads: 1)
        func loss(_ logits: [Float], rows: Int) -> Double {
            let balance = LoadBalance(coefficient: 1)
            _ = route(backend.tensor(logits, shape: [rows, 8]), perToken: 2, normalised: true, balance: balance)
            return balance.loss()
        }
        // Row r prefers experts 2r and 2r + 1, by nothing that shows in the probabilities.
        let even = (0..<4).flatMap { row in (0..<8).map { Float($0 / 2 == row ? 1e-6 : 0) } }
        #expect(abs(loss(even, rows: 4) - 2) < 1e-4)
        let same = (0..<4).flatMap { _ in (0..<8).map { Float($0 < 2 ? 40 : 0) } }
        #expect(abs(loss(same, rows: 4) - 8) < 1e-4)
    }

    @Test("weights with an update: low rank, and with learnt lengths", arguments: [false, true])
    func updates(learnsLengths: Bool) throws {
        let bench = try Bench { set in
            _ = set.declare("w", 7, 9)
            _ = set.declare("bias", 7)
            _ = set.declare("a", 2, 9)
            _ = set.declare("b", 7, 2)
            _ = set.declare("m", 7)
        }
        let p = bench.parameters
        p["w"]!.update = WeightUpdate(a: p["a"]!, b: p["b"]!, scale: 0.5, magnitude: learnsLengths ? p["m"]! : nil)
        let x: [(values: [Float], shape: [Int])] = [(noise(4 * 9, seed: 1), [4, 9])]
        if learnsLengths {
            // The lengths of the sum have no gradient of their own, so only what does not go through them can be compared: x, m and the bias.
            let fixed = WeightUpdate(a: p["a"]!, b: p["b"]!, scale: 0.5).rowLengths(of: p["w"]!).read()
            let (w, a, b) = (p.read(p["w"]!), p.read(p["a"]!), p.read(p["b"]!)), (m, bias) = (p.read(p["m"]!), p.read(p["bias"]!))
            let y = linear(bench.backend.tensor(x[0].values, shape: [4, 9]), p["w"]!, p["bias"]!).read()
            for row in 0..<4 {
                for out in 0..<7 {
                    let changed = (0..<9).map { i in w[out * 9 + i] + 0.5 * (0..<2).reduce(Float(0)) { $0 + b[out * 2 + $1] * a[$1 * 9 + i] } }
                    let length = changed.reduce(0) { $0 + $1 * $1 }.squareRoot()
                    #expect(abs(length - fixed[out]) < 1e-5)
                    let expected = (0..<9).reduce(Float(0)) { $0 + x[0].values[row * 9 + $1] * changed[$1] } * m[out] / length + bias[out]
                    #expect(abs(expected - y[row * 7 + out]) < 1e-5)
                }
            }
        } else {
            bench.expectGradients(inputs: x) { x, _ in linear(x[0], p["w"]!, p["bias"]!) }
        }
    }

    @Test("rotation, whole and partial, both layouts", arguments: [true, false])
    func rotation(interleaved: Bool) throws {
        let bench = try Bench { _ in }
        for rotated in [8, 4] {
            let tables = RotaryTables(
                positions: [0, 5, 900], frequencies: rotaryFrequencies(rotated: rotated, base: 10_000).map { Float($0) }, interleaved: interleaved, on: bench.backend)
            bench.expectGradients(inputs: [(noise(3 * 2 * 8, seed: 1), [3, 2, 8])]) { x, _ in rotate(x[0], tables) }
        }
    }

    static let spans = [Span(start: 0, count: 5), Span(start: 5, count: 3, parent: 0), Span(start: 8, count: 4, parent: 0), Span(start: 12, count: 2, parent: 1), Span(start: 14, count: 30)]
    static let patterns: [AttentionPattern] = [
        .causal(), .causal(window: 3), .bidirectional(), .bidirectional(radius: 2), .prefix(lengths: [2, 6, 1, 9, 20]),
        .permutation(order: RandomKey(seed: 5).permutation(44).map { Int32($0) }, queryStream: false),
        .permutation(order: RandomKey(seed: 5).permutation(44).map { Int32($0) }, queryStream: true),
    ]

    @Test("attention with parents, under every pattern, with and without a bias", arguments: patterns)
    func attentionPatterns(pattern: AttentionPattern) throws {
        let bench = try Bench { _ in }
        let plan = AttentionPlan(RaggedBatch(tokens: Array(repeating: 0, count: 44), spans: Self.spans), pattern)
        for (heads, kvHeads, headDim) in [(4, 2, 12), (3, 1, 16)] {
            let (q, kv) = (44 * heads * headDim, 44 * kvHeads * headDim)
            let inputs: [(values: [Float], shape: [Int])] = [
                (noise(q, seed: 1), [44, heads, headDim]), (noise(kv, seed: 2), [44, kvHeads, headDim]), (noise(kv, seed: 3), [44, kvHeads, headDim]),
                (noise(heads * 9, seed: 4), [heads, 9]),
            ]
            bench.expectGradients(inputs: Array(inputs.prefix(3)), tolerance: 4e-3) { x, _ in attention(x[0], x[1], x[2], plan, AttentionOptions(scale: 0.4)) }
            bench.expectGradients(inputs: inputs, tolerance: 4e-3) { x, _ in attention(x[0], x[1], x[2], plan, AttentionOptions(scale: 0.4, bias: x[3])) }
        }
    }

    /// Long enough that whole panels of keys before and after what a tile of queries sees are left out.
    @Test("attention over a long sequence is the softmax over what each query sees", arguments: [nil, 1, 5, 40, 200] as [Int?], [true, false])
    func longAttention(reach: Int?, isCausal: Bool) throws {
        let bench = try Bench { _ in }
        let (n, headDim) = (150, 12)
        let plan = AttentionPlan(RaggedBatch([Array(repeating: 0, count: n)]), isCausal ? .causal(window: reach) : .bidirectional(radius: reach))
        let (q, k, v) = (noise(n * headDim, seed: 1), noise(n * headDim, seed: 2), noise(n * headDim, seed: 3))
        let tensors = [q, k, v].map { bench.backend.tensor($0, shape: [n, 1, headDim]) }
        let out = attention(tensors[0], tensors[1], tensors[2], plan, AttentionOptions(scale: 0.7)).read()
        for row in 0..<n {
            let seen = (0..<n).filter { key in
                isCausal ? key <= row && row - key < reach ?? n : abs(row - key) <= reach ?? n
            }
            let weights = seen.map { key in exp(0.7 * (0..<headDim).reduce(0) { $0 + Double(q[row * headDim + $1]) * Double(k[key * headDim + $1]) }) }
            for d in 0..<headDim {
                let expected = zip(seen, weights).reduce(0) { $0 + $1.1 * Double(v[$1.0 * headDim + d]) } / weights.reduce(0, +)
                #expect(abs(Double(out[row * headDim + d]) - expected) < 1e-5)
            }
        }
    }

    @Test("cross attention, several queries on one set of keys")
    func crossAttention() throws {
        let bench = try Bench { _ in }
        let keys = [Span(start: 0, count: 9), Span(start: 9, count: 2)]
        let queries = RaggedBatch(tokens: Array(repeating: 0, count: 8), spans: [Span(start: 0, count: 3), Span(start: 3, count: 4), Span(start: 7, count: 1)])
        let plan = AttentionPlan(queries, .cross(keySpans: [keys[0], keys[1], keys[0]]))
        let inputs: [(values: [Float], shape: [Int])] = [(noise(8 * 2 * 8, seed: 1), [8, 2, 8]), (noise(11 * 2 * 8, seed: 2), [11, 2, 8]), (noise(11 * 2 * 8, seed: 3), [11, 2, 8])]
        bench.expectGradients(inputs: inputs) { x, _ in attention(x[0], x[1], x[2], plan, AttentionOptions(scale: 0.4)) }
    }

    @Test("the vocabulary head: log-probability and entropy, of groups that fit at once and of one that does not", arguments: [[300], [100, 0, 120, 80], [10, 290]])
    func head(groups sizes: [Int]) throws {
        let (rows, width, vocabulary) = (300, 6, 37)
        var groups: [Range<Int>] = []
        for size in sizes { groups.append((groups.last?.upperBound ?? 0)..<(groups.last?.upperBound ?? 0) + size) }
        let bench = try Bench { _ = $0.declare("head", vocabulary, width) }
        let head = VocabularyHead(weight: bench.parameters["head"]!)
        let values = noise(rows * width, seed: 1)
        let targets = (0..<rows).map { Int32($0 * 5 % vocabulary) }
        let (a, e) = (noise(rows, seed: 2), noise(rows, seed: 3))
        func loss(_ values: [Float]) -> Double {
            let laws = head.laws(bench.backend.tensor(values, shape: [rows, width]), targets: targets)
            return laws.indices.reduce(0) { $0 + Double(laws[$1].logProbability) * Double(a[$1]) + Double(laws[$1].entropy) * Double(e[$1]) }
        }
        let gradients = Gradients(of: bench.parameters)
        let hidden = bench.backend.tensor(values, shape: [rows, width])
        let laws = head.laws(hidden, targets: targets)
        var seen: [RowLaw] = []
        let dHidden = head.backward(hidden, targets: targets, groups: groups, into: gradients) { some, given in
            let rows = groups[some.lowerBound].lowerBound..<groups[some.upperBound - 1].upperBound
            #expect(rows.lowerBound == seen.count)
            seen += given
            return (Array(a[rows]), Array(e[rows]))
        }.read()
        #expect(seen == laws)
        for i in stride(from: 0, to: values.count, by: 53) {
            var (above, below) = (values, values)
            above[i] += 4e-3
            below[i] -= 4e-3
            #expect(abs((loss(above) - loss(below)) / Double(above[i] - below[i]) - Double(dHidden[i])) < 3e-3)
        }
        let original = bench.parameters.read(bench.parameters["head"]!), dHead = gradients.read(bench.parameters["head"]!)
        for i in stride(from: 0, to: original.count, by: 17) {
            var changed = [original, original]
            changed[0][i] += 4e-3
            changed[1][i] -= 4e-3
            let losses = changed.map { w in
                w.withUnsafeBufferPointer { bench.parameters.write($0, to: bench.parameters["head"]!) }
                return loss(values)
            }
            #expect(abs((losses[0] - losses[1]) / Double(changed[0][i] - changed[1][i]) - Double(dHead[i])) < 3e-3)
        }
        let uniform = bench.backend.laws(bench.backend.zeros([1, 8]), targets: [3])[0]
        #expect(abs(uniform.logProbability + fixedLogOf8) < 1e-6 && abs(uniform.entropy - fixedLogOf8) < 1e-6)
    }

    private let fixedLogOf8: Float = 2.0794415
}
