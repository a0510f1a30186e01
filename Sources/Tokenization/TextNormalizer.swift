/// Rewrites a stretch of text between added tokens, before it is split.
///
/// Source: huggingface/tokenizers `tokenizers/src/normalizers/`.
indirect enum TextNormalizer: Sendable {
    case sequence([TextNormalizer])
    case unicode(UnicodeForm)
    case lowercase
    case replace(SplitPattern, content: [UInt8])
    case prepend([UInt8])
    case strip(left: Bool, right: Bool)
    case stripAccents
    case bert(BertNormalizer)
    case nmt
    case precompiled(CharacterMap)
    case byteAlphabet
    case sentencePiece(SentencePieceNormalizer)

    func normalize(_ text: AlignedText) -> AlignedText {
        switch self {
        case .sequence(let normalizers): return normalizers.reduce(text) { $1.normalize($0) }
        case .unicode(let form): return form.normalize(text)
        case .lowercase: return text.lowercased
        case .replace(.textEnd, let content):
            guard !text.isEmpty else { return text }
            var edit = TextEdit(text)
            edit.keep(text.count)
            edit.insert(content)
            return edit.result
        case .replace(let pattern, let content):
            var edit = TextEdit(text)
            pattern.forEachPart(of: text.bytes.span) { part, isMatch in
                if isMatch {
                    edit.skipBytes(part.count)
                    edit.insert(content)
                } else {
                    edit.keep(part.count)
                }
            }
            return edit.result
        case .prepend(let prefix):
            guard !text.isEmpty, !prefix.isEmpty else { return text }
            let first = text.bytes.scalar(at: 0)
            var edit = TextEdit(text)
            for (index, scalar) in String(decoding: prefix, as: UTF8.self).unicodeScalars.enumerated() {
                if index == 0 { edit.replace(by: scalar) } else { edit.insert(scalar) }
            }
            edit.insert(first)
            edit.keep(text.count - UTF8.width(first))
            return edit.result
        case .strip(let left, let right):
            let bytes = text.bytes.span
            var (start, end) = (0, text.count)
            while left, start < end, ScalarClass.of(bytes.scalar(at: start)).contains(.space) { start += scalarWidth(bytes[start]) }
            while right, end > start {
                let last = bytes.scalarStart(before: end)
                guard ScalarClass.of(bytes.scalar(at: last)).contains(.space) else { break }
                end = last
            }
            if end - start == text.count { return text }
            var edit = TextEdit(text)
            edit.skipBytes(start)
            edit.keep(end - start)
            return edit.result
        case .stripAccents: return text.without(.accent)
        case .bert(let normalizer): return normalizer.normalize(text)
        case .nmt: return TextNormalizer.withoutNmtControls(text)
        case .precompiled(let map): return map.normalize(text)
        case .byteAlphabet: return ByteAlphabet.spelled(text)
        case .sentencePiece(let normalizer): return normalizer.normalize(text)
        }
    }

    /// Google's neural machine translation rules: no control characters, and a plain space for other white and invisible characters.
    private static func withoutNmtControls(_ text: AlignedText) -> AlignedText {
        text.mapped { scalar, edit in
            switch scalar.value {
            case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: edit.skip()
            case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD: edit.replace(by: " ")
            default: return false
            }
            return true
        }
    }
}

/// What BERT's tokenizer does to text before splitting it.
///
/// Source: Devlin et al. 2019, arXiv:1810.04805, `BasicTokenizer` in google-research/bert `tokenization.py`.
struct BertNormalizer: Sendable {
    let cleansText: Bool
    let separatesChinese: Bool
    let stripsAccents: Bool
    let lowercases: Bool

    func normalize(_ text: AlignedText) -> AlignedText {
        var text = text
        if cleansText || separatesChinese {
            text = text.mapped { scalar, edit in
                if cleansText {
                    let found = ScalarClass.of(scalar)
                    if found.contains(.bertControl) {
                        edit.skip()
                        return true
                    }
                    if found.contains(.space) {
                        edit.replace(by: " ")
                        return true
                    }
                }
                guard separatesChinese, scalar.isChinese else { return false }
                edit.replace(by: " ")
                edit.insert(scalar)
                edit.insert(" ")
                return true
            }
        }
        if stripsAccents { text = UnicodeForm.nfd.normalize(text).without(.bertAccent) }
        return lowercases ? text.lowercased : text
    }
}

extension AlignedText {
    /// In lower case, each scalar by itself.
    var lowercased: AlignedText {
        mapped { scalar, edit in
            if scalar.value < 0x80 {
                guard scalar.value &- 0x41 < 26 else { return false }
                edit.replace(by: Unicode.Scalar(UInt8(scalar.value) + 0x20))
                return true
            }
            guard scalar.properties.changesWhenLowercased || scalar.value == 0x130 else { return false }
            for (index, lower) in scalar.properties.lowercaseMapping.unicodeScalars.enumerated() {
                if index == 0 { edit.replace(by: lower) } else { edit.insert(lower) }
            }
            return true
        }
    }

    func without(_ unwanted: ScalarClass) -> AlignedText {
        if bytes.allSatisfy({ $0 < 0x80 }) && unwanted.isDisjoint(with: .bertControl) { return self }
        return mapped { scalar, edit in
            guard !ScalarClass.of(scalar).isDisjoint(with: unwanted) else { return false }
            edit.skip()
            return true
        }
    }
}
