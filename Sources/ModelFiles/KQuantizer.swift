// From Float to the block types of 256 elements whose sub-blocks have scales of their own: Q4_K, Q5_K, Q6_K.
//
// The scale (and offset) of a sub-block is searched: its range is divided into a few different numbers of levels, each division is followed
// by the scale and offset that suit its levels best in the sense of weighted least squares, and the smallest weighted squared error wins.
// The winners are then rounded to multiples of the block's f16 scales, where the neighbouring multiples are tried too.
//
// Bits: every sum has one order, no product is fused with a sum, and nothing calls the C library, so every machine writes the same.
// Source: the layouts, and the weights of Q4_K and Q5_K, are those of ggml's `ggml/src/ggml-quants.c`; the search is not, nor are the bytes.

/// Writes blocks of one K type, with room for what it needs on the way.
struct KQuantizer {
    private let dtype: DType
    private let levels: ClosedRange<Float>
    private let subBlocks: Int
    private let values, weights: UnsafeMutablePointer<Float>  // [256]
    private let codes: UnsafeMutablePointer<UInt8>  // [256], counted from the lowest level

    /// Writes blocks that follow one another.
    /// - Parameters:
    ///   - x: `256 * blocks` values; one beyond `dtype.quantizableMagnitude` counts as that, and so does a NaN.
    ///   - destination: room for that many blocks.
    /// - Precondition: the type is Q4_K, Q5_K or Q6_K.
    static func write(_ dtype: DType, _ x: UnsafePointer<Float>, blocks: Int, to destination: UnsafeMutableRawPointer) {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 512) { floats in
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256) { codes in
                let quantizer = KQuantizer(
                    dtype: dtype, levels: dtype == .q6_K ? -32...31 : dtype == .q5_K ? 0...31 : 0...15, subBlocks: dtype == .q6_K ? 16 : 8,
                    values: floats.baseAddress!, weights: floats.baseAddress! + 256, codes: codes.baseAddress!)
                for block in 0..<blocks {
                    let bytes = destination + block * dtype.bytesPerBlock
                    bytes.initializeMemory(as: UInt8.self, repeating: 0, count: dtype.bytesPerBlock)
                    // Half the smallest scale there is: what lies below is nearest to zero.
                    guard quantizer.take(x + 256 * block) >= 0x1p-25 else { continue }
                    if dtype == .q6_K { quantizer.writeCentred(bytes) } else { quantizer.writeAffine(bytes) }
                }
            }
        }
    }

    /// Copies the values of a block.
    /// - Returns: their largest magnitude.
    private func take(_ x: UnsafePointer<Float>) -> Float {
        let limit = dtype.quantizableMagnitude!
        var largest: Float = 0
        for i in 0..<256 {
            let magnitude = abs(x[i]) <= limit ? abs(x[i]) : limit
            values[i] = x[i] < 0 ? -magnitude : magnitude
            if magnitude > largest { largest = magnitude }
        }
        return largest
    }

    private func subBlock(_ j: Int) -> SubBlock {
        let count = 256 / subBlocks
        return SubBlock(x: values + j * count, weights: weights + j * count, count: count, levels: levels)
    }

    // MARK: Q4_K, Q5_K: x = d scale level − dmin minimum

    /// d f16, dmin f16, scales[12], in Q5_K qh[32] (fifth bit of sub-block j at bit j), qs[128] (two sub-blocks to 32 bytes).
    private func writeAffine(_ bytes: UnsafeMutableRawPointer) {
        withUnsafeTemporaryAllocation(of: Fit.self, capacity: 8) { fits in
            var largest = Fit.zero
            for j in 0..<8 {
                let block = subBlock(j)
                block.weigh()
                fits[j] = block.affineFit()
                if fits[j].scale > largest.scale { largest.scale = fits[j].scale }
                if fits[j].offset < largest.offset { largest.offset = fits[j].offset }
            }
            let (d, dmin) = (storedHalf(largest.scale / 63, at: bytes), storedHalf(-largest.offset / 63, at: bytes + 2))
            let packed = octets(bytes + 4)
            for j in 0..<8 {
                let block = subBlock(j)
                let (scale, minimum) = block.nearestMultiples(of: d, dmin, to: fits[j])
                if j < 4 {
                    packed[j] |= scale
                    packed[j + 4] |= minimum
                } else {
                    packed[j + 4] |= scale & 15 | minimum << 4
                    packed[j - 4] |= (scale >> 4) << 6
                    packed[j] |= (minimum >> 4) << 6
                }
                block.quantize(Fit(scale: d * Float(scale), offset: -dmin * Float(minimum)), to: codes + 32 * j)
            }
        }
        let qs = octets(bytes + dtype.bytesPerBlock - 128)
        for group in 0..<4 {
            let (low, high) = (codes + 64 * group, codes + 64 * group + 32)
            for l in 0..<32 { qs[32 * group + l] = low[l] & 15 | high[l] << 4 }
        }
        if dtype == .q5_K {
            let qh = octets(bytes + 16)
            for j in 0..<8 {
                for l in 0..<32 { qh[l] |= (codes[32 * j + l] >> 4) << UInt8(j) }
            }
        }
    }

    // MARK: Q6_K: x = d scale level

    /// ql[128], qh[64], scales int8[16], d f16.
    private func writeCentred(_ bytes: UnsafeMutableRawPointer) {
        let scales = (bytes + 192).assumingMemoryBound(to: Int8.self)
        withUnsafeTemporaryAllocation(of: Fit.self, capacity: 16) { fits in
            var largest: Float = 0
            for j in 0..<16 {
                let block = subBlock(j)
                block.weigh()
                fits[j] = block.centredFit()
                largest = max(largest, abs(fits[j].scale))
            }
            let d = storedHalf(largest / 127, at: bytes + 208)
            for j in 0..<16 {
                let block = subBlock(j)
                scales[j] = block.nearestMultiple(of: d, to: fits[j].scale)
                block.quantize(Fit(scale: d * Float(scales[j]), offset: 0), to: codes + 16 * j)
            }
        }
        for half in 0..<2 {
            let (ql, qh, code) = (octets(bytes) + 64 * half, octets(bytes + 128) + 32 * half, codes + 128 * half)
            for l in 0..<64 { ql[l] = code[l] & 15 | code[l + 64] << 4 }
            for l in 0..<32 { qh[l] = code[l] >> 4 | (code[l + 32] >> 4) << 2 | (code[l + 64] >> 4) << 4 | (code[l + 96] >> 4) << 6 }
        }
    }

    /// Stores the least f16 that is not below a value of at least 0, so that the multiples of it reach as far as they should.
    /// - Returns: what it stored.
    private func storedHalf(_ value: Float, at bytes: UnsafeMutableRawPointer) -> Float {
        var half = halfFromFloat(value)
        if floatFromHalf(half) < value { half += 1 }
        half = min(half, 0x7BFF)  // the largest finite one
        bytes.storeBytes(of: half.littleEndian, as: UInt16.self)
        return floatFromHalf(half)
    }
}

/// x ≈ scale · level + offset.
private struct Fit {
    var scale: Float
    var offset: Float

    static let zero = Fit(scale: 0, offset: 0)
}

/// The values that share a scale, and how much the error of each matters.
private struct SubBlock {
    let x: UnsafePointer<Float>  // [count]
    let weights: UnsafeMutablePointer<Float>  // [count]
    let count: Int  // a multiple of 8
    let levels: ClosedRange<Float>

    private typealias Lanes = SIMD8<Float>

    @inline(__always)
    private func lanes(_ pointer: UnsafePointer<Float>, _ i: Int) -> Lanes { UnsafeRawPointer(pointer + i).loadUnaligned(as: Lanes.self) }

    /// Sets the weights: 1 for a value of 0, 2 for one as large as the root of the mean square.
    func weigh() {
        var squares = Lanes.zero
        for i in stride(from: 0, to: count, by: 8) { squares += lanes(x, i) * lanes(x, i) }
        let mean = total(squares) / Float(count)
        let inverse = mean > 0 ? 1 / mean.squareRoot() : 0
        for i in 0..<count { weights[i] = 1 + abs(x[i]) * inverse }
    }

    /// The nearest levels, ties to even, of eight values.
    @inline(__always)
    private func level(_ x: Lanes, offset: Float, inverse: Float) -> Lanes {
        var level = (x - offset) * inverse
        level.replace(with: levels.lowerBound, where: level .< levels.lowerBound)
        level.replace(with: levels.upperBound, where: level .> levels.upperBound)
        return level + toInteger - toInteger
    }

    /// The weighted sum of the squared errors.
    func error(_ fit: Fit) -> Float {
        let inverse = fit.scale == 0 ? 0 : 1 / fit.scale
        var sum = Lanes.zero
        for i in stride(from: 0, to: count, by: 8) {
            let x = lanes(x, i)
            let difference = level(x, offset: fit.offset, inverse: inverse) * fit.scale + fit.offset - x
            sum += lanes(weights, i) * difference * difference
        }
        return total(sum)
    }

    /// Codes, counted from the lowest level.
    func quantize(_ fit: Fit, to codes: UnsafeMutablePointer<UInt8>) {
        let inverse = fit.scale == 0 ? 0 : 1 / fit.scale
        for i in stride(from: 0, to: count, by: 8) {
            let shifted = level(lanes(x, i), offset: fit.offset, inverse: inverse) - levels.lowerBound + 0x1p23
            for l in 0..<8 { codes[i + l] = UInt8(truncatingIfNeeded: shifted[l].bitPattern) }
        }
    }

    // MARK: Least squares

    /// The scale and the offset, of at most 0, that suit the levels of another fit best; nil when they do not determine any.
    private func refitted(_ fit: Fit) -> Fit? {
        let inverse = 1 / fit.scale
        var (w, wx, wq, wqq, wqx) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
        for i in stride(from: 0, to: count, by: 8) {
            let (x, weight) = (lanes(x, i), lanes(weights, i))
            let q = level(x, offset: fit.offset, inverse: inverse)
            let weighted = weight * q
            w += weight
            wx += weight * x
            wq += weighted
            wqq += weighted * q
            wqx += weighted * x
        }
        let (W, X, Q, QQ, QX) = (total(w), total(wx), total(wq), total(wqq), total(wqx))
        let determinant = W * QQ - Q * Q
        guard determinant > 0 else { return nil }
        let offset = (QQ * X - Q * QX) / determinant
        let refitted = offset > 0 ? Fit(scale: QX / QQ, offset: 0) : Fit(scale: (W * QX - Q * X) / determinant, offset: offset)
        return refitted.scale > 0 ? refitted : nil
    }

    /// The scale that suits the levels of another one best; nil when they are all 0.
    private func refittedScale(_ scale: Float) -> Float? {
        let inverse = 1 / scale
        var (wqq, wqx) = (Lanes.zero, Lanes.zero)
        for i in stride(from: 0, to: count, by: 8) {
            let x = lanes(x, i)
            let q = level(x, offset: 0, inverse: inverse)
            let weighted = lanes(weights, i) * q
            wqq += weighted * q
            wqx += weighted * x
        }
        let (QQ, QX) = (total(wqq), total(wqx))
        return QQ > 0 && QX != 0 ? QX / QQ : nil
    }

    // MARK: The search

    /// How many steps more than the type has the range is divided into: above 0, the steps are finer and the extreme values cut off.
    private static let divisions: [Float] = [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2]
    private static let refits = 2

    func affineFit() -> Fit {
        var (low, high): (Float, Float) = (0, x[0])
        for i in 0..<count {
            if x[i] < low { low = x[i] }
            if x[i] > high { high = x[i] }
        }
        guard high - low >= 0x1p-25 else { return Fit(scale: 0, offset: low) }
        var best = Fit(scale: (high - low) / levels.upperBound, offset: low)
        var smallest = error(best)
        for division in Self.divisions {
            var fit = Fit(scale: (high - low) / (levels.upperBound + division), offset: low)
            for _ in 0..<Self.refits {
                guard let refit = refitted(fit) else { break }
                fit = refit
                let error = error(fit)
                if error < smallest { (best, smallest) = (fit, error) }
            }
        }
        return best
    }

    func centredFit() -> Fit {
        var extreme: Float = 0
        for i in 0..<count where abs(x[i]) > abs(extreme) { extreme = x[i] }
        guard abs(extreme) >= 0x1p-25 else { return .zero }
        // There is one level more below 0 than above it; it is the extreme value's.
        var best = Fit(scale: extreme / levels.lowerBound, offset: 0)
        var smallest = error(best)
        for division in Self.divisions {
            var scale = extreme / (levels.lowerBound - division)
            for _ in 0..<Self.refits {
                guard let refit = refittedScale(scale) else { break }
                scale = refit
                let fit = Fit(scale: scale, offset: 0)
                let error = error(fit)
                if error < smallest { (best, smallest) = (fit, error) }
            }
        }
        return best
    }

    /// The multiples of d and of −dmin, from 0 to 63, that make the smallest error among those next to a fit.
    func nearestMultiples(of d: Float, _ dmin: Float, to fit: Fit) -> (scale: UInt8, minimum: UInt8) {
        let nearestScale = d > 0 ? min(63, rounded(fit.scale / d)) : 0  // beyond 63 where d would not fit f16
        let nearestMinimum = dmin > 0 ? min(63, rounded(-fit.offset / dmin)) : 0
        var best: (scale: UInt8, minimum: UInt8) = (0, 0)
        var smallest = Float.infinity
        for step in -1...1 {
            let scale = nearestScale + Float(step)
            guard 0...63 ~= scale else { continue }
            for step in -1...1 {
                let minimum = nearestMinimum + Float(step)
                guard 0...63 ~= minimum else { continue }
                let error = error(Fit(scale: d * scale, offset: -dmin * minimum))
                if error < smallest { (best, smallest) = ((UInt8(scale), UInt8(minimum)), error) }
            }
        }
        return best
    }

    /// The multiple of d, from −127 to 127, that makes the smallest error among those next to a scale.
    func nearestMultiple(of d: Float, to scale: Float) -> Int8 {
        let nearest = d > 0 ? max(-127, min(127, rounded(scale / d))) : 0  // beyond 127 where d would not fit f16
        var best: Int8 = 0
        var smallest = Float.infinity
        for step in -1...1 {
            let multiple = nearest + Float(step)
            guard -127...127 ~= multiple else { continue }
            let error = error(Fit(scale: d * multiple, offset: 0))
            if error < smallest { (best, smallest) = (Int8(multiple), error) }
        }
        return best
    }

    /// Eight sums, added pairwise.
    @inline(__always)
    private func total(_ sums: Lanes) -> Float {
        let four = sums.lowHalf + sums.highHalf
        let two = four.lowHalf + four.highHalf
        return two.x + two.y
    }
}

/// Added and taken away again, it rounds to the nearest integer, ties to even: here floats lie 1 apart.
private let toInteger: Float = 0x1.8p23

@inline(__always)
private func rounded(_ value: Float) -> Float { value + toInteger - toInteger }

@inline(__always)
private func octets(_ pointer: UnsafeMutableRawPointer) -> UnsafeMutablePointer<UInt8> { pointer.assumingMemoryBound(to: UInt8.self) }
