/// Which pairs of ids merge, in what order, into which id.
struct MergeTable: Sendable {
    private var keys: [UInt64]  // left id, right id; all ones when empty
    private var values: [UInt64]  // rank, new id
    private let mask: Int
    private(set) var isEmpty = true

    init(count: Int) {
        var capacity = 16
        while capacity < 2 * count { capacity *= 2 }
        keys = [UInt64](repeating: .max, count: capacity)
        values = [UInt64](repeating: 0, count: capacity)
        mask = capacity - 1
    }

    /// The last of equal pairs counts, as in tokenizers.
    mutating func insert(left: Int32, right: Int32, rank: Int, id: Int32) {
        let key = MergeTable.key(left, right)
        var slot = MergeTable.hash(key) & mask
        while keys[slot] != .max && keys[slot] != key { slot = (slot + 1) & mask }
        keys[slot] = key
        values[slot] = UInt64(UInt32(rank)) << 32 | UInt64(UInt32(bitPattern: id))
        isEmpty = false
    }

    func merge(left: Int32, right: Int32) -> Merge? {
        let key = MergeTable.key(left, right)
        var slot = MergeTable.hash(key) & mask
        while keys[slot] != .max {
            if keys[slot] == key {
                return Merge(rank: UInt32(values[slot] >> 32), id: Int32(truncatingIfNeeded: values[slot]))
            }
            slot = (slot + 1) & mask
        }
        return nil
    }

    /// All pairs, first merge first.
    var inOrder: [(left: Int32, right: Int32)] {
        keys.indices.filter { keys[$0] != .max }.sorted { values[$0] < values[$1] }
            .map { (Int32(truncatingIfNeeded: keys[$0] >> 32), Int32(truncatingIfNeeded: keys[$0])) }
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    private static func hash(_ key: UInt64) -> Int {
        Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 24)
    }
}
