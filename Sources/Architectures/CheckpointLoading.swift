import ModelFiles
import Synchronization
import Tensors

/// Weights that do not fit the model being loaded.
public enum CheckpointError: Error, Equatable, CustomStringConvertible {
    case missing(parameter: String, file: String, nearest: String?)
    case wrongShape(parameter: String, file: String, expected: [Int], found: [Int])
    case unexpected(names: [String], file: String)

    public var description: String {
        switch self {
        case .missing(let parameter, let file, let nearest):
            "\(file): no tensor '\(parameter)'\(nearest.map { "; the nearest name is '\($0)'" } ?? ""). Check that config.json and the weights come from the same model."
        case .wrongShape(let parameter, let file, let expected, let found):
            "\(file): '\(parameter)' has shape \(found), but the configuration implies \(expected). Compare the sizes and numbers of heads with the model card."
        case .unexpected(let names, let file):
            "\(file): the model has no place for \(names.prefix(3).map { "'\($0)'" }.joined(separator: ", "))\(names.count > 3 ? " and \(names.count - 3) more" : ""). "
                + "Check that config.json and the weights come from the same model."
        }
    }
}

extension TransformerConfiguration {
    /// The names under which files may keep a weight: that of the family's language model, without the prefix that bare models leave out, and
    /// as norms were called by the first BERTs.
    func spellings(_ name: String) -> [String] {
        var names = [name]
        let base = names[0].hasPrefix(self.names.base) ? self.names.base : ""
        if !base.isEmpty {
            names.append(String(name.dropFirst(base.count)))
            if let end = base.firstIndex(of: "."), base.index(after: end) != base.endIndex { names.append(String(name[base.index(after: end)...])) }
        }
        if encoderLayers != nil, name == "\(self.names.embedding).weight" { names += ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"] }
        for (ours, old) in [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")] where name.hasSuffix(ours) {
            names += names.map { String($0.dropLast(ours.count)) + old }
        }
        return names
    }
}

extension Transformer {
    /// Whether a file's tensors are this model's, by name, shape and type, without reading a value; `parameters.byteCount` is then what
    /// loading it takes.
    /// - Throws: `CheckpointError`, and `FileError` for a type that is no number.
    public func check(_ file: any TensorFile) throws { parameters.layOut(formats(try matched(file))) }

    /// Reads every weight. Blocks stay codes in memory, and 16-bit values stay 16-bit values; both compute as their exact float32 values. With
    /// `expanding` everything becomes float32, which training needs.
    /// - Parameters:
    ///   - file: of the family's names, or of llama.cpp's.
    ///   - expanding: to float32.
    ///   - former: the configuration of the file, where this model has another head: what belongs to the old one is left, and what the file has not of the
    ///     new one is made from `key`.
    ///   - key: of a new head's random values.
    /// - Throws: `CheckpointError` before any memory is taken, when names or shapes do not fit.
    public func load(_ file: any TensorFile, expanding: Bool = false, former: TransformerConfiguration? = nil, key: RandomKey = RandomKey(seed: 0)) throws {
        let plan = try matched(file, former: former)
        defer {
            let found = Set(plan.map(\.parameter.name))
            if former != nil { initialize(key) { !found.contains($0.name) } }
        }
        parameters.allocate(expanding ? [:] : formats(plan))
        for (parameter, whole, place) in plan {
            // Experts lie together: one after the other in rows.
            let info = place?.expert == nil ? whole : whole.reshaped([whole.shape[0] * whole.shape[1], whole.shape[2]])
            if !parameter.isMatrix {
                if let place, place.shift != 0, let own = (file as? GGUFFile)?[TransformerConfiguration.ggufExactKey + parameter.name]?.floats, own.count == parameter.shape[0] {
                    try parameters.fill(parameter) { _, values in for index in own.indices { values[index] = Float(own[index]) } }
                    continue
                }
                let stored = try file.floats(info.name), order = place?.order ?? .same, shift = place?.shift ?? 0
                try parameters.fill(parameter) { rows, values in for row in rows { values[row] = stored[order.source(row)] - shift } }
                continue
            }
            if parameter.isTransposed, !(file is GGUFFile) {
                let (outputs, inputs) = (parameter.shape[0], parameter.shape[1]), stored = try file.floats(info.name)
                try parameters.fill(parameter) { rows, values in
                    for (index, row) in rows.enumerated() { for column in 0..<inputs { values[index * inputs + column] = stored[column * outputs + row] } }
                }
                continue
            }
            /// Stretches of rows that lie together in the file, with their place among the rows asked for.
            func stretches(_ rows: Range<Int>) -> [(index: Int, source: Range<Int>)] {
                let first = (place?.expert ?? 0) * parameter.shape[0]
                guard let order = place?.order, order != .same else { return [(0, first + rows.lowerBound..<first + rows.upperBound)] }
                return rows.enumerated().map { index, row in
                    let source = first + order.source(row)
                    return (index, source..<source + 1)
                }
            }
            if !parameter.format.isCoded {
                try parameters.fill(parameter) { rows, values in
                    let width = values.count / rows.count
                    for (index, source) in stretches(rows) {
                        try file.readFloats(info, rows: source, into: UnsafeMutableBufferPointer(rebasing: values[index * width..<(index + source.count) * width]))
                    }
                }
            } else {
                let width = parameter.shape[1], groups = width / parameter.format.group
                try parameters.fillCodes(parameter) { rows, values in
                    for (index, source) in stretches(rows) {
                        try file.readCodes(
                            info, rows: source, codes: values.codes + index * width, scales: values.scales + index * groups, offsets: values.offsets + index * groups)
                    }
                }
            }
        }
    }

    private typealias Match = (parameter: Parameter, info: TensorInfo, place: GGUFPlace?)

    /// Matrices that can stay as they lie in the file; one whose rows end inside a block is expanded.
    private func formats(_ plan: [Match]) -> [String: WeightFormat] {
        var formats: [String: WeightFormat] = [:]
        for (parameter, info, _) in plan where parameter.isMatrix && parameter.shape[1] % info.dtype.blockSize == 0 {
            if info.dtype == .bf16 { formats[parameter.name] = .bfloat16 }
            if info.dtype == .f16 { formats[parameter.name] = .float16 }
            if let coding = info.dtype.coding { formats[parameter.name] = WeightFormat(codes: coding.codes, group: coding.group, halves: coding.halves) }
        }
        return formats
    }

    /// Each parameter with the tensor that holds it.
    private func matched(_ file: any TensorFile, former: TransformerConfiguration? = nil) throws -> [Match] {
        let isGGUF = file is GGUFFile
        var taken: Set<String> = []
        var plan: [Match] = []
        for parameter in parameters.parameters {
            let place = isGGUF ? configuration.ggufPlace(parameter) : nil
            let names = isGGUF ? [place?.tensor ?? parameter.name] : configuration.spellings(parameter.name)
            guard let info = names.lazy.compactMap({ file.info($0) }).first else {
                if former != nil, parameter.segment.name == Self.taskSegment { continue }
                throw CheckpointError.missing(parameter: names[0], file: file.path, nearest: nearestName(to: names[0], in: file.tensors.map(\.name)))
            }
            let name = info.name
            let expected = place?.expert == nil ? isGGUF ? parameter.shape : parameter.fileShape : [configuration.experts?.count ?? 0] + parameter.shape
            guard info.shape == expected else {
                throw CheckpointError.wrongShape(parameter: name, file: file.path, expected: expected, found: info.shape)
            }
            guard info.dtype.isExpandable else {
                throw FileError(file: file.path, problem: "'\(name)' is of type \(info.dtype.name), which is not read as floats", advice: "Use a conversion to F32, F16, BF16 or another type that is.")
            }
            taken.insert(name)
            plan.append((parameter, info, place))
        }
        // Buffers that old libraries stored, and tied tables and their biases stored twice.
        let buffers = ["rotary_emb.inv_freq", "attn.bias", "attn.masked_bias", "attention.bias", "attention.masked_bias", "position_ids", "embed_positions._float_tensor"]
        var copies = [configuration.names.head + ".bias"]
        if isGGUF, let rope = configuration.rope {
            copies += rope.ggufTables(rotated: configuration.rotaryDim).map(\.name)
            // One table for all lengths is read as two equal ones.
            if case .longrope(let short, let long, _, _) = rope.variant, short == long { copies.append(RotaryScaling.ggufTableNames.all) }
        }
        if configuration.tieWordEmbeddings { copies.append(configuration.names.head + ".weight") }
        if configuration.encoderLayers != nil { copies += ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"] }
        // Heads of the family's other classes: a pretrained BERT comes with its pooler and with the head for the next sentence.
        let family = configuration.family
        for purpose in [Purpose.pretraining, .base, .sequenceClassification] {
            for layer in family?.head(purpose, labels: 2, configuration)?.layers ?? [] { copies += [layer.name + ".weight", layer.name + ".bias"].flatMap { configuration.spellings($0) } }
        }
        if let former {
            let old = Transformer(former, on: backend).parameters.parameters.map(\.name)
            copies += (isGGUF ? [] : old.flatMap { former.spellings($0) }) + [former.names.head + ".weight", former.names.head + ".bias"]
        }
        let left = file.tensors.map(\.name).filter { name in !taken.contains(name) && !buffers.contains { name.hasSuffix($0) } && !copies.contains(name) }
        guard left.isEmpty else { throw CheckpointError.unexpected(names: left, file: file.path) }
        return plan
    }
}
