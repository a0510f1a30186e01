/// Decodes tokens as they come, and never hands out part of a character.
///
/// Source: huggingface/tokenizers `tokenizers/src/tokenizer/mod.rs`, `step_decode_stream`.
public struct DecodeStream: Sendable {
    private let tokenizer: Tokenizer
    private let skipSpecialTokens: Bool
    private var ids: [Int32] = []
    private var prefix: [UInt8] = []  // the text of `ids` that was already handed out
    private var prefixIndex = 0

    public init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = false) {
        self.tokenizer = tokenizer
        self.skipSpecialTokens = skipSpecialTokens
    }

    /// - Returns: the text that `id` completes; nil while a character is incomplete, or when the token adds no text.
    public mutating func step(_ id: Int32) -> String? {
        if prefix.isEmpty && !ids.isEmpty {
            let text = decoded
            if !endsOpen(text) { (prefix, prefixIndex) = (text, ids.count) }
        }
        ids.append(id)
        let text = decoded
        guard text.count > prefix.count, !endsOpen(text) else { return nil }
        let known = text.starts(with: prefix) ? prefix.count : zip(text, prefix).prefix { $0 == $1 }.count
        let newIndex = ids.count - prefixIndex
        ids.removeFirst(prefixIndex)
        prefix = decoded
        prefixIndex = newIndex
        return String(decoding: text[known...], as: UTF8.self)
    }

    /// What is left when the sequence ends inside a character, with U+FFFD for it; nil when nothing is.
    public mutating func finish() -> String? {
        let text = decoded
        let known = zip(text, prefix).prefix { $0 == $1 }.count
        (ids, prefix, prefixIndex) = ([], [], 0)
        return known < text.count ? String(decoding: text[known...], as: UTF8.self) : nil
    }

    private var decoded: [UInt8] { tokenizer.decodedBytes(ids, skipSpecialTokens: skipSpecialTokens) }
    private func endsOpen(_ text: [UInt8]) -> Bool { text.suffix(3).elementsEqual(replacementCharacter) }
}
