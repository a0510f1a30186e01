/// The tokens `<0x00>` … `<0xFF>`, with which a vocabulary can write every text (byte fallback).
struct ByteTokens: Sendable {
    private let ids: [Int32]  // [256], −1 where the vocabulary lacks the byte

    init(_ vocabulary: Vocabulary) {
        ids = (0..<256).map { vocabulary.id(of: byteTokenSpelling(UInt8($0))) ?? -1 }
    }

    /// - Parameter ids: `[256]`, −1 for none.
    init(ids: [Int32]) {
        precondition(ids.count == 256, "\(ids.count) tokens for 256 bytes")
        self.ids = ids
    }

    subscript(_ byte: UInt8) -> Int32 { ids[Int(byte)] }

    /// Whether every byte in `range` has a token.
    func spells(_ text: Span<UInt8>, _ range: Range<Int>) -> Bool {
        for place in range where ids[Int(text[place])] < 0 { return false }
        return true
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
