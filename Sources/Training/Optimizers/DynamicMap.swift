/// 256 values between -1 and 1 that are dense near 0: what a code of 8 bits stands for, as a share of its block's largest value.
///
/// Source: Dettmers et al. 2022, arXiv:2110.02861 (dynamic tree quantisation); values and rounding are those of bitsandbytes.
struct DynamicMap: Sendable {
    /// In increasing order.
    let values: [Float]
    /// The code nearest to each of 65,536 points from -1 to 1.
    private let codes: [UInt8]

    static let signed = DynamicMap(isSigned: true), unsigned = DynamicMap(isSigned: false)

    init(isSigned: Bool) {
        var values: [Float] = [0, 1]
        for (exponent, power) in [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1].map({ Float($0) }).enumerated() {
            // Middles between points from 0.1 to 1, counted from the nearer end.
            let parts = 1 << (isSigned ? exponent : exponent + 1), points = parts + 1, start: Float = 0.1, step = (1 - start) / Float(parts)
            let bounds = (0..<points).map { Float($0 < points / 2 ? Double(start) + Double(step) * Double($0) : 1 - Double(step) * Double(parts - $0)) }
            for (low, high) in zip(bounds, bounds.dropFirst()) {
                let value = power * ((low + high) / 2)
                values += isSigned ? [value, -value] : [value]
            }
        }
        values.sort()
        var code = 0
        codes = (0..<65_536).map { index in
            let point = Float(index) / 65_535 * 2 - 1
            while code < 255, abs(Double(values[code + 1]) - Double(point)) < abs(Double(values[code]) - Double(point)) { code += 1 }
            return UInt8(code)
        }
        self.values = values
    }

    /// - Parameter share: -1 to 1.
    func code(_ share: Float) -> UInt8 { codes[Int(max(0, min(65_535, (share + 1) * 0.5 * 65_535 + 0.5)))] }
}
