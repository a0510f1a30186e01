import Architectures
import Tensors
import Training

/// How likely a text is under a model.
public struct TextLikelihood: Sendable, Equatable {
    public var tokens: Int
    /// Natural logarithm, over the scored tokens.
    public var logLikelihood: Double
    /// exp of the mean negative log-likelihood per scored token; nil where none is scored.
    public var perplexity: Double?
    /// Negative log₂-likelihood over the UTF-8 bytes of the whole text.
    public var bitsPerByte: Double?
    /// Of a generative model the first token is not scored unless a BOS token precedes it.
    public var tokenLogProbabilities: [Float]

    /// Scores `ids`, which are no longer than the context; the first is only read. `bytes` is the length of the whole text in UTF-8.
    public init(of ids: [Int32], bytes: Int, under decoder: Transformer) {
        let scored = ids.count > 1 && ids.last! >= 0 ? decoder.score([Example(text: ids)])[0].map(\.logProbability) : []
        self.init(tokens: ids.count(where: { $0 >= 0 }), scored, bytes: bytes)
    }

    /// The pseudo-likelihood of a text: of each token with that token masked.
    public init(masking text: String, by filler: MaskFiller) {
        self.init(tokens: filler.model.tokenizer.encode(text).count, filler.pseudoLogProbabilities(text), bytes: text.utf8.count)
    }

    private init(tokens: Int, _ logProbabilities: [Float], bytes: Int) {
        (self.tokens, tokenLogProbabilities) = (tokens, logProbabilities)
        logLikelihood = tokenLogProbabilities.reduce(0) { $0 + Double($1) }
        perplexity = tokenLogProbabilities.isEmpty ? nil : fixedExp(-logLikelihood / Double(tokenLogProbabilities.count))
        bitsPerByte = bytes > 0 && !logProbabilities.isEmpty ? -logLikelihood / fixedLog(2) / Double(bytes) : nil
    }
}
