import Architectures
import ModelFiles
import Tensors
import Training

/// What a masked model would write in place of its masks.
public struct MaskFiller {
    public let model: Model
    private let mask: Int32

    /// - Throws: `FileError` for a model that fills no masks.
    public init(_ model: Model) throws {
        self.model = model
        let c = model.transformer.configuration
        guard !c.isCausal, c.hasVocabularyHead, let mask = model.maskToken else {
            throw FileError(
                file: model.source ?? "the model", problem: "fills no masks: \(c.isCausal ? "it writes from left to right" : c.hasVocabularyHead ? "its tokenizer has no mask token" : "its file has no head over the vocabulary")",
                advice: "Choose a masked language model, such as a BertForMaskedLM.")
        }
        self.mask = mask
    }

    /// The one token of a word inside a text.
    /// - Throws: `FileError` for a word that is none.
    public func token(_ word: String) throws -> Int32 {
        // Some vocabularies know a word only with the space before it.
        let ways = [model.tokenizer.encode(" \(word)"), model.tokenizer.encode(word)]
        guard let one = ways.first(where: { $0.count == 1 }), one[0] != model.tokenizer.unknownToken else {
            throw FileError(
                file: model.source ?? "the model", problem: "has no single token for '\(word)', but \(ways[0].count)", advice: "Choose another word for the class with --words.")
        }
        return one[0]
    }

    /// Natural log-probabilities over the vocabulary at every mask of every text, in which `{mask}` or the tokenizer's own mask token stands.
    /// - Throws: `FileError` for a text without a mask, or longer than the model's context.
    public func laws(_ texts: [String]) throws -> [[[Float]]] {
        let transformer = model.transformer
        let batch = RaggedBatch(try texts.map { try encode($0) })
        let rows = batch.tokens.indices.filter { batch.tokens[$0] == mask }
        let logits = transformer.logits(gatherRows(transformer.hiddenStates(batch), rows.map { Int32($0) })), width = logits.shape[1]
        let laws = transformer.backend.laws(logits, targets: Array(repeating: -1, count: rows.count)), values = logits.read()
        var result = [[[Float]]](repeating: [], count: texts.count)
        for (index, row) in rows.enumerated() {
            let text = batch.spans.firstIndex { $0.rows.contains(row) }!
            result[text].append(values[index * width..<(index + 1) * width].map { $0 - laws[index].logSumExp })
        }
        return result
    }

    private func encode(_ text: String) throws -> [Int32] {
        let context = model.transformer.configuration.maxPositionEmbeddings, name = model.tokenizer.piece(mask) ?? ""
        let whole = try model.encode(text.replacing(Classifier.slots.mask, with: name))
        func refuse(_ problem: String, _ advice: String) -> FileError { FileError(file: "the text", problem: problem, advice: advice) }
        guard whole.contains(mask) else { throw refuse("has no mask", "Write \(name) or {mask} where a word is to be filled in.") }
        if whole.count <= context { return whole }
        // What is cut is the middle of the text before the last mask, so that its surroundings stay.
        let excess = whole.count - context, at = whole.lastIndex(of: mask)!
        guard at > excess + 1 else { throw refuse("has \(whole.count) tokens, but the model's context is \(context)", "Shorten it.") }
        let cut = max(1, at - excess - 8)
        return Array(whole[..<cut] + whole[(cut + excess)...])
    }

    /// What trains the model to fill the masks of a text with a word.
    public func example(_ text: String, word: String) throws -> Example {
        let tokens = try encode(text), target = try token(word)
        let places = tokens.indices.filter { tokens[$0] == mask }.map { Int32($0) }
        return Example(tokens: tokens, labels: .init(places: places, targets: Array(repeating: target, count: places.count)))
    }

    /// How texts are masked for this model to learn from: special tokens stay.
    public var masking: TokenMasking {
        let count = model.tokenizer.vocabularySize
        return TokenMasking(mask: mask, vocabulary: count, kept: Set((0..<Int32(count)).filter { model.tokenizer.isSpecial($0) }))
    }

    /// The most likely tokens at every mask of a text.
    public func fill(_ text: String, count: Int) throws -> [[(token: Int32, text: String, logProbability: Float)]] {
        let real = model.tokenizer.vocabularySize
        return try laws([text])[0].map { law in
            law.indices.prefix(real).sorted { (law[$1], $0) < (law[$0], $1) }.prefix(count).map { (Int32($0), model.tokenizer.decode([Int32($0)]), law[$0]) }
        }
    }
}
