/// How scores become weights.
public struct AttentionOptions {
    public var scale: Float
    /// Scaled scores become cap · tanh(score / cap), before anything is added. Source: Gemma Team 2024, arXiv:2408.00118.
    public var cap: Float?
    /// `[heads, 2·reach + 1]`, added to the scaled score by key position minus query position, clamped to ±reach.
    public var bias: Tensor?
    /// `[heads, pairs]`, added to the scaled score of each pair of query and key, in the order of `AttentionPlan.pairs`.
    public var pairs: Tensor?

    public init(scale: Float, cap: Float? = nil, bias: Tensor? = nil, pairs: Tensor? = nil) {
        self.scale = scale
        self.cap = cap
        self.bias = bias
        self.pairs = pairs
    }

    var reach: Int { bias.map { ($0.shape[1] - 1) / 2 } ?? 0 }
}

/// What the vocabulary's law says about one row of logits.
public struct RowLaw: Sendable, Equatable {
    /// Natural log of the probability of the target; 0 where there is none.
    public var logProbability: Float
    public var logSumExp: Float
    /// In nats.
    public var entropy: Float
    /// What a head of one number says of the row, where there is one: a value, a reward.
    public var value: Float

    public init(logProbability: Float, logSumExp: Float, entropy: Float, value: Float = 0) {
        self.value = value
        self.logProbability = logProbability
        self.logSumExp = logSumExp
        self.entropy = entropy
    }
}

public struct AdamWStep: Sendable {
    public var learningRate, beta1, beta2, epsilon, decay: Float
    /// Counted from 1.
    public var step: Int
    /// Gradients are multiplied by it (clipping).
    public var gradientScale: Float

    public init(learningRate: Float, beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8, decay: Float = 0, step: Int, gradientScale: Float = 1) {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.decay = decay
        self.step = step
        self.gradientScale = gradientScale
    }
}

/// Sixteen values of buffers that lie alike, for a rule that treats every value in the same way.
public struct Elements {
    public var weight, gradient: SIMD16<Float>
    /// Of what lies beside the weights; 0 where there is no such buffer.
    public var first = SIMD16<Float>(), second = SIMD16<Float>(), third = SIMD16<Float>()
}

/// Where tensors live and are computed: coarse kernels over opaque memory.
///
/// Kernels are enqueued in order; only `read` waits. The layout of matrices and of the KV cache is the backend's own.
public protocol Backend: AnyObject {
    var allocator: Allocator { get }
    /// The kernel variant that computes ("avx512vnni", "avx2", "portable" …).
    var variant: String { get }
    var threads: Int { get }

    func read(_ tensor: Tensor) -> [Float]
    func write(_ values: [Float], to tensor: Tensor)
    /// Calls `body` for every row of a matrix, on several threads where the values are at hand.
    func forEachRow(_ tensor: Tensor, _ body: (_ row: Int, _ values: UnsafeBufferPointer<Float>) -> Void)
    func copy(_ source: Tensor, to target: Tensor)
    func fill(_ tensor: Tensor, with value: Float)

    /// Rounds values to bfloat16; the storage has room for half as many floats.
    func round(_ source: Tensor, into target: Storage)
    /// What `round` wrote, in float32.
    func expand(_ source: Storage, into target: Tensor)

    /// Floats that a matrix takes in the backend's layout.
    func matrixCount(outputs: Int, inputs: Int, _ format: WeightFormat) -> Int
    func writeRows(_ values: UnsafeBufferPointer<Float>, rows: Range<Int>, of matrix: Matrix)
    /// In float32, whatever the matrix's format.
    func readRows(_ rows: Range<Int>, of matrix: Matrix) -> [Float]
    /// The same values in the format of the target: as they are in float32, rounded to bfloat16, or rounded to codes of 8 bits in blocks of 32 as
    /// Q8_0 of GGUF files. Source and target of one format are copied.
    func convert(_ source: Matrix, into target: Matrix)
    /// Calls `read`, which must be safe on several threads at once, for stretches of rows that together are the matrix; a matrix of 16-bit
    /// values takes only values that it can hold.
    func fillRows(of matrix: Matrix, reading read: (_ rows: Range<Int>, _ values: UnsafeMutableBufferPointer<Float>) throws -> Void) throws

    /// The same for a matrix of codes.
    func fillCodes<E: Error>(of matrix: Matrix, reading read: (_ rows: Range<Int>, _ values: CodedRows) throws(E) -> Void) throws(E)

    /// y `[M, N]` = x `[M, K]` Wᵀ (+ bias) of each layer; all layers have the same inputs. Where a weight's `roundsInputs` is set, x is rounded to 8
    /// bits in blocks of 32 and multiplied by codes as whole numbers.
    func linear(_ x: Tensor, _ layers: [(weight: Matrix, bias: Tensor?, y: Tensor)])
    /// dx `[M, K]` = dy `[M, N]` W.
    func linearInputGradient(_ dy: Tensor, _ weight: Matrix, into dx: Tensor)
    /// dW `[N, K]` += dyᵀ x, each element's chain continued in increasing row.
    func linearWeightGradient(_ dy: Tensor, _ x: Tensor, into dWeight: Matrix)
    func columnSums(_ dy: Tensor, into db: Tensor)

    func gather(_ tokens: [Int32], from table: Matrix, into y: Tensor)
    func scatterAdd(_ dy: Tensor, _ tokens: [Int32], into dTable: Matrix)
    func gatherRows(_ x: Tensor, _ rows: [Int32], into y: Tensor)
    func scatterAddRows(_ dy: Tensor, _ rows: [Int32], into dx: Tensor)
    /// y row i = the mean of the rows `runs[i]` of x, added in increasing row.
    func meanRows(_ x: Tensor, _ runs: [Range<Int>], into y: Tensor)
    /// Each row of a run of dx = its row of dy over the length of the run; no row is in two runs.
    func spreadRows(_ dy: Tensor, _ runs: [Range<Int>], into dx: Tensor)

    func rmsNorm(_ x: Tensor, _ weight: Tensor, epsilon: Float, into y: Tensor)
    func rmsNormBackward(_ dy: Tensor, _ x: Tensor, _ weight: Tensor, epsilon: Float, into dx: Tensor, weightGradient: Tensor?)
    func layerNorm(_ x: Tensor, _ weight: Tensor, _ bias: Tensor?, epsilon: Float, into y: Tensor)
    func layerNormBackward(_ dy: Tensor, _ x: Tensor, _ weight: Tensor, epsilon: Float, into dx: Tensor, weightGradient: Tensor?, biasGradient: Tensor?)

    /// x `[N, heads, headDim]`; cosines, sines `[N, rotated/2]`; direction +1 turns, -1 turns back.
    func rotate(_ x: Tensor, cosines: Tensor, sines: Tensor, interleaved: Bool, direction: Float, into y: Tensor)

    func add(_ a: Tensor, _ b: Tensor, into y: Tensor)
    func multiply(_ a: Tensor, _ b: Tensor, into y: Tensor)
    func scale(_ x: Tensor, by factor: Float, into y: Tensor)
    func offset(_ x: Tensor, by constant: Float, into y: Tensor)
    /// y `[N, W]` = x `[N, W]` + v `[W]` in every row.
    func addVector(_ x: Tensor, _ v: Tensor, into y: Tensor)
    /// y `[N, W]` = x `[N, W]` · v `[W]` in every row.
    func multiplyVector(_ x: Tensor, _ v: Tensor, into y: Tensor)
    func transpose(_ x: Tensor, into y: Tensor)
    func activate(_ activation: Activation, _ x: Tensor, into y: Tensor)
    func activateBackward(_ activation: Activation, _ dy: Tensor, _ x: Tensor, into dx: Tensor)
    /// y = activation(gate) · up.
    func gated(_ activation: Activation, _ gate: Tensor, _ up: Tensor, into y: Tensor)
    func gatedBackward(_ activation: Activation, _ dy: Tensor, _ gate: Tensor, _ up: Tensor, dGate: Tensor, dUp: Tensor)
    /// y `[N, …]` = the named columns of x `[N, …]`, in this order.
    func gatherColumns(_ x: Tensor, _ columns: [Range<Int>], into y: Tensor)
    /// The reverse: writes the columns of dx.
    func scatterColumns(_ dy: Tensor, _ columns: [Range<Int>], into dx: Tensor)

    /// y `[N, H, R]` = the products of a `[N, H, D]` with b `[R, H, D]`, head by head.
    func headProducts(_ a: Tensor, _ b: Tensor, into y: Tensor)
    func headProductsBackward(_ dy: Tensor, _ a: Tensor, _ b: Tensor, da: Tensor?, db: Tensor?)
    /// y `[H, P]`: pair p takes entry `columns[p]` of row `rows[p]` of x `[N, H, R]`.
    func gatherPairs(_ x: Tensor, rows: [Int32], columns: [Int32], into y: Tensor)
    /// dx += what its entries were gathered into, in increasing p.
    func scatterPairs(_ dy: Tensor, rows: [Int32], columns: [Int32], into dx: Tensor)

    /// y row `places[i].row` += weights[row, slot] · part row i, in increasing i.
    func mix(_ part: Tensor, _ places: [ExpertPlace], weights: Tensor, into y: Tensor)
    /// dPart is written; dWeights at the places too.
    func mixBackward(_ dy: Tensor, _ part: Tensor, _ places: [ExpertPlace], weights: Tensor, dPart: Tensor, dWeights: Tensor)

    /// q `[N, H, D]`, k and v `[keys, K, D]`, out `[N, H, D]`.
    func attention(_ q: Tensor, _ k: Tensor, _ v: Tensor, _ plan: AttentionPlan, _ options: AttentionOptions, into out: Tensor)
    func attentionBackward(
        _ dout: Tensor, _ q: Tensor, _ k: Tensor, _ v: Tensor, _ out: Tensor, _ plan: AttentionPlan, _ options: AttentionOptions,
        dq: Tensor, dk: Tensor, dv: Tensor, dBias: Tensor?, dPairs: Tensor?)

    /// Floats per block of 16 tokens that one layer's keys, and its values, take.
    func cacheBlockCounts(heads: Int, headDim: Int) -> (keys: Int, values: Int)
    /// Writes row r of k and v to cache slot `slots[r]`.
    func store(_ k: Tensor, _ v: Tensor, slots: [Int32], keys: Storage, values: Storage)
    /// Attention over cached keys; runs of the plan are cache slots that start at a multiple of 16.
    func cachedAttention(_ q: Tensor, keys: Storage, values: Storage, heads: Int, _ plan: AttentionPlan, _ options: AttentionOptions, into out: Tensor)

    /// The law over each row of logits `[R, V]`; a target below 0 is none.
    func laws(_ logits: Tensor, targets: [Int32]) -> [RowLaw]
    /// In place: logits become their gradient, given those of log-probability and entropy per row.
    func headBackward(_ logits: Tensor, targets: [Int32], laws: [RowLaw], logProbabilityGradients: [Float], entropyGradients: [Float])

    func adamW(_ parameters: Tensor, first: Tensor, second: Tensor, gradients: Tensor, _ step: AdamWStep)
    /// Applies a rule, on several threads at once, to every value of flat buffers that lie alike. Weights and state (at most three buffers)
    /// become what it leaves.
    func update(_ weights: Tensor, gradients: Tensor, state: [Tensor], _ rule: (inout Elements) -> Void)
    /// Calls `body` for stretches of 256 rows of float32 matrices of one shape, row-major and on several threads at once; `written` is put back.
    /// - Returns: what `body` gave, in the order of the rows.
    func mapRows<Result>(
        writing: [Matrix], reading: [Matrix], _ body: (_ rows: Range<Int>, _ written: inout [[Float]], _ read: [[Float]]) -> Result
    ) -> [Result]
    func sumOfSquares(_ x: Tensor) -> Double
}
