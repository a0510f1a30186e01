/// Hashes that are the same on every machine, in every process and in every release.
///
/// Swift's own `Hasher` is seeded per process, so nothing that decides a split or a choice may use it.
package enum StableHash {
    /// 64-bit FNV-1a over the UTF-8 bytes. Source: Fowler, Noll, Vo, draft-eastlake-fnv.
    package static func fnv1a(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return hash
    }

    /// SplitMix64's finaliser: every input bit reaches every output bit (FNV-1a alone leaves the high bits weak).
    package static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A mixed hash as a number in 0..<1.
    package static func fraction(_ mixed: UInt64) -> Double { Double(mixed >> 11) * 0x1p-53 }

    /// Sixteen hexadecimal digits, for ids.
    package static func hex(_ hash: UInt64) -> String {
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// SplitMix64: the random numbers of task generation, a value made from a seed and a label.
///
/// Shuffling and drawing are written out here, because the standard library does not promise its own stay the same.
/// Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
package struct SeededGenerator {
    private static let golden: UInt64 = 0x9E37_79B9_7F4A_7C15
    private var state: UInt64

    /// - Parameter label: what the numbers are for, so that two uses of one seed do not share them.
    package init(seed: UInt64, label: String, index: UInt64 = 0) {
        let labelled = StableHash.mix(seed &+ Self.golden) ^ StableHash.mix(StableHash.fnv1a(label))
        state = StableHash.mix(labelled &+ StableHash.mix(index &+ Self.golden))
    }

    package mutating func next() -> UInt64 {
        state &+= Self.golden
        return StableHash.mix(state)
    }

    /// A number in `0..<bound`, without bias (Lemire 2019, arXiv:1805.10941).
    package mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "cannot draw below \(bound)")
        let width = UInt64(bound)
        let threshold = (0 &- width) % width
        while true {
            let product = next().multipliedFullWidth(by: width)
            if product.low >= threshold { return Int(product.high) }
        }
    }

    package mutating func pick<Element>(_ items: [Element]) -> Element { items[below(items.count)] }

    package mutating func shuffled<Element>(_ items: [Element]) -> [Element] {
        var items = items
        guard items.count > 1 else { return items }
        for last in stride(from: items.count - 1, through: 1, by: -1) { items.swapAt(last, below(last + 1)) }
        return items
    }
}
