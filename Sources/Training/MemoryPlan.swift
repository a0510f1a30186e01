import Architectures
import Tensors

/// What a job will take, from sizes and formats alone.
public struct MemoryPlan: Sendable {
    private let c: TransformerConfiguration
    private let parameterCount: Int
    /// As they lie in memory: codes, or float32.
    public let storedWeightBytes: Int

    /// - Parameter model: laid out, with or without values.
    public init(_ model: Transformer) {
        c = model.configuration
        parameterCount = model.parameterCount
        storedWeightBytes = model.parameters.byteCount
    }

    private static let float = 4

    /// As they are trained: in float32, without the padding of panels.
    public var weightBytes: Int { parameterCount * Self.float }

    /// One token's keys and values in all layers.
    public var cacheBytesPerToken: Int { c.numHiddenLayers * 2 * c.numKeyValueHeads * ((c.headDim + 15) / 16 * 16) * Self.float }

    /// Weights, and the keys and values of `tokens`.
    public func bytesToRun(tokens: Int) -> Int { storedWeightBytes + tokens * cacheBytesPerToken + (64 << 20) }

    /// What the backward pass keeps of one token in one block: the residual stream before and between the halves, q, k, v, the
    /// mixed heads, gate and up. Everything else is made again.
    public var keptFloatsPerTokenAndLayer: Int {
        2 * c.hiddenSize + 2 * c.numAttentionHeads * c.headDim + 2 * c.numKeyValueHeads * c.headDim + 2 * c.intermediateSize
    }

    /// Weights, gradients and two moments; what the backward pass keeps; the widest moment of a block and of the head.
    ///
    /// With `startingWeights`, the weights that training began with stay beside those being trained.
    public func bytesToTrain(microBatchTokens tokens: Int, startingWeights: Bool = false, runner: BlockRunner = .plain, activations: ActivationFormat = .float32) -> Int {
        let state = 4 * weightBytes + (startingWeights ? storedWeightBytes : 0)
        let bytes = activations == .float32 ? Self.float : 2, perLayer = keptFloatsPerTokenAndLayer * bytes
        let kept = runner == .plain ? c.numHiddenLayers * perLayer : c.numHiddenLayers * c.hiddenSize * bytes + keptFloatsPerTokenAndLayer * Self.float
        let widest = (4 * c.intermediateSize + 4 * c.hiddenSize) * Self.float
        let head = VocabularyHead.rowsAtOnce * c.vocabularySize * Self.float + 4 * tokens * c.hiddenSize * Self.float
        return state + tokens * (kept + widest) + head + (64 << 20)
    }
}
