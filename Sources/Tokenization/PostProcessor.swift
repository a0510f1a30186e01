/// Puts special tokens around an encoded text.
///
/// Source: huggingface/tokenizers `tokenizers/src/processors/`.
struct PostProcessor: Sendable {
    var prefix: [Int32] = []
    var suffix: [Int32] = []

    func callAsFunction(_ ids: [Int32]) -> [Int32] { prefix + ids + suffix }
}
