import CAutodidact

/// One sequence's stretch of a ragged batch.
public struct Span: Sendable, Equatable, Codable {
    /// First row in the batch.
    public var start: Int
    public var count: Int
    /// The earlier span whose keys and values (and its ancestors') this one continues.
    public var parent: Int?

    public init(start: Int, count: Int, parent: Int? = nil) {
        self.start = start
        self.count = count
        self.parent = parent
    }

    public var rows: Range<Int> { start..<start + count }
}

/// Sequences laid end to end: no padding, no pad token. Lengths, not token values, say what is real.
public struct RaggedBatch: Sendable {
    public var tokens: [Int32]
    public var spans: [Span]
    /// Per row; by default a span continues its parent's numbering.
    public var positions: [Int32]

    public init(tokens: [Int32], spans: [Span], positions: [Int32]? = nil) {
        var end = 0
        var lengths: [Int] = []
        var defaults: [Int32] = []
        for (index, span) in spans.enumerated() {
            precondition(span.start == end && span.count > 0, "span \(index) starts at \(span.start) with \(span.count) tokens, after \(end) rows")
            precondition(span.parent.map { $0 >= 0 && $0 < index } ?? true, "span \(index) has parent \(span.parent!), which is not earlier")
            let before = span.parent.map { lengths[$0] } ?? 0
            lengths.append(before + span.count)
            defaults += (before..<before + span.count).map { Int32($0) }
            end += span.count
        }
        precondition(end == tokens.count, "the spans cover \(end) rows of \(tokens.count)")
        precondition(positions.map { $0.count == tokens.count } ?? true, "\(positions!.count) positions for \(tokens.count) tokens")
        self.tokens = tokens
        self.spans = spans
        self.positions = positions ?? defaults
    }

    /// Independent sequences.
    public init(_ sequences: [[Int32]]) {
        var spans: [Span] = []
        var start = 0
        for sequence in sequences {
            spans.append(Span(start: start, count: sequence.count))
            start += sequence.count
        }
        self.init(tokens: sequences.flatMap { $0 }, spans: spans)
    }

    public var count: Int { tokens.count }

    /// For each span the tokens of the longest sequence that it is part of.
    public var lengths: [Int] {
        var before = [Int](repeating: 0, count: spans.count)
        for (index, span) in spans.enumerated() { before[index] = span.parent.map { before[$0] + spans[$0].count } ?? 0 }
        var lengths = zip(before, spans).map { $0 + $1.count }
        for (index, span) in spans.enumerated().reversed() { if let parent = span.parent { lengths[parent] = max(lengths[parent], lengths[index]) } }
        return lengths
    }
}

/// Which keys a query may see.
public enum AttentionPattern: Sendable, Equatable {
    /// Itself and what came before it; with a window w, only the last w of those.
    case causal(window: Int? = nil)
    /// The whole sequence; with a radius r, keys at most r away.
    case bidirectional(radius: Int? = nil)
    /// The first `lengths[span]` keys of the sequence, and itself and what came before it.
    case prefix(lengths: [Int])
    /// Keys that come earlier in a factorisation order (Yang et al. 2019, arXiv:1906.08237). `order` has one entry per row.
    /// The content stream also sees itself; the query stream does not.
    case permutation(order: [Int32], queryStream: Bool)
    /// Every key of the span `keys[span]` of another batch.
    case cross(keySpans: [Span])
}

/// What attention needs to know about a batch, worked out once and used by every layer.
public struct AttentionPlan: Sendable {
    struct Sequence: Sendable {
        /// Rows that are computed together at most.
        static let mostRows = Int(ad_attention_rows)

        var queries: Range<Int>
        /// Rows of the keys, in increasing key index.
        var runs: [Range<Int>]
        /// Per query: visible key indices are `first..<last`.
        var first: [Int32]
        var last: [Int32]
        /// Per query: the key index that stands for the query.
        var position: [Int32]
        var keyOrder: [Int32]?
        var orderLimit: [Int32]?

        var keyCount: Int { runs.reduce(0) { $0 + $1.count } }
    }

    var sequences: [Sequence]
    /// Sequences that share keys, in increasing row; no key belongs to two groups.
    var groups: [[Int]]
    var keyRows: Int
    /// Where the pairs of each sequence begin, and how many there are.
    var pairOffsets: [Int] { sequences.reduce(into: [0]) { $0.append($0.last! + $1.queries.count * $1.keyCount) } }

    public init(_ batch: RaggedBatch, _ pattern: AttentionPattern = .causal()) {
        sequences = []
        var groupOf: [Int] = []
        var members: [[Int]] = []
        if case .cross(let keySpans) = pattern {
            precondition(keySpans.count == batch.spans.count, "\(keySpans.count) key spans for \(batch.spans.count) query spans")
            keyRows = keySpans.map(\.rows.upperBound).max() ?? 0
            var groupByStart: [Int: Int] = [:]
            for (index, span) in batch.spans.enumerated() {
                let keys = keySpans[index]
                let count = Int32(keys.count)
                sequences.append(Sequence(
                    queries: span.rows, runs: [keys.rows], first: Array(repeating: 0, count: span.count),
                    last: Array(repeating: count, count: span.count), position: (0..<Int32(span.count)).map { $0 }))
                let group = groupByStart[keys.start] ?? members.count
                if group == members.count {
                    groupByStart[keys.start] = group
                    members.append([])
                }
                members[group].append(index)
            }
            groups = members
            return
        }
        keyRows = batch.count
        for (index, span) in batch.spans.enumerated() {
            var runs = [span.rows]
            var ancestor = span.parent
            while let parent = ancestor {
                runs.insert(batch.spans[parent].rows, at: 0)
                ancestor = batch.spans[parent].parent
            }
            let keys = runs.reduce(0) { $0 + $1.count }
            sequences.append(Self.visible(span, runs: runs, keys: keys, index: index, pattern))
            let group = span.parent.map { groupOf[$0] } ?? members.count
            if group == members.count { members.append([]) }
            groupOf.append(group)
            members[group].append(index)
        }
        groups = members
    }

    /// Queries that stand at some rows of a batch and see only the keys of an earlier order: the query stream of a permutation model.
    /// - Parameters:
    ///   - targets: increasing rows of `batch`, one for each query.
    ///   - batch: holds the keys.
    ///   - order: one entry for each row of `batch`.
    public init(targets: [Int32], in batch: RaggedBatch, order: [Int32]) {
        sequences = []
        keyRows = batch.count
        var start = 0
        for span in batch.spans {
            let own = targets[start...].prefix { span.rows.contains(Int($0)) }.map { $0 }
            guard !own.isEmpty else { continue }
            sequences.append(Sequence(
                queries: start..<start + own.count, runs: [span.rows], first: Array(repeating: 0, count: own.count),
                last: Array(repeating: Int32(span.count), count: own.count), position: own.map { $0 - Int32(span.start) },
                keyOrder: span.rows.map { order[$0] }, orderLimit: own.map { order[Int($0)] }))
            start += own.count
        }
        groups = sequences.indices.map { [$0] }
    }

    private static func visible(_ span: Span, runs: [Range<Int>], keys: Int, index: Int, _ pattern: AttentionPattern) -> Sequence {
        let before = keys - span.count
        let position = (before..<keys).map { Int32($0) }
        let all = Int32(keys)
        var first = [Int32](repeating: 0, count: span.count)
        var last = [Int32](repeating: all, count: span.count)
        var keyOrder: [Int32]?
        var orderLimit: [Int32]?
        switch pattern {
        case .causal(let window):
            last = position.map { $0 + 1 }
            if let window { first = position.map { max(0, $0 + 1 - Int32(window)) } }
        case .bidirectional(let radius):
            if let radius {
                first = position.map { max(0, $0 - Int32(radius)) }
                last = position.map { min(all, $0 + Int32(radius) + 1) }
            }
        case .prefix(let lengths):
            last = position.map { max(Int32(min(lengths[index], keys)), $0 + 1) }
        case .permutation(let order, let queryStream):
            keyOrder = runs.flatMap { $0.map { order[$0] } }
            orderLimit = span.rows.map { order[$0] + (queryStream ? 0 : 1) }
        case .cross:
            preconditionFailure("cross attention has keys of its own")
        }
        return Sequence(queries: span.rows, runs: runs, first: first, last: last, position: position, keyOrder: keyOrder, orderLimit: orderLimit)
    }
}
