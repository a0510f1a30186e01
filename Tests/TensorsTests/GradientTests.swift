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
