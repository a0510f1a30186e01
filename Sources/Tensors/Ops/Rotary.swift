import CAutodidact

/// Cosines and sines for the rows of a batch.
public struct RotaryTables {
    /// `[rows, rotated/2]`.
    public let cosines, sines: Tensor
    public let interleaved: Bool

    /// - Parameters:
    ///   - positions: one per row.
    ///   - frequencies: one per rotated pair; angles are position · frequency in float32, as published models were trained with.
    ///   - stretched: other frequencies, and which rows turn by these.
    ///   - magnitude: both tables are multiplied by it (yarn, longrope).
    ///   - interleaved: pairs are the entries 2i and 2i + 1; otherwise i and i + rotated/2.
    ///   - backend: holds the tables.
    public init(positions: [Int32], frequencies: [Float], stretched: (frequencies: [Float], rows: [Bool])? = nil, magnitude: Float = 1, interleaved: Bool = false, on backend: any Backend) {
        var cosines: [Float] = []
        var sines: [Float] = []
        cosines.reserveCapacity(positions.count * frequencies.count)
        sines.reserveCapacity(positions.count * frequencies.count)
        for (row, position) in positions.enumerated() {
            for frequency in stretched.map({ $0.rows[row] ? $0.frequencies : frequencies }) ?? frequencies {
                let angle = Double(Float(position) * frequency)
                cosines.append(Float(ad_cos(angle)) * magnitude)
                sines.append(Float(ad_sin(angle)) * magnitude)
            }
        }
        self.cosines = backend.tensor(cosines, shape: [positions.count, frequencies.count])
        self.sines = backend.tensor(sines, shape: [positions.count, frequencies.count])
        self.interleaved = interleaved
    }
}

/// `base^(-2i/rotated)` for every pair i, before any scaling. Source: Su et al. 2021, arXiv:2104.09864.
public func rotaryFrequencies(rotated: Int, base: Double) -> [Double] {
    (0..<rotated / 2).map { ad_exp(-2 * Double($0) / Double(rotated) * ad_log(base)) }
}

/// Natural logarithm and exponential with the same bits on every machine.
public func fixedLog(_ x: Double) -> Double { ad_log(x) }
public func fixedExp(_ x: Double) -> Double { ad_exp(x) }
public func fixedCos(_ x: Double) -> Double { ad_cos(x) }
public func fixedSin(_ x: Double) -> Double { ad_sin(x) }

/// Turns the first entries of every head of `[N, heads, headDim]` by its row's angles.
public func rotate(_ x: Tensor, _ tables: RotaryTables) -> Tensor {
    let y = x.backend.empty(x.shape)
    x.backend.rotate(x, cosines: tables.cosines, sines: tables.sines, interleaved: tables.interleaved, direction: 1, into: y)
    let source = GradientSink(x)
    return y.recorded(from: [x]) { dy, _ in
        source.add { dy.backend.rotate(dy, cosines: tables.cosines, sines: tables.sines, interleaved: tables.interleaved, direction: -1, into: $0) }
    }
}
