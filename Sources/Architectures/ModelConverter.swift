import Foundation
import ModelFiles
import Tensors
import Tokenization

/// Writes a model in another format or type.
extension Model {
    /// Types that weights can be written in. Vectors, and what does not fill whole blocks, stay in float32 in quantised GGUF files.
    public static let writableTypes: [DType] = [.f32, .f16, .bf16, .q8_0, .q4_0, .q4_1, .q4_K, .q6_K]

    /// Writes a GGUF file with tokenizer, chat template and configuration.
    /// - Parameters:
    ///   - path: of the file.
    ///   - dtype: of matrices.
    ///   - pooling: how vectors of texts are made, where the model is known to make them.
    ///   - extra: metadata beside that of model and tokenizer.
    /// - Throws: `FileError` for what llama.cpp computes otherwise or a type cannot hold, `TokenizerError`.
    /// - Returns: weights for which the format has no place: the pooler of a bare masked model.
    @discardableResult
    public func saveGGUF(to path: String, as dtype: DType, pooling: HeadChoices.Pooling? = nil, extra: [(key: String, value: GGUFValue)] = []) throws -> [String] {
        if !transformer.adapters.isEmpty { return try with(try transformer.merged()).saveGGUF(to: path, as: dtype, pooling: pooling, extra: extra) }
        let c = transformer.configuration
        let metadata = try c.ggufMetadata(file: path, pooling: pooling) + tokenizer.ggufMetadata(rows: c.vocabularySize, source: path) + extra
        return try transformer.writeGGUF(to: path, as: dtype, metadata: metadata)
    }

    /// Writes a Hugging Face folder with weights in a floating-point type.
    public func save(to folder: String, as dtype: DType) throws {
        if !transformer.adapters.isEmpty { return try with(try transformer.merged()).save(to: folder, as: dtype) }
        try save(to: folder)
        guard dtype != .f32 else { return }
        let parameters = transformer.parameters
        let writer = try SafetensorsWriter(
            path: "\(folder)/model.safetensors", tensors: parameters.parameters.map { ($0.name, dtype, $0.fileShape) }, metadata: ["format": "pt"])
        for parameter in parameters.parameters { try writer.append(parameters.readFileOrder(parameter)) }
        try writer.finish()
        var config = c.configJSON()
        for name in ["torch_dtype", "dtype"] { config[name] = .string(dtype == .f16 ? "float16" : "bfloat16") }
        try writeDurably(JSON.object(config).text(pretty: true) + "\n", to: "\(folder)/config.json")
    }

    private var c: TransformerConfiguration { transformer.configuration }
}

extension Transformer {
    /// Writes the weights under llama.cpp's names, in its order of rows.
    /// - Returns: weights for which the format has no place.
    @discardableResult
    public func writeGGUF(to path: String, as dtype: DType, metadata: [(key: String, value: GGUFValue)]) throws -> [String] {
        var left: [String] = []
        // Experts lie together in one tensor.
        var tensors: [(name: String, dtype: DType, shape: [Int], parts: [(Parameter, GGUFPlace)])] = []
        for parameter in parameters.parameters {
            if configuration.purpose == .base, parameter.segment.name == Self.taskSegment {
                left.append(parameter.name)
                continue
            }
            guard let place = configuration.ggufPlace(parameter) else {
                throw FileError(file: path, problem: "has no place for '\(parameter.name)'", advice: "llama.cpp does not keep this part of the model: convert another class of it.")
            }
            if let index = tensors.firstIndex(where: { $0.name == place.tensor }) {
                tensors[index].parts.append((parameter, place))
                continue
            }
            let count = place.expert == nil ? [] : [configuration.experts!.count]
            // Tables of positions and segments are read as they are, and routers decide by small differences.
            let isSmall = !parameter.isMatrix || ["position_embd.weight", "token_types.weight"].contains(place.tensor) || place.tensor.contains("ffn_gate_inp")
            // Rows that are no whole number of large blocks take small ones of about the size, as llama.cpp does.
            let fallbacks: [DType] = [dtype, dtype == .q4_K ? .q5_0 : .q8_0]
            let own = isSmall || !dtype.isQuantizable && dtype.blockSize > 1 ? .f32 : fallbacks.first { parameter.shape.last! % $0.blockSize == 0 } ?? .f32
            tensors.append((place.tensor, own, count + parameter.shape, [(parameter, place)]))
        }
        let shifted = tensors.flatMap(\.parts).filter { $0.1.shift != 0 }.map { part -> (key: String, value: GGUFValue) in
            (TransformerConfiguration.ggufExactKey + part.0.name, .floats(parameters.read(part.0).map { Double($0) }))
        }
        let tables = configuration.rope?.ggufTables(rotated: configuration.rotaryDim) ?? []
        let writer = try GGUFWriter(
            path: path, tensors: tables.map { ($0.name, .f32, [$0.values.count]) } + tensors.map { ($0.name, $0.dtype, $0.shape) }, metadata: metadata + shifted)
        for table in tables { try writer.append(table.values) }
        for tensor in tensors {
            for (parameter, place) in tensor.parts { try append(parameter, place, to: writer) }
        }
        try writer.finish()
        return left
    }

    private func append(_ parameter: Parameter, _ place: GGUFPlace, to writer: GGUFWriter) throws {
        let rows = parameter.shape[0], width = parameter.isMatrix ? parameter.shape[1] : 1
        // Our row of each row in the file.
        var ours = Array(0..<rows)
        if place.order != .same { for row in 0..<rows { ours[place.order.source(row)] = row } }
        let step = max(1, (1 << 18) / width)
        for first in stride(from: 0, to: rows, by: step) {
            let range = first..<min(rows, first + step)
            var values: [Float] = []
            if place.order == .same || !parameter.isMatrix {
                values = parameters.read(parameter, rows: place.order == .same ? range : 0..<rows)
                if place.order != .same { values = range.map { values[ours[$0]] } }
            } else {
                for row in range { values += parameters.read(parameter, rows: ours[row]..<ours[row] + 1) }
            }
            if place.shift != 0 { values = values.map { $0 + place.shift } }
            try writer.append(values)
        }
    }
}
