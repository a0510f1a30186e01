import ModelFiles

/// An algorithm that turns one word of prepared text into tokens. One file each: byte-pair encoding, Unigram, WordPiece, …
protocol TokenModel: Sendable {
    var vocabulary: Vocabulary { get }
    var unknownToken: Int32? { get }
    /// Whether words come as the bytes themselves instead of in the byte alphabet.
    var readsBytes: Bool { get }

    /// Appends the tokens of a word. What the vocabulary cannot spell becomes the unknown token, or nothing where there is none.
    /// - Parameters:
    ///   - word: UTF-8, not empty; may be the whole text when nothing cuts it.
    ///   - scratch: memory that is used again from word to word.
    func encode(_ word: Span<UInt8>, into tokens: inout Tokens, using scratch: inout EncodingScratch)

    /// The scalars of a word that `encode` drops, as runs.
    func droppedRuns(in word: Span<UInt8>) -> [Range<Int>]

    /// The section `model` of a `tokenizer.json`.
    func description(_ text: (Int32) -> String) -> ModelDescription
}

extension TokenModel {
    var readsBytes: Bool { false }
    func droppedRuns(in word: Span<UInt8>) -> [Range<Int>] { [] }
}

/// Tokens as they are found.
struct Tokens: Sendable {
    /// The bytes of a word that a token stands for.
    struct Place: Sendable {
        var start: Int32
        var end: Int32
    }

    var ids: [Int32] = []
    private(set) var places: [Place] = []  // [ids]; empty when nobody asks
    let isTracked: Bool

    init(isTracked: Bool) { self.isTracked = isTracked }

    @inline(__always)
    mutating func append(_ id: Int32, _ start: Int, _ end: Int) {
        ids.append(id)
        if isTracked { places.append(Place(start: Int32(start), end: Int32(end))) }
    }

    /// Lets the last token stand for more.
    mutating func extendLast(to end: Int) {
        if isTracked { places[places.count - 1].end = Int32(end) }
    }

    mutating func removeAll(from start: Int) {
        ids.removeSubrange(start...)
        if isTracked { places.removeSubrange(start...) }
    }
}

/// What a piece is for.
enum PieceKind: Sendable { case normal, unknown, control, userDefined, unused, byte }

/// The section `model` of a `tokenizer.json`, without the vocabulary where that is an object of ids.
struct ModelDescription {
    var type: String
    var settings: [(key: String, value: JSON)]
    var merges: [(left: Int32, right: Int32)]?
    var scores: [Double]?  // [vocabulary]; the vocabulary is a list then
}

/// Memory of one thread that encodes.
struct EncodingScratch: Sendable {
    var cache = WordCache()
    var symbols: [Symbol] = []
    var lattice: [Unigram.Node] = []
}
