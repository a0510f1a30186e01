import Architectures
import Foundation
import ModelFiles
import Tensors

/// How far a model is from the reference computation stored beside it.
public struct Conformance: Sendable {
    /// The worst deviation of one quantity, as a share of what is allowed: at most 1 conforms.
    public struct Deviation: Sendable {
        public var quantity: String
        public var absolute: Double
        /// Largest |difference| / allowed difference.
        public var share: Double
    }
    public var folder: String
    public var deviations: [Deviation]

    public var conforms: Bool { deviations.allSatisfy { $0.share <= 1 } }

    /// Runs the model of a fixture folder on its `io.safetensors`: hidden states, logits, loss, every gradient, greedy ids. Then each sequence alone
    /// and, where the model generates, token by token with a cache: both must give the same bits as the batch.
    ///
    /// Limits are those of the fixtures' README: logits and hidden states 1e-4 + 1e-4·|reference|, loss 2e-5, gradients
    /// 1e-4 of the tensor's largest entry + 1e-6. `configFile` is `config.json`, or the same model under older key names.
    /// - Throws: `UnsupportedFamily`, what reading a model throws, and `FileError` for references that do not fit the model.
    public init(folder: String, configFile: String = "config.json", on backend: any Backend) throws {
        self.folder = folder
        deviations = []
        let path = "\(folder)/\(configFile)"
        let config = try JSON.read(path: path)
        guard let object = config.object else { throw FileError(file: path, problem: "is no JSON object", advice: "Check the file.") }
        let model = Transformer(try TransformerConfiguration(ConfigFields(object, file: path)), on: backend)
        try model.load(try SafetensorsFile(path: "\(folder)/model.safetensors"))
        let reference = try Reference(SafetensorsFile(path: "\(folder)/io.safetensors"), model.configuration)

        let run = Run(model, reference)
        for (name, values) in run.seen where reference.io.info(name) != nil { try compareStates(name, values, reference) }
        let loss = try backward(run, reference)
        try compare("loss", [Float(loss)], try reference.io.floats("loss"), allowed: { _ in 2e-5 })
        for parameter in model.parameters.parameters {
            let expected = try reference.io.floats("grad.\(parameter.name)")
            let largest = Double(expected.map(abs).max() ?? 0)
            try compare("grad.\(parameter.name)", parameter.inFileOrder(run.gradients.read(parameter)), expected, allowed: { _ in 1e-4 * largest + 1e-6 })
        }
        try compareGreedy(model, reference)
        compareBits(run, reference)
    }

    // MARK: The reference

    /// The inputs of `io.safetensors` without their padding.
    private struct Reference {
        let io: SafetensorsFile
        let c: TransformerConfiguration
        let batch: RaggedBatch
        let segments: [Int32]?
        /// The place of each row of the batch in the padded arrays, and how many places these have.
        let places: [Int], padded: Int
        let labels: [Int64]
        /// The same of the decoder, in a model with an encoder.
        let answers: RaggedBatch?
        let answerPlaces: [Int], answerPadded: Int
        let streams: TwoStreams?
        /// The slot of each target of the query stream among the padded ones.
        let slots: [Int], slotsPadded: Int

        init(_ io: SafetensorsFile, _ c: TransformerConfiguration) throws {
            self.io = io
            self.c = c
            let ids = try io.integers("input_ids"), mask = try io.integers("attention_mask"), V = Int64(c.vocabularySize)
            let shape = io.info("input_ids")!.shape
            func misfit(_ problem: String) -> FileError { FileError(file: io.path, problem: problem, advice: "Make the reference again.") }
            guard shape.count == 2 else { throw misfit("'input_ids' has shape \(shape), not [sequences, tokens]") }
            let (B, T) = (shape[0], shape[1])
            let real = mask.count == ids.count ? (0..<B).map { b in (0..<T).map { b * T + $0 }.filter { mask[$0] == 1 } } : []
            guard !real.isEmpty, !real.contains(where: \.isEmpty), ids.allSatisfy({ 0..<V ~= $0 }) else { throw misfit("token ids or mask do not fit the model") }
            batch = RaggedBatch(real.map { $0.map { Int32(ids[$0]) } })
            (places, padded) = (real.joined().map { $0 }, B * T)
            segments = io.info("token_type_ids") == nil ? nil : try Self.taking(places, of: io.integers("token_type_ids").map { Int32(clamping: $0) })
            let labels = try io.integers("labels")
            self.labels = labels
            if io.info("decoder_input_ids") != nil {
                let starts = try io.integers("decoder_input_ids"), U = labels.count / B
                guard starts.count == labels.count, starts.allSatisfy({ 0..<V ~= $0 }) else { throw misfit("'decoder_input_ids' does not fit the labels or the model") }
                let own = (0..<B).map { b in (0..<U).map { b * U + $0 }.filter { labels[$0] != -100 } }
                answers = RaggedBatch(own.map { $0.map { Int32(starts[$0]) } })
                (answerPlaces, answerPadded) = (own.joined().map { $0 }, labels.count)
            } else {
                (answers, answerPlaces, answerPadded) = (nil, [], 0)
            }
            if io.info("target_mapping") != nil {
                let targets = try io.floats("target_mapping"), hidden = try io.floats("perm_mask"), M = targets.count / (B * T)
                var order: [Int32] = [], rows: [Int32] = [], slots: [Int] = []
                for (b, span) in batch.spans.enumerated() {
                    let here = real[b].map { $0 - b * T }
                    // A token that nothing sees but what comes later is predicted; what all see comes before all.
                    let isTarget = here.map { hidden[(b * T + $0) * T + $0] == 1 }
                    let seen = here.map { i in here.filter { hidden[(b * T + i) * T + $0] == 0 }.count }
                    let before = isTarget.filter { !$0 }.count
                    order += zip(isTarget, seen).map { $0 ? Int32($1 - before + 1) : 0 }
                    let positions = (0..<M).compactMap { m in (0..<T).first { targets[(b * M + m) * T + $0] == 1 }.map { (m, $0) } }.sorted { $0.1 < $1.1 }
                    rows += positions.map { Int32(span.start + $0.1) }
                    slots += positions.map { b * M + $0.0 }
                }
                (streams, self.slots, slotsPadded) = (TwoStreams(order: order, targets: rows), slots, B * M)
            } else {
                (streams, slots, slotsPadded) = (nil, [], 0)
            }
            let limit = c.labelCount.map { Int64($0) } ?? V
            let isBinary = c.purpose == .pretraining && c.taskHead?.pooling == .tokens
            guard labels.allSatisfy({ $0 == -100 || 0..<(isBinary ? 2 : c.purpose == .pretraining ? V : limit) ~= $0 }) else { throw misfit("'labels' do not fit the model") }
        }

        static func taking<Value>(_ places: [Int], of values: [Value]) -> [Value] { places.map { values[$0] } }

        func pass(_ tape: Tape? = nil, probe: (any Probe)? = nil) -> Pass {
            var pass = Pass(tape: tape, probe: probe)
            pass.segments = segments
            pass.streams = streams
            pass.balance = c.experts.map { LoadBalance(coefficient: $0.balance) }
            return pass
        }

        /// The rows of a padded array that are real.
        func rows(_ name: String, _ places: [Int], of padded: Int) throws -> [Float] {
            let values = try io.floats(name), width = values.count / padded
            guard values.count == padded * width else { throw misfit(name) }
            return places.flatMap { values[$0 * width..<($0 + 1) * width] }
        }

        func misfit(_ name: String) -> FileError {
            FileError(file: io.path, problem: "'\(name)' has shape \(io.info(name)?.shape ?? []), which does not fit the model or the token ids", advice: "Make the reference again.")
        }
    }

    /// One forward pass over the whole batch, recorded.
    private final class Run: Probe {
        let model: Transformer
        let gradients: Gradients
        let tape: Tape
        let balance: LoadBalance?
        /// What the vocabulary head would read, and what the task head gives.
        private(set) var hidden: Tensor!, labels: Tensor?
        private(set) var seen: [(String, [Float])] = []

        init(_ model: Transformer, _ reference: Reference) {
            self.model = model
            gradients = Gradients(of: model.parameters)
            tape = Tape(into: gradients)
            var pass = reference.pass(tape)
            balance = pass.balance
            pass.probe = self
            if let answers = reference.answers {
                pass.encoded = EncodedBatch(model.encode(reference.batch, pass), sources: reference.batch.spans, for: answers)
            }
            hidden = model.hiddenStates(reference.answers ?? reference.batch, pass)
            labels = model.labelLogits(hidden, reference.batch, probe: self)
        }

        func visit(_ name: String, _ value: Tensor) -> Tensor {
            seen.append((name, value.read()))
            return value
        }
    }

    // MARK: Comparing

    private mutating func compare(_ quantity: String, _ values: [Float], _ reference: [Float], allowed: (Double) -> Double) throws {
        guard values.count == reference.count else {
            throw FileError(
                file: "\(folder)/io.safetensors", problem: "'\(quantity)' has \(reference.count) values where the model gives \(values.count)", advice: "Make the reference again.")
        }
        var worst = Deviation(quantity: quantity, absolute: 0, share: 0)
        for (value, expected) in zip(values, reference) {
            let difference = abs(Double(value) - Double(expected))
            // A NaN must not hide.
            if !(difference <= worst.absolute) { worst.absolute = difference }
            let share = difference / allowed(Double(expected))
            if !(share <= worst.share) { worst.share = share.isNaN ? .infinity : share }
        }
        deviations.append(worst)
    }

    private mutating func compareValues(_ quantity: String, _ values: [Float], _ reference: [Float]) throws {
        try compare(quantity, values, reference, allowed: { 1e-4 + 1e-4 * abs($0) })
    }

    private mutating func compareStates(_ name: String, _ values: [Float], _ r: Reference) throws {
        if name == "pooled" { return try compareValues(name, values, r.io.floats(name)) }
        if name.hasPrefix("decoder.") { return try compareValues(name, values, r.rows(name, r.answerPlaces, of: r.answerPadded)) }
        let own = try r.rows(name, r.places, of: r.padded)
        try compareValues(name, Array(values.prefix(own.count)), own)
        // Rows of the query stream follow those of the content stream.
        let second = name.replacingOccurrences(of: "hidden.", with: "hidden_g.")
        if r.streams != nil, name != "hidden.0", r.io.info(second) != nil {
            try compareValues(second, Array(values.dropFirst(own.count)), r.rows(second, r.slots, of: r.slotsPadded))
        }
    }

    // MARK: Losses

    /// Compares the logits, and runs the backward pass of the loss that belongs to the model.
    private mutating func backward(_ run: Run, _ r: Reference) throws -> Double {
        let c = run.model.configuration
        var loss = 0.0
        var seeds: [(of: Tensor, gradient: Tensor)] = []
        if c.hasVocabularyHead {
            let (places, padded) = r.answers != nil ? (r.answerPlaces, r.answerPadded) : r.streams != nil ? (r.slots, r.slotsPadded) : (r.places, r.padded)
            try compareValues("logits", run.model.logits(run.hidden).read(), r.rows("logits", places, of: padded))
            var rows: [Int32] = [], targets: [Int32] = []
            let shift = c.isCausal && r.answers == nil ? 1 : 0
            for (row, place) in places.enumerated() where row + shift < places.count {
                // The next token's label, where that is of the same sequence.
                guard places[row + shift] == place + shift, r.labels[place + shift] != -100, shift == 0 || !r.batch.spans.contains(where: { $0.start == row + 1 }) else { continue }
                rows.append(Int32(row))
                targets.append(Int32(r.labels[place + shift]))
            }
            let input = run.model.headInput(gatherRows(run.hidden, rows)), count = targets.count
            let gradient = run.model.head.backward(input, targets: targets, groups: [0..<count], into: run.gradients) { _, laws in
                loss += laws.reduce(0) { $0 - Double($1.logProbability) } / Double(count)
                return (Array(repeating: -1 / Float(count), count: count), Array(repeating: 0, count: count))
            }
            seeds.append((input, gradient))
            if let balance = run.balance, r.io.info("aux_loss") != nil {
                try compareValues("aux_loss", [Float(balance.loss())], r.io.floats("aux_loss"))
                loss += balance.coefficient * balance.loss()
            }
        }
        if let logits = run.labels {
            let values = logits.read()
            if c.taskHead?.pooling == .tokens, c.purpose == .pretraining {
                try compareValues("logits", values, r.rows("logits", r.places, of: r.padded))
                seeds.append((logits, Self.binary(logits, values, Reference.taking(r.places, of: r.labels), &loss)))
            } else {
                let name = ["next_sentence_label", "sentence_order_label"].first { r.io.info($0) != nil }
                try compareValues(name == nil ? "logits" : "sentence_logits", values, r.io.floats(name == nil ? "logits" : "sentence_logits"))
                seeds.append((logits, Self.classes(logits, values, try name.map { try r.io.integers($0) } ?? r.labels, &loss)))
            }
        }
        run.tape.backward(seeds)
        return loss
    }

    /// Cross entropy of one label a row.
    private static func classes(_ logits: Tensor, _ values: [Float], _ labels: [Int64], _ loss: inout Double) -> Tensor {
        let width = logits.shape[1]
        var gradient: [Float] = []
        for (row, label) in labels.enumerated() {
            let slice = Array(values[row * width..<(row + 1) * width])
            let normalizer = slice.withUnsafeBufferPointer { RowMath.logSumExp($0) }
            loss -= Double(slice[Int(label)] - normalizer) / Double(labels.count)
            for (index, value) in slice.enumerated() {
                gradient.append((Float(fixedExp(Double(value - normalizer))) - (index == Int(label) ? 1 : 0)) / Float(labels.count))
            }
        }
        return logits.backend.tensor(gradient, shape: logits.shape)
    }

    /// Binary cross entropy of one logit a row.
    private static func binary(_ logits: Tensor, _ values: [Float], _ labels: [Int64], _ loss: inout Double) -> Tensor {
        var gradient: [Float] = []
        for (value, label) in zip(values, labels) {
            let x = Double(value), p = 1 / (1 + fixedExp(-x))
            loss += (max(x, 0) - x * Double(label) + fixedLog(1 + fixedExp(-abs(x)))) / Double(labels.count)
            gradient.append(Float((p - Double(label)) / Double(labels.count)))
        }
        return logits.backend.tensor(gradient, shape: logits.shape)
    }

    // MARK: Generating

    /// Greedy continuations of each sequence, with a cache.
    private mutating func compareGreedy(_ model: Transformer, _ r: Reference) throws {
        guard let info = r.io.info("greedy.ids") else { return }
        let expected = try r.io.integers("greedy.ids"), B = r.batch.spans.count
        guard info.shape.count == 2, info.shape[0] == B else { throw r.misfit("greedy.ids") }
        for (b, span) in r.batch.spans.enumerated() {
            let prompt = Array(r.batch.tokens[span.rows])
            let decoding = Decoding(model, source: r.answers == nil ? nil : prompt)
            var tokens: [Int32] = []
            var next = r.answers == nil ? prompt : [model.configuration.decoderStartTokenID ?? 0]
            for _ in 0..<info.shape[1] {
                let hidden = decoding.append(next)
                let row = model.logits(gatherRows(hidden, [Int32(next.count - 1)])).read()
                next = [Int32(row.withUnsafeBufferPointer { RowMath.argmax($0) })]
                tokens += next
            }
            let equal = zip(tokens, expected[b * info.shape[1]..<(b + 1) * info.shape[1]]).allSatisfy { Int64($0) == $1 }
            note("greedy.ids[\(b)]", failures: equal ? 0 : 1)
        }
    }

    /// One sequence that grows in a cache.
    private final class Decoding {
        private let model: Transformer
        private let cache: KeyValueCache
        private var blocks: [(block: Int, count: Int)] = []
        private var encoded: EncodedBatch?
        private var length = 0

        init(_ model: Transformer, source: [Int32]?) {
            self.model = model
            cache = model.makeCache()
            if let source {
                let batch = RaggedBatch([source])
                encoded = EncodedBatch(model.encode(batch), sources: batch.spans, for: RaggedBatch([[0]]))
            }
        }

        /// - Returns: the final hidden states of the new tokens.
        func append(_ tokens: [Int32]) -> Tensor {
            var slots: [Int32] = []
            for _ in tokens {
                if blocks.last.map({ $0.count == KeyValueCache.blockSize }) ?? true { blocks.append((cache.takeBlock(after: blocks.last?.block), 0)) }
                slots.append(Int32(blocks[blocks.count - 1].block * KeyValueCache.blockSize + blocks[blocks.count - 1].count))
                blocks[blocks.count - 1].count += 1
            }
            let batch = RaggedBatch(
                tokens: tokens, spans: [Span(start: 0, count: tokens.count)], positions: (length..<length + tokens.count).map { Int32($0) })
            length += tokens.count
            var pass = Pass(cached: CachedBatch(cache: cache, slots: slots, sequences: [(queries: 0..<tokens.count, blocks: blocks)]))
            encoded = encoded.map { EncodedBatch($0, sources: [Span(start: 0, count: $0.states.shape[0])], for: batch) }
            pass.encoded = encoded
            return model.hiddenStates(batch, pass)
        }
    }

    /// The final hidden states of one sequence, and of its source where there is an encoder.
    private static func states(of tokens: [Int32], after source: [Int32]?, segments: [Int32]?, under model: Transformer) -> [Float] {
        let batch = RaggedBatch([tokens])
        var pass = Pass()
        pass.segments = segments
        if let source {
            let own = RaggedBatch([source])
            pass.encoded = EncodedBatch(model.encode(own, pass), sources: own.spans, for: batch)
        }
        return model.hiddenStates(batch, pass).read()
    }

    /// Each sequence alone, and token by token, gives the bits that it has in the batch.
    private mutating func compareBits(_ run: Run, _ r: Reference) {
        guard r.streams == nil else { return }
        let c = run.model.configuration, target = r.answers ?? r.batch, width = run.hidden.shape[1]
        let together = run.hidden.read()
        // Where the length decides how heads turn, a sequence must be computed anew when it grows beyond.
        let longest = c.rope?.switchLength ?? .max
        var alone = 0, cached = 0
        for (index, span) in target.spans.enumerated() {
            let tokens = Array(target.tokens[span.rows]), expected = Array(together[span.start * width..<span.rows.upperBound * width])
            let source = r.batch.spans[index].rows
            let prompt = r.answers == nil ? nil : Array(r.batch.tokens[source])
            let states = Self.states(of: tokens, after: prompt, segments: r.segments.map { Array($0[source]) }, under: run.model)
            if !Self.haveSameBits(states, expected) { alone += 1 }
            if c.isCausal, tokens.count <= longest {
                let decoding = Decoding(run.model, source: prompt)
                var steps: [Float] = []
                for token in tokens { steps += decoding.append([token]).read() }
                if !Self.haveSameBits(steps, expected) { cached += 1 }
            }
        }
        note("bits of each sequence alone", failures: alone)
        if c.isCausal { note("bits with a cache", failures: cached) }
    }

    private static func haveSameBits(_ a: [Float], _ b: [Float]) -> Bool { a.map(\.bitPattern) == b.map(\.bitPattern) }

    private mutating func note(_ quantity: String, failures: Int) {
        deviations.append(Deviation(quantity: quantity, absolute: Double(failures), share: failures == 0 ? 0 : .infinity))
    }
}
