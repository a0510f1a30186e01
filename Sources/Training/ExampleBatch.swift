import Architectures
import Tensors

/// Examples laid out as one ragged batch, common prefixes computed once.
///
/// Sequences are merged into a tree in the order of the examples; a common prefix shorter than `minimumShared` tokens is not worth a
/// span of its own. The gradient is exactly that of separate sequences.
public struct ExampleBatch: Sendable {
    public let batch: RaggedBatch
    /// Flat rows whose next token is trained, example after example.
    public let rows: [Int32]
    /// The token that follows each of those rows.
    public let targets: [Int32]
    /// Which of `rows` belong to each example.
    public let ranges: [Range<Int>]
    /// What an encoder reads for each span of `batch`, in a model that has one.
    public let sources: RaggedBatch?
    /// The segment of each row of `batch`, where examples have them.
    public let segments: [Int32]?

    /// Tokens that a common prefix must have to be computed once.
    public static let minimumShared = 8

    /// Consecutive examples, as many as fit into `tokens` when common prefixes are computed once; one that alone is larger stands alone.
    ///
    /// A prefix that ends fewer than `minimumShared` tokens after a branching of the others is counted as shared and is not.
    /// - Parameter groups: consecutive examples that stay together; nil: each stands alone.
    package static func cut(_ examples: [Example], tokens: Int, sharingPrefixes: Bool, groups: [Range<Int>]? = nil, for c: TransformerConfiguration) -> [ArraySlice<Example>] {
        let sharingPrefixes = sharingPrefixes && c.sharesPrefixes && !examples.contains { $0.labels != nil }
        var batches: [ArraySlice<Example>] = []
        var (start, used) = (0, 0)
        let inputs = examples.map(\.inputs)
        let firsts = groups?.flatMap { group in group.map { _ in group.lowerBound } }
        for (index, example) in examples.enumerated() {
            var added = example.tokenCount
            if sharingPrefixes {
                let shared = inputs[start..<index].lazy.map { other in zip(other, inputs[index]).prefix { $0 == $1 }.count }.max() ?? 0
                if shared >= minimumShared { added -= shared }
            }
            used += added
            let first = firsts?[index] ?? index
            guard used > tokens, first > start else { continue }
            batches.append(examples[start..<first])
            (start, used) = (first, examples[first...index].reduce(0) { $0 + $1.tokenCount })
        }
        if start < examples.count { batches.append(examples[start...]) }
        return batches
    }

    private struct Branch {
        var tokens: [Int32]
        var children: [Int] = []
    }

    /// For a decoder: prompts and completions are one sequence. For an encoder–decoder: the encoder reads prompts, the decoder completions.
    public init(_ examples: [Example], sharingPrefixes: Bool = true, for c: TransformerConfiguration) {
        if examples.contains(where: { $0.labels != nil }) {
            self.init(labelled: examples)
        } else if c.encoderLayers != nil {
            self.init(answers: examples, start: c.decoderStartTokenID ?? 0)
        } else {
            self.init(examples, sharingPrefixes: sharingPrefixes && c.sharesPrefixes)
        }
    }

    /// Examples without labels among them are prompts with their completions.
    private init(labelled examples: [Example]) {
        let read = examples.map { $0.labels == nil ? $0.inputs : $0.promptTokens }
        batch = RaggedBatch(read)
        sources = nil
        segments = examples.contains { $0.segments != nil } ? zip(examples, read).flatMap { $0.segments ?? Array(repeating: 0, count: $1.count) } : nil
        var rows: [Int32] = [], targets: [Int32] = []
        ranges = zip(examples, batch.spans).map { example, span in
            let first = targets.count
            if let labels = example.labels {
                rows += labels.places.map { $0 + Int32(span.start) }
                targets += labels.targets
            } else {
                for (index, token) in example.completionTokens.enumerated() where example.trained[index] {
                    rows.append(Int32(span.start + example.promptTokens.count - 1 + index))
                    targets.append(token)
                }
            }
            return first..<targets.count
        }
        (self.rows, self.targets) = (rows, targets)
    }

    private init(answers examples: [Example], start: Int32) {
        batch = RaggedBatch(examples.map { [start] + $0.completionTokens.dropLast() })
        sources = RaggedBatch(examples.map(\.promptTokens))
        segments = nil
        var rows: [Int32] = [], targets: [Int32] = []
        ranges = zip(examples, batch.spans).map { example, span in
            let first = rows.count
            for (index, token) in example.completionTokens.enumerated() where example.trained[index] {
                rows.append(Int32(span.start + index))
                targets.append(token)
            }
            return first..<rows.count
        }
        (self.rows, self.targets) = (rows, targets)
    }

    public init(_ examples: [Example], sharingPrefixes: Bool = true, minimumShared: Int = Self.minimumShared) {
        var branches: [Branch] = []
        var roots: [Int] = []
        // Per example, the branches from root to leaf; each is passed to its end.
        var leaves: [Int] = []
        for example in examples {
            let tokens = example.inputs
            guard sharingPrefixes else {
                branches.append(Branch(tokens: tokens))
                roots.append(branches.count - 1)
                leaves.append(branches.count - 1)
                continue
            }
            var at: Int?
            var done = 0
            search: while done < tokens.count {
                for child in at.map({ branches[$0].children }) ?? roots {
                    let common = zip(branches[child].tokens, tokens[done...]).prefix { $0 == $1 }.count
                    let rest = tokens.count - done - common
                    guard common >= minimumShared || (common == branches[child].tokens.count && common > 0) else { continue }
                    if common < branches[child].tokens.count {
                        // Split: the tail of the branch becomes its child.
                        branches.append(Branch(tokens: Array(branches[child].tokens[common...]), children: branches[child].children))
                        let tail = branches.count - 1
                        leaves = leaves.map { $0 == child ? tail : $0 }
                        branches[child].tokens.removeSubrange(common...)
                        branches[child].children = [tail]
                    }
                    at = child
                    done += common
                    if rest == 0 { break search }
                    continue search
                }
                branches.append(Branch(tokens: Array(tokens[done...])))
                if let at { branches[at].children.append(branches.count - 1) } else { roots.append(branches.count - 1) }
                at = branches.count - 1
                done = tokens.count
            }
            leaves.append(at!)
        }

        // Depth first, so that a parent always comes before its children.
        var spans: [Span] = []
        var tokens: [Int32] = []
        var spanOf = [Int](repeating: 0, count: branches.count)
        func lay(_ branch: Int, parent: Int?) {
            spanOf[branch] = spans.count
            spans.append(Span(start: tokens.count, count: branches[branch].tokens.count, parent: parent))
            tokens += branches[branch].tokens
            for child in branches[branch].children { lay(child, parent: spanOf[branch]) }
        }
        for root in roots { lay(root, parent: nil) }
        batch = RaggedBatch(tokens: tokens, spans: spans)
        (sources, segments) = (nil, nil)

        var rows: [Int32] = [], targets: [Int32] = []
        var ranges: [Range<Int>] = []
        for (example, leaf) in zip(examples, leaves) {
            var path: [Span] = []
            var at: Int? = spanOf[leaf]
            while let span = at {
                path.insert(spans[span], at: 0)
                at = spans[span].parent
            }
            // A later split may have moved the example's end into the middle of the tree: its rows are the first of the path.
            let flat = path.flatMap { $0.rows }
            let first = rows.count
            for (index, token) in example.completionTokens.enumerated() where example.trained[index] {
                rows.append(Int32(flat[example.promptTokens.count - 1 + index]))
                targets.append(token)
            }
            ranges.append(first..<rows.count)
        }
        self.rows = rows
        self.targets = targets
        self.ranges = ranges
    }
}

extension TransformerConfiguration {
    /// Whether a common prefix has the same states in every sequence: not where the length of a sequence decides how its tokens turn.
    var sharesPrefixes: Bool { rope?.switchLength == nil && encoderLayers == nil }
}

extension Transformer {
    /// The final hidden states of the rows that examples train.
    func hiddenStates(_ examples: ExampleBatch, _ pass: Pass = Pass()) -> Tensor {
        var pass = pass
        pass.segments = examples.segments
        if let sources = examples.sources {
            pass.encoded = EncodedBatch(encode(sources, pass), sources: sources.spans, for: examples.batch)
        }
        return gatherRows(hiddenStates(examples.batch, pass), examples.rows)
    }
}
