import Architectures
import Tensors

/// What a job will take, from sizes and formats alone.
public struct MemoryPlan: Sendable {
    private let c: TransformerConfiguration
    private let parameterCount: Int
    private let shapes: [(shape: [Int], isOrthogonalised: Bool)]
    /// As they lie in memory: codes, or float32.
    public let storedWeightBytes: Int
    /// Whether the others stay as they lie.
    private let trainsAll: Bool

    /// - Parameters:
    ///   - model: laid out, with or without values.
    ///   - trains: the weights that are trained; of these, where it is not all, the model already lies in memory as it is trained.
    public init(_ model: Transformer, training trains: ((Parameter) -> Bool)? = nil) {
        let trained = model.parameters.parameters.filter(trains ?? { _ in true })
        c = model.configuration
        trainsAll = trained.count == model.parameters.parameters.count
        parameterCount = trainsAll ? model.parameterCount : trained.reduce(0) { $0 + $1.shape.reduce(1, *) }
        shapes = trained.map { ($0.shape, Muon.orthogonalises($0)) }
        storedWeightBytes = model.parameters.byteCount
    }

    private static let float = 4

    /// Those that are trained, in float32, without the padding of panels.
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

    /// Weights, gradients and what the optimizer remembers; what the backward pass keeps; the widest moment of a block and of the head.
    ///
    /// With `startingWeights`, the weights that training began with stay beside those being trained.
    public func bytesToTrain(
        microBatchTokens tokens: Int, optimizer: OptimizerOptions = OptimizerOptions(learningRate: 0), startingWeights: Bool = false, runner: BlockRunner = .plain,
        activations: ActivationFormat = .float32
    ) -> Int {
        let state = (trainsAll ? 2 * weightBytes : storedWeightBytes + weightBytes) + optimizerBytes(optimizer) + (startingWeights ? storedWeightBytes : 0)
        let bytes = activations == .float32 ? Self.float : 2, perLayer = keptFloatsPerTokenAndLayer * bytes
        let kept = runner == .plain ? c.numHiddenLayers * perLayer : c.numHiddenLayers * c.hiddenSize * bytes + keptFloatsPerTokenAndLayer * Self.float
        let widest = (4 * c.intermediateSize + 4 * c.hiddenSize) * Self.float
        let head = VocabularyHead.rowsAtOnce * c.vocabularySize * Self.float + 4 * tokens * c.hiddenSize * Self.float
        return state + tokens * (kept + widest) + head + (64 << 20)
    }

    /// What a process takes that holds so many bytes of tensors: batches of many sizes leave the allocator with blocks that fit nothing else; the record, the
    /// tokenizer and the program take the rest.
    public static func residentBytes(tensors: Int) -> Int { tensors + tensors / 10 + Allocator.spareBytes + (48 << 20) }

    /// What an optimizer remembers of the trained weights, without padding.
    public func optimizerBytes(_ options: OptimizerOptions) -> Int {
        let momentum = options.momentum == 0 ? 0 : 1
        return shapes.map { shape, isOrthogonalised in
            let count = shape.reduce(1, *)
            func floats(_ moments: Int) -> Int { moments * count * Self.float }
            /// In codes with the scales of their blocks.
            func codes(_ moments: Int) -> Int {
                guard EightBitOptimizer.isLarge(shape) else { return floats(moments) }
                return moments * (count + (count + EightBitOptimizer.block - 1) / EightBitOptimizer.block * Self.float)
            }
            return switch options.kind {
            case .adamW, .adam: floats(2)
            case .amsgrad: floats(3)
            case .sgd, .nesterov: floats(momentum)
            case .adagrad, .rmsprop, .lion: floats(1)
            case .adafactor, .relativeAdafactor, .torchAdafactor: floats(momentum) + shape.reduce(0, +) * Self.float
            case .muon, .roundedMuon: floats(isOrthogonalised ? 1 : 2)
            case .adamW8bit: codes(2)
            case .lion8bit: codes(1)
            }
        }.reduce(0, +)
    }
}
