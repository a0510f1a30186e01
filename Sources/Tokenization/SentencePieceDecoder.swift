/// What SentencePiece's `DecodeIds` does: control tokens are invisible, the unknown token prints as ` ⁇ `, the first space is the dummy prefix.
///
/// Source: google/sentencepiece `src/sentencepiece_processor.cc`.
struct SentencePieceDecoder: Sendable {
    let kinds: [PieceKind]  // [vocabulary]
    let bytes: [UInt8]  // [vocabulary], the byte of a byte token
    var dropsDummyPrefix = true
    var dropsLeadingSpaces = false  // all of them, where the normalizer removes extra white space
    var unknownSurface = Array(" \u{2047} ".utf8)

    func decode(_ ids: [Int32], piece: (Int32) -> ArraySlice<UInt8>?) -> [UInt8] {
        var text: [UInt8] = []
        var pending: [UInt8] = []
        var expectsPrefix = dropsDummyPrefix || dropsLeadingSpaces
        var sawPrefix = false
        func flush() {
            text.append(contentsOf: repairedBytewise(pending))
            pending = []
        }
        for id in ids {
            guard id >= 0, Int(id) < kinds.count else { continue }
            if kinds[Int(id)] == .byte {
                pending.append(bytes[Int(id)])
                continue
            }
            flush()
            if sawPrefix || !text.isEmpty { expectsPrefix = false }
            sawPrefix = false
            switch kinds[Int(id)] {
            case .control, .byte: break
            case .unknown: text.append(contentsOf: unknownSurface)
            case .normal, .userDefined, .unused:
                var piece = piece(id) ?? []
                if expectsPrefix && piece.starts(with: metaspace) {
                    piece = piece.dropFirst(metaspace.count)
                    sawPrefix = !dropsLeadingSpaces
                }
                text.append(contentsOf: replacing(metaspace, in: piece, by: [UInt8(ascii: " ")]))
            }
        }
        flush()
        return text
    }

    /// The bytes that one token adds inside a text.
    func bytes(of id: Int32, piece: ArraySlice<UInt8>) -> [UInt8] {
        guard Int(id) < kinds.count else { return Array(piece) }
        if kinds[Int(id)] == .byte { return [bytes[Int(id)]] }
        return Array(replacing(metaspace, in: piece, by: [UInt8(ascii: " ")]))
    }

    /// U+FFFD for every byte that is not part of a well-formed character.
    private func repairedBytewise(_ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        var place = 0
        while place < bytes.count {
            let width = (1...4).first { width in
                place + width <= bytes.count && String(validating: bytes[place..<place + width], as: UTF8.self) != nil
            }
            if let width {
                output.append(contentsOf: bytes[place..<place + width])
            } else {
                output.append(contentsOf: replacementCharacter)
            }
            place += width ?? 1
        }
        return output
    }
}
