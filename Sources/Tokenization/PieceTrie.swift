/// The pieces of a vocabulary as a double-array trie, for finding every piece that starts at a place of the text.
///
/// Source: Aoe 1989, "An efficient digital search algorithm by using a double-array structure".
struct PieceTrie: Sendable {
    private struct Unit {
        var base: Int32 = 0  // children of node n lie at base ^ byte
        var parent: Int32 = -1  // −1 when the place is free
        var id: Int32 = -1  // of the piece that ends here, or −1
    }
    private var units: [Unit] = []
    static let root = 0

    /// - Parameters:
    ///   - ids: the pieces to enter; empty ones are left out, and of equal ones the first counts.
    init(_ vocabulary: Vocabulary, ids: some Sequence<Int32>) {
        var pieces: [(id: Int32, bytes: ArraySlice<UInt8>)] = []
        for id in ids { if let piece = vocabulary.piece(Int(id)), !piece.isEmpty { pieces.append((id, piece)) } }
        pieces.sort { $0.bytes.lexicographicallyPrecedes($1.bytes) || ($0.bytes == $1.bytes && $0.id < $1.id) }
        units = Array(repeating: Unit(), count: 512)
        units[0].parent = 0
        var firstFree = 1
        var used = 1  // nothing lies here or after
        // Nodes whose children are still to be placed; each with its stretch of the sorted pieces. A stack of its own: pieces may be long.
        var open: [(node: Int, range: Range<Int>, depth: Int)] = pieces.isEmpty ? [] : [(0, 0..<pieces.count, 0)]
        var labels: [UInt8] = []
        var starts: [Int] = []
        while let (node, range, depth) = open.popLast() {
            labels.removeAll(keepingCapacity: true)
            starts.removeAll(keepingCapacity: true)
            for index in range {
                let bytes = pieces[index].bytes
                guard bytes.count > depth else {
                    if units[node].id < 0 { units[node].id = pieces[index].id }
                    continue
                }
                let label = bytes[bytes.startIndex + depth]
                if labels.last != label {
                    labels.append(label)
                    starts.append(index)
                }
            }
            guard !labels.isEmpty else { continue }
            starts.append(range.upperBound)
            while firstFree < units.count, units[firstFree].parent >= 0 { firstFree += 1 }
            // A single child fills any hole. For several, holes far behind the end are not worth searching again and again.
            let base = freeBase(for: labels, from: labels.count == 1 ? firstFree : max(firstFree, used - 1024))
            units[node].base = Int32(base)
            for (index, label) in labels.enumerated() {
                let child = base ^ Int(label)
                units[child].parent = Int32(node)
                used = max(used, child + 1)
                open.append((child, starts[index]..<starts[index + 1], depth + 1))
            }
        }
    }

    /// A base at which all labels find a free place, the first of them not before `start`.
    private mutating func freeBase(for labels: [UInt8], from start: Int) -> Int {
        var place = start
        while true {
            if place + 256 > units.count { units.append(contentsOf: repeatElement(Unit(), count: max(512, units.count / 2) & ~255)) }
            if units[place].parent < 0 {
                let base = place ^ Int(labels[0])
                if labels.allSatisfy({ units[base ^ Int($0)].parent < 0 }) { return base }
            }
            place += 1
        }
    }

    /// Where `byte` leads from `node`; nil when no piece goes on so.
    @inline(__always)
    func child(of node: Int, _ byte: UInt8) -> Int? {
        let child = Int(units[node].base) ^ Int(byte)
        return child < units.count && units[child].parent == Int32(truncatingIfNeeded: node) && child != 0 ? child : nil
    }

    /// The piece that ends at `node`, or −1.
    @inline(__always)
    func id(at node: Int) -> Int32 { units[node].id }

    /// The node of a prefix; nil when no piece starts with it.
    func node(_ prefix: some Sequence<UInt8>, from start: Int = root) -> Int? {
        var node = start
        for byte in prefix {
            guard let next = child(of: node, byte) else { return nil }
            node = next
        }
        return node
    }

    /// The longest piece at `start` below `node`.
    func longest(_ text: Span<UInt8>, from start: Int, below first: Int = root) -> (id: Int32, end: Int)? {
        var found: (id: Int32, end: Int)?
        var node = first
        var place = start
        while place < text.count, let next = child(of: node, text[place]) {
            node = next
            place += 1
            if id(at: node) >= 0 { found = (id(at: node), place) }
        }
        return found
    }
}
