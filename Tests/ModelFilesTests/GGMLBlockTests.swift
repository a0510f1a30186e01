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
        let zeros = [Float](repeating: 0, count: 64)
        #expect(expand(type, type.quantize(zeros)) == zeros)
    }
}
