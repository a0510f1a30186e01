/// The ids of words encoded before; emptied when full.
///
/// Words repeat so much (Zipf's law) that looking one up replaces most merging.
struct WordCache: Sendable {
    /// Longer words are not kept.
    static let longestWordBytes = 48

    private static let capacity = 1 << 16  // slots, half of which may be used
    private struct Entry {
        var hash: UInt64 = 0  // 0 when empty
        var wordStart: UInt32 = 0
        var idStart: UInt32 = 0
        var wordCount: UInt16 = 0
        var idCount: UInt16 = 0
    }
    private var entries: [Entry] = []  // made on first use
    private var words: [UInt8] = []
    private var ids: [Int32] = []
    private var count = 0

    /// Appends the ids of `word` to `output`, if they are known.
    @inline(__always)
    func append(_ word: Span<UInt8>, hash: UInt64, to output: inout [Int32]) -> Bool {
        guard !entries.isEmpty else { return false }
        var slot = Int(truncatingIfNeeded: hash >> 40) & (WordCache.capacity - 1)
        while entries[slot].hash != 0 {
            let entry = entries[slot]
            if entry.hash == hash, Int(entry.wordCount) == word.count, holds(word, at: Int(entry.wordStart)) {
                let start = Int(entry.idStart)
                for place in start..<start + Int(entry.idCount) { output.append(ids[place]) }
                return true
            }
            slot = (slot + 1) & (WordCache.capacity - 1)
        }
        return false
    }

    mutating func store(_ word: Span<UInt8>, hash: UInt64, ids found: ArraySlice<Int32>) {
        if entries.isEmpty { entries = Array(repeating: Entry(), count: WordCache.capacity) }
        if count >= WordCache.capacity / 2 {
            for slot in entries.indices { entries[slot] = Entry() }
            words.removeAll(keepingCapacity: true)
            ids.removeAll(keepingCapacity: true)
            count = 0
        }
        var slot = Int(truncatingIfNeeded: hash >> 40) & (WordCache.capacity - 1)
        while entries[slot].hash != 0 { slot = (slot + 1) & (WordCache.capacity - 1) }
        entries[slot] = Entry(
            hash: hash, wordStart: UInt32(words.count), idStart: UInt32(ids.count), wordCount: UInt16(word.count), idCount: UInt16(found.count))
        for place in 0..<word.count { words.append(word[place]) }
        ids.append(contentsOf: found)
        count += 1
    }

    /// Never 0.
    @inline(__always)
    static func hash(_ word: Span<UInt8>) -> UInt64 {
        var hash = UInt64(truncatingIfNeeded: word.count) &* 0x9E37_79B9_7F4A_7C15
        let bytes = word.bytes
        var place = 0
        while place + 8 <= bytes.byteCount {
            hash = mix(hash ^ bytes.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self))
            place += 8
        }
        var rest: UInt64 = 0
        while place < bytes.byteCount {
            rest = rest << 8 | UInt64(word[place])
            place += 1
        }
        return mix(hash ^ rest) | 1
    }

    @inline(__always)
    private static func mix(_ value: UInt64) -> UInt64 {
        let (high, low) = (value ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
        return high ^ low
    }

    @inline(__always)
    private func holds(_ word: Span<UInt8>, at start: Int) -> Bool {
        for place in 0..<word.count where words[start + place] != word[place] { return false }
        return true
    }
}

extension Tokens {
    /// Appends the tokens of a word, from the cache where it has them; a cache knows no places, so it is left out when they are asked for.
    /// - Parameter encode: appends the tokens of the word.
    @inline(__always)
    mutating func appendCached(
        _ word: Span<UInt8>, _ scratch: inout EncodingScratch, encode: (_ tokens: inout Tokens, _ scratch: inout EncodingScratch) -> Void
    ) {
        guard !isTracked, word.count <= WordCache.longestWordBytes else {
            encode(&self, &scratch)
            return
        }
        let hash = WordCache.hash(word)
        if scratch.cache.append(word, hash: hash, to: &ids) { return }
        let start = ids.count
        encode(&self, &scratch)
        scratch.cache.store(word, hash: hash, ids: ids[start...])
    }
}
