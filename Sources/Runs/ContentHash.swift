/// 128-bit FNV-1a: the same on every machine and in every release; no protection against somebody who wants a collision.
///
/// Source: Fowler, Noll, Vo, draft-eastlake-fnv, section 5.
struct ContentHash {
    private var state: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d

    mutating func combine(bytes: some Sequence<UInt8>) {
        var state = state
        for byte in bytes { state = (state ^ UInt128(byte)) &* 0x0000_0000_0100_0000_0000_0000_0000_013b }
        self.state = state
    }

    mutating func combine(_ number: UInt64) {
        combine(bytes: (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) })
    }

    /// Length first, so that ("ab", "c") is not ("a", "bc").
    mutating func combine(_ text: String) {
        combine(UInt64(text.utf8.count))
        combine(bytes: text.utf8)
    }

    /// 32 hexadecimal digits.
    var hex: String {
        let digits = String(state, radix: 16)
        return String(repeating: "0", count: 32 - digits.count) + digits
    }

    static func of(_ text: String) -> String {
        var hash = ContentHash()
        hash.combine(bytes: text.utf8)
        return hash.hex
    }
}
