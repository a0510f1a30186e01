/// A stretch of a word during byte-pair merging.
struct Symbol {
    var id: Int32
    var start: Int32  // byte offsets in the word
    var end: Int32
    var next: Int32 = -1
    var previous: Int32 = -1
}

/// A merge that two neighbouring symbols allow.
struct Merge {
    var rank: UInt32  // lower merges first
    var id: Int32
}

/// Merges neighbours in the order of their ranks, leftmost first among equals, until none can be merged.
///
/// - Parameter merge: what two neighbours, left and right, become.
/// Source: Sennrich et al. 2016, arXiv:1508.07909, section 3.2.
@inline(__always)
func mergeSymbols(_ symbols: inout [Symbol], merge: (Symbol, Symbol) -> Merge?) {
    if symbols.count < 2 { return }
    if symbols.count <= 48 { mergeByScanning(&symbols, merge: merge) } else { symbols = mergeByHeap(symbols, merge: merge) }
}

/// For short words: looks at all pairs each time. While merging, `next` and `previous` of a symbol hold the rank and the id of its merge with the
/// symbol after it.
@inline(__always)
private func mergeByScanning(_ symbols: inout [Symbol], merge: (Symbol, Symbol) -> Merge?) {
    func consider(_ index: Int) {
        let found = merge(symbols[index], symbols[index + 1])
        symbols[index].next = found.map { Int32(bitPattern: $0.rank) } ?? -1  // as unsigned, the highest rank
        symbols[index].previous = found?.id ?? -1
    }
    var count = symbols.count
    for index in 0..<count - 1 { consider(index) }
    while true {
        var best = -1
        var rank = UInt32.max
        for index in 0..<count - 1 where UInt32(bitPattern: symbols[index].next) < rank { (best, rank) = (index, UInt32(bitPattern: symbols[index].next)) }
        guard best >= 0 else { break }
        symbols[best].id = symbols[best].previous
        symbols[best].end = symbols[best + 1].end
        count -= 1
        for index in best + 1..<max(best + 1, count) { symbols[index] = symbols[index + 1] }
        if best > 0 { consider(best - 1) }
        if best + 1 < count { consider(best) }
    }
    symbols.removeSubrange(count...)
}

/// For long words: a heap of candidate merges, in which outdated candidates are recognised when they come up.
private func mergeByHeap(_ input: [Symbol], merge: (Symbol, Symbol) -> Merge?) -> [Symbol] {
    var symbols = input
    for index in symbols.indices {
        symbols[index].previous = Int32(index) - 1
        symbols[index].next = index + 1 < symbols.count ? Int32(index + 1) : -1
    }
    var heap = CandidateHeap()
    func consider(_ left: Int32, _ right: Int32) {
        guard left >= 0, right >= 0 else { return }
        let (a, b) = (symbols[Int(left)], symbols[Int(right)])
        guard let found = merge(a, b) else { return }
        heap.push(Candidate(key: UInt64(found.rank) << 32 | UInt64(left), middle: a.end, end: b.end, id: found.id))
    }
    for index in 1..<symbols.count { consider(Int32(index - 1), Int32(index)) }
    while let candidate = heap.pop() {
        let left = Int(candidate.key & 0xFFFF_FFFF)
        let right = symbols[left].next
        guard right >= 0, symbols[left].end == candidate.middle, symbols[Int(right)].end == candidate.end else { continue }
        symbols[left].id = candidate.id
        symbols[left].end = candidate.end
        symbols[left].next = symbols[Int(right)].next
        symbols[Int(right)].next = -1
        symbols[Int(right)].end = -1  // consumed: matches no candidate
        if symbols[left].next >= 0 { symbols[Int(symbols[left].next)].previous = Int32(left) }
        consider(symbols[left].previous, Int32(left))
        consider(Int32(left), symbols[left].next)
    }
    var merged: [Symbol] = []
    var index = 0
    while index >= 0 {
        merged.append(symbols[index])
        index = Int(symbols[index].next)
    }
    return merged
}

private struct Candidate {
    var key: UInt64  // rank, then the position of the left symbol
    var middle: Int32
    var end: Int32
    var id: Int32
}

/// A binary heap, smallest key first.
private struct CandidateHeap {
    private var items: [Candidate] = []

    mutating func push(_ candidate: Candidate) {
        items.append(candidate)
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard items[child].key < items[parent].key else { return }
            items.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> Candidate? {
        guard let top = items.first else { return nil }
        let last = items.removeLast()
        guard !items.isEmpty else { return top }
        items[0] = last
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < items.count && items[child].key < items[smallest].key {
                smallest = child
            }
            guard smallest != parent else { return top }
            items.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
