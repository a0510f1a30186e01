/// Turns pieces back into text.
///
/// Source: huggingface/tokenizers `tokenizers/src/decoders/`.
indirect enum TokenDecoder: Sendable {
    case none  // pieces joined by spaces
    case sequence([TokenDecoder])
    case byteLevel
    case byteFallback
    case fuse
    case replace(SplitPattern, content: [UInt8])
    case strip(content: [UInt8], start: Int, stop: Int)
    case metaspace(replacement: [UInt8], dropsFirst: Bool)
    case suffix([UInt8])  // BPEDecoder: the suffix ends a word

    func decode(_ pieces: [ArraySlice<UInt8>]) -> [UInt8] {
        if case .none = self { return Array(pieces.joined(separator: [UInt8(ascii: " ")])) }
        return Array(chain(pieces).joined())
    }

    private func chain(_ pieces: [ArraySlice<UInt8>]) -> [ArraySlice<UInt8>] {
        switch self {
        case .none: return pieces
        case .sequence(let decoders): return decoders.reduce(pieces) { $1.chain($0) }
        case .byteLevel:
            var bytes: [UInt8] = []
            for piece in pieces { ByteAlphabet.appendBytes(of: piece, to: &bytes) }
            return [repaired(bytes)[...]]
        case .byteFallback:
            var decoded: [ArraySlice<UInt8>] = []
            var bytes: [UInt8] = []
            func flush() {
                guard !bytes.isEmpty else { return }
                let isText = String(validating: bytes, as: UTF8.self) != nil
                decoded.append(isText ? bytes[...] : Array(repeatElement(replacementCharacter, count: bytes.count).joined())[...])
                bytes = []
            }
            for piece in pieces {
                if let byte = byteSpelled(piece) {
                    bytes.append(byte)
                } else {
                    flush()
                    decoded.append(piece)
                }
            }
            flush()
            return decoded
        case .fuse: return [Array(pieces.joined())[...]]
        case .replace(let pattern, let content):
            return pieces.map { piece in
                let normalizer = TextNormalizer.replace(pattern, content: content)
                return piece.isEmpty ? piece : normalizer.normalize(Array(piece))[...]
            }
        case .strip(let content, let start, let stop):
            return pieces.map { piece in
                var piece = piece
                for _ in 0..<start where piece.starts(with: content) { piece = piece.dropFirst(content.count) }
                for _ in 0..<stop where piece.count >= content.count && piece.suffix(content.count).elementsEqual(content) {
                    piece = piece.dropLast(content.count)
                }
                return piece
            }
        case .metaspace(let replacement, let dropsFirst):
            return pieces.enumerated().map { index, piece in
                replacing(replacement, in: piece, by: index == 0 && dropsFirst ? [] : [UInt8(ascii: " ")])
            }
        case .suffix(let suffix):
            return pieces.enumerated().map { index, piece in
                replacing(suffix, in: piece, by: index == pieces.count - 1 ? [] : [UInt8(ascii: " ")])
            }
        }
    }
}

/// U+FFFD
let replacementCharacter: [UInt8] = [0xEF, 0xBF, 0xBD]
/// U+2581, which stands for a space in SentencePiece vocabularies.
let metaspace: [UInt8] = [0xE2, 0x96, 0x81]

/// `bytes` with U+FFFD for each maximal ill-formed part.
func repaired(_ bytes: [UInt8]) -> [UInt8] { Array(String(decoding: bytes, as: UTF8.self).utf8) }

/// Byte-wise, so never confused by canonical equivalence.
func replacing(_ wanted: [UInt8], in text: ArraySlice<UInt8>, by content: [UInt8]) -> ArraySlice<UInt8> {
    guard !wanted.isEmpty else { return text }
    var output: [UInt8] = []
    var position = text.startIndex
    while position < text.endIndex {
        if text[position...].starts(with: wanted) {
            output.append(contentsOf: content)
            position += wanted.count
        } else {
            output.append(text[position])
            position += 1
        }
    }
    return output[...]
}

/// What SentencePiece's `DecodeIds` does: control tokens are invisible, the unknown token prints as ` ⁇ `, the first space is the dummy prefix.
///
/// Source: google/sentencepiece `src/sentencepiece_processor.cc`.
struct ScoredPairDecoder: Sendable {
    enum Kind: Sendable { case text, control, unknown, byte(UInt8) }
    let kinds: [Kind]  // [vocabulary]
    let dropsDummyPrefix: Bool

    func decode(_ ids: [Int32], piece: (Int32) -> ArraySlice<UInt8>?) -> [UInt8] {
        var text: [UInt8] = []
        var bytes: [UInt8] = []
        var expectsPrefix = dropsDummyPrefix
        var sawPrefix = false
        func flush() {
            text.append(contentsOf: repairedBytewise(bytes))
            bytes = []
        }
        for id in ids {
            guard id >= 0, Int(id) < kinds.count else { continue }
            if case .byte(let byte) = kinds[Int(id)] {
                bytes.append(byte)
                continue
            }
            flush()
            if sawPrefix || !text.isEmpty { expectsPrefix = false }
            switch kinds[Int(id)] {
            case .control, .byte: sawPrefix = false
            case .unknown:
                text.append(contentsOf: " \u{2047} ".utf8)
                sawPrefix = false
            case .text:
                var piece = piece(id) ?? []
                sawPrefix = expectsPrefix && piece.starts(with: metaspace)
                if sawPrefix { piece = piece.dropFirst(metaspace.count) }
                text.append(contentsOf: replacing(metaspace, in: piece, by: [UInt8(ascii: " ")]))
            }
        }
        flush()
        return text
    }

    /// U+FFFD for every byte that is not part of a well-formed character.
    private func repairedBytewise(_ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        var position = 0
        while position < bytes.count {
            let width = (1...4).first { width in
                position + width <= bytes.count && String(validating: bytes[position..<position + width], as: UTF8.self) != nil
            }
            if let width {
                output.append(contentsOf: bytes[position..<position + width])
            } else {
                output.append(contentsOf: replacementCharacter)
            }
            position += width ?? 1
        }
        return output
    }
}
