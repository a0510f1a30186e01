/// Text to token ids and back, as the model was trained with.
///
/// Made from a `tokenizer.json`, a SentencePiece model, the metadata of a GGUF file, or a list of symbols; all stages are immutable,
/// so one tokenizer serves all threads.
public final class Tokenizer: Sendable {
    /// Tokens with a role, by id.
    struct Roles: Sendable {
        var bos: Int32?
        var eos: [Int32] = []
        var unknown: Int32?
        var padding: Int32?
    }

    let model: any TokenModel
    let addedTokens: AddedTokens
    let normalizer: TextNormalizer?
    let preTokenizer: PreTokenizer?
    let postProcessor: PostProcessor
    let decoder: TokenDecoder
    let sentencePiece: SentencePieceDecoder?  // decodes in place of `decoder`
    let roles: Roles
    let origin: Origin
    let spellsUnknown: Bool  // unknown text is shown as such among the tokens
    let scratch = ScratchPool()
    private let addedByID: [Int32: AddedToken]
    private let addedByContent: [[UInt8]: Int32]

    /// The Jinja source of the chat template that came with the tokenizer.
    public let chatTemplate: String?
    /// One more than the largest id.
    public let vocabularySize: Int

    init(
        model: any TokenModel, addedTokens tokens: [AddedToken], stages: Stages, roles: Roles, chatTemplate: String?, origin: Origin
    ) {
        if let bytePairs = model as? BytePairEncoding, let leavingBytes = stages.preTokenizer?.leavingBytes {
            self.model = bytePairs.readingBytes
            preTokenizer = leavingBytes
        } else {
            self.model = model
            preTokenizer = stages.preTokenizer
        }
        spellsUnknown = model is Unigram || stages.sentencePiece != nil
        normalizer = stages.normalizer
        postProcessor = stages.postProcessor
        decoder = stages.decoder
        sentencePiece = stages.sentencePiece
        addedTokens = AddedTokens(tokens, normalizer: stages.normalizer)
        addedByID = Dictionary(addedTokens.asMatched.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        addedByContent = Dictionary(tokens.map { ($0.content, $0.id) }, uniquingKeysWith: { first, _ in first })
        vocabularySize = max(model.vocabulary.count, Int(tokens.map(\.id).max() ?? -1) + 1)
        self.roles = roles
        self.chatTemplate = chatTemplate
        self.origin = origin
    }

    // MARK: Decoding

    /// The text of `ids`; bytes that are not UTF-8 become U+FFFD, and ids outside the vocabulary nothing.
    public func decode(_ ids: [Int32], skipSpecialTokens: Bool = false) -> String {
        String(decoding: decodedBytes(ids, skipSpecialTokens: skipSpecialTokens), as: UTF8.self)
    }

    func decodedBytes(_ ids: [Int32], skipSpecialTokens: Bool) -> [UInt8] {
        // SentencePiece never prints control tokens, and always the unknown one.
        let kept = skipSpecialTokens ? ids.filter { !isSpecial($0) || sentencePiece != nil && $0 == model.unknownToken } : ids
        if let sentencePiece { return sentencePiece.decode(kept, piece: pieceBytes) }
        return decoder.decode(kept.compactMap(pieceBytes))
    }

    /// The bytes that a token adds to the text; possibly only part of a character. An id outside the vocabulary has none.
    public func bytes(of id: Int32) -> [UInt8] {
        guard let piece = pieceBytes(id) else { return [] }
        if addedByID[id] != nil { return Array(piece) }
        return sentencePiece?.bytes(of: id, piece: piece) ?? decoder.bytes(of: piece)
    }

    // MARK: Vocabulary

    /// The id of a piece as written in the vocabulary (`Ġthe`), or of an added token.
    public func id(of piece: String) -> Int32? {
        let bytes = Array(piece.utf8)
        return addedByContent[bytes] ?? model.vocabulary.id(of: bytes)
    }

    /// A piece as written in the vocabulary, or the content of an added token.
    public func piece(_ id: Int32) -> String? {
        pieceBytes(id).map { String(decoding: $0, as: UTF8.self) }
    }

    func pieceBytes(_ id: Int32) -> ArraySlice<UInt8>? {
        if let token = addedByID[id] { return token.content[...] }
        return model.vocabulary.piece(Int(id))
    }

    /// Whether a token structures the sequence instead of being text (`<|im_end|>`); such tokens are left out by `skipSpecialTokens`.
    public func isSpecial(_ id: Int32) -> Bool { addedByID[id]?.isSpecial ?? false }

    public var bosToken: Int32? { roles.bos }
    /// The first of `eosTokens`.
    public var eosToken: Int32? { roles.eos.first }
    /// Tokens after which a completion ends.
    public var eosTokens: [Int32] { roles.eos }
    public var unknownToken: Int32? { roles.unknown }
    public var paddingToken: Int32? { roles.padding }
}
