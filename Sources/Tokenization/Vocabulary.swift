/// Pieces and their ids, keyed by UTF-8 bytes.
///
/// Not a `Dictionary` of strings: Swift compares strings up to canonical equivalence, and vocabularies hold pieces that differ only there.
/// All pieces lie in one array, so that loading does not allocate once for every token.
struct Vocabulary: Sendable {
    private var bytes: [UInt8] = []
    private var starts: [Int]  // [count], −1 where an id has no piece
    private var lengths: [Int]  // [count]
    private var slots: [Int32]  // open addressing, ids, −1 when empty
    private let mask: Int

    /// One more than the largest id.
    var count: Int { starts.count }

    /// - Parameters:
    ///   - count: one more than the largest id.
    ///   - pieces: how many pieces will be inserted at most, if fewer than `count`.
    init(count: Int, pieces: Int? = nil) {
        starts = [Int](repeating: -1, count: count)
        lengths = [Int](repeating: 0, count: count)
        let pieces = pieces ?? count
        var capacity = 16
        while capacity < 2 * pieces { capacity *= 2 }
        slots = [Int32](repeating: -1, count: capacity)
        mask = capacity - 1
        bytes.reserveCapacity(8 * pieces)
    }

    /// Gives `id` its piece. With `isFindable` false the piece can be read but not looked up (control tokens in SentencePiece models).
    mutating func insert(_ piece: some Collection<UInt8>, id: Int, isFindable: Bool = true) {
        starts[id] = bytes.count
        lengths[id] = piece.count
        bytes.append(contentsOf: piece)
        guard isFindable else { return }
        var slot = Vocabulary.hash(piece) & mask
        while slots[slot] >= 0 {
            if holds(Int(slots[slot]), piece) { break }  // the same piece again: the last id wins
            slot = (slot + 1) & mask
        }
        slots[slot] = Int32(id)
    }

    func id(of piece: some Collection<UInt8>) -> Int32? {
        var slot = Vocabulary.hash(piece) & mask
        while slots[slot] >= 0 {
            if holds(Int(slots[slot]), piece) { return slots[slot] }
            slot = (slot + 1) & mask
        }
        return nil
    }

    /// The bytes of a piece as written in the file; nil when the id has none.
    func piece(_ id: Int) -> ArraySlice<UInt8>? {
        guard id >= 0, id < starts.count, starts[id] >= 0 else { return nil }
        return bytes[starts[id]..<starts[id] + lengths[id]]
    }

    private func holds(_ id: Int, _ piece: some Collection<UInt8>) -> Bool {
        var position = starts[id]
        let end = position + lengths[id]
        for byte in piece {
            guard position < end, bytes[position] == byte else { return false }
            position += 1
        }
        return position == end
    }

    /// FNV-1a, folded.
    private static func hash(_ piece: some Collection<UInt8>) -> Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in piece { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return Int(truncatingIfNeeded: (hash ^ (hash >> 29)) & 0x7FFF_FFFF_FFFF_FFFF)
    }
}
