import Foundation

/// Rewrites a stretch of text between added tokens, before it is split.
///
/// Source: huggingface/tokenizers `tokenizers/src/normalizers/`.
indirect enum TextNormalizer: Sendable {
    enum Form: Sendable { case nfc, nfd, nfkc, nfkd }
    case sequence([TextNormalizer])
    case unicode(Form)
    case lowercase
    case replace(SplitPattern, content: [UInt8])
    case prepend([UInt8])
    case strip(left: Bool, right: Bool)
    case stripAccents

    /// - Parameter text: UTF-8, not empty.
    func normalize(_ text: [UInt8]) -> [UInt8] {
        switch self {
        case .sequence(let normalizers): return normalizers.reduce(text) { $1.normalize($0) }
        case .unicode(let form):
            if text.allSatisfy({ $0 < 0x80 }) { return text }
            let string = String(decoding: text, as: UTF8.self)
            switch form {
            case .nfc: return Array(string.precomposedStringWithCanonicalMapping.utf8)
            case .nfd: return Array(string.decomposedStringWithCanonicalMapping.utf8)
            case .nfkc: return Array(string.precomposedStringWithCompatibilityMapping.utf8)
            case .nfkd: return Array(string.decomposedStringWithCompatibilityMapping.utf8)
            }
        case .lowercase: return scalars(text).flatMap { Array($0.properties.lowercaseMapping.utf8) }
        case .replace(let pattern, let content):
            let text = scalars(text)[...]
            return pattern.split(text).flatMap { part in
                part.isMatch ? content : Array(String(String.UnicodeScalarView(text[part.range])).utf8)
            }
        case .prepend(let prefix): return text.isEmpty ? text : prefix + text
        case .strip(let left, let right):
            var text = scalars(text)[...]
            if left { text = text.drop(while: \.isSpace) }
            while right, let last = text.last, last.isSpace { text.removeLast() }
            return Array(String(String.UnicodeScalarView(text)).utf8)
        case .stripAccents: return Array(String(String.UnicodeScalarView(scalars(text).filter { !$0.isMark })).utf8)
        }
    }

    private func scalars(_ text: [UInt8]) -> [Unicode.Scalar] { Array(String(decoding: text, as: UTF8.self).unicodeScalars) }
}
