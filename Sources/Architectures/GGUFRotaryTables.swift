import ModelFiles
import Tensors

/// Rotary frequencies that GGUF files keep as tensors of divisors, one a pair, and no setting speaks of.
extension RotaryScaling {
    /// Tensors of divisors: for all sequences, or one for short and one for long ones.
    static let ggufTableNames = (all: "rope_freqs.weight", short: "rope_factors_short.weight", long: "rope_factors_long.weight")

    /// The tables that llama.cpp reads beside the weights; none for what its settings say.
    func ggufTables(rotated: Int) -> [(name: String, values: [Float])] {
        let names = Self.ggufTableNames
        switch variant {
        case .none, .linear, .yarn: return []
        case .llama3: return [(names.all, zip(rotaryFrequencies(rotated: rotated, base: base), exactFrequencies(rotated: rotated)).map { Float($0 / $1) })]
        case .longrope(let short, let long, _, _): return [(names.short, short.map { Float($0) }), (names.long, long.map { Float($0) })]
        }
    }

    /// The `rope_scaling` of config.json that a file's tables stand for; nil where it has none.
    /// - Throws: `FileError` for tables that do not fit the heads, or contradict each other or the settings.
    static func ggufTables(_ gguf: GGUFFile, _ architecture: String, headDim: Int) throws -> JSONObject? {
        func key(_ name: String) -> GGUFValue? { gguf["\(architecture).\(name)"] }
        func refuse(_ problem: String) -> FileError { FileError(file: gguf.path, problem: problem, advice: "Use the Hugging Face folder of the model.") }
        let names = ggufTableNames, pairs = (key("rope.dimension_count")?.int ?? headDim) / 2
        func table(_ name: String) throws -> [Double]? {
            guard gguf.info(name) != nil else { return nil }
            let values = try gguf.floats(name)
            guard values.count == pairs else { throw refuse("'\(name)' has \(values.count) divisors, but \(pairs) pairs of each head turn") }
            guard values.allSatisfy({ $0 > 0 && $0.isFinite }) else { throw refuse("'\(name)' holds a divisor that is not positive") }
            // Single precision in the file: the shortest decimal is what was meant.
            return values.map { Double(String($0)) ?? Double($0) }
        }
        let all = try table(names.all), short = try table(names.short), long = try table(names.long)
        guard all != nil || short != nil || long != nil else { return nil }
        guard (short == nil) == (long == nil), all == nil || short == nil else { throw refuse("'\(names.all)', '\(names.short)' and '\(names.long)' do not belong together") }
        let kind = key("rope.scaling.type")?.string ?? "none"
        guard kind == "none" || kind == "longrope" && all == nil else { throw refuse("tables divide the rotary frequencies that rope scaling '\(kind)' stretches") }
        guard let context = key("context_length")?.int, context > 0 else { throw refuse("'\(architecture).context_length' is missing") }
        func divided(short: [Double], long: [Double], length: Int, magnitude: Double) -> JSONObject {
            JSONObject([
                ("rope_type", .string("longrope")), ("short_factor", .array(short.map { .number($0) })), ("long_factor", .array(long.map { .number($0) })),
                ("original_max_position_embeddings", .integer(Int64(length))), ("attention_factor", .number(magnitude)),
            ])
        }
        if let short, let long {
            return divided(
                short: short, long: long, length: key("rope.scaling.original_context_length")?.int ?? context,
                magnitude: key("rope.scaling.attn_factor")?.double.map { Double(String(Float($0))) ?? $0 } ?? 1)
        }
        // Llama 3.1's rule with its published constants explains the tables of its models. Others are divisors and nothing else.
        let base = key("rope.freq_base")?.double ?? 10_000, factor = all!.max() ?? 1
        for length in (4...20).map({ 1 << $0 }) {
            let rule = RotaryScaling(base: base, variant: .llama3(factor: factor, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalLength: length))
            guard rule.ggufTables(rotated: 2 * pairs)[0].values.elementsEqual(all!, by: { abs(Double($0) - $1) <= 1e-5 * $1 }) else { continue }
            return JSONObject([
                ("rope_type", .string("llama3")), ("factor", .number(factor)), ("low_freq_factor", .number(1)), ("high_freq_factor", .number(4)),
                ("original_max_position_embeddings", .integer(Int64(length))),
            ])
        }
        return divided(short: all!, long: all!, length: context, magnitude: 1)
    }
}
