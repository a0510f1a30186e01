/// UTF-8 text on its way through the stages, and which bytes of the text given to `encode` each of its bytes comes from.
///
/// Source of the rules about origins: huggingface/tokenizers `tokenizers/src/tokenizer/normalizer.rs`.
struct AlignedText: Sendable {
    /// A range of bytes in the text given to `encode`.
    struct Origin: Sendable, Equatable {
        var start: Int32
        var end: Int32
        static let none = Origin(start: 0, end: 0)
    }

    private(set) var bytes: [UInt8]
    private(set) var origins: [Origin] = []  // [bytes]; empty when nobody asks for them
    let isTracked: Bool

    /// The bytes in `range` of a text as it was given.
    init(_ text: [UInt8], _ range: Range<Int>, isTracked: Bool) {
        bytes = range.count == text.count ? text : Array(text[range])
        self.isTracked = isTracked
        guard isTracked else { return }
        origins.reserveCapacity(range.count)
        var place = range.lowerBound
        while place < range.upperBound {
            let width = scalarWidth(text[place])
            let origin = Origin(start: Int32(place), end: Int32(place + width))
            for _ in 0..<width { origins.append(origin) }
            place += width
        }
    }

    /// A text that some stage has made.
    /// - Parameter origins: one for each byte; empty when nobody asks.
    init(_ bytes: [UInt8], origins: [Origin], isTracked: Bool) {
        precondition(origins.count == (isTracked ? bytes.count : 0), "\(origins.count) origins for \(bytes.count) bytes")
        self.bytes = bytes
        self.origins = origins
        self.isTracked = isTracked
    }

    /// An empty text, to be filled from another one.
    init(isTracked: Bool, capacity: Int) {
        bytes = []
        bytes.reserveCapacity(capacity)
        self.isTracked = isTracked
        if isTracked { origins.reserveCapacity(capacity) }
    }

    var isEmpty: Bool { bytes.isEmpty }
    var count: Int { bytes.count }

    /// The bytes of the original text behind a range; nothing when they are not tracked.
    func origin(from start: Int, to end: Int) -> Origin {
        guard isTracked else { return .none }
        if start < end { return Origin(start: origins[start].start, end: origins[end - 1].end) }
        let place = start < origins.count ? origins[start].start : origins.last?.end ?? 0
        return Origin(start: place, end: place)
    }

    subscript(_ range: Range<Int>) -> AlignedText {
        AlignedText(Array(bytes[range]), origins: isTracked ? Array(origins[range]) : [], isTracked: isTracked)
    }

    mutating func append(_ other: AlignedText, _ range: Range<Int>) {
        bytes.append(contentsOf: other.bytes[range])
        if isTracked { origins.append(contentsOf: other.origins[range]) }
    }

    /// - Precondition: not tracked.
    fileprivate mutating func append(_ byte: UInt8) { bytes.append(byte) }

    mutating func append(_ scalar: Unicode.Scalar, from origin: Origin) {
        if scalar.value < 0x80 {
            bytes.append(UInt8(scalar.value))
        } else {
            bytes.append(contentsOf: UTF8.encode(scalar)!)
        }
        if isTracked {
            for _ in 0..<UTF8.width(scalar) { origins.append(origin) }
        }
    }

    mutating func append(_ content: [UInt8], from origin: Origin) {
        bytes.append(contentsOf: content)
        if isTracked {
            for _ in content { origins.append(origin) }
        }
    }

    /// The text with every scalar either kept or replaced.
    /// - Parameter change: appends what a scalar becomes; returns false to keep the scalar as it is.
    func mapped(_ change: (Unicode.Scalar, _ to: inout TextEdit) -> Bool) -> AlignedText {
        var edit = TextEdit(self)
        var place = 0
        while place < count {
            let scalar = bytes.scalar(at: place)
            let width = UTF8.width(scalar)
            if !change(scalar, &edit) { edit.keep(width) }
            place += width
        }
        return edit.result
    }
}

/// A rewriting of a text from left to right, in which every new character says how many old ones it stands for.
///
/// A character that stands for none shares the origin of the old character before it; one that stands for several has the origin of the first.
struct TextEdit {
    private let source: AlignedText
    private var place = 0  // in `source`
    private(set) var result: AlignedText

    init(_ source: AlignedText) {
        self.source = source
        result = AlignedText(isTracked: source.isTracked, capacity: source.count)
    }

    /// Takes over the next bytes as they are.
    mutating func keep(_ byteCount: Int) {
        if byteCount == 1 && !source.isTracked { result.append(source.bytes[place]) } else { result.append(source, place..<place + byteCount) }
        place += byteCount
    }

    /// Appends `scalar` in the place of the next old characters.
    mutating func replace(_ characters: Int = 1, by scalar: Unicode.Scalar) {
        let first = place
        skip(characters)
        let origin = first < source.origins.count ? source.origins[first] : .none
        result.append(scalar, from: origin)
    }

    /// Appends `scalar` beside the old character before this place.
    mutating func insert(_ scalar: Unicode.Scalar) {
        let origin = originBefore
        result.append(scalar, from: origin)
    }

    mutating func insert(_ content: [UInt8]) {
        let origin = originBefore
        result.append(content, from: origin)
    }

    /// Drops old characters.
    mutating func skip(_ characters: Int = 1) {
        for _ in 0..<characters where place < source.count { place += scalarWidth(source.bytes[place]) }
    }

    mutating func skipBytes(_ count: Int) { place += count }

    private var originBefore: AlignedText.Origin { source.isTracked && place > 0 ? source.origins[place - 1] : .none }
}

/// The bytes of a scalar whose first byte this is.
@inline(__always)
func scalarWidth(_ lead: UInt8) -> Int { lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4 }

extension [UInt8] {
    /// - Precondition: well-formed UTF-8, and a scalar starts at `place`.
    func scalar(at place: Int) -> Unicode.Scalar { span.scalar(at: place) }
}

extension Span<UInt8> {
    /// - Precondition: well-formed UTF-8, and a scalar starts at `place`.
    @inline(__always)
    func scalar(at place: Int) -> Unicode.Scalar {
        let lead = self[place]
        if lead < 0x80 { return Unicode.Scalar(lead) }
        return wideScalar(at: place)
    }

    private func wideScalar(at place: Int) -> Unicode.Scalar {
        let lead = UInt32(self[place])
        func tail(_ offset: Int) -> UInt32 { UInt32(self[place + offset] & 0x3F) }
        let value =
            lead < 0xE0
            ? (lead & 0x1F) << 6 | tail(1)
            : lead < 0xF0 ? (lead & 0x0F) << 12 | tail(1) << 6 | tail(2) : (lead & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3)
        return Unicode.Scalar(value)!
    }

    /// Where the scalar before `place` starts.
    func scalarStart(before place: Int) -> Int {
        var start = place - 1
        while start > 0, self[start] & 0xC0 == 0x80 { start -= 1 }
        return start
    }

    func starts(with content: [UInt8], at place: Int) -> Bool {
        guard place + content.count <= count else { return false }
        for offset in content.indices where self[place + offset] != content[offset] { return false }
        return true
    }
}
