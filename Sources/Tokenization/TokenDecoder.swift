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
    case wordPiece(prefix: [UInt8], cleansUp: Bool)

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
                var output: [UInt8] = []
                pattern.forEachPart(of: piece.span) { part, isMatch in
                    output.append(contentsOf: isMatch ? content[...] : piece[piece.startIndex + part.lowerBound..<piece.startIndex + part.upperBound])
                }
                return output[...]
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
        case .wordPiece(let prefix, let cleansUp):
            return pieces.enumerated().map { index, piece in
                var piece = piece
                if index > 0 {
                    piece = !prefix.isEmpty && piece.starts(with: prefix) ? piece.dropFirst(prefix.count) : ([UInt8(ascii: " ")] + piece)[...]
                }
                return cleansUp ? TokenDecoder.cleanedUp(piece) : piece
            }
        }
    }

    /// Takes back the spaces that splitting has put before punctuation and contractions.
    private static func cleanedUp(_ piece: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard piece.first == UInt8(ascii: " ") || piece.contains(UInt8(ascii: " ")) else { return piece }
        return cleanups.reduce(piece) { replacing($1.old, in: $0, by: $1.new) }
    }

    private static let cleanups: [(old: [UInt8], new: [UInt8])] = [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"),
        (" 've", "'ve"), (" 're", "'re"),
    ].map { (Array($0.0.utf8), Array($0.1.utf8)) }

    /// What one piece contributes, without the trimming at the start of a text.
    func bytes(of piece: ArraySlice<UInt8>) -> [UInt8] {
        switch self {
        case .sequence(let decoders):
            return decoders.reduce(Array(piece)) { $1.bytes(of: $0[...]) }
        case .byteLevel:
            var bytes: [UInt8] = []
            ByteAlphabet.appendBytes(of: piece, to: &bytes)
            return bytes
        case .byteFallback: return byteSpelled(piece).map { [$0] } ?? Array(piece)
        case .replace: return decode([piece])
        case .suffix(let suffix): return Array(replacing(suffix, in: piece, by: [UInt8(ascii: " ")]))
        case .metaspace(let replacement, _): return Array(replacing(replacement, in: piece, by: [UInt8(ascii: " ")]))
        case .wordPiece: return decode([[], piece])
        case .none, .fuse, .strip: return Array(piece)
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
