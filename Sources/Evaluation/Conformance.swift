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

    /// Runs the model of a fixture folder on its `io.safetensors`: hidden states, logits, loss, every gradient, greedy ids.
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
        let decoder = Decoder(try DecoderConfiguration(ConfigFields(object, file: path)), on: backend)
        try decoder.load(try SafetensorsFile(path: "\(folder)/model.safetensors"))
        let io = try SafetensorsFile(path: "\(folder)/io.safetensors")

        let ids = try io.integers("input_ids"), mask = try io.integers("attention_mask")
        let shape = io.info("input_ids")!.shape
        guard shape.count == 2 else { throw FileError(file: io.path, problem: "'input_ids' has shape \(shape), not [sequences, tokens]", advice: "Make the reference again.") }
        let (B, T) = (shape[0], shape[1])
        let V = Int64(decoder.configuration.vocabularySize), labels = try io.integers("labels")
        let labelsFit = decoder.configuration.labelCount.map { count in labels.count == B && labels.allSatisfy { 0..<Int64(count) ~= $0 } }
            ?? (labels.count == ids.count && labels.allSatisfy { $0 == -100 || 0..<V ~= $0 })
        // Real tokens only, and where each of them stands in the padded arrays.
        let places = mask.count == ids.count ? (0..<B).map { b in (0..<T).map { b * T + $0 }.filter { mask[$0] == 1 } } : []
        guard !places.isEmpty, !places.contains(where: \.isEmpty), ids.allSatisfy({ 0..<V ~= $0 }), labelsFit else {
            throw FileError(file: io.path, problem: "token ids, mask or labels do not fit the model", advice: "Make the reference again.")
        }
        let batch = RaggedBatch(places.map { $0.map { Int32(ids[$0]) } })
        let flat = places.joined().map { $0 }

        let probe = Recorder()
        let gradients = Gradients(of: decoder.parameters)
        let tape = Tape(into: gradients)
        let hidden = decoder.hiddenStates(batch, Pass(tape: tape, probe: probe))
        for (name, values) in probe.seen {
            guard io.info(name) != nil else { continue }
            try compare(name, values, try rows(io, name, flat, of: B * T), allowed: { 1e-4 + 1e-4 * abs($0) })
        }

        let loss: Double
        if decoder.score != nil {
            let last = batch.spans.map { Int32($0.rows.upperBound - 1) }
            let logits = decoder.labelLogits(hidden, rows: last)!
            let values = logits.read()
            try compare("logits", values, try io.floats("logits"), allowed: { 1e-4 + 1e-4 * abs($0) })
            loss = backwardLabels(logits, values, labels, tape)
        } else {
            try compare("logits", decoder.head.logits(hidden).read(), try rows(io, "logits", flat, of: B * T), allowed: { 1e-4 + 1e-4 * abs($0) })
            loss = backwardTokens(decoder, hidden, batch, places, labels, tape)
        }
        try compare("loss", [Float(loss)], try io.floats("loss"), allowed: { _ in 2e-5 })
        for parameter in decoder.parameters.parameters {
            let reference = try io.floats("grad.\(parameter.name)")
            let largest = Double(reference.map(abs).max() ?? 0)
            try compare("grad.\(parameter.name)", gradients.read(parameter), reference, allowed: { _ in 1e-4 * largest + 1e-6 })
        }
        if let info = io.info("greedy.ids") {
            let expected = try io.integers("greedy.ids")
            guard info.shape.count == 2, info.shape[0] == B else { throw misfit("greedy.ids", info.shape) }
            let count = info.shape[1]
            for (b, span) in batch.spans.enumerated() {
                var tokens = Array(batch.tokens[span.rows])
                let before = tokens.count
                for _ in 0..<count {
                    let last = gatherRows(decoder.hiddenStates(RaggedBatch([tokens])), [Int32(tokens.count - 1)])
                    let row = decoder.head.logits(last).read()
                    tokens.append(Int32(row.withUnsafeBufferPointer { RowMath.argmax($0) }))
                }
                let equal = zip(tokens[before...], expected[b * count..<(b + 1) * count]).allSatisfy { Int64($0) == $1 }
                deviations.append(Deviation(quantity: "greedy.ids[\(b)]", absolute: equal ? 0 : 1, share: equal ? 0 : .infinity))
            }
        }
    }

    private final class Recorder: Probe {
        var seen: [(String, [Float])] = []
        func visit(_ name: String, _ value: Tensor) -> Tensor {
            seen.append((name, value.read()))
            return value
        }
    }

    private func misfit(_ name: String, _ shape: [Int]) -> FileError {
        FileError(file: "\(folder)/io.safetensors", problem: "'\(name)' has shape \(shape), which does not fit the model or the token ids", advice: "Make the reference again.")
    }

    /// The rows of a padded reference that are real.
    private func rows(_ io: SafetensorsFile, _ name: String, _ flat: [Int], of count: Int) throws -> [Float] {
        let values = try io.floats(name)
        let shape = io.info(name)!.shape
        let width = values.count / count
        guard values.count == count * width else { throw misfit(name, shape) }
        return flat.flatMap { values[$0 * width..<($0 + 1) * width] }
    }

    private mutating func compare(_ quantity: String, _ values: [Float], _ reference: [Float], allowed: (Double) -> Double) throws {
        guard values.count == reference.count else { throw misfit(quantity, [reference.count]) }
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

    /// Next-token cross entropy over all pairs whose label is not -100.
    private func backwardTokens(_ decoder: Decoder, _ hidden: Tensor, _ batch: RaggedBatch, _ places: [[Int]], _ labels: [Int64], _ tape: Tape) -> Double {
        var chosen: [Int32] = [], targets: [Int32] = []
        for (span, place) in zip(batch.spans, places) {
            for t in 0..<span.count - 1 where labels[place[t + 1]] != -100 {
                chosen.append(Int32(span.start + t))
                targets.append(Int32(labels[place[t + 1]]))
            }
        }
        let rows = gatherRows(hidden, chosen)
        let count = targets.count
        var loss = 0.0
        let dRows = decoder.head.backward(rows, targets: targets, groups: [0..<count], into: tape.gradients) { _, laws in
            loss = laws.reduce(0) { $0 - Double($1.logProbability) } / Double(count)
            return (Array(repeating: -1 / Float(count), count: count), Array(repeating: 0, count: count))
        }
        tape.backward([(rows, dRows)])
        return loss
    }

    /// Cross entropy of one label a sequence.
    private func backwardLabels(_ logits: Tensor, _ values: [Float], _ labels: [Int64], _ tape: Tape) -> Double {
        let width = logits.shape[1]
        var loss = 0.0
        var gradient: [Float] = []
        for (row, label) in labels.enumerated() {
            let slice = Array(values[row * width..<(row + 1) * width])
            let normalizer = slice.withUnsafeBufferPointer { RowMath.logSumExp($0) }
            loss -= Double(slice[Int(label)] - normalizer) / Double(labels.count)
            for (index, value) in slice.enumerated() {
                gradient.append((Float(fixedExp(Double(value - normalizer))) - (index == Int(label) ? 1 : 0)) / Float(labels.count))
            }
        }
        tape.backward([(logits, logits.backend.tensor(gradient, shape: logits.shape))])
        return loss
    }
}
