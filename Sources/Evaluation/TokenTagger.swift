import Architectures
import ModelFiles
import Sampling
import Tensors
import Training

/// The tag of each word of a text, by a trained head.
public struct TokenTagger {
    /// A tag with its natural log-probability.
    public typealias Tag = (name: String, logProbability: Double)

    public let model: Model
    /// Tokens computed in one pass.
    public var batchTokens = 2048

    /// - Throws: `FileError` for a model without a head of tags.
    public init(_ model: Model) throws {
        guard model.transformer.configuration.purpose == .tokenClassification else {
            throw FileError(file: model.source ?? "the model", problem: "has no head of tags", advice: "Train one with 'autodidact sft --objective tagging'.")
        }
        self.model = model
    }

    public var labels: [String] { model.transformer.configuration.labels }

    /// The tags of the words of each text. Texts longer than the model's context are read in parts. A word that has no token (of characters that the
    /// tokenizer drops) has no tag.
    /// - Throws: `FileError` where a soft prompt leaves no room, `SamplingError.notFinite`.
    public func tag(_ texts: [[String]]) throws -> [[Tag?]] {
        let limit = model.transformer.configuration.maxPositionEmbeddings
        var parts: [(text: Int, first: Int, encoding: TaggedTokens)] = []
        for (index, words) in texts.enumerated() {
            var first = 0
            while first < words.count {
                // A word has at least one token in most cases, so that hardly more than these fit.
                let encoding = try TaggedTokens(Array(words[first..<min(words.count, first + limit)]), model, limit: limit)
                parts.append((index, first, encoding))
                first += encoding.wordCount
            }
        }
        var tags = texts.map { [Tag?](repeating: nil, count: $0.count) }
        for range in batches(parts.map(\.encoding.tokens.count), of: batchTokens) {
            let batch = RaggedBatch(parts[range].map(\.encoding.tokens)), pass = Pass(segments: parts[range].map { ($0.encoding.tokens, $0.encoding.segments) })
            let logits = model.transformer.labelLogits(model.transformer.hiddenStates(batch, pass), batch)!.read(), count = labels.count
            for (part, span) in zip(parts[range], batch.spans) {
                for (word, token) in part.encoding.places {
                    let row = (span.start + Int(token)) * count, law = try logProbabilities(logits[row..<row + count].map { Double($0) })
                    let best = law.indices.max { law[$0] < law[$1] }!
                    tags[part.text][part.first + word] = (labels[best], law[best])
                }
            }
        }
        return tags
    }
}

/// Words as tokens, with the first token of each: the one that is tagged.
public struct TaggedTokens {
    /// Those of a soft prompt first.
    public let tokens: [Int32]
    public let segments: [Int32]?
    /// Of each word that has one, its first token.
    public let places: [(word: Int, token: Int32)]
    /// Words from the first on that have been read: all, or as many as fit.
    public let wordCount: Int

    /// - Parameters:
    ///   - words: without spaces in them.
    ///   - model: whose tokens they become.
    ///   - limit: of all tokens; what is longer is cut.
    /// - Throws: `FileError` where a soft prompt leaves no room.
    public init(_ words: [String], _ model: Model, limit: Int) throws {
        // Of each character of the joined text its word; the spaces between are no word's.
        let wordOfCharacter = words.enumerated().flatMap { index, word in word.unicodeScalars.map { _ -> Int? in index } + [nil] }
        let soft = model.transformer.softPromptTokens, room = try model.room(limit)
        let (encoding, own) = model.encodeWithOffsets(words.joined(separator: " "), pair: nil, limit: room)
        var places: [(word: Int, token: Int32)] = []
        for (index, range) in encoding.offsets.enumerated() where !encoding.isAddedSpecial[index] {
            // A token may begin with the space before its word.
            guard let word = wordOfCharacter[range.clamped(to: wordOfCharacter.indices)].lazy.compactMap({ $0 }).first, word > places.last?.word ?? -1 else { continue }
            places.append((word, Int32(index + soft.count)))
        }
        self.places = places
        tokens = soft + encoding.ids
        segments = own.map { soft.map { _ in 0 } + $0 }
        // The last word of a full row may have lost its end, and is read again with what follows.
        let last = places.last?.word ?? 0
        wordCount = encoding.ids.count < room ? words.count : max(1, last)
    }
}
