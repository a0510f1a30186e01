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

    /// The tokens of a word inside a text, one in most cases: each takes a mask of its own.
    /// - Throws: `FileError` for a word that the vocabulary cannot write.
    public func tokens(_ word: String) throws -> [Int32] {
        // Some vocabularies know a word only with the space before it.
        let ways = [model.tokenizer.encode(" \(word)"), model.tokenizer.encode(word)].filter { !$0.isEmpty && !$0.contains { $0 == model.tokenizer.unknownToken } }
        guard let shortest = ways.min(by: { $0.count < $1.count }) else {
            throw FileError(file: model.source ?? "the model", problem: "has no tokens for '\(word)'", advice: "Choose another word for the class with --words.")
        }
        return shortest
    }

    /// Natural log-probabilities over the vocabulary at every mask of every text, in which `{mask}` or the tokenizer's own mask token stands.
    /// - Parameters:
    ///   - texts: of no more tokens than the model's context.
    ///   - cuts: whether a text that is too long loses a part of itself instead, before its masks or behind them.
    /// - Throws: `FileError` for a text without a mask, or longer than the model's context.
    public func laws(_ texts: [String], cutting cuts: Bool = false) throws -> [[[Float]]] { laws(try texts.map { try encode($0, cuts: cuts) }) }

    private func laws(_ texts: [[Int32]]) -> [[[Float]]] {
        let batch = RaggedBatch(texts), rows = batch.tokens.indices.filter { batch.tokens[$0] == mask }
        let values = laws(batch, rows)
        var result = [[[Float]]](repeating: [], count: texts.count)
        for (row, law) in zip(rows, values) { result[batch.spans.firstIndex { $0.rows.contains(row) }!].append(law) }
        return result
    }

    /// The laws at rows of a batch.
    private func laws(_ batch: RaggedBatch, _ rows: [Int], _ pass: Pass = Pass()) -> [[Float]] {
        guard !rows.isEmpty else { return [] }
        let transformer = model.transformer
        let logits = transformer.logits(gatherRows(transformer.hiddenStates(batch, pass), rows.map { Int32($0) })), width = logits.shape[1]
        let laws = transformer.backend.laws(logits, targets: Array(repeating: -1, count: rows.count)), values = logits.read()
        return rows.indices.map { index in values[index * width..<(index + 1) * width].map { $0 - laws[index].logSumExp } }
    }

    /// The log-probability of a word at the mask of each text: of one of several tokens, those that the model is surest of are filled in first. Source: Schick
    /// and Schütze 2021, arXiv:2009.07118.
    /// - Throws: `FileError` for a text without a mask, or longer than the model's context.
    public func score(_ texts: [String], word: [Int32]) throws -> [Double] {
        var texts = try texts.map { try encode($0, masks: word.count) }
        var scores = texts.map { _ in 0.0 }
        // Of each text the places of its masks, with the token that belongs there.
        var open = texts.map { tokens in tokens.indices.filter { tokens[$0] == mask }.enumerated().map { (place: $1, token: word[$0 % word.count]) } }
        while open.contains(where: { !$0.isEmpty }) {
            let found = laws(texts)
            for index in texts.indices where !open[index].isEmpty {
                let sure = open[index].indices.max { found[index][$0][Int(open[index][$0].token)] < found[index][$1][Int(open[index][$1].token)] }!
                let (place, token) = open[index].remove(at: sure)
                scores[index] += Double(found[index][sure][Int(token)])
                texts[index][place] = token
            }
        }
        return scores
    }

    /// - Parameters:
    ///   - masks: that stand for each `{mask}`.
    ///   - cuts: whether a text that is too long loses a part of itself.
    private func encode(_ text: String, masks: Int = 1, cuts: Bool = true) throws -> [Int32] {
        let context = model.transformer.configuration.maxPositionEmbeddings, name = model.tokenizer.piece(mask) ?? ""
        let whole = try model.encode(text.replacing(Classifier.slots.mask, with: String(repeating: name, count: masks)))
        func refuse(_ problem: String, _ advice: String) -> FileError { FileError(file: "the text", problem: problem, advice: advice) }
        guard whole.contains(mask) else { throw refuse("has no mask", "Write \(name) or {mask} where a word is to be filled in.") }
        if whole.count <= context { return whole }
        func isAround(_ token: Int32) -> Bool { token < 0 || token != mask && model.tokenizer.isSpecial(token) }
        // The longer side of the masks is cut: before them a few words away, so that their surroundings stay, behind them at the end.
        let excess = whole.count - context, first = whole.firstIndex(of: mask)!, last = whole.lastIndex(of: mask)!
        let start = whole.prefix(while: isAround).count, end = whole.count - whole.reversed().prefix(while: isAround).count, before = first - start, behind = end - last - 1
        guard cuts, before + behind >= excess else { throw refuse("has \(whole.count) tokens, but the model's context is \(context)", "Shorten it.") }
        let ofBefore = before >= behind ? min(excess, before) : max(0, excess - behind), cut = max(start, first - ofBefore - 8)
        return Array(whole[..<cut] + whole[(cut + ofBefore)..<(end - (excess - ofBefore))] + whole[end...])
    }

    /// Whether a text itself holds what stands for a mask.
    func holdsMask(_ text: String) -> Bool { text.contains(Classifier.slots.mask) || model.tokenizer.encode(text).contains(mask) }

    /// What trains the model to fill the masks of a text with a word.
    public func example(_ text: String, word: String) throws -> Example {
        let target = try tokens(word), tokens = try encode(text, masks: target.count)
        let places = tokens.indices.filter { tokens[$0] == mask }
        return Example(tokens: tokens, labels: .init(places: places.map { Int32($0) }, targets: places.indices.map { target[$0 % target.count] }))
    }

    /// The natural log-probability of each token of a text with that token masked: their sum is the text's pseudo-log-likelihood. The tokens that the tokenizer
    /// puts around the text are read and not scored. Source: Salazar et al. 2020, arXiv:1910.14659.
    /// - Parameters:
    ///   - text: of no more tokens than the model's context.
    ///   - batchTokens: computed in one pass.
    public func pseudoLogProbabilities(_ text: String, batchTokens: Int = 2048) -> [Float] {
        let (encoding, segments) = model.encodeWithOffsets(text, pair: nil, limit: .max), soft = model.transformer.softPromptTokens
        let tokens = soft + encoding.ids, places = encoding.ids.indices.filter { !encoding.isAddedSpecial[$0] }.map { $0 + soft.count }
        return batches(places.map { _ in tokens.count }, of: batchTokens).flatMap { range -> [Float] in
            let copies = places[range].map { place in
                var copy = tokens
                copy[place] = mask
                return copy
            }
            let rows = places[range].enumerated().map { $0 * tokens.count + $1 }
            let pass = Pass(segments: copies.map { ($0, segments.map { soft.map { _ in 0 } + $0 }) })
            return zip(laws(RaggedBatch(copies), rows, pass), places[range]).map { $0[Int(tokens[$1])] }
        }
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
