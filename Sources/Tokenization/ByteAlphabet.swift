/// GPT-2's reversible map between the 256 bytes and 256 printable scalars, in which byte-level vocabularies are written.
///
/// Printable Latin-1 stands for itself; the other bytes become U+0100, U+0101, … in increasing order (so a space is `Ġ`).
/// Source: Radford et al. 2019 (GPT-2), `bytes_to_unicode` in its `encoder.py`.
enum ByteAlphabet {
    /// The scalar of each byte, `[256]`.
    static let scalars: [Unicode.Scalar] = {
        var next: UInt32 = 0x100
        return (UInt32(0)..<256).map { byte in
            switch byte {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return Unicode.Scalar(UInt8(byte))
            default:
                defer { next += 1 }
                return Unicode.Scalar(next)!
            }
        }
    }()

    /// The byte of each scalar below U+0144, or −1.
    private static let bytes: [Int16] = {
        var table = [Int16](repeating: -1, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { table[Int(scalar.value)] = Int16(byte) }
        return table
    }()

    static func byte(of scalar: Unicode.Scalar) -> UInt8? {
        guard scalar.value < 0x144, bytes[Int(scalar.value)] >= 0 else { return nil }
        return UInt8(bytes[Int(scalar.value)])
    }

    /// Appends the bytes that `piece` stands for; a piece with any scalar outside the alphabet stands for its own UTF-8.
    static func appendBytes(of piece: ArraySlice<UInt8>, to output: inout [UInt8]) {
        let start = output.count
        var position = piece.startIndex
        // Every scalar of the alphabet has one or two UTF-8 bytes.
        while position < piece.endIndex {
            let first = piece[position]
            let scalar: UInt32
            if first < 0x80 {
                scalar = UInt32(first)
                position += 1
            } else if first & 0xE0 == 0xC0, position + 1 < piece.endIndex {
                scalar = UInt32(first & 0x1F) << 6 | UInt32(piece[position + 1] & 0x3F)
                position += 2
            } else {
                scalar = .max
            }
            guard scalar < 0x144, bytes[Int(scalar)] >= 0 else {
                output.removeSubrange(start...)
                output.append(contentsOf: piece)
                return
            }
            output.append(UInt8(bytes[Int(scalar)]))
        }
    }

    /// A text written in the alphabet; every byte has the origin of its scalar.
    static func spelled(_ text: AlignedText) -> AlignedText {
        text.mapped { scalar, edit in
            for (index, byte) in UTF8.encode(scalar)!.enumerated() {
                if index == 0 { edit.replace(by: scalars[Int(byte)]) } else { edit.insert(scalars[Int(byte)]) }
            }
            return true
        }
    }

    /// `bytes` written in the alphabet, as UTF-8.
    static func spelled(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var spelling: [UInt8] = []
        for byte in bytes { spelling.append(contentsOf: UTF8.encode(scalars[Int(byte)])!) }
        return spelling
    }

    static func spelled(_ bytes: Span<UInt8>) -> [UInt8] {
        var spelling: [UInt8] = []
        spelling.reserveCapacity(2 * bytes.count)
        for place in 0..<bytes.count { spelling.append(contentsOf: UTF8.encode(scalars[Int(bytes[place])])!) }
        return spelling
    }
}
