/// Puts special tokens around an encoded text, or around two.
///
/// Source: huggingface/tokenizers `tokenizers/src/processors/`.
struct PostProcessor: Sendable {
    enum Part: Sendable {
        case special([Token], typeID: Int)
        case text(isSecond: Bool, typeID: Int)
    }

    struct Token: Sendable {
        var id: Int32
        var text: String
    }

    var single: [Part] = [.text(isSecond: false, typeID: 0)]
    var pair: [Part] = [.text(isSecond: false, typeID: 0), .text(isSecond: true, typeID: 1)]
    /// Takes the white space at the borders of a token out of its offsets.
    var trimmings: [Trimming] = []

    struct Trimming: Sendable {
        var addsPrefixSpace: Bool  // the space in front of the first word is not in the text
    }

    /// The ids of one text with its special tokens.
    func callAsFunction(_ ids: [Int32]) -> [Int32] {
        if single.count == 1 { return ids }
        return single.flatMap { part in
            if case .special(let tokens, _) = part { tokens.map(\.id) } else { ids }
        }
    }

    /// - Parameter addsSpecialTokens: false leaves only the texts, with their types.
    func callAsFunction(_ first: Encoding, _ second: Encoding?, addsSpecialTokens: Bool) -> Encoding {
        let texts = [first, second].map { text in text.map { text in trimmings.reduce(text) { $1.trim($0) } } }
        var whole = Encoding()
        for part in second == nil ? single : pair {
            switch part {
            case .special(let tokens, let typeID):
                guard addsSpecialTokens else { continue }
                for token in tokens { whole.appendSpecial(token.id, token.text, typeID: typeID) }
            case .text(let isSecond, let typeID):
                if let text = texts[isSecond ? 1 : 0] { whole.append(text, typeID: typeID, sequenceID: isSecond ? 1 : 0) }
            }
        }
        return whole
    }
}

extension PostProcessor.Trimming {
    fileprivate func trim(_ encoding: Encoding) -> Encoding {
        var encoding = encoding
        for index in encoding.ids.indices {
            let scalars = Array(encoding.tokens[index].unicodeScalars)
            func isSpace(_ scalar: Unicode.Scalar) -> Bool { scalar.value == 0x120 || ScalarClass.of(scalar).contains(.space) }
            var leading = scalars.prefix(while: isSpace).count
            let trailing = scalars.reversed().prefix(while: isSpace).count
            var (start, end) = (encoding.offsets[index].lowerBound, encoding.offsets[index].upperBound)
            if leading > 0 {
                if addsPrefixSpace, leading == 1, index == 0 || start == 0 { leading = 0 }
                start = min(start + leading, end)
            }
            if trailing > 0, end >= trailing { end = max(end - trailing, start) }
            encoding.offsets[index] = start..<end
        }
        return encoding
    }
}
