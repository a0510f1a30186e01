/// The tokens of a text, or of two, and where each comes from.
public struct Encoding: Sendable, Equatable {
    public internal(set) var ids: [Int32] = []
    /// The tokens as written in the vocabulary. Added tokens stand as they do in the text, with the white space that they take; so does what a
    /// Unigram or SentencePiece vocabulary does not know.
    public internal(set) var tokens: [String] = []
    /// The stretch of the text that each token stands for, in Unicode scalars of the text as it was given; empty for special tokens that were added.
    public internal(set) var offsets: [Range<Int>] = []
    /// Which part of the input a token belongs to in the eyes of the model: BERT's 0 for the first text and 1 for the second.
    public internal(set) var typeIDs: [Int] = []
    /// The number of the word in its text; nil for special tokens that were added.
    public internal(set) var wordIDs: [Int?] = []
    /// 0 for the first text, 1 for the second, nil for special tokens that were added.
    public internal(set) var sequenceIDs: [Int?] = []
    /// Whether the token was added around the texts.
    public internal(set) var isAddedSpecial: [Bool] = []

    mutating func append(_ id: Int32, _ token: String, _ offsets: Range<Int>, wordID: Int) {
        ids.append(id)
        tokens.append(token)
        self.offsets.append(offsets)
        typeIDs.append(0)
        wordIDs.append(wordID)
        sequenceIDs.append(0)
        isAddedSpecial.append(false)
    }

    mutating func appendSpecial(_ id: Int32, _ token: String, typeID: Int) {
        ids.append(id)
        tokens.append(token)
        offsets.append(0..<0)
        typeIDs.append(typeID)
        wordIDs.append(nil)
        sequenceIDs.append(nil)
        isAddedSpecial.append(true)
    }

    /// Some of the tokens, by their numbers.
    public func taking(_ tokens: [Int]) -> Encoding {
        func pick<Value>(_ values: [Value]) -> [Value] { tokens.map { values[$0] } }
        var part = Encoding()
        (part.ids, part.tokens, part.offsets, part.typeIDs) = (pick(ids), pick(self.tokens), pick(offsets), pick(typeIDs))
        (part.wordIDs, part.sequenceIDs, part.isAddedSpecial) = (pick(wordIDs), pick(sequenceIDs), pick(isAddedSpecial))
        return part
    }

    mutating func append(_ other: Encoding, typeID: Int, sequenceID: Int) {
        ids += other.ids
        tokens += other.tokens
        offsets += other.offsets
        typeIDs += other.ids.map { _ in typeID }
        wordIDs += other.wordIDs
        sequenceIDs += other.ids.map { _ in sequenceID }
        isAddedSpecial += other.isAddedSpecial
    }
}
