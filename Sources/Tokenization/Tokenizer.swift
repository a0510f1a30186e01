/// Text to token ids and back, as the model was trained with.
///
/// Made from a `tokenizer.json`, from the metadata of a GGUF file, or from a list of symbols; all stages are immutable,
/// so one tokenizer serves all threads.
public final class Tokenizer: Sendable {
    enum Model: Sendable {
        case bytePairs(BytePairEncoding)
        case scoredPairs(ScoredPairEncoding, ScoredPairDecoder)

        var vocabulary: Vocabulary {
            switch self {
            case .bytePairs(let model): model.vocabulary
            case .scoredPairs(let model, _): model.vocabulary
            }
        }
    }

    /// Tokens with a role, by id.
    struct Roles: Sendable {
        var bos: Int32?
        var eos: [Int32] = []
        var unknown: Int32?
        var padding: Int32?
    }

    let model: Model
    let addedTokens: AddedTokens
    let normalizer: TextNormalizer?
    let preTokenizer: PreTokenizer?
    let postProcessor: PostProcessor
    let decoder: TokenDecoder
    let roles: Roles
    let origin: Origin
    private let addedByID: [Int32: AddedToken]
    private let addedByContent: [[UInt8]: Int32]

    /// The Jinja source of the chat template that came with the tokenizer.
    public let chatTemplate: String?
    /// One more than the largest id.
    public let vocabularySize: Int

    init(
        model: Model, addedTokens tokens: [AddedToken], stages: Stages, roles: Roles, chatTemplate: String?, origin: Origin
    ) {
        self.model = model
        normalizer = stages.normalizer
        preTokenizer = stages.preTokenizer
        postProcessor = stages.postProcessor
        decoder = stages.decoder
        addedTokens = AddedTokens(tokens) { text in stages.normalizer?.normalize(text) ?? text }
        addedByID = Dictionary(tokens.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        addedByContent = Dictionary(tokens.map { ($0.content, $0.id) }, uniquingKeysWith: { first, _ in first })
        vocabularySize = max(model.vocabulary.count, Int(tokens.map(\.id).max() ?? -1) + 1)
        self.roles = roles
        self.chatTemplate = chatTemplate
        self.origin = origin
    }

    // MARK: Encoding

    /// The ids of a text.
    ///
    /// `addSpecialTokens` puts the tokens of the post-processor (such as BOS) around the text. `parseSpecial` recognises
    /// special tokens written in the text; false treats them as text.
    public func encode(_ text: String, addSpecialTokens: Bool = false, parseSpecial: Bool = true) -> [Int32] {
        var ids: [Int32] = []
        split(text, parseSpecial: parseSpecial) { part in
            switch part {
            case .token(let id): ids.append(id)
            case .word(let word):
                switch model {
                case .bytePairs(let model): model.encode(word, into: &ids)
                case .scoredPairs(let model, _): model.encode(word, into: &ids)
                }
            }
        }
        return addSpecialTokens ? postProcessor(ids) : ids
    }

    /// The parts of a text that leave no token, so that a model would not see them, five at most: a vocabulary that has neither all bytes nor
    /// an unknown token drops what it does not know. Unprintable ones are spelled as bytes (`<0x13>`). White space, and what the normalizer
    /// takes away by design, are not among them.
    public func partsWithoutToken(of text: String) -> [String] {
        guard case .bytePairs(let pairs) = model, pairs.unknownToken == nil else { return [] }
        var parts: [String] = []
        split(text, parseSpecial: true) { part in
            guard parts.count < 5, case .word(let word) = part else { return }
            for run in pairs.scalarsWithoutToken(in: word) {
                let bytes = decoder.bytes(of: Array(String(String.UnicodeScalarView(run)).utf8)[...])
                let text = String(validating: bytes, as: UTF8.self)
                if text?.allSatisfy(\.isWhitespace) == true { continue }
                let isPrintable = text?.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } ?? false
                let part = isPrintable ? text! : String(decoding: bytes.flatMap(byteTokenSpelling), as: UTF8.self)
                if parts.count < 5, !parts.contains(part) { parts.append(part) }
            }
        }
        return parts
    }

    private enum Part {
        case token(Int32)
        case word(ArraySlice<Unicode.Scalar>)
    }

    /// What encodes by itself: added tokens, and the words of the text between them, normalized.
    private func split(_ text: String, parseSpecial: Bool, _ body: (Part) -> Void) {
        let bytes = Array(text.utf8)
        for segment in addedTokens.splitOriginal(bytes, parseSpecial: parseSpecial) {
            switch segment {
            case .token(let id): body(.token(id))
            case .text(let range):
                let normalized = normalizer?.normalize(Array(bytes[range])) ?? Array(bytes[range])
                for segment in addedTokens.splitNormalized(normalized, parseSpecial: parseSpecial) {
                    switch segment {
                    case .token(let id): body(.token(id))
                    case .text(let part):
                        let scalars = Array(String(decoding: normalized[part], as: UTF8.self).unicodeScalars)
                        let whole = [PreTokenizer.Piece(text: scalars[...], startsText: range.lowerBound == 0 && part.lowerBound == 0)]
                        for piece in preTokenizer?.split(whole) ?? whole where !piece.text.isEmpty { body(.word(piece.text)) }
                    }
                }
            }
        }
    }

    // MARK: Decoding

    /// The text of `ids`; bytes that are not UTF-8 become U+FFFD, and ids outside the vocabulary nothing.
    public func decode(_ ids: [Int32], skipSpecialTokens: Bool = false) -> String {
        String(decoding: decodedBytes(ids, skipSpecialTokens: skipSpecialTokens), as: UTF8.self)
    }

    func decodedBytes(_ ids: [Int32], skipSpecialTokens: Bool) -> [UInt8] {
        let kept = skipSpecialTokens ? ids.filter { !isSpecial($0) } : ids
        if case .scoredPairs(_, let decoder) = model { return decoder.decode(kept, piece: pieceBytes) }
        return decoder.decode(kept.compactMap(pieceBytes))
    }

    /// The bytes that a token adds to the text; possibly only part of a character. An id outside the vocabulary has none.
    public func bytes(of id: Int32) -> [UInt8] {
        guard let piece = pieceBytes(id) else { return [] }
        if addedByID[id] != nil { return Array(piece) }
        switch model {
        case .scoredPairs(_, let decoder):
            if case .byte(let byte) = decoder.kinds[Int(id)] { return [byte] }
            return Array(replacing(metaspace, in: piece, by: [UInt8(ascii: " ")]))
        case .bytePairs:
            return decoder.bytes(of: piece)
        }
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

extension TokenDecoder {
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
        case .replace, .suffix: return decode([piece])
        case .metaspace(let replacement, _): return Array(replacing(replacement, in: piece, by: [UInt8(ascii: " ")]))
        case .none, .fuse, .strip: return Array(piece)
        }
    }
}
