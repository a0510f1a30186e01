import CAutodidact
import Tensors
import Testing

@Suite("Precision")
struct PrecisionTests {
    private static let coded = WeightFormat.allCases.filter(\.isCoded)

    /// A row as `round_rows` describes it: codes, and one scale for each block of 32.
    private static func rounded(_ row: ArraySlice<Float>) -> (codes: [Int], scales: [Float]) {
        var codes: [Int] = [], scales: [Float] = []
        for start in stride(from: row.startIndex, to: row.endIndex, by: 32) {
            let block = row[start..<start + 32], scale = block.map(abs).max()! / 127
            scales.append(scale)
            codes += block.map { scale == 0 ? 0 : Int(($0 * (1 / scale)).rounded(.toNearestOrEven)) }
        }
        return (codes, scales)
    }

    @Test("int8: every output is one chain over the groups, of exact whole dot products", arguments: coded, variants)
    func chains(format: WeightFormat, variant: String) throws {
        let backend = try CPUBackend(threads: 2, kernels: variant)
        for (outputs, inputs) in [(1, 32), (19, 64), (70, 544)] {
            let weights = try Coded(format, outputs: outputs, inputs: inputs, on: backend)
            let set = ParameterSet(on: backend)
            _ = set.declare("codes", outputs, inputs)
            _ = set.declare("floats", outputs, inputs)
            set.share(weights.set, at: .int8)
            for rows in [1, 2, 3, 5, 7, 12, 29] {
                var x = noise(rows * inputs, seed: 1)
                for index in 0..<32 { x[index] = 0 }
                let y = linear(backend.tensor(x, shape: [rows, inputs]), set["codes"]!).read()
                var expected: [Float] = []
                for row in 0..<rows {
                    let (codes, scales) = Self.rounded(x[row * inputs..<(row + 1) * inputs])
                    for output in 0..<outputs {
                        var sum: Float = 0
                        for g in 0..<inputs / format.group {
                            let steps = g * format.group..<(g + 1) * format.group
                            let (scale, offset) = weights.factors(output, g)
                            let dot = steps.reduce(0) { $0 + codes[$1] * Int(weights.values[output * inputs + $1]) }, unit = scales[steps.lowerBound / 32]
                            sum = sum.addingProduct(unit * scale, Float(dot))
                            sum = sum.addingProduct(offset, unit * Float(steps.reduce(0) { $0 + codes[$1] }))
                        }
                        expected.append(sum)
                    }
                }
                // A zero's sign is nobody's business.
                #expect(y == expected, "\(outputs) × \(inputs), \(rows) rows")
            }
        }
    }

    @Test("int8: within a hundredth of the float32 product's size, and a row has its bits in any batch", arguments: variants)
    func nearAndInvariant(variant: String) throws {
        let backend = try CPUBackend(threads: 2, kernels: variant)
        let (outputs, inputs, rows) = (48, 576, 23)
        let weights = try Coded(.fourBitsHalf, outputs: outputs, inputs: inputs, on: backend)
        let set = ParameterSet(on: backend)
        _ = set.declare("codes", outputs, inputs)
        _ = set.declare("floats", outputs, inputs)
        set.share(weights.set, at: .int8)
        let x = backend.tensor(noise(rows * inputs, seed: 3), shape: [rows, inputs])
        let near = linear(x, set["codes"]!).read(), exact = linear(x, weights.codes).read()
        let size = (exact.reduce(0) { $0 + $1 * $1 } / Float(exact.count)).squareRoot()
        #expect(zip(near, exact).allSatisfy { abs($0 - $1) < 0.02 * size } && near != exact)
        for row in 0..<rows { #expect(bits(linear(x.slice(row..<row + 1), set["codes"]!).read()) == bits(Array(near[row * outputs..<(row + 1) * outputs]))) }
        // Copies stay at their precision, and go back to products in float32 where they are asked to.
        let copy = ParameterSet(on: backend)
        _ = (copy.declare("codes", outputs, inputs), copy.declare("floats", outputs, inputs))
        copy.share(set)
        #expect(bits(linear(x, copy["codes"]!).read()) == bits(near) && set.changes(at: .float32) && !set.changes(at: .int8))
        copy.share(set, at: .float32)
        #expect(bits(linear(x, copy["codes"]!).read()) == bits(exact))
    }

    @Test("what is not finite does not become a number", arguments: variants, [Float.nan, .infinity])
    func notFinite(variant: String, value: Float) throws {
        let backend = try CPUBackend(threads: 1, kernels: variant)
        let weights = try Coded(.eightBitsHalf, outputs: 16, inputs: 64, on: backend)
        let set = ParameterSet(on: backend)
        _ = set.declare("codes", 16, 64)
        _ = set.declare("floats", 16, 64)
        set.share(weights.set, at: .int8)
        var x = noise(64, seed: 1)
        x[40] = value
        #expect(linear(backend.tensor(x, shape: [1, 64]), set["codes"]!).read().allSatisfy { !$0.isFinite })

        // Of weights that are rounded, too.
        let source = ParameterSet(on: backend), other = ParameterSet(on: backend)
        let matrix = source.declare("w", 16, 64), copy = other.declare("w", 16, 64)
        source.allocate()
        x = noise(16 * 64, seed: 2)
        x[70] = value
        x.withUnsafeBufferPointer { source.write($0, to: matrix) }
        for precision in [Precision.bfloat16, .quantised] {
            other.share(source, at: precision)
            #expect(!other.read(copy)[70].isFinite)
        }
    }

    @Test("weights round to bfloat16, and to 8 bits with a scale in float16", arguments: variants)
    func weights(variant: String) throws {
        let backend = try CPUBackend(threads: 2, kernels: variant)
        let (outputs, inputs) = (35, 96)
        let source = ParameterSet(on: backend)
        let matrix = source.declare("w", outputs, inputs), odd = source.declare("odd", 5, 20), vector = source.declare("v", 7)
        source.allocate()
        var values = noise(outputs * inputs, seed: 1)
        let special: [Float] = [0x1.008p0, 0x1.01p0, 0x1.01001p0, -0x1.03p0, 0x1p-133, -0.0]
        values.replaceSubrange(0..<6, with: special)
        for index in 32..<64 { values[index] = 0 }
        values.withUnsafeBufferPointer { source.write($0, to: matrix) }
        noise(100, seed: 2).withUnsafeBufferPointer { source.write($0, to: odd) }
        noise(7, seed: 3).withUnsafeBufferPointer { source.write($0, to: vector) }

        func copy(_ precision: Precision) -> ParameterSet {
            let set = ParameterSet(on: backend)
            _ = (set.declare("w", outputs, inputs), set.declare("odd", 5, 20), set.declare("v", 7))
            set.share(source, at: precision)
            #expect(bits(set.read(set["v"]!)) == bits(source.read(vector)))
            return set
        }
        let brains = copy(.bfloat16), read = brains.read(brains["w"]!)
        #expect(zip(read, values).allSatisfy { rounded, value in
            // The nearest of the two neighbours with eight bits, the even one of two equally near.
            let low = Float(bitPattern: value.bitPattern & 0xffff_0000), high = Float(bitPattern: (value.bitPattern & 0xffff_0000) + 0x1_0000)
            let (below, above) = (abs(value - low), abs(high - value))
            return rounded.bitPattern == (below < above || below == above && low.bitPattern >> 16 & 1 == 0 ? low : high).bitPattern
        })
        let nearest: [Float] = [1, 1, 0x1.02p0, -0x1.04p0, 0x1p-133, 0]
        #expect(Array(read[..<6]) == nearest)
        #expect(brains["odd"]!.format == .bfloat16)

        let bytes = copy(.quantised), coded = bytes.read(bytes["w"]!)
        for start in stride(from: 0, to: values.count, by: 32) {
            let block = values[start..<start + 32], scale = block.map(abs).max()! / 127
            let half = Float(Float16(scale))
            for index in block.indices { #expect(coded[index] == (scale == 0 ? 0 : (values[index] * (1 / scale)).rounded(.toNearestOrAwayFromZero) * half)) }
        }
        #expect(bytes["odd"]!.format == .float32 && bits(bytes.read(bytes["odd"]!)) == bits(source.read(odd)))
        // Codes stay as they are, and share their memory.
        #expect(bytes.changes(at: .int8) && !bytes.changes(at: .quantised) && !bytes.changes(at: .float32) && source.changes(at: .quantised))
        #expect(bytes.byteCount < source.byteCount / 3)
    }
}
