import ArgumentParser
import Autodidact

struct Embed: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A vector for each text, one JSON array a line.",
        discussion: "Folders of sentence-transformers say themselves how vectors are made. Of other models the mean of the last layer is taken, of generative ones its last token.")

    enum Pooling: String, ExpressibleByArgument, CaseIterable { case mean, cls, last }

    @OptionGroup var opening: ModelOptions

    @Option(parsing: .unconditionalSingleValue, help: "A text; may be given several times.")
    var text: [String] = []

    @Option(help: "A JSONL file with one {\"text\"} a line; - is standard input.")
    var input: String?

    @Option(name: .customLong("text-field"), help: "The field of the text.")
    var textField: String = "text"

    @Option(help: "mean of all tokens, cls (the first token), or last.")
    var pooling: Pooling?

    @Flag(inversion: .prefixedNo, help: "Scale vectors to length 1.")
    var normalise: Bool?

    @Flag(help: "Print the cosine of each pair of texts instead.")
    var similarity = false

    func validate() throws {
        if text.isEmpty, input == nil { throw ValidationError("Give --text or --input.") }
    }

    func run() async throws {
        let texts = try text + (input.map { try LabelledText.read($0, LabelledText.Fields(text: textField), needsLabels: false).map(\.text) } ?? [])
        if similarity, texts.count < 2 { throw ValidationError("--similarity: needs two or more texts.") }
        let own = try TextEmbedder.options(of: opening.model)
        let model = try opening.open()
        var options = own ?? TextEmbedder.Options(pooling: model.transformer.configuration.isCausal && model.transformer.configuration.encoderLayers == nil ? .last : .mean)
        switch pooling {
        case .mean: options.pooling = .mean
        case .cls: options.pooling = .first
        case .last: options.pooling = .last
        case nil: break
        }
        options.isNormalised = normalise ?? options.isNormalised
        let embedder = TextEmbedder(model, options)
        let long = texts.count { embedder.exceeds($0) }
        if long > 0 { printError("warning: \(long) of \(texts.count) texts are longer than the model reads, and are cut") }
        if similarity {
            let vectors = try embedder.embed(texts)
            for i in texts.indices {
                for j in texts.indices where j > i { printLine("\(i + 1) \(j + 1) \((cosine(vectors[i], vectors[j]) * 1e4).rounded() / 1e4)") }
            }
            return
        }
        for first in stride(from: 0, to: texts.count, by: 64) {
            for vector in try embedder.embed(Array(texts[first..<min(texts.count, first + 64)])) {
                printLine(JSON.array(vector.map { .number(Double("\($0)") ?? Double($0)) }).text())
            }
        }
    }

    private func cosine(_ a: [Float], _ b: [Float]) -> Double {
        func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
        return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
    }
}
