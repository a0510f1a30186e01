import Architectures
import Tensors
import Tokenization

/// A prompt and what is wanted of it.
public struct GenerationRequest: Sendable {
    public var promptTokens: [Int32]
    /// Completions of this one prompt; it is computed once for all of them.
    public var samples: Int
    /// The number of the first of them, so that one of many can be drawn again alone.
    public var firstSample: Int
    public var options: SamplingOptions
    public var maxTokens: Int
    public var stopTokens: [Int32]
    public var stopStrings: [String]
    /// Random numbers are functions of this key, the sample and the position.
    public var key: RandomKey
    /// The most likely alternatives to report with every token.
    public var alternatives: Int

    public init(
        promptTokens: [Int32], samples: Int = 1, firstSample: Int = 0, options: SamplingOptions, maxTokens: Int, stopTokens: [Int32], stopStrings: [String] = [], key: RandomKey,
        alternatives: Int = 0
    ) {
        self.promptTokens = promptTokens
        self.samples = samples
        self.firstSample = firstSample
        self.options = options
        self.maxTokens = maxTokens
        self.stopTokens = stopTokens
        self.stopStrings = stopStrings
        self.key = key
        self.alternatives = alternatives
    }
}

public struct Completion: Sendable {
    public var request: Int
    public var sample: Int
    /// Including the stop token.
    public var tokens: [Int32]
    public var finishReason: FinishReason
    /// Without stop token or stop string.
    public var text: String
    public var logProbabilities: [Float]
    public var behaviorLogProbabilities: [Float]
    /// Per token, the most likely tokens with their log-probabilities, where asked for.
    public var alternatives: [[(token: Int32, logProbability: Float)]]

    fileprivate func shifted(by requests: Int) -> Completion {
        var completion = self
        completion.request += requests
        return completion
    }
}

/// One decode loop for many sequences: prompts are computed once whatever the number of completions, prefixes that all
/// prompts share once for all, finished sequences leave and waiting ones join.
///
/// Which sequences run together changes no bit of any of them.
public final class Generator {
    private let model: Model
    private let decoder: Transformer
    private let cache: KeyValueCache
    /// Sequences that decode together.
    public var maxSequences = 64
    /// Prompt tokens computed in one pass.
    public var maxPrefillTokens = 1024

    public init(_ model: Model) {
        self.model = model
        decoder = model.transformer
        cache = model.transformer.makeCache()
    }

    private struct Sequence {
        var request: Int
        var sample: Int
        /// Cache blocks with the keys used in each.
        var blocks: [(block: Int, count: Int)]
        /// Tokens in the cache.
        var length: Int
        /// Drawn, not yet in the cache.
        var pending: Int32 = 0
        var draws: [Draw] = []
        var alternatives: [[(token: Int32, logProbability: Float)]] = []
        var bytes: [UInt8] = []
    }

    /// Some samples of a request.
    private struct Part {
        var request: Int
        var samples: Range<Int>
    }

    private static let blockSize = KeyValueCache.blockSize

    /// Completes every request.
    /// - Parameters:
    ///   - requests: prompts of at least one token, shorter than the model's context; options may differ.
    ///   - onToken: sees each token as it is drawn.
    ///   - onFinish: sees each completion as it ends; the order depends on lengths.
    ///   - isCancelled: looked at before every step; true ends the run with what has finished so far.
    /// - Returns: completions in the order of requests and samples.
    /// - Throws: `SamplingError`, and what `onFinish` throws.
    @discardableResult
    public func run(
        _ requests: [GenerationRequest], onToken: (_ request: Int, _ sample: Int, _ token: Int32) -> Void = { _, _, _ in },
        onFinish: (Completion) throws -> Void = { _ in }, isCancelled: () -> Bool = { false }
    ) throws -> [Completion] {
        let c = decoder.configuration, context = c.maxPositionEmbeddings
        guard c.isCausal, c.purpose == .languageModel else { throw SamplingError.notGenerative(modelType: c.modelType) }
        for request in requests {
            try request.options.validate()
            if request.maxTokens < 1 { throw SamplingError.invalid(option: "max-tokens", value: "\(request.maxTokens)", allowed: "1 or more") }
            if request.samples < 0 { throw SamplingError.invalid(option: "samples", value: "\(request.samples)", allowed: "0 or more") }
            if request.promptTokens.isEmpty { throw SamplingError.emptyPrompt }
            if request.promptTokens.count >= context { throw SamplingError.promptTooLong(tokens: request.promptTokens.count, context: context) }
        }
        guard c.encoderLayers != nil else { return try decode(requests, prompts: requests.map(\.promptTokens), onToken, onFinish, isCancelled) }
        // Prompts are what the encoder reads, some at a time; every answer begins with the same token.
        var finished: [Completion] = []
        var first = 0
        while first < requests.count, !isCancelled() {
            var end = first + 1, tokens = requests[first].promptTokens.count
            while end < requests.count, tokens + requests[end].promptTokens.count <= Self.encodedTokens {
                tokens += requests[end].promptTokens.count
                end += 1
            }
            let (group, start) = (Array(requests[first..<end]), first)
            let batch = RaggedBatch(group.map(\.promptTokens))
            let answer = [c.decoderStartTokenID ?? 0]
            sources = (EncodedBatch(decoder.encode(batch), sources: [batch.spans[0]], for: RaggedBatch([answer])), batch.spans)
            defer { sources = nil }
            let completions = try decode(
                group, prompts: group.map { _ in answer }, { onToken($0 + start, $1, $2) }, { try onFinish($0.shifted(by: start)) }, isCancelled)
            finished += completions.map { $0.shifted(by: start) }
            first = end
        }
        return finished
    }

    /// Tokens that an encoder reads for one group of requests.
    private static let encodedTokens = 1 << 14
    /// The encoder's states of the requests, and which of them belong to each.
    private var sources: (encoded: EncodedBatch, spans: [Span])?

    private func decode(
        _ requests: [GenerationRequest], prompts: [[Int32]], _ onToken: (Int, Int, Int32) -> Void, _ onFinish: (Completion) throws -> Void, _ isCancelled: () -> Bool
    ) throws -> [Completion] {
        var finished: [Completion] = []
        var active: [Sequence] = []
        // A request with more samples than may decode together is served in parts; its prompt is then computed once for each.
        var waiting = requests.indices.flatMap { request in
            let first = requests[request].firstSample, end = first + requests[request].samples
            return stride(from: first, to: end, by: max(1, maxSequences)).map { Part(request: request, samples: $0..<min(end, $0 + max(1, maxSequences))) }
        }[...]
        let shared = sharedPrefix(prompts)
        var prefix: [(block: Int, count: Int)] = []
        defer {
            for sequence in active { release(sequence.blocks) }
            release(prefix)
        }
        if shared > 0 {
            prefix = takeBlocks(shared)
            _ = forward([Stretch(request: 0, tokens: Array(prompts[0][..<shared]), blocks: prefix, before: 0)])
        }

        while !waiting.isEmpty || !active.isEmpty {
            if isCancelled() { break }
            // Waiting prompts join as soon as their completions have room, several in one pass.
            var joining: [Part] = []
            var (sequences, tokens) = (active.count, 0)
            while let next = waiting.first {
                let length = prompts[next.request].count - shared
                if sequences > 0, sequences + next.samples.count > maxSequences || tokens + length > maxPrefillTokens { break }
                joining.append(waiting.removeFirst())
                sequences += next.samples.count
                tokens += length
            }
            if !joining.isEmpty { active += try prefill(joining, requests, prompts, prefix: prefix, shared: shared) }

            try settle(&active, requests, &finished, onToken, onFinish)
            if active.isEmpty { continue }
            let logits = forward(active.indices.map { next(&active[$0], prompts) })
            try draw(&active, logits, rows: Array(active.indices), requests)
        }
        return finished.sorted { ($0.request, $0.sample) < ($1.request, $1.sample) }
    }

    /// Tokens that every prompt begins with, in whole blocks, leaving each prompt at least one token of its own.
    private func sharedPrefix(_ prompts: [[Int32]]) -> Int {
        // Where the length of a sequence decides how its first tokens turn, none can be shared.
        guard prompts.count > 1, let first = prompts.first, decoder.configuration.rope?.switchLength == nil else { return 0 }
        var common = first.count
        for prompt in prompts.dropFirst() {
            var length = 0
            while length < min(common, prompt.count), prompt[length] == first[length] { length += 1 }
            common = length
        }
        let shortest = prompts.map(\.count).min()!
        return min(common, shortest - 1) / Self.blockSize * Self.blockSize
    }

    private func takeBlocks(_ tokens: Int) -> [(block: Int, count: Int)] {
        var blocks: [(block: Int, count: Int)] = []
        for first in stride(from: 0, to: tokens, by: Self.blockSize) {
            blocks.append((cache.takeBlock(after: blocks.last?.block), min(Self.blockSize, tokens - first)))
        }
        return blocks
    }

    private func release(_ blocks: [(block: Int, count: Int)]) { for (block, _) in blocks { cache.release(block) } }

    /// Room for one more token; a block that others read too is never written.
    private func appendSlot(_ sequence: inout Sequence) {
        if let last = sequence.blocks.indices.last, sequence.blocks[last].count < Self.blockSize, cache.isUnique(sequence.blocks[last].block) {
            sequence.blocks[last].count += 1
        } else {
            sequence.blocks.append((cache.takeBlock(after: sequence.blocks.last?.block), 1))
        }
    }

    /// Tokens of a request that are computed together.
    private struct Stretch {
        var request: Int
        var tokens: [Int32]
        /// With room for the tokens.
        var blocks: [(block: Int, count: Int)]
        /// Tokens of the sequence that lie in the cache already.
        var before: Int
    }

    /// What a sequence computes next: its pending token, or all of it once it grows beyond the length that decides how its tokens turn.
    private func next(_ sequence: inout Sequence, _ prompts: [[Int32]]) -> Stretch {
        defer { sequence.length += 1 }
        if sequence.length == decoder.configuration.rope?.switchLength {
            release(sequence.blocks)
            sequence.blocks = takeBlocks(sequence.length + 1)
            return Stretch(request: sequence.request, tokens: prompts[sequence.request] + sequence.draws.map(\.token), blocks: sequence.blocks, before: 0)
        }
        appendSlot(&sequence)
        return Stretch(request: sequence.request, tokens: [sequence.pending], blocks: sequence.blocks, before: sequence.length)
    }

    /// Computes new tokens of several sequences, whose blocks already have room for them.
    /// - Returns: the logits of each sequence's last token, `[sequences, vocabulary]`.
    private func forward(_ parts: [Stretch]) -> Tensor {
        var spans: [Span] = []
        var tokens: [Int32] = [], positions: [Int32] = [], slots: [Int32] = [], last: [Int32] = []
        var cached: [(queries: Range<Int>, blocks: [(block: Int, count: Int)])] = []
        for part in parts {
            spans.append(Span(start: tokens.count, count: part.tokens.count))
            cached.append((tokens.count..<tokens.count + part.tokens.count, part.blocks))
            let all = part.blocks.flatMap { block in (0..<block.count).map { Int32(block.block * Self.blockSize + $0) } }
            slots += all.suffix(part.tokens.count)
            positions += (part.before..<part.before + part.tokens.count).map { Int32($0) }
            tokens += part.tokens
            last.append(Int32(tokens.count - 1))
        }
        let batch = RaggedBatch(tokens: tokens, spans: spans, positions: positions)
        var pass = Pass(cached: CachedBatch(cache: cache, slots: slots, sequences: cached))
        if let (encoded, spans) = sources {
            let own = EncodedBatch(encoded, sources: parts.map { spans[$0.request] }, for: batch)
            pass.encoded = own
            // The next step finds the keys and values that this one has made of the encoder's states.
            sources = (own, spans)
        }
        let hidden = decoder.hiddenStates(batch, pass)
        return decoder.logits(gatherRows(hidden, last))
    }

    /// Computes prompts and draws every completion's first token.
    private func prefill(_ joining: [Part], _ requests: [GenerationRequest], _ prompts: [[Int32]], prefix: [(block: Int, count: Int)], shared: Int) throws -> [Sequence] {
        let own = joining.map { takeBlocks(prompts[$0.request].count - shared) }
        let logits = forward(zip(joining, own).map { Stretch(request: $0.request, tokens: Array(prompts[$0.request][shared...]), blocks: prefix + $1, before: shared) })
        var sequences: [Sequence] = []
        var rows: [Int] = []
        for (row, (part, blocks)) in zip(joining, own).enumerated() {
            for sample in part.samples {
                for (block, _) in prefix + blocks { cache.retain(block) }
                sequences.append(Sequence(request: part.request, sample: sample, blocks: prefix + blocks, length: prompts[part.request].count))
                rows.append(row)
            }
            release(blocks)
        }
        do {
            try draw(&sequences, logits, rows: rows, requests)
        } catch {
            for sequence in sequences { release(sequence.blocks) }
            throw error
        }
        return sequences
    }

    private func draw(_ sequences: inout [Sequence], _ logits: Tensor, rows: [Int], _ requests: [GenerationRequest]) throws {
        var users = [[Int]](repeating: [], count: logits.shape[0])
        for (index, row) in rows.enumerated() { users[row].append(index) }
        let (current, tokens) = (sequences, model.tokenizer.vocabularySize)
        var results = [Result<Draw, SamplingError>?](repeating: nil, count: sequences.count)
        var alternatives = [[(token: Int32, logProbability: Float)]](repeating: [], count: sequences.count)
        results.withUnsafeMutableBufferPointer { results in
            alternatives.withUnsafeMutableBufferPointer { alternatives in
                decoder.backend.forEachRow(logits) { row, values in
                    for index in users[row] {
                        let sequence = current[index], request = requests[sequence.request]
                        let uniform = request.key.folding(sequence.sample).uniform(UInt64(sequence.draws.count))
                        results[index] = Result { () throws(SamplingError) in try request.options.draw(values, uniform: uniform, candidates: tokens) }
                        if request.alternatives > 0 { alternatives[index] = Self.mostLikely(values, request.alternatives) }
                    }
                }
            }
        }
        for index in sequences.indices {
            let draw = try results[index]!.get()
            sequences[index].pending = draw.token
            sequences[index].draws.append(draw)
            if requests[sequences[index].request].alternatives > 0 { sequences[index].alternatives.append(alternatives[index]) }
        }
    }

    private static func mostLikely(_ logits: UnsafeBufferPointer<Float>, _ count: Int) -> [(token: Int32, logProbability: Float)] {
        let normalizer = RowMath.logSumExp(logits)
        return logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }.prefix(count).map { (Int32($0), logits[$0] - normalizer) }
    }

    /// Takes out the sequences that their last token ended.
    private func settle(
        _ active: inout [Sequence], _ requests: [GenerationRequest], _ finished: inout [Completion], _ onToken: (Int, Int, Int32) -> Void,
        _ onFinish: (Completion) throws -> Void
    ) throws {
        var going: [Sequence] = []
        var ended: [Completion] = []
        for var sequence in active {
            let request = requests[sequence.request]
            onToken(sequence.request, sequence.sample, sequence.pending)
            let isStop = request.stopTokens.contains(sequence.pending)
            if !isStop { sequence.bytes += model.tokenizer.bytes(of: sequence.pending) }
            let cut = isStop ? nil : stopString(request.stopStrings, in: sequence.bytes, tail: model.tokenizer.bytes(of: sequence.pending).count)
            let reason: FinishReason? =
                if isStop || cut != nil { .stop
                } else if sequence.draws.count >= request.maxTokens || sequence.length + 1 >= decoder.configuration.maxPositionEmbeddings { .length
                } else { nil }
            guard let reason else {
                going.append(sequence)
                continue
            }
            release(sequence.blocks)
            let completion = Completion(
                request: sequence.request, sample: sequence.sample, tokens: sequence.draws.map(\.token), finishReason: reason,
                text: String(decoding: sequence.bytes[..<(cut ?? sequence.bytes.count)], as: UTF8.self), logProbabilities: sequence.draws.map(\.logProbability),
                behaviorLogProbabilities: sequence.draws.map(\.behaviorLogProbability), alternatives: sequence.alternatives)
            ended.append(completion)
        }
        // Blocks are given back before anyone can throw.
        active = going
        finished += ended
        for completion in ended { try onFinish(completion) }
    }

    /// Where the first stop string begins that the last `tail` bytes complete.
    private func stopString(_ stops: [String], in bytes: [UInt8], tail: Int) -> Int? {
        guard tail > 0 else { return nil }  // a token without text completes nothing
        var found: Int?
        for stop in stops {
            let pattern = Array(stop.utf8)
            guard !pattern.isEmpty, bytes.count >= pattern.count else { continue }
            for start in max(0, bytes.count - tail - pattern.count + 1)...(bytes.count - pattern.count) where bytes[start..<start + pattern.count].elementsEqual(pattern) {
                found = min(found ?? start, start)
                break
            }
        }
        return found
    }
}
