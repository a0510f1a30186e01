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
    mutating func insert(_ piece: some Sequence<UInt8>, id: Int, isFindable: Bool = true) {
        starts[id] = bytes.count
        bytes.append(contentsOf: piece)
        lengths[id] = bytes.count - starts[id]
        guard isFindable else { return }
        let place = slot(of: bytes.span.extracting(starts[id]...))
        slots[place] = Int32(id)  // of equal pieces, the last id wins
    }

    func id(of piece: Span<UInt8>) -> Int32? {
        let id = slots[slot(of: piece)]
        return id < 0 ? nil : id
    }

    /// Where the id of a piece stands, or would stand.
    private func slot(of piece: Span<UInt8>) -> Int {
        var slot = Vocabulary.hash(piece) & mask
        while slots[slot] >= 0, !holds(Int(slots[slot]), piece) { slot = (slot + 1) & mask }
        return slot
    }

    func id(of piece: some Sequence<UInt8>) -> Int32? { id(of: Array(piece).span) }

    /// The ids that looking up their piece gives, ascending.
    var findableIDs: [Int32] { slots.filter { $0 >= 0 }.sorted() }

    /// The bytes of a piece as written in the file; nil when the id has none.
    func piece(_ id: Int) -> ArraySlice<UInt8>? {
        guard id >= 0, id < starts.count, starts[id] >= 0 else { return nil }
        return bytes[starts[id]..<starts[id] + lengths[id]]
    }

    private func holds(_ id: Int, _ piece: Span<UInt8>) -> Bool {
        guard lengths[id] == piece.count else { return false }
        let start = starts[id]
        for place in 0..<piece.count where bytes[start + place] != piece[place] { return false }
        return true
    }

    private static func hash(_ piece: Span<UInt8>) -> Int { Int(truncatingIfNeeded: WordCache.hash(piece) >> 8) }
}
