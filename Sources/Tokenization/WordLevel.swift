import ModelFiles

/// Every word is one token.
struct WordLevel: TokenModel {
    let vocabulary: Vocabulary
    let unknownToken: Int32?

    func encode(_ word: Span<UInt8>, into tokens: inout Tokens, using scratch: inout EncodingScratch) {
        if let id = vocabulary.id(of: word) ?? unknownToken { tokens.append(id, 0, word.count) }
    }

    func droppedRuns(in word: Span<UInt8>) -> [Range<Int>] { unknownToken == nil && vocabulary.id(of: word) == nil ? [0..<word.count] : [] }

    func description(_ text: (Int32) -> String) -> ModelDescription {
        ModelDescription(type: "WordLevel", settings: [("unk_token", .string(unknownToken.map(text) ?? ""))])
    }
}
