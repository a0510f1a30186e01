import ModelFiles

/// The choices that make a decoder: sizes, rotary variant, biases, window, head.
///
/// A family file maps a `config.json`, or GGUF metadata, to these choices and refuses what it does not understand.
public struct DecoderConfiguration: Sendable, Equatable {
    public var modelType: String
    public var vocabularySize: Int
    public var hiddenSize: Int
    public var intermediateSize: Int
    public var numHiddenLayers: Int
    public var numAttentionHeads: Int
    public var numKeyValueHeads: Int
    public var headDim: Int
    public var maxPositionEmbeddings: Int
    public var rmsNormEpsilon: Float
    public var rope: RotaryScaling
    public var attentionBias = false
    public var mlpBias = false
    /// The head reads the embedding table.
    public var tieWordEmbeddings = false
    /// Queries see at most this many keys, themselves included.
    public var slidingWindow: Int?
    /// Labels of a sequence-classification head in place of the vocabulary head.
    public var labelCount: Int?
    public var padTokenID: Int32?
    public var bosTokenID: Int32?
    public var eosTokenIDs: [Int32] = []
    public var names = DecoderNames()

    public init(
        modelType: String, vocabularySize: Int, hiddenSize: Int, intermediateSize: Int, numHiddenLayers: Int, numAttentionHeads: Int, numKeyValueHeads: Int? = nil,
        headDim: Int? = nil, maxPositionEmbeddings: Int, rmsNormEpsilon: Float = 1e-5, rope: RotaryScaling = RotaryScaling(base: 10_000), tieWordEmbeddings: Bool = false
    ) {
        self.modelType = modelType
        self.vocabularySize = vocabularySize
        self.hiddenSize = hiddenSize
        self.intermediateSize = intermediateSize
        self.numHiddenLayers = numHiddenLayers
        self.numAttentionHeads = numAttentionHeads
        self.numKeyValueHeads = numKeyValueHeads ?? numAttentionHeads
        self.headDim = headDim ?? hiddenSize / numAttentionHeads
        self.maxPositionEmbeddings = maxPositionEmbeddings
        self.rmsNormEpsilon = rmsNormEpsilon
        self.rope = rope
        self.tieWordEmbeddings = tieWordEmbeddings
    }

    /// The weights, without padding.
    public var parameterCount: Int {
        let (H, I) = (hiddenSize, intermediateSize)
        let (q, kv) = (numAttentionHeads * headDim, numKeyValueHeads * headDim)
        let attention = 2 * H * q + 2 * H * kv + (attentionBias ? q + 2 * kv + H : 0)
        let mlp = 3 * H * I + (mlpBias ? 2 * I + H : 0)
        let head = labelCount.map { $0 * H } ?? (tieWordEmbeddings ? 0 : vocabularySize * H)
        return vocabularySize * H + numHiddenLayers * (attention + mlp + 2 * H) + H + head
    }
}

/// Where a family keeps its weights.
public struct DecoderNames: Sendable, Equatable {
    public var embedding = "model.embed_tokens.weight"
    public var layer = "model.layers."
    public var inputNorm = "input_layernorm", attentionNorm = "post_attention_layernorm"
    public var qProj = "self_attn.q_proj", kProj = "self_attn.k_proj", vProj = "self_attn.v_proj", oProj = "self_attn.o_proj"
    public var gateProj = "mlp.gate_proj", upProj = "mlp.up_proj", downProj = "mlp.down_proj"
    public var finalNorm = "model.norm.weight"
    public var head = "lm_head.weight"
    public var score = "score.weight"

    public init() {}
}
