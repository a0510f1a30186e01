import Synchronization

/// Byte-pair encoding with a list of merges, as in `tokenizer.json` files of type `BPE` and GGUF files of model `gpt2`.
struct BytePairEncoding: Sendable {
    let vocabulary: Vocabulary
    let merges: MergeTable
    let unknownToken: Int32?
    let fuseUnknown: Bool
    let ignoreMerges: Bool  // a word that is in the vocabulary is taken whole
    private let byteTokens: [Int32]?  // [256], `<0x00>`… when byte fallback is on and complete
    private let firstSymbols: [Int32]  // ids of the one-scalar pieces below U+0200, −1 where there is none
    private let cache = WordCache()

    init(
        vocabulary: Vocabulary, merges: MergeTable, unknownToken: Int32? = nil, fuseUnknown: Bool = false,
        byteFallback: Bool = false, ignoreMerges: Bool = false
    ) {
        self.vocabulary = vocabulary
        self.merges = merges
        self.unknownToken = unknownToken
        self.fuseUnknown = fuseUnknown
        self.ignoreMerges = ignoreMerges
        byteTokens = byteFallback ? (0..<256).map { vocabulary.id(of: byteTokenSpelling(UInt8($0))) ?? -1 } : nil
        firstSymbols = (UInt32(0)..<0x200).map { vocabulary.id(of: Array(String(Unicode.Scalar($0)!).utf8)) ?? -1 }
    }

    /// Appends the ids of one pre-tokenized word. A character that is not in the vocabulary becomes its bytes (byte fallback),
    /// else the unknown token, else nothing.
    func encode(_ word: ArraySlice<Unicode.Scalar>, into ids: inout [Int32]) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(2 * word.count)
        for scalar in word { bytes.append(contentsOf: UTF8.encode(scalar)!) }
        if ignoreMerges, let id = vocabulary.id(of: bytes) {
            ids.append(id)
            return
        }
        let isCached = !merges.isEmpty && bytes.count <= WordCache.longestWordBytes
        if isCached, let known = cache.ids(of: bytes) {
            ids.append(contentsOf: known)
            return
        }
        let merged = mergeSymbols(symbols(word)) { merges.merge(left: $0.id, right: $1.id) }
        let start = ids.count
        for symbol in merged { ids.append(symbol.id) }
        if isCached { cache.store(Array(ids[start...]), of: bytes) }
    }

    /// What `encode` drops where there is no unknown token, as runs.
    func scalarsWithoutToken(in word: ArraySlice<Unicode.Scalar>) -> [ArraySlice<Unicode.Scalar>] {
        if ignoreMerges, vocabulary.id(of: Array(String(String.UnicodeScalarView(word)).utf8)) != nil { return [] }
        return word.split { scalar in
            let spelling = UTF8.encode(scalar)!
            return vocabulary.id(of: spelling) != nil || byteTokens.map { tokens in spelling.allSatisfy { tokens[Int($0)] >= 0 } } == true
        }
    }

    private func symbols(_ word: ArraySlice<Unicode.Scalar>) -> [Symbol] {
        var symbols: [Symbol] = []
        symbols.reserveCapacity(word.count)
        var offset: Int32 = 0
        func append(_ id: Int32, bytes: Int) {
            symbols.append(Symbol(id: id, start: offset, end: offset + Int32(bytes)))
            offset += Int32(bytes)
        }
        var afterUnknown = false
        for scalar in word {
            if scalar.value < 0x200, firstSymbols[Int(scalar.value)] >= 0 {
                append(firstSymbols[Int(scalar.value)], bytes: scalar.value < 0x80 ? 1 : 2)
                afterUnknown = false
                continue
            }
            let spelling = UTF8.encode(scalar)!
            if scalar.value >= 0x200, let id = vocabulary.id(of: spelling) {
                append(id, bytes: spelling.count)
                afterUnknown = false
            } else if let byteTokens, spelling.allSatisfy({ byteTokens[Int($0)] >= 0 }) {
                for byte in spelling { append(byteTokens[Int(byte)], bytes: 1) }
                afterUnknown = false
            } else if let unknownToken {
                if afterUnknown && fuseUnknown {
                    symbols[symbols.count - 1].end += Int32(spelling.count)
                    offset += Int32(spelling.count)
                } else {
                    append(unknownToken, bytes: spelling.count)
                }
                afterUnknown = true
            }
        }
        return symbols
    }
}

/// How byte-fallback vocabularies spell a byte: `<0x0A>`.
func byteTokenSpelling(_ byte: UInt8) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    return Array("<0x".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)], UInt8(ascii: ">")]
}

/// The byte that `<0x0A>` spells; nil for any other piece.
func byteSpelled(_ piece: ArraySlice<UInt8>) -> UInt8? {
    guard piece.count == 6, piece.starts(with: Array("<0x".utf8)), piece.last == UInt8(ascii: ">") else { return nil }
    return UInt8(String(decoding: piece.dropFirst(3).dropLast(), as: UTF8.self), radix: 16)
}

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

/// Ids of recently encoded words; emptied when full.
final class WordCache: Sendable {
    static let longestWordBytes = 64
    private static let capacity = 16_384
    private let words = Mutex<[[UInt8]: [Int32]]>([:])

    func ids(of word: [UInt8]) -> [Int32]? { words.withLock { $0[word] } }

    func store(_ ids: [Int32], of word: [UInt8]) {
        words.withLock { words in
            if words.count >= WordCache.capacity { words.removeAll(keepingCapacity: true) }
            words[word] = ids
        }
    }
}
