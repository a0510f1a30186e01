import Foundation
import ModelFiles
import Testing

@Suite("Block types expand and quantize as published")
struct GGMLBlockTests {
    /// x = -8, -7, …, 23 and the blocks it becomes (METHODS.md, section 8.7).
    let x = (-8...23).map(Float.init)

    func expand(_ type: DType, _ bytes: [UInt8]) -> [Float] {
        var floats = [Float](repeating: .nan, count: bytes.count / type.bytesPerBlock * type.blockSize)
        bytes.withUnsafeBytes { type.expand($0.baseAddress!, count: floats.count, into: &floats) }
        return floats
    }

    @Test("Q4_0: d = -2.875")
    func q4_0() {
        let qs: [UInt8] = [91, 90, 90, 74, 73, 57, 57, 56, 40, 40, 39, 23, 23, 22, 6, 6]
        let bytes = DType.q4_0.quantize(x)
        #expect(Array(bytes[2...]) == qs)
        let expected = qs.map { Float(Int($0 & 15) - 8) * -2.875 } + qs.map { Float(Int($0 >> 4) - 8) * -2.875 }
        #expect(expand(.q4_0, bytes) == expected)
    }

    @Test("Q4_1: d is about 2.066, m = -8")
    func q4_1() {
        let qs: [UInt8] = [128, 128, 145, 145, 162, 162, 179, 179, 196, 196, 213, 213, 230, 230, 247, 247]
        let bytes = DType.q4_1.quantize(x)
        #expect(Array(bytes[4...]) == qs)
        let floats = expand(.q4_1, bytes)
        #expect(floats[0] == -8)
        #expect(abs(floats[2] + 8 - 2.066) < 0.001)
        for (a, b) in zip(floats, x) { #expect(abs(a - b) <= 1.04) }
    }

    @Test("Q8_0: d is about 0.18115")
    func q8_0() {
        let qs: [Int8] = [
            -44, -39, -33, -28, -22, -17, -11, -6, 0, 6, 11, 17, 22, 28, 33, 39, 44, 50, 55, 61, 66, 72, 77, 83, 88, 94, 99,
            105, 110, 116, 121, 127,
        ]
        let bytes = DType.q8_0.quantize(x)
        #expect(bytes[2...].map { Int8(bitPattern: $0) } == qs)
        for (a, b) in zip(expand(.q8_0, bytes), x) { #expect(abs(a - b) <= 23 / 254 + 0.02) }
    }

    @Test("every 16-bit float becomes the 32-bit float of the same value")
    func halves() {
        for bits in UInt16.min...UInt16.max {
            let (exponent, fraction) = (Int(bits >> 10 & 31), Float(bits & 1023))
            let magnitude: Float =
                switch exponent {
                case 0: fraction * 0x1p-24
                case 31: fraction == 0 ? .infinity : .nan
                default: Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction / 1024)
                }
            let value = expand(.f16, [UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)])[0]
            let expected = bits & 0x8000 == 0 ? magnitude : -magnitude
            let same = expected.isNaN ? value.isNaN : value.bitPattern == expected.bitPattern
            if !same { Issue.record("half \(bits) became \(value), not \(expected)") }
        }
    }

    @Test("an all-zero block stays zero", arguments: DType.allCases.filter(\.isQuantizable))
    func zeros(type: DType) {
        let zeros = [Float](repeating: 0, count: 512)
        #expect(expand(type, type.quantize(zeros)) == zeros)
    }

    static let quantizable = DType.allCases.filter(\.isQuantizable)
    static let kTypes: [DType] = [.q4_K, .q5_K, .q6_K]

    /// Like weights: most near zero, some far away, one block in four shifted.
    func weights(_ count: Int, scale: Float = 1, seed: UInt64 = 3) -> [Float] {
        var generator = SplitMix64(state: seed)
        return (0..<count).map { i in
            let sum = (0..<4).reduce(Float(0)) { sum, _ in sum + .random(in: -1...1, using: &generator) }
            return scale * (sum + (i / 256 % 4 == 3 ? 2 : 0))
        }
    }

    @Test("values come back within the width of a level, at every scale f16 reaches", arguments: quantizable, [1e-3, 1, 1e4] as [Float])
    func closeness(type: DType, scale: Float) {
        let x = weights(2048, scale: scale)
        let zeros = [Float](repeating: 0, count: x.count)
        let error = rootMeanSquareError(expand(type, type.quantize(x)), x) / rootMeanSquareError(zeros, x)
        let bound = [DType.q4_0: 0.1, .q4_1: 0.09, .q5_0: 0.05, .q5_1: 0.045, .q8_0: 0.006, .q4_K: 0.075, .q5_K: 0.04, .q6_K: 0.02][type]!
        #expect(error < bound)
    }

    @Test("the bits of a block are those of its values alone, whatever was written before", arguments: quantizable)
    func pieces(type: DType) {
        let x = weights(1024)
        let whole = type.quantize(x)
        var pieces = [UInt8](repeating: 0xAA, count: whole.count)
        for start in stride(from: 768, through: 0, by: -256) {
            x.withUnsafeBufferPointer { x in
                pieces.withUnsafeMutableBytes { bytes in
                    let place = start / type.blockSize * type.bytesPerBlock
                    type.quantize(
                        UnsafeBufferPointer(rebasing: x[start..<start + 256]),
                        into: UnsafeMutableRawBufferPointer(rebasing: bytes[place..<place + whole.count / 4]))
                }
            }
        }
        #expect(pieces == whole)
    }

    // Machines, optimisation levels and compilers must not differ; a deliberate change of the search changes these.
    @Test("the blocks have the bits they always had", arguments: zip(kTypes, checksums))
    func fixedBits(type: DType, checksum: UInt64) {
        let bytes = [Float(1e-6), 1e-3, 1, 1e5].flatMap { type.quantize(weights(2048, scale: $0)) }
        #expect(bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 } == checksum)  // FNV-1a
    }
    static let checksums: [UInt64] = [13_981_560_397_122_975_276, 2_761_799_025_934_610_910, 5_398_254_032_186_081_287]

    @Test("blocks of one value, of one sign and with one outlier stay close", arguments: kTypes)
    func unusualBlocks(type: DType) {
        let constant = [Float](repeating: 0.7, count: 256)
        for (a, b) in zip(expand(type, type.quantize(constant)), constant) { #expect(abs(a - b) < 0.012) }
        let negative = (0..<256).map { -1 - Float($0) / 1024 }
        for (a, b) in zip(expand(type, type.quantize(negative)), negative) { #expect(abs(a - b) < 0.03) }
        var outlier = weights(256, scale: 0.01)
        outlier[77] = 50
        let found = expand(type, type.quantize(outlier))
        #expect(abs(found[77] - 50) < 1)
        for (j, (a, b)) in zip(found, outlier).enumerated() where j / 32 != 77 / 32 { #expect(abs(a - b) < 0.4) }
        let lone = (0..<256).map { Float($0 == 200 ? -3 : 0) }
        for (a, b) in zip(expand(type, type.quantize(lone)), lone) { #expect(abs(a - b) < 0.01) }
    }

    @Test("values too small for a scale in f16 become the nearest there is", arguments: kTypes)
    func tinyValues(type: DType) {
        for scale in [Float.leastNonzeroMagnitude, 1e-30, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5] {
            let x = weights(256, scale: scale)
            let found = expand(type, type.quantize(x))
            // Never farther from a value than a step of the smallest scale, which is 2^-24, or than the levels are apart.
            for (a, b) in zip(found, x) { #expect(abs(a - b) <= max(0x1p-24, scale * 0.5), "\(b) became \(a)") }
        }
    }

    @Test("huge values stay finite, and so do those that are none", arguments: quantizable)
    func hugeValues(type: DType) {
        let limit = type.quantizableMagnitude!
        var x = weights(512, scale: limit / 8)
        x[5] = limit
        let found = expand(type, type.quantize(x))
        #expect(found.allSatisfy { $0.isFinite })
        #expect(abs(found[5] - limit) <= limit / 12)
        for odd in [Float.greatestFiniteMagnitude, -.greatestFiniteMagnitude, .infinity, -.infinity, .nan] {
            var x = weights(512)
            x[300] = odd
            #expect(expand(type, type.quantize(x)).allSatisfy { $0.isFinite }, "\(odd)")
            x = [Float](repeating: odd, count: 256)
            #expect(expand(type, type.quantize(x)).allSatisfy { $0.isFinite }, "\(odd)")
        }
    }
}

@Suite("Values are encoded, or refused by name")
struct FloatEncodingTests {
    func encode(_ type: DType, _ values: [Float]) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: type.byteCount(elements: values.count)!)
        try values.withUnsafeBufferPointer { values in
            try bytes.withUnsafeMutableBytes { try type.encode(values, into: $0, tensor: "w", offset: 1000, file: "m.gguf") }
        }
        return bytes
    }

    func words(_ type: DType, _ values: [Float]) throws -> [UInt16] {
        let bytes = try encode(type, values)
        return stride(from: 0, to: bytes.count, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
    }

    @Test("every 16-bit float of both kinds comes back as itself", arguments: [DType.f16, .bf16])
    func identity(type: DType) throws {
        let all = Array(UInt16.min...UInt16.max)
        let bytes = all.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
        var floats = [Float](repeating: 0, count: all.count)
        bytes.withUnsafeBytes { type.expand($0.baseAddress!, count: all.count, into: &floats) }
        let found = try words(type, floats)
        for (i, word) in found.enumerated() {
            let same = floats[i].isNaN ? Float(bitPattern: type == .bf16 ? UInt32(word) << 16 : 0x7F80_0001).isNaN : word == all[i]
            if !same { Issue.record("\(floats[i]) became \(word), not \(all[i])") }
        }
    }

    @Test("F16 and BF16 round to nearest, ties to even")
    func rounding() throws {
        // 1 + half a step, a little more, 1 + one and a half; the smallest subnormal and around its half; the largest.
        #expect(
            try words(.f16, [1 + 0x1p-11, 1 + 0x1.01p-11, 1 + 0x3p-11, -0.0, 0x1p-24, 0x1p-25, 0x1.01p-25, 65519.996, .infinity])
                == [0x3C00, 0x3C01, 0x3C02, 0x8000, 1, 0, 1, 0x7BFF, 0x7C00])
        #expect(
            try words(.bf16, [1 + 0x1p-8, 1 + 0x1.01p-8, 1 + 0x3p-8, -0.0, 0x1p-133, 0x1p-134, 0x1.01p-134, -.infinity])
                == [0x3F80, 0x3F81, 0x3F82, 0x8000, 1, 0, 1, 0xFF80])
    }

    @Test("what a type cannot hold is named with its tensor and place", arguments: DType.allCases.filter { $0.isEncodable && $0 != .f32 })
    func refusals(type: DType) throws {
        let overflow = type.quantizableMagnitude.map { $0.nextUp } ?? (type == .f16 ? 65520 : .greatestFiniteMagnitude)
        for odd in [overflow, -overflow] + (type.isQuantizable ? [.infinity, -.infinity, .nan] : []) {
            var values = [Float](repeating: 1, count: 256)
            values[255] = odd
            let message = ownError { _ = try encode(type, values) }
            #expect(message?.hasPrefix("m.gguf: 'w' has the value \(odd) at 1255, ") == true && message?.contains(type.name) == true)
        }
    }
}
