// From the types of GGUF and safetensors to Float.
//
// Source: ggml's reference, `ggml/src/ggml-quants.c` (`dequantize_row_*`). The order of multiplications is that of the
// reference, and a product is rounded before it is added, so every value has the reference's bits.

extension DType {
    /// Whether `expand` knows this type. Integers are not floats: a weight stored as I8 means nothing without its scale.
    public var isExpandable: Bool {
        switch self {
        case .f32, .f16, .bf16, .f64, .f8_e4m3, .f8_e5m2, .f8_e8m0: true
        default: coding != nil
        }
    }

    /// Expands `count` elements that begin at a block boundary. F64 is rounded to the nearest Float; all else is exact
    /// up to the roundings of ggml's reference.
    /// - Parameters:
    ///   - source: `count / blockSize * bytesPerBlock` readable bytes, at any alignment, little-endian.
    ///   - count: elements, not bytes or blocks.
    ///   - destination: room for `count` floats; does not overlap `source`.
    /// - Precondition: `isExpandable`, and `count` is a multiple of `blockSize`.
    public func expand(_ source: UnsafeRawPointer, count: Int, into destination: UnsafeMutablePointer<Float>) {
        precondition(count % blockSize == 0, "\(count) elements are no whole number of \(name) blocks")
        let blocks = count / blockSize
        switch self {
        case .f32:
            for i in 0..<count { destination[i] = Float(bitPattern: word32(source + 4 * i)) }
        case .f16:
            for i in 0..<count { destination[i] = half(source + 2 * i) }
        case .bf16:
            for i in 0..<count { destination[i] = Float(bitPattern: UInt32(word16(source + 2 * i)) << 16) }
        case .f64:
            for i in 0..<count {
                let bits = UInt64(littleEndian: source.loadUnaligned(fromByteOffset: 8 * i, as: UInt64.self))
                destination[i] = Float(Double(bitPattern: bits))
            }
        case .f8_e4m3:
            for i in 0..<count { destination[i] = floatFromE4M3(byte(source + i)) }
        case .f8_e5m2:
            for i in 0..<count { destination[i] = floatFromHalf(UInt16(byte(source + i)) << 8) }
        case .f8_e8m0:
            for i in 0..<count { destination[i] = floatFromE8M0(byte(source + i)) }
        case _ where coding != nil: expandCodes(source, blocks: blocks, into: destination)
        default: preconditionFailure("\(name) does not expand to floats")
        }
    }

    private func expandCodes(_ source: UnsafeRawPointer, blocks: Int, into destination: UnsafeMutablePointer<Float>) {
        let (elements, group, hasOffsets) = (blockSize, coding!.group, coding!.hasOffsets)
        withUnsafeTemporaryAllocation(of: Int8.self, capacity: 256) { codes in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { factors in
                let (codes, scales, offsets) = (codes.baseAddress!, factors.baseAddress!, factors.baseAddress! + 16)
                for block in 0..<blocks {
                    split(source + block * bytesPerBlock, blocks: 1, codes: codes, scales: scales, offsets: offsets)
                    let x = destination + block * elements
                    for start in stride(from: 0, to: elements, by: group) {
                        let (scale, offset) = (scales[start / group], offsets[start / group])
                        if hasOffsets {
                            for i in start..<start + group { x[i] = Float(codes[i]) * scale + offset }
                        } else {
                            for i in start..<start + group { x[i] = Float(codes[i]) * scale }
                        }
                    }
                }
            }
        }
    }
}

// MARK: - Codes

/// What the elements of a block type are made of: `x = code · scale + offset`, scale and offset shared by `group` elements.
///
/// Where there is an offset, code · scale is exact in float32, so product and sum may be rounded at once.
public struct BlockCoding: Sendable, Equatable {
    /// Elements that share a scale, 16 or 32.
    public var group: Int
    public var hasOffsets: Bool
    /// Scales and offsets are values of float16.
    public var halves = false
    /// The range of codes.
    public var codes: ClosedRange<Int>
}

extension DType {
    /// nil: no block type, or one that is not read.
    public var coding: BlockCoding? {
        switch self {
        case .q4_0: BlockCoding(group: 32, hasOffsets: false, halves: true, codes: -8...7)
        case .q4_1: BlockCoding(group: 32, hasOffsets: true, halves: true, codes: 0...15)
        case .q4_K: BlockCoding(group: 32, hasOffsets: true, codes: 0...15)
        case .q5_0: BlockCoding(group: 32, hasOffsets: false, halves: true, codes: -16...15)
        case .q5_1: BlockCoding(group: 32, hasOffsets: true, halves: true, codes: 0...31)
        case .q5_K: BlockCoding(group: 32, hasOffsets: true, codes: 0...31)
        case .q8_0: BlockCoding(group: 32, hasOffsets: false, halves: true, codes: -128...127)
        case .q2_K: BlockCoding(group: 16, hasOffsets: true, codes: 0...3)
        case .q3_K: BlockCoding(group: 16, hasOffsets: false, codes: -4...3)
        case .q6_K: BlockCoding(group: 16, hasOffsets: false, codes: -32...31)
        case .iq4_nl: BlockCoding(group: 32, hasOffsets: false, halves: true, codes: -127...113)
        case .iq4_xs: BlockCoding(group: 32, hasOffsets: false, codes: -127...113)
        case .mxfp4: BlockCoding(group: 32, hasOffsets: false, codes: -12...12)
        default: nil
        }
    }

    /// Splits blocks into codes, one for each element, and the scale and offset of each group; where the type has no offsets, `offsets` is left alone.
    /// - Precondition: `coding` is not nil; there is room for the codes and groups of all blocks.
    public func split(
        _ source: UnsafeRawPointer, blocks: Int, codes: UnsafeMutablePointer<Int8>, scales: UnsafeMutablePointer<Float>, offsets: UnsafeMutablePointer<Float>
    ) {
        guard let coding else { preconditionFailure("\(name) has no codes") }
        let (elements, groups) = (blockSize, blockSize / coding.group)
        func each(_ split: (_ block: UnsafeRawPointer, _ codes: UnsafeMutablePointer<Int8>, _ scales: UnsafeMutablePointer<Float>, _ offsets: UnsafeMutablePointer<Float>) -> Void) {
            for block in 0..<blocks { split(source + block * bytesPerBlock, codes + block * elements, scales + block * groups, offsets + block * groups) }
        }
        switch self {
        case .q4_0: each(q4_0Block)
        case .q4_1: each(q4_1Block)
        case .q5_0: each(q5_0Block)
        case .q5_1: each(q5_1Block)
        case .q8_0: each(q8_0Block)
        case .q2_K: each(q2_KBlock)
        case .q3_K: each(q3_KBlock)
        case .q4_K: each(q4_KBlock)
        case .q5_K: each(q5_KBlock)
        case .q6_K: each(q6_KBlock)
        case .iq4_nl: each(iq4_nlBlock)
        case .iq4_xs: each(iq4_xsBlock)
        default: each(mxfp4Block)
        }
    }
}

private typealias Codes = UnsafeMutablePointer<Int8>
private typealias Factors = UnsafeMutablePointer<Float>

// MARK: - Small floats

/// IEEE binary16 to binary32, exact for every value: subnormals, signed zeros, infinities.
///
/// Without branches, so that loops over it vectorise. Source: Maratyszcza/FP16, `fp16_ieee_to_fp32_value`.
@inline(__always)
func floatFromHalf(_ bits: UInt16) -> Float {
    let word = UInt32(bits) << 16
    let doubled = word &+ word  // without the sign
    let normal = Float(bitPattern: (doubled >> 4) &+ 0xE0 << 23) * 0x1p-112
    let subnormal = Float(bitPattern: (doubled >> 17) | 126 << 23) - 0.5
    let magnitude = doubled < 1 << 27 ? subnormal.bitPattern : normal.bitPattern
    return Float(bitPattern: word & 0x8000_0000 | magnitude)
}

/// binary32 to binary16, to nearest, ties to even.
func halfFromFloat(_ value: Float) -> UInt16 {
    let sign = UInt16(truncatingIfNeeded: value.bitPattern >> 16) & 0x8000
    let magnitude = value.bitPattern & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 { return sign | 0x7E00 }  // NaN
    if magnitude >= 0x4780_0000 { return sign | 0x7C00 }  // 65536 and more
    if magnitude < 0x3880_0000 {  // below 2^-14: adding 0.5 rounds to the spacing of the subnormals, 2^-24
        let shifted = Float(bitPattern: magnitude) + 0.5
        return sign | UInt16(truncatingIfNeeded: shifted.bitPattern &- (126 << 23))
    }
    let odd = magnitude >> 13 & 1
    return sign | UInt16(truncatingIfNeeded: (magnitude &- (112 << 23) &+ 0xFFF &+ odd) >> 13)
}

/// binary32 to its upper half (bfloat16), to nearest, ties to even.
func bfloatFromFloat(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }  // never an infinity
    return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
}

/// The 8-bit float with 4 exponent bits and no infinities (OCP 8-bit floating point, E4M3).
private func floatFromE4M3(_ bits: UInt8) -> Float {
    let (exponent, fraction) = (Int(bits >> 3 & 15), Float(bits & 7))
    let magnitude: Float =
        if bits & 0x7F == 0x7F {
            .nan
        } else if exponent == 0 {
            fraction * 0x1p-9
        } else {
            Float(sign: .plus, exponent: exponent - 7, significand: 1 + fraction / 8)
        }
    return bits & 0x80 == 0 ? magnitude : -magnitude
}

/// A power of two alone (OCP microscaling formats, E8M0).
private func floatFromE8M0(_ bits: UInt8) -> Float {
    switch bits {
    case 255: .nan
    case 0: 0x1p-127
    default: Float(bitPattern: UInt32(bits) << 23)
    }
}

@inline(__always) private func byte(_ pointer: UnsafeRawPointer) -> UInt8 { pointer.load(as: UInt8.self) }
@inline(__always) private func word16(_ pointer: UnsafeRawPointer) -> UInt16 {
    UInt16(littleEndian: pointer.loadUnaligned(as: UInt16.self))
}
@inline(__always) private func word32(_ pointer: UnsafeRawPointer) -> UInt32 {
    UInt32(littleEndian: pointer.loadUnaligned(as: UInt32.self))
}
@inline(__always) private func half(_ pointer: UnsafeRawPointer) -> Float { floatFromHalf(word16(pointer)) }
@inline(__always) private func octets(_ pointer: UnsafeRawPointer) -> UnsafePointer<UInt8> {
    pointer.assumingMemoryBound(to: UInt8.self)
}

/// The low nibbles of 16 bytes are elements 0 to 15, the high ones 16 to 31.
@inline(__always)
private func splitNibbles(_ qs: UnsafePointer<UInt8>, _ codes: Codes, _ code: (UInt8) -> Int8) {
    for j in 0..<16 {
        codes[j] = code(qs[j] & 15)
        codes[j + 16] = code(qs[j] >> 4)
    }
}

// MARK: - Blocks of 32

/// d f16, qs[16] nibbles. x = d (q - 8)
private func q4_0Block(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _: Factors) {
    scales[0] = half(block)
    splitNibbles(octets(block + 2), codes) { Int8($0) - 8 }
}

/// d f16, m f16, qs[16]. x = d q + m
private func q4_1Block(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _ offsets: Factors) {
    (scales[0], offsets[0]) = (half(block), half(block + 2))
    splitNibbles(octets(block + 4), codes) { Int8($0) }
}

/// Nibbles with a fifth bit each: that of element j is bit j of a u32.
@inline(__always)
private func splitFives(_ qh: UInt32, _ qs: UnsafePointer<UInt8>, _ codes: Codes, minus centre: Int8) {
    for j in 0..<16 {
        codes[j] = Int8(qs[j] & 15 | UInt8(qh >> UInt32(j) & 1) << 4) - centre
        codes[j + 16] = Int8(qs[j] >> 4 | UInt8(qh >> UInt32(j + 16) & 1) << 4) - centre
    }
}

/// d f16, qh u32, qs[16]. x = d (q - 16)
private func q5_0Block(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _: Factors) {
    scales[0] = half(block)
    splitFives(word32(block + 2), octets(block + 6), codes, minus: 16)
}

/// d f16, m f16, qh u32, qs[16]. x = d q + m
private func q5_1Block(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _ offsets: Factors) {
    (scales[0], offsets[0]) = (half(block), half(block + 2))
    splitFives(word32(block + 4), octets(block + 8), codes, minus: 0)
}

/// d f16, int8[32]. x = d q
private func q8_0Block(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _: Factors) {
    scales[0] = half(block)
    UnsafeMutableRawPointer(codes).copyMemory(from: block + 2, byteCount: 32)
}

/// The sixteen values of IQ4_NL and IQ4_XS.
private let iq4Values: [Int8] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
/// Twice the sixteen values of a 4-bit float with 2 exponent bits; the scale is halved instead.
private let mxfp4Values: [Int8] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]

/// d f16, qs[16]. x = d values[q]
private func iq4_nlBlock(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _: Factors) {
    scales[0] = half(block)
    iq4Values.withUnsafeBufferPointer { values in splitNibbles(octets(block + 2), codes) { values[Int($0)] } }
}

/// e u8 (a power of two), qs[16]. x = 2^(e - 128) values[q]
private func mxfp4Block(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _: Factors) {
    let e = UInt32(byte(block))
    scales[0] = Float(bitPattern: e < 2 ? 0x0020_0000 << e : (e - 1) << 23)  // half of 2^(e - 127)
    mxfp4Values.withUnsafeBufferPointer { values in splitNibbles(octets(block + 1), codes) { values[Int($0)] } }
}

// MARK: - Blocks of 256

/// scales[16] (scale in the low nibble, minimum in the high one, 16 elements each), qs[64], d f16, dmin f16.
private func q2_KBlock(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _ offsets: Factors) {
    let (packed, qs) = (octets(block), octets(block + 16))
    let (d, dmin) = (half(block + 80), half(block + 82))
    for group in 0..<16 {  // 16 elements: two bits of 16 bytes
        let q = qs + 32 * (group / 8) + 16 * (group % 2)
        let shift = UInt8(group / 2 % 4 * 2)
        scales[group] = d * Float(packed[group] & 15)
        offsets[group] = -(dmin * Float(packed[group] >> 4))
        for l in 0..<16 { codes[16 * group + l] = Int8(q[l] >> shift & 3) }
    }
}

/// hmask[32], qs[64], scales[12] (6 bits for 16 elements each), d f16.
private func q3_KBlock(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _: Factors) {
    let (hmask, qs, packed) = (octets(block), octets(block + 32), octets(block + 96))
    let d = half(block + 108)
    for group in 0..<16 {
        let low = group < 8 ? packed[group] & 15 : packed[group - 8] >> 4
        let high = packed[8 + group % 4] >> UInt8(group / 4 * 2) & 3
        scales[group] = d * Float(Int32(low | high << 4) - 32)
        let (q, h) = (qs + 32 * (group / 8) + 16 * (group % 2), hmask + 16 * (group % 2))
        let shift = UInt8(group / 2 % 4 * 2)
        let bit = UInt8(group / 2)
        for l in 0..<16 { codes[16 * group + l] = Int8(q[l] >> shift & 3) - (h[l] >> bit & 1 == 0 ? 4 : 0) }
    }
}

/// Scale and minimum of sub-block j, 6 bits each, as Q4_K and Q5_K pack them into 12 bytes.
@inline(__always)
private func scaleAndMinimum(_ j: Int, _ packed: UnsafePointer<UInt8>) -> (Float, Float) {
    let (scale, minimum): (UInt8, UInt8) =
        if j < 4 {
            (packed[j] & 63, packed[j + 4] & 63)
        } else {
            (packed[j + 4] & 15 | (packed[j - 4] >> 6) << 4, packed[j + 4] >> 4 | (packed[j] >> 6) << 4)
        }
    return (Float(scale), Float(minimum))
}

/// d f16, dmin f16, scales[12], qs[128]: the low nibbles of 32 bytes are one sub-block, the high ones the next.
private func q4_KBlock(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _ offsets: Factors) {
    let (d, dmin) = (half(block), half(block + 2))
    for j in 0..<8 {
        let (scale, minimum) = scaleAndMinimum(j, octets(block + 4))
        (scales[j], offsets[j]) = (d * scale, -(dmin * minimum))
        let q = octets(block + 16) + 32 * (j / 2)
        let shift = UInt8(j % 2 * 4)
        for l in 0..<32 { codes[32 * j + l] = Int8(q[l] >> shift & 15) }
    }
}

/// d f16, dmin f16, scales[12], qh[32] (fifth bit of sub-block j at bit j), qs[128] as in Q4_K.
private func q5_KBlock(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _ offsets: Factors) {
    let (d, dmin) = (half(block), half(block + 2))
    let qh = octets(block + 16)
    for j in 0..<8 {
        let (scale, minimum) = scaleAndMinimum(j, octets(block + 4))
        (scales[j], offsets[j]) = (d * scale, -(dmin * minimum))
        let q = octets(block + 48) + 32 * (j / 2)
        let (shift, bit) = (UInt8(j % 2 * 4), UInt8(j))
        for l in 0..<32 { codes[32 * j + l] = Int8(q[l] >> shift & 15 | (qh[l] >> bit & 1) << 4) }
    }
}

/// ql[128], qh[64], scales int8[16] (16 elements each), d f16 at the end. x = d scale (q - 32)
private func q6_KBlock(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _: Factors) {
    let packed = (block + 192).assumingMemoryBound(to: Int8.self)
    let d = half(block + 208)
    for group in 0..<16 {
        let quarter = group / 2 % 4  // 32 elements of a half block of 128
        let ql = octets(block) + 64 * (group / 8) + 32 * (quarter % 2) + 16 * (group % 2)
        let qh = octets(block + 128) + 32 * (group / 8) + 16 * (group % 2)
        let (shift, high) = (UInt8(quarter / 2 * 4), UInt8(quarter * 2))
        scales[group] = d * Float(packed[group])
        for l in 0..<16 { codes[16 * group + l] = Int8(ql[l] >> shift & 15 | (qh[l] >> high & 3) << 4) - 32 }
    }
}

/// d f16, scales_h u16, scales_l[4] (together 6 bits for 32 elements each), qs[128].
private func iq4_xsBlock(_ block: UnsafeRawPointer, _ codes: Codes, _ scales: Factors, _: Factors) {
    let d = half(block)
    let (high, low) = (word16(block + 2), octets(block + 4))
    iq4Values.withUnsafeBufferPointer { values in
        for j in 0..<8 {
            let scale = Int32(low[j / 2] >> UInt8(j % 2 * 4) & 15) | Int32(high >> UInt16(2 * j) & 3) << 4
            scales[j] = d * Float(scale - 32)
            splitNibbles(octets(block + 8) + 16 * j, codes + 32 * j) { values[Int($0)] }
        }
    }
}
