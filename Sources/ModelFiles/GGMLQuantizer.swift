// From Float to GGUF's block types: those of 32 elements, with the bytes ggml's reference writes. `KQuantizer.swift` has those of 256.
//
// Source: `ggml/src/ggml-quants.c` (`quantize_row_*_ref`). The scale is rounded to f16 only after the elements have been
// divided by it.

extension DType {
    /// Whether `quantize` writes this type.
    public var isQuantizable: Bool { quantizableMagnitude != nil }

    /// The largest magnitude whose block has scales that f16 holds; nil for types that `quantize` does not write.
    public var quantizableMagnitude: Float? {
        switch self {
        case .q4_0: 8 * largestHalf
        case .q5_0: 16 * largestHalf
        case .q4_1, .q5_1: largestHalf  // the minimum is stored as it is
        case .q8_0: 127 * largestHalf
        case .q4_K, .q5_K: 63 * largestHalf  // the minimum as a multiple
        case .q6_K: 31 * 127 * largestHalf
        default: nil
        }
    }

    /// The blocks of some finite values.
    /// - Precondition: `isQuantizable`, and the count is a multiple of `blockSize`.
    public func quantize(_ values: [Float]) -> [UInt8] {
        let bytes = values.count / blockSize * bytesPerBlock
        return [UInt8](unsafeUninitializedCapacity: bytes) { buffer, count in
            values.withUnsafeBufferPointer { quantize($0, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<bytes])) }
            count = bytes
        }
    }

    /// Writes the blocks of some finite values. Equal values give equal bytes on every machine.
    ///
    /// Values are not looked at: one beyond `quantizableMagnitude` counts as that, and a NaN becomes some level. `encode` refuses both.
    /// `destination` has room for exactly these blocks and does not overlap the values.
    /// - Precondition: `isQuantizable`, and the count is a multiple of `blockSize`, so that a large tensor can be written in pieces.
    public func quantize(_ values: UnsafeBufferPointer<Float>, into destination: UnsafeMutableRawBufferPointer) {
        precondition(isQuantizable, "\(name) is read but not written")
        precondition(values.count % blockSize == 0, "\(values.count) elements are no whole number of \(name) blocks")
        let blocks = values.count / blockSize
        precondition(destination.count == blocks * bytesPerBlock, "room for \(destination.count) bytes, but \(blocks) \(name) blocks have \(blocks * bytesPerBlock)")
        guard blocks > 0, let x = values.baseAddress, let bytes = destination.baseAddress else { return }
        func each(_ write: (_ x: UnsafePointer<Float>, _ block: UnsafeMutableRawPointer) -> Void) {
            for block in 0..<blocks { write(x + block * blockSize, bytes + block * bytesPerBlock) }
        }
        switch self {
        case .q4_0: each { writeCentred($0, bits: 4, to: $1) }
        case .q5_0: each { writeCentred($0, bits: 5, to: $1) }
        case .q4_1: each { writeFromMinimum($0, bits: 4, to: $1) }
        case .q5_1: each { writeFromMinimum($0, bits: 5, to: $1) }
        case .q8_0: each { writeBytes($0, to: $1) }
        default: KQuantizer.write(self, x, blocks: blocks, to: bytes)
        }
    }
}

private let largestHalf: Float = 65504

/// The largest finite f16 in place of what lies beyond.
@inline(__always)
private func finiteHalf(_ value: Float) -> Float { max(-largestHalf, min(largestHalf, value)) }

/// Q4_0, Q5_0: the element of largest magnitude becomes the lowest level, whose magnitude is one more than the highest's.
@inline(__always)
private func writeCentred(_ x: UnsafePointer<Float>, bits: Int, to block: UnsafeMutableRawPointer) {
    let half = Float(1 << (bits - 1))
    var extreme: Float = 0
    for i in 0..<32 where abs(x[i]) > abs(extreme) { extreme = x[i] }
    let d = finiteHalf(extreme / -half)
    let inverse = d == 0 ? 0 : 1 / d
    write(halfFromFloat(d), to: block)
    // One rounding for product and sum, as the reference does where it is compiled to fused instructions.
    writeLevels(bits: bits, to: block + 2) { (half + 0.5).addingProduct(x[$0], inverse) }
}

/// Q4_1, Q5_1: levels from the minimum to the maximum.
@inline(__always)
private func writeFromMinimum(_ x: UnsafePointer<Float>, bits: Int, to block: UnsafeMutableRawPointer) {
    var (low, high) = (x[0], x[0])
    for i in 1..<32 {
        if x[i] < low { low = x[i] }
        if x[i] > high { high = x[i] }
    }
    low = finiteHalf(low)
    let d = finiteHalf((high - low) / Float(1 << bits - 1))
    let inverse = d == 0 ? 0 : 1 / d
    write(halfFromFloat(d), to: block)
    write(halfFromFloat(low), to: block + 2)
    writeLevels(bits: bits, to: block + 4) { (x[$0] - low) * inverse + 0.5 }
}

/// Truncates to levels and packs them: for five bits, the fifth ones first; then two nibbles to a byte.
@inline(__always)
private func writeLevels(bits: Int, to bytes: UnsafeMutableRawPointer, _ value: (Int) -> Float) {
    let top = Float(1 << bits - 1)
    let qs = (bytes + (bits == 5 ? 4 : 0)).assumingMemoryBound(to: UInt8.self)
    var fifths: UInt32 = 0
    for j in 0..<16 {
        // A NaN ends up as `top`: min gives the first operand.
        let (low, high) = (UInt8(max(0, min(top, value(j)))), UInt8(max(0, min(top, value(j + 16)))))
        qs[j] = low & 15 | (high & 15) << 4
        fifths |= UInt32(low >> 4) << UInt32(j) | UInt32(high >> 4) << UInt32(j + 16)
    }
    if bits == 5 { bytes.storeBytes(of: fifths.littleEndian, as: UInt32.self) }
}

/// Q8_0: to nearest, ties away from zero.
@inline(__always)
private func writeBytes(_ x: UnsafePointer<Float>, to block: UnsafeMutableRawPointer) {
    var largest: Float = 0
    for i in 0..<32 { largest = max(largest, abs(x[i])) }
    let d = finiteHalf(largest / 127)
    let inverse = d == 0 ? 0 : 1 / d
    write(halfFromFloat(d), to: block)
    let levels = (block + 2).assumingMemoryBound(to: Int8.self)
    for i in 0..<32 {
        let level = (x[i] * inverse).rounded(.toNearestOrAwayFromZero)
        levels[i] = Int8(max(-127, min(127, level)))
    }
}

@inline(__always)
private func write(_ half: UInt16, to bytes: UnsafeMutableRawPointer) { bytes.storeBytes(of: half.littleEndian, as: UInt16.self) }
