// From Float to the block types of 32 elements, with the bytes ggml's reference writes.
//
// Source: `ggml/src/ggml-quants.c` (`quantize_row_*_ref`). The scale is rounded to f16 only after the elements have been
// divided by it.

extension DType {
    /// Whether `quantize` writes this type.
    public var isQuantizable: Bool {
        switch self {
        case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0: true
        default: false
        }
    }

    /// The blocks of some finite values.
    /// - Precondition: `isQuantizable`, and the count is a multiple of `blockSize`.
    public func quantize(_ values: [Float]) -> [UInt8] {
        precondition(isQuantizable, "\(name) is read but not written")
        precondition(values.count % blockSize == 0, "\(values.count) elements are no whole number of \(name) blocks")
        var bytes: [UInt8] = []
        bytes.reserveCapacity(values.count / blockSize * bytesPerBlock)
        for start in stride(from: 0, to: values.count, by: blockSize) {
            let block = values[start..<start + blockSize]
            switch self {
            case .q4_0: appendCentred(block, bits: 4, to: &bytes)
            case .q5_0: appendCentred(block, bits: 5, to: &bytes)
            case .q4_1: appendFromMinimum(block, bits: 4, to: &bytes)
            case .q5_1: appendFromMinimum(block, bits: 5, to: &bytes)
            default: appendBytes(block, to: &bytes)
            }
        }
        return bytes
    }
}

/// Q4_0, Q5_0: the element of largest magnitude becomes the lowest level, whose magnitude is one more than the highest's.
private func appendCentred(_ block: ArraySlice<Float>, bits: Int, to bytes: inout [UInt8]) {
    let half = Float(1 << (bits - 1))
    var extreme: Float = 0
    for x in block where abs(x) > abs(extreme) { extreme = x }
    let d = extreme / -half
    let inverse = d == 0 ? 0 : 1 / d
    append(halfFromFloat(d), to: &bytes)
    // One rounding for product and sum, as the reference does where it is compiled to fused instructions.
    appendLevels(block.map { (half + 0.5).addingProduct($0, inverse) }, bits: bits, to: &bytes)
}

/// Q4_1, Q5_1: levels from the minimum to the maximum.
private func appendFromMinimum(_ block: ArraySlice<Float>, bits: Int, to bytes: inout [UInt8]) {
    let (low, high) = (block.min()!, block.max()!)
    let d = (high - low) / Float(1 << bits - 1)
    let inverse = d == 0 ? 0 : 1 / d
    append(halfFromFloat(d), to: &bytes)
    append(halfFromFloat(low), to: &bytes)
    appendLevels(block.map { ($0 - low) * inverse + 0.5 }, bits: bits, to: &bytes)
}

/// Truncates to levels and packs them: for five bits, the fifth ones first; then two nibbles to a byte.
private func appendLevels(_ values: [Float], bits: Int, to bytes: inout [UInt8]) {
    let top = Float(1 << bits - 1)
    let levels = values.map { UInt8(max(0, min(top, $0))) }  // a NaN ends up as `top`: min gives the first operand
    if bits == 5 {
        for first in stride(from: 0, to: 32, by: 8) {
            bytes.append((0..<8).reduce(0) { $0 | (levels[first + $1] >> 4 & 1) << UInt8($1) })
        }
    }
    for j in 0..<16 { bytes.append(levels[j] & 15 | (levels[j + 16] & 15) << 4) }
}

/// Q8_0: to nearest, ties away from zero.
private func appendBytes(_ block: ArraySlice<Float>, to bytes: inout [UInt8]) {
    let d = block.reduce(0) { max($0, abs($1)) } / 127
    let inverse = d == 0 ? 0 : 1 / d
    append(halfFromFloat(d), to: &bytes)
    for x in block {
        let level = (x * inverse).rounded(.toNearestOrAwayFromZero)
        bytes.append(UInt8(bitPattern: Int8(max(-127, min(127, level)))))
    }
}

private func append(_ half: UInt16, to bytes: inout [UInt8]) {
    bytes.append(UInt8(truncatingIfNeeded: half))
    bytes.append(UInt8(half >> 8))
}
