import Tensors
import Testing

/// A matrix of codes and the same values in float32, in one set.
struct Coded {
    let set: ParameterSet
    let codes, floats: Parameter
    /// Codes, row after row, and the scale and offset of an output's group; none of them for 16-bit formats.
    private(set) var values: [Int8] = []
    private(set) var factors: (_ output: Int, _ group: Int) -> (scale: Float, offset: Float) = { _, _ in (0, 0) }

    init(_ format: WeightFormat, outputs: Int, inputs: Int, on backend: CPUBackend) throws {
        set = ParameterSet(on: backend)
        codes = set.declare("codes", outputs, inputs)
        floats = set.declare("floats", outputs, inputs)
        set.allocate(["codes": format])
        let key = RandomKey(seed: 9), groups = inputs / format.group
        guard format.isCoded else {
            // Of both 16-bit formats: eight significant bits, subnormal values of float16 among them.
            let values = (0..<outputs * inputs).map { (place: Int) -> Float in
                let whole = Float(Int(key.uniform(UInt64(place)) * 512) - 256), unit: Float = place % 7 == 0 ? 0x1p-24 : 0x1p-6
                return whole * unit
            }
            try set.fill(codes) { rows, place in
                for index in 0..<rows.count * inputs { place[index] = values[rows.lowerBound * inputs + index] }
            }
            values.withUnsafeBufferPointer { set.write($0, to: floats) }
            return
        }
        let isUnsigned = format == .fourBits || format == .fourBitsHalf
        let range = isUnsigned ? 0...15 : format == .signedFourBitsHalf ? -8...7 : -128...127
        let values = (0..<outputs * inputs).map { Int8(range.lowerBound + Int(key.uniform(UInt64($0)) * Double(range.count))) }
        // As in files: scales with 11 significant bits. Without offsets they are -0, which changes no bit, not even the sign of a zero.
        let scales = (0..<outputs * groups).map { Float(Int(key.uniform(UInt64($0) + 1 << 40) * 2048) - 1024) / 4096 }
        let unit: Float = format.hasHalves ? 256 : 300
        let offsets: [Float]? = isUnsigned ? (0..<outputs * groups).map { Float(Int(key.uniform(UInt64($0) + 1 << 41) * 2048) - 1024) / unit } : nil
        try set.fillCodes(codes) { rows, place in
            for (index, row) in rows.enumerated() {
                for k in 0..<inputs { place.codes[index * inputs + k] = values[row * inputs + k] }
                for g in 0..<groups {
                    place.scales[index * groups + g] = scales[row * groups + g]
                    if let offsets { place.offsets[index * groups + g] = offsets[row * groups + g] }
                }
            }
        }
        self.values = values
        factors = { output, group in (scales[output * groups + group], offsets?[output * groups + group] ?? -0.0) }
        let expanded = values.enumerated().map { place, code in
            let group = place / inputs * groups + place % inputs / format.group
            return offsets.map { Float(code) * scales[group] + $0[group] } ?? Float(code) * scales[group]
        }
        expanded.withUnsafeBufferPointer { set.write($0, to: floats) }
    }
}

@Suite("Weights as codes")
struct CodedWeightTests {
    private static let coded = WeightFormat.allCases.filter { $0 != .float32 }

    @Test("compute the bits of their float32 values: products, gradients of inputs, rows of tables", arguments: coded, variants)
    func sameBits(format: WeightFormat, variant: String) throws {
        let backend = try CPUBackend(threads: 2, kernels: variant)
        for (outputs, inputs) in [(1, 32), (16, 64), (35, 544), (70, 1120)] {
            let weights = try Coded(format, outputs: outputs, inputs: inputs, on: backend)
            #expect(bits(weights.set.read(weights.codes)) == bits(weights.set.read(weights.floats)))
            #expect(bits(weights.set.read(weights.codes, rows: outputs / 2..<outputs)) == bits(weights.set.read(weights.floats, rows: outputs / 2..<outputs)))
            for rows in [1, 2, 3, 4, 5, 13, 100] {
                let x = backend.tensor(noise(rows * inputs, seed: 1), shape: [rows, inputs]), dy = backend.tensor(noise(rows * outputs, seed: 2), shape: [rows, outputs])
                func run(_ weight: Parameter) -> [[UInt32]] {
                    let tape = Tape(into: Gradients(of: weights.set) { _ in false })
                    let watched = tape.watch(x)
                    let y = linear(watched, weight)
                    tape.backward([(y, dy)])
                    let tokens = (0..<Int32(rows)).map { ($0 * 7) % Int32(outputs) }
                    return [y.read(), tape.gradient(of: watched)!.read(), embedding(tokens, weight, tape: nil).read()].map(bits)
                }
                #expect(run(weights.codes) == run(weights.floats), "\(outputs) × \(inputs), \(rows) rows")
            }
        }
    }

    @Test("become float32 for training, and share what was float32 already")
    func expanding() throws {
        let backend = try CPUBackend(threads: 2)
        let weights = try Coded(.fourBits, outputs: 20, inputs: 64, on: backend)
        let copy = ParameterSet(on: backend)
        let parameters = [copy.declare("codes", 20, 64), copy.declare("floats", 20, 64)]
        copy.shareExpanded(weights.set)
        #expect(parameters.allSatisfy { $0.format == .float32 })
        for parameter in parameters { #expect(bits(copy.read(parameter)) == bits(weights.set.read(weights.floats))) }
        let shared = ParameterSet(on: backend)
        let same = [shared.declare("codes", 20, 64), shared.declare("floats", 20, 64)]
        shared.share(weights.set)
        #expect(same[0].format == .fourBits && shared.byteCount == weights.set.byteCount && shared.byteCount < copy.byteCount)
        #expect(bits(shared.read(same[0])) == bits(weights.set.read(weights.floats)))
    }

    @Test("a range of codes finds its format", arguments: [
        (0...15, 32, true, WeightFormat.fourBitsHalf), (0...15, 32, false, .fourBits), (-8...7, 32, true, .signedFourBitsHalf), (-8...7, 32, false, .eightBits),
        (0...31, 32, true, .eightBitsHalf), (0...31, 32, false, .eightBits), (-4...3, 16, false, .shortEightBits), (0...255, 32, true, nil), (0...15, 8, true, nil),
    ] as [(ClosedRange<Int>, Int, Bool, WeightFormat?)])
    func formats(codes: ClosedRange<Int>, group: Int, halves: Bool, format: WeightFormat?) {
        #expect(WeightFormat(codes: codes, group: group, halves: halves) == format)
    }

    /// Every finite value of float16, subnormal ones too, and infinity.
    @Test("scales in float16 have the value that was given", arguments: variants)
    func halves(variant: String) throws {
        let backend = try CPUBackend(threads: 1, kernels: variant)
        let set = ParameterSet(on: backend)
        let rows = 0x7c00 + 1
        let codes = set.declare("codes", rows, 32)
        set.allocate(["codes": .eightBitsHalf])
        func value(_ bits: Int) -> Float {
            let (exponent, fraction) = (bits >> 10, Float(bits & 0x3ff))
            return exponent == 31 ? .infinity : exponent == 0 ? fraction * 0x1p-24 : (1 + fraction / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
        }
        try set.fillCodes(codes) { rows, place in
            for (index, row) in rows.enumerated() {
                for k in 0..<32 { place.codes[index * 32 + k] = k % 2 == 0 ? 1 : -1 }
                place.scales[index] = value(row)
            }
        }
        let read = set.read(codes)
        #expect((0..<rows).allSatisfy { read[$0 * 32] == value($0) && read[$0 * 32 + 1] == -value($0) })
    }
}
