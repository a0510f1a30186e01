import ModelFiles
import Tensors

/// The choices that make a transformer: sizes, norms, positions, attention, MLP, heads, and where files keep its weights.
///
/// A family file maps a `config.json`, or GGUF metadata, to these choices and refuses what it does not understand.
public struct TransformerConfiguration: Sendable, Equatable {
    public var modelType: String
    /// What the model is made to give: which class of the family.
    public var purpose = Purpose.languageModel

    // MARK: Sizes
    public var vocabularySize: Int
    public var hiddenSize: Int
    public var intermediateSize: Int
    /// Of the decoder, where there is an encoder too.
    public var numHiddenLayers: Int
    public var numAttentionHeads: Int
    public var numKeyValueHeads: Int
    public var headDim: Int
    public var maxPositionEmbeddings: Int
    /// Layers of an encoder whose states the decoder attends to.
    public var encoderLayers: Int?
    /// So many sets of weights serve all layers, each the same number of consecutive ones. Source: Lan et al. 2019, arXiv:1909.11942.
    public var layerGroups: Int?

    // MARK: Embedding
    /// Width of the word table where it is not `hiddenSize`.
    public var embeddingSize: Int?
    /// Word vectors are multiplied by it.
    public var embeddingScale: Float = 1
    public var learnedPositions: LearnedPositions?
    /// Rows of a table of segments; 0 for none.
    public var segmentCount = 0
    public var embeddingProjectionBias = false
    /// The projection to `hiddenSize` comes before positions are added.
    public var projectsWords = false

    // MARK: Blocks
    public var norm = NormKind.rms
    public var normEpsilon: Float
    /// Attention and MLP read the same input, and both are added to it.
    public var isParallel = false
    /// What is added to is the normalised input.
    public var residualAfterNorm = false
    /// The first layer has no norm before attention.
    public var skipsFirstNorm = false

    // MARK: Attention
    public var isCausal = true
    public var mechanism = AttentionMechanism.standard
    public var projections = ProjectionLayout.separate
    public var attentionBias = false
    public var attentionOutputBias = false
    public var queryKeyNorm: QueryKeyNorm?
    public var rope: RotaryScaling?
    /// Of layers with a window, where it is another.
    public var localRope: RotaryScaling?
    /// Entries of each head that are rotated, from the first.
    public var rotaryDim: Int
    public var interleavedRotary = false
    public var unrotatedLayers: Set<Int> = []
    /// Causal: queries see at most this many keys, themselves included. Bidirectional: keys at most so far away.
    public var slidingWindow: Int?
    /// The layers with the window; nil for all.
    public var localLayers: Set<Int>?
    public var positionBias: PositionBias?
    /// Scores are multiplied by it; 1/√headDim where it is nil.
    public var attentionScale: Float?
    /// Layer i divides scores by i + 1 too.
    public var scalesByLayer = false
    public var attentionSoftcap: Float?

    // MARK: MLP
    public var activation = Activation.silu
    public var isGated = true
    public var mlpBias = false
    public var experts: ExpertChoices?

    // MARK: Heads
    /// The vocabulary head reads the embedding table.
    public var tieWordEmbeddings = false
    public var headBias = false
    /// What the vocabulary head reads is multiplied by it.
    public var headScale: Float = 1
    public var logitSoftcap: Float?
    /// Layers between the hidden states and the vocabulary head of a masked model.
    public var headTransform: [DenseChoices] = []
    /// The head of a purpose other than the vocabulary.
    public var taskHead: HeadChoices?
    /// Names of the classes of `taskHead`, by index.
    public var labels: [String] = []

    // MARK: Tokens
    public var padTokenID: Int32?
    public var bosTokenID: Int32?
    public var eosTokenIDs: [Int32] = []
    /// What an encoder–decoder's answer begins with.
    public var decoderStartTokenID: Int32?

    public var names = WeightNames()
    /// Names in the encoder, where there is one beside the decoder.
    public var encoderNames: WeightNames?
    /// The file that it was read from, so that writing it loses nothing.
    public var source: JSONObject?

    public init(
        modelType: String, vocabularySize: Int, hiddenSize: Int, intermediateSize: Int, numHiddenLayers: Int, numAttentionHeads: Int, numKeyValueHeads: Int? = nil,
        headDim: Int? = nil, maxPositionEmbeddings: Int, normEpsilon: Float = 1e-5, rope: RotaryScaling? = RotaryScaling(base: 10_000), tieWordEmbeddings: Bool = false
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
        self.normEpsilon = normEpsilon
        self.rope = rope
        self.tieWordEmbeddings = tieWordEmbeddings
        rotaryDim = self.headDim
    }

    /// Classes of the task head; nil where the model has none.
    public var labelCount: Int? { taskHead?.layers.last?.outputs }

    /// Whether it gives laws over the vocabulary.
    public var hasVocabularyHead: Bool { purpose == .languageModel || purpose == .pretraining && !headTransform.isEmpty }

    func isLocal(_ layer: Int) -> Bool { slidingWindow != nil && localLayers?.contains(layer) ?? true }

    /// What layers see, with the window or without.
    func pattern(local: Bool) -> AttentionPattern {
        let window = local ? slidingWindow : nil
        return isCausal ? .causal(window: window) : .bidirectional(radius: window)
    }
}

/// What a model is made to give.
public enum Purpose: Sendable, Equatable {
    /// The next token, or the masked one.
    case languageModel
    /// What pretraining of a masked family gives beside or in place of tokens: the order of sentences, or which tokens were replaced.
    case pretraining
    /// Hidden states.
    case base
    case sequenceClassification
    case tokenClassification
    /// Start and end of a span: question answering.
    case span
}

/// Where a norm divides by the root of the mean square, or of the variance.
public enum NormKind: Sendable, Equatable {
    case rms
    /// Files store the weight minus one.
    case rmsPlusOne
    case layer
    case layerWithoutBias
}

public struct LearnedPositions: Sendable, Equatable {
    public var rows: Int
    /// The row of the first token.
    public var offset = 0
}

/// How files keep queries, keys and values.
public enum ProjectionLayout: Sendable, Equatable {
    case separate
    /// One matrix: all queries, all keys, all values.
    case fused
    /// One matrix: for each key/value head its queries, its key and its value.
    case grouped
}

public struct QueryKeyNorm: Sendable, Equatable {
    public var kind: NormKind
    /// Over all heads together, not over each.
    public var isWhole = false
}

/// What is added to scores for the distance of query and key.
public enum PositionBias: Sendable, Equatable {
    /// A slope a head, times the distance. Source: Press et al. 2021, arXiv:2108.12409.
    case alibi(scale: Float)
    /// A learnt value for each head and bucket of distances. Source: Raffel et al. 2019, arXiv:1910.10683.
    case buckets(count: Int, maxDistance: Int, everyLayer: Bool)
}

public enum AttentionMechanism: Sendable, Equatable {
    case standard
    /// Relative positions in sines, segments, two streams. Source: Yang et al. 2019, arXiv:1906.08237. Distances are clamped where `clamp` is given.
    case twoStream(clamp: Int?)
    /// Products of contents with positions in logarithmic buckets. Source: He et al. 2021, arXiv:2111.09543.
    case disentangled(DisentangledChoices)
}

public struct DisentangledChoices: Sendable, Equatable {
    /// Rows of the table of positions are twice as many.
    public var span: Int
    /// Distances beyond half a span are grouped logarithmically up to `maxDistance`.
    public var isBucketed: Bool
    public var maxDistance: Int
    public var contentToPosition: Bool
    public var positionToContent: Bool
    /// Positions use the projections of contents.
    public var sharesProjections: Bool
    public var normalisesTable: Bool
}

/// Layers in which a router sends each token to some of many MLPs. Source: Shazeer et al. 2017, arXiv:1701.06538.
public struct ExpertChoices: Sendable, Equatable {
    public var count: Int
    public var perToken: Int
    public var intermediateSize: Int
    /// The chosen probabilities are divided by their sum.
    public var isNormalised: Bool
    public var layers: Set<Int>
    /// Weight of the load-balancing loss.
    public var balance: Double
    /// Names of the router and of the experts, and of an expert's matrices.
    public var router: String, expert: String, gate: String, up: String, down: String
}

/// A fully connected layer of a head, with what follows it.
public struct DenseChoices: Sendable, Equatable {
    public var name: String
    public var outputs: Int
    public var bias = true
    public var activation: Activation?
    /// The name of a norm after the activation.
    public var norm: String?
}

/// A head over the hidden states of a sequence or of each token.
public struct HeadChoices: Sendable, Equatable {
    public enum Pooling: Sendable, Equatable {
        case tokens, first, last, mean
    }
    public var pooling: Pooling
    public var layers: [DenseChoices]
}

/// Where a family keeps its weights: names of modules, to which `.weight` and `.bias` are added. What has no name does not exist.
public struct WeightNames: Sendable, Equatable {
    /// Before all names but those of heads. Files of bare models leave it out.
    public var base = "model."
    public var embedding = "embed_tokens"
    public var positions = "", segments = ""
    public var embeddingNorm: String?
    public var projectIn: String?, projectOut: String?
    public var layer = "layers."
    /// Norms before a sublayer, on its output, and after that has been added.
    public var attentionPreNorm: String? = "input_layernorm", attentionPostNorm: String?, attentionResidualNorm: String?
    public var mlpPreNorm: String? = "post_attention_layernorm", mlpPostNorm: String?, mlpResidualNorm: String?
    public var query = "self_attn.q_proj", key = "self_attn.k_proj", value = "self_attn.v_proj", output = "self_attn.o_proj"
    /// Of queries, keys and values in one matrix.
    public var fused = ""
    public var queryNorm = "self_attn.q_norm", keyNorm = "self_attn.k_norm"
    /// The table of position biases or of relative positions.
    public var bias = ""
    /// The sublayer that attends to the encoder: its norm, and its matrices.
    public var crossNorm: String?, crossQuery = "", crossKey = "", crossValue = "", crossOutput = ""
    public var gate = "mlp.gate_proj", up = "mlp.up_proj", down = "mlp.down_proj"
    /// Gate and up in one matrix, gate first.
    public var gateUp: String?
    public var finalNorm: String? = "norm"
    public var head = "lm_head"
    /// The vector of the vocabulary head's bias, as it stands in the file.
    public var headBias = "lm_head.bias"
    /// Matrices of the blocks lie as `[inputs, outputs]` in Hugging Face files.
    public var isTransposed = false

    public init() {}
}
