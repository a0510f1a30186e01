import ModelFiles

/// Mistral 7B and its successors: Llama's layout, with a sliding window in some releases. Source: Jiang et al. 2023, arXiv:2310.06825.
struct Mistral: ModelFamily {
    let modelType = "mistral", classPrefix = "Mistral"
    var gguf: GGUFLayout? { .llama }

    func configuration(_ fields: ConfigFields) throws -> TransformerConfiguration {
        var c = try sizes(fields)
        c.rope = try rotary(fields, &c)
        // null means no window. A file that leaves the field out would mean the library's 4096; published files have it.
        c.slidingWindow = try fields.optionalInt("sliding_window", range: 1...(1 << 27))
        return c
    }
}
