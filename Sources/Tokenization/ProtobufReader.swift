/// Walks through the fields of a protocol buffers message.
///
/// Source: the encoding guide of Protocol Buffers. Every length is checked against what is left before it is used.
struct ProtobufReader {
    /// A field, by its number.
    enum Value {
        case varint(UInt64)
        case fixed64(UInt64)
        case bytes(Range<Int>)  // in `bytes`
        case fixed32(UInt32)
    }

    struct Problem: Error {
        var place: Int  // byte in the file
        var text: String
    }

    private let bytes: [UInt8]
    private(set) var place: Int
    private let end: Int

    init(_ bytes: [UInt8], in range: Range<Int>? = nil) {
        self.bytes = bytes
        place = range?.lowerBound ?? 0
        end = range?.upperBound ?? bytes.count
    }

    /// - Returns: nil at the end of the message.
    mutating func next() throws(Problem) -> (field: Int, value: Value)? {
        guard place < end else { return nil }
        let start = place
        let tag = try varint()
        guard tag >> 3 > 0, tag >> 3 < 1 << 29 else { throw Problem(place: start, text: "field number \(tag >> 3)") }
        let field = Int(tag >> 3)
        switch tag & 7 {
        case 0: return (field, .varint(try varint()))
        case 1: return (field, .fixed64(UInt64(try fixed(4)) | UInt64(try fixed(4)) << 32))
        case 2:
            let length = try varint()
            guard length <= UInt64(end - place) else {
                throw Problem(place: start, text: "field \(field) announces \(length) bytes, but \(end - place) follow")
            }
            defer { place += Int(length) }
            return (field, .bytes(place..<place + Int(length)))
        case 5: return (field, .fixed32(try fixed(4)))
        default: throw Problem(place: start, text: "field \(field) has the unknown wire type \(tag & 7)")
        }
    }

    private mutating func varint() throws(Problem) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            guard place < end else { throw Problem(place: place, text: "the message ends inside a number") }
            let byte = bytes[place]
            place += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw Problem(place: place, text: "a number of more than 10 bytes")
    }

    private mutating func fixed(_ count: Int) throws(Problem) -> UInt32 {
        guard end - place >= count else { throw Problem(place: place, text: "the message ends inside a number") }
        var value: UInt32 = 0
        for index in 0..<count { value |= UInt32(bytes[place + index]) << UInt32(8 * index) }
        place += count
        return value
    }
}
