import CAutodidact

/// Counter-based random numbers: a function of the words folded into the key and of a counter, with no state.
///
/// Folding and drawing use the SplitMix64 finaliser (Steele, Lea and Flood 2014), so that a draw is the same whatever was
/// drawn before it, in any batch and on any number of threads.
public struct RandomKey: Sendable, Hashable, Codable {
    public private(set) var word: UInt64

    public init(seed: UInt64) { word = Self.mix(seed &+ 0x9e37_79b9_7f4a_7c15) }

    /// The key of one purpose, iteration, problem … below this one.
    public func folding(_ value: UInt64) -> RandomKey {
        var key = self
        key.word = Self.mix(key.word ^ Self.mix(value &+ 0x9e37_79b9_7f4a_7c15))
        return key
    }

    public func folding(_ value: Int) -> RandomKey { folding(UInt64(bitPattern: Int64(value))) }

    /// Folds a name by its UTF-8 bytes.
    public func folding(_ name: String) -> RandomKey {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return folding(hash)
    }

    public func bits(_ counter: UInt64) -> UInt64 { Self.mix(word &+ (counter &+ 1) &* 0x9e37_79b9_7f4a_7c15) }

    /// Uniform in [0, 1) with 53 bits.
    public func uniform(_ counter: UInt64) -> Double { Double(bits(counter) >> 11) * 0x1p-53 }

    /// Standard normal by Box and Muller; counters 2i and 2i + 1 of the uniform stream make draw i.
    public func normal(_ counter: UInt64) -> Double {
        let radius = (-2 * ad_log(1 - uniform(2 * counter))).squareRoot()
        return radius * ad_cos(2 * .pi * uniform(2 * counter + 1))
    }

    /// Uniform in 0..<bound.
    public func index(below bound: Int, _ counter: UInt64 = 0) -> Int {
        Int(bits(counter).multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// `0..<count` in random order (Fisher and Yates).
    public func permutation(_ count: Int) -> [Int] {
        var order = Array(0..<count)
        guard count > 1 else { return order }
        for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, index(below: i + 1, UInt64(i))) }
        return order
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
