import ModelFiles
import Tensors

/// XLNet's attention: relative positions, segments, and a second stream of queries that do not see their own content.
///
/// score(i, j) = [(q_i + u)·k_j + (q_i + v)·r_(i-j) + (q_i + s)·segment(same or not)] / √D. Rows of the query stream follow those of the content
/// stream in one tensor; norms and MLPs do not tell them apart. Source: Yang et al. 2019, arXiv:1906.08237.
struct TwoStreamAttention: AttentionLayer {
    private let query, key, value, positions: Parameter  // [heads · D, hidden]
    private let output: Parameter  // [hidden, heads · D]
    private let contentBias, positionBias, segmentBias: Parameter  // [heads · D]
    private let segments: Parameter  // [2, heads · D]: of the same segment, of another
    private let (heads, headDim): (Int, Int)

    init(prefix: String, _ c: TransformerConfiguration, in parameters: ParameterSet) {
        (heads, headDim) = (c.numAttentionHeads, c.headDim)
        let (H, n, d) = (c.hiddenSize, c.numAttentionHeads, c.headDim)
        func projection(_ name: String, _ parameters: ParameterSet) -> Parameter {
            parameters.declare("\(prefix)rel_attn.\(name)", n * d, H, fileShape: [H, n, d], isTransposed: true)
        }
        func bias(_ name: String, _ parameters: ParameterSet) -> Parameter { parameters.declare("\(prefix)rel_attn.\(name)", n * d, fileShape: [n, d]) }
        query = projection("q", parameters)
        key = projection("k", parameters)
        value = projection("v", parameters)
        output = parameters.declare("\(prefix)rel_attn.o", H, n * d, fileShape: [H, n, d])
        positions = projection("r", parameters)
        positionBias = bias("r_r_bias", parameters)
        segmentBias = bias("r_s_bias", parameters)
        contentBias = bias("r_w_bias", parameters)
        segments = parameters.declare("\(prefix)rel_attn.seg_embed", 2, n * d, fileShape: [2, n, d])
    }

    func callAsFunction(_ x: Tensor, _ context: BlockContext) -> Tensor {
        let relative = context.relative!, tape = x.tape
        let content = relative.queryRows == 0 ? x : gatherRows(x, relative.contentIndices)
        func split(_ y: Tensor) -> Tensor { y.reshaped(y.shape[0], heads, headDim) }
        let projected = linear(content, [(key, nil), (value, nil)])
        let k = split(projected[0]), v = split(projected[1])
        let r = split(linear(tape?.constant(relative.sines) ?? relative.sines, positions))
        let s = relative.hasSegments ? split(embedding([0, 1], segments, tape: tape)) : nil
        let scale = 1 / Float(headDim).squareRoot()
        func attend(_ rows: Tensor, _ view: RelativeView) -> Tensor {
            let q = linear(rows, query)
            var pairs = gatherPairs(headProducts(split(addVector(q, positionBias)), r), rows: view.queries, columns: view.distances)
            if let s { pairs = add(pairs, gatherPairs(headProducts(split(addVector(q, segmentBias)), s), rows: view.queries, columns: view.isOther)) }
            let options = AttentionOptions(scale: scale, pairs: Tensors.scale(pairs, by: scale))
            let mixed = attention(split(addVector(q, contentBias)), k, v, view.plan, options)
            return linear(mixed.reshaped(rows.shape[0], heads * headDim), output)
        }
        let y = attend(content, relative.content)
        guard let view = relative.query else { return y }
        return joinRows(y, attend(gatherRows(x, relative.queryIndices), view))
    }
}

/// Which pairs of rows one stream attends over, with the column of each pair's distance and segment.
struct RelativeView {
    let plan: AttentionPlan
    let queries: [Int32], distances: [Int32], isOther: [Int32]
}

/// What all layers of a pass share about relative positions.
struct RelativeContext {
    /// Sines, then cosines, of every distance times every frequency: `[2·longest - 1, hiddenSize]`.
    let sines: Tensor
    let hasSegments: Bool
    let content: RelativeView
    let query: RelativeView?
    let contentIndices, queryIndices: [Int32]
    var queryRows: Int { queryIndices.count }

    init(_ batch: RaggedBatch, _ pass: Pass, _ c: TransformerConfiguration, clamp: Int?, on backend: any Backend) {
        let longest = batch.spans.map(\.count).max() ?? 1
        var values: [Float] = []
        for distance in -(longest - 1)...(longest - 1) {
            let d = clamp.map { max(-$0, min($0, distance)) } ?? distance
            let angles = (0..<c.hiddenSize / 2).map { Double(Float(d) * Float(fixedExp(-2 * Double($0) / Double(c.hiddenSize) * fixedLog(10_000)))) }
            values += angles.map { Float(fixedSin($0)) } + angles.map { Float(fixedCos($0)) }
        }
        sines = backend.tensor(values, shape: [2 * longest - 1, c.hiddenSize])
        let segments = pass.segments
        hasSegments = segments != nil
        func view(_ plan: AttentionPlan, rows: [Int32]) -> RelativeView {
            let (queries, keys) = plan.pairs
            let places = queries.map { rows[Int($0)] }
            return RelativeView(
                plan: plan, queries: queries,
                distances: zip(places, keys).map { batch.positions[Int($0)] - batch.positions[Int($1)] + Int32(longest - 1) },
                isOther: segments.map { segments in zip(places, keys).map { segments[Int($0)] == segments[Int($1)] ? 0 : 1 } } ?? [])
        }
        let all = (0..<Int32(batch.count)).map { $0 }
        let order = pass.streams?.order
        content = view(AttentionPlan(batch, order.map { .permutation(order: $0, queryStream: false) } ?? .bidirectional()), rows: all)
        if let streams = pass.streams, !streams.targets.isEmpty {
            query = view(AttentionPlan(targets: streams.targets, in: batch, order: streams.order), rows: streams.targets)
            queryIndices = streams.targets.indices.map { Int32(batch.count + $0) }
        } else {
            (query, queryIndices) = (nil, [])
        }
        contentIndices = all
    }
}

/// Which tokens are predicted in which order, for a model with two streams.
public struct TwoStreams: Sendable {
    /// One entry a row: a row's content is seen by rows of a later order, and by its own content stream.
    public var order: [Int32]
    /// The rows that are predicted, in increasing order of rows.
    public var targets: [Int32]

    public init(order: [Int32], targets: [Int32]) {
        self.order = order
        self.targets = targets
    }
}

/// DeBERTa's attention: content to content, content to position and position to content.
///
/// Source: He et al. 2021, arXiv:2006.03654 and arXiv:2111.09543.
struct DisentangledAttention: AttentionLayer {
    private let query, key, value, output: Linear
    private let positionKey, positionQuery: Linear?
    private let choices: DisentangledChoices
    private let (heads, headDim): (Int, Int)

    init(prefix: String, _ names: WeightNames, _ choices: DisentangledChoices, _ c: TransformerConfiguration, in parameters: ParameterSet) {
        self.choices = choices
        (heads, headDim) = (c.numAttentionHeads, c.headDim)
        func linear(_ name: String, bias: Bool = true) -> Linear {
            Linear(prefix + name, inputs: c.hiddenSize, outputs: c.hiddenSize, bias: bias, in: parameters)
        }
        query = linear(names.query)
        key = linear(names.key)
        value = linear(names.value)
        positionKey = choices.sharesProjections || !choices.contentToPosition ? nil : linear("attention.self.pos_key_proj")
        positionQuery = choices.sharesProjections || !choices.positionToContent ? nil : linear("attention.self.pos_query_proj")
        output = linear(names.output)
    }

    func callAsFunction(_ x: Tensor, _ context: BlockContext) -> Tensor {
        let shared = context.disentangled!
        func split(_ y: Tensor) -> Tensor { y.reshaped(y.shape[0], heads, headDim) }
        let projected = Linear.together(x, query, key, value)
        let q = split(projected[0]), k = split(projected[1]), v = split(projected[2])
        let table = shared.table(x.tape)
        let parts = 1 + (choices.contentToPosition ? 1 : 0) + (choices.positionToContent ? 1 : 0)
        let scale = 1 / Float(headDim * parts).squareRoot()
        var pairs: Tensor?
        if choices.contentToPosition {
            let positions = split((positionKey ?? key)(table))
            pairs = gatherPairs(headProducts(q, positions), rows: shared.queries, columns: shared.fromQuery)
        }
        if choices.positionToContent {
            let positions = split((positionQuery ?? query)(table))
            let part = gatherPairs(headProducts(k, positions), rows: shared.keys, columns: shared.fromKey)
            pairs = pairs.map { add($0, part) } ?? part
        }
        let options = AttentionOptions(scale: scale, pairs: pairs.map { Tensors.scale($0, by: scale) })
        return output(attention(q, k, v, context.view(local: false).plan, options).reshaped(x.shape[0], heads * headDim))
    }
}

/// What all layers of a pass share about disentangled positions.
struct DisentangledContext {
    let queries, keys: [Int32]
    /// The row of the table for each pair: seen from the query, and from the key.
    let fromQuery, fromKey: [Int32]
    /// The table of positions, normalised where the model does so.
    let table: (Tape?) -> Tensor

    init(_ batch: RaggedBatch, _ plan: AttentionPlan, _ choices: DisentangledChoices, table: @escaping (Tape?) -> Tensor) {
        (queries, keys) = plan.pairs
        self.table = table
        func row(_ distance: Int) -> Int32 { Int32(max(0, min(2 * choices.span - 1, distance + choices.span))) }
        func bucket(_ distance: Int) -> Int { choices.isBucketed ? logarithmicBucket(distance, span: choices.span, maxDistance: choices.maxDistance) : distance }
        let distances = zip(queries, keys).map { Int(batch.positions[Int($0)] - batch.positions[Int($1)]) }
        fromQuery = distances.map { row(bucket($0)) }
        fromKey = distances.map { row(-bucket(-$0)) }
    }
}

/// Distances up to half a span as they are, larger ones in logarithmic steps.
private func logarithmicBucket(_ distance: Int, span: Int, maxDistance: Int) -> Int {
    let middle = span / 2, size = abs(distance)
    guard size > middle else { return distance }
    let steps = Float(fixedLog(Double(Float(size) / Float(middle)))) / Float(fixedLog(Double(maxDistance - 1) / Double(middle))) * Float(middle - 1)
    return (Int(steps.rounded(.up)) + middle) * (distance < 0 ? -1 : 1)
}
