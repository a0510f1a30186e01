import Architectures
import Tasks
import Tensors
import Tokenization

/// The shape of a small decoder that is made from nothing, for tasks that need no pretrained model.
public struct FreshDecoder: Sendable, Codable, Equatable {
    public var hiddenSize = 96
    public var intermediateSize = 256
    public var layers = 3
    public var heads = 4
    public var context = 256
    /// Standard deviation of the initial matrices.
    public var initialDeviation = 0.1
    public var ropeBase = 10_000.0

    public init() {}
}

extension Model {
    /// A decoder with random weights for the addition task, one token a symbol. In the direct form hints stand in brackets.
    public static func forAddition(_ shape: FreshDecoder, form: Addition.Form = .scratchpad, key: RandomKey, on backend: any Backend) throws -> Model {
        let digits = (0...9).map { "\($0)" }
        let tokenizer = try Tokenizer.symbols(
            digits + digits.map { " \($0)" } + ["\n", " ", ",", "+", "=", " +", " ,", " =", " C:", "Input:", "Target:", "<scratch>", "</scratch>"]
                + (form == .direct ? [" (", ")"] : []), special: ["<eos>"])
        var configuration = TransformerConfiguration(
            modelType: "llama", vocabularySize: (tokenizer.vocabularySize + 15) / 16 * 16, hiddenSize: shape.hiddenSize, intermediateSize: shape.intermediateSize,
            numHiddenLayers: shape.layers, numAttentionHeads: shape.heads, maxPositionEmbeddings: shape.context, rope: RotaryScaling(base: shape.ropeBase), tieWordEmbeddings: true)
        configuration.eosTokenIDs = tokenizer.eosTokens
        let decoder = Transformer(configuration, on: backend)
        decoder.initialize(key.folding("initial weights"), deviation: shape.initialDeviation)
        return Model(transformer: decoder, tokenizer: tokenizer, stopTokens: tokenizer.eosTokens)
    }
}
