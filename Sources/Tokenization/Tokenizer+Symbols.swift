import ModelFiles

extension Tokenizer {
    /// A tokenizer for a small made-up language: every symbol is one token, and its id is its place in the list.
    ///
    /// - Parameters:
    ///   - symbols: single ASCII characters, which stand for themselves, and longer strings (`<scratch>`), which are recognised in the text.
    ///   - special: the strings that end a sequence, EOS first; those that are not among `symbols` get the ids after them.
    /// - Throws: `TokenizerError.malformed` for an empty symbol, one that occurs twice, or a single character outside ASCII.
    public static func symbols(_ symbols: [String], special: [String] = []) throws -> Tokenizer {
        let source = "symbol list"
        func refuse(_ name: String, _ problem: String) -> TokenizerError {
            .malformed(source: source, location: "'\(name)'", problem: problem, fix: "Give every symbol once: one ASCII character, or a longer name.")
        }
        let specialBytes = special.map { Array($0.utf8) }
        let all = symbols.map { Array($0.utf8) }.reduce(into: [[UInt8]]()) { $0.append($1) } + specialBytes.filter { bytes in
            !symbols.contains { $0.utf8.elementsEqual(bytes) }
        }
        var vocabulary = Vocabulary(count: all.count)
        var added: [AddedToken] = []
        for (id, bytes) in all.enumerated() {
            let name = String(decoding: bytes, as: UTF8.self)
            let isSpecial = specialBytes.contains(bytes)
            let isAdded = bytes.count > 1 || isSpecial
            let piece = isAdded ? bytes : ByteAlphabet.spelled(bytes)
            if bytes.isEmpty { throw refuse(name, "an empty symbol") }
            if isAdded, name.unicodeScalars.count == 1, !name.utf8.allSatisfy({ $0 < 0x80 }) { throw refuse(name, "not an ASCII character") }
            if vocabulary.id(of: piece) != nil { throw refuse(name, "the symbol occurs twice") }
            vocabulary.insert(piece, id: id)
            if isAdded { added.append(AddedToken(id: Int32(id), content: bytes, isSpecial: isSpecial)) }
        }
        let descriptions = StageDescriptions(
            preTokenizer: byteLevelStage(addPrefixSpace: false, usesPattern: false), decoder: byteLevelStage(addPrefixSpace: true))
        let eos = specialBytes.compactMap { vocabulary.id(of: $0) }
        return Tokenizer(
            model: BytePairEncoding(vocabulary: vocabulary, merges: MergeTable(count: 0)), addedTokens: added,
            stages: try descriptions.stages(source: source), roles: Roles(eos: eos), chatTemplate: nil, origin: .described(descriptions))
    }
}
