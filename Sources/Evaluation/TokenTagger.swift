import Architectures
import ModelFiles
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

    /// The tags of the words of each text. Texts longer than the model's context are read in parts. A word that has no token of its own (of characters that
    /// the tokenizer drops) has no tag.
    public func tag(_ texts: [[String]]) throws -> [[Tag?]] {
        let limit = model.transformer.configuration.maxPositionEmbeddings
        var parts: [(text: Int, first: Int, encoding: TaggedTokens)] = []
        for (index, words) in texts.enumerated() {
            var first = 0
            while first < words.count {
                // A word has at least one token, so that no more than these fit.
                let encoding = try TaggedTokens(Array(words[first..<min(words.count, first + limit)]), model, limit: limit)
                parts.append((index, first, encoding))
                first += encoding.wordCount
            }
        }
        var tags = texts.map { [Tag?](repeating: nil, count: $0.count) }
        for range in batches(parts.map(\.encoding.tokens.count), of: batchTokens) {
            let batch = RaggedBatch(parts[range].map(\.encoding.tokens)), count = labels.count
            let logits = model.transformer.labelLogits(model.transformer.hiddenStates(batch), batch)!.read()
            for (part, span) in zip(parts[range], batch.spans) {
                for (word, token) in part.encoding.places {
                    let row = (span.start + Int(token)) * count, law = logProbabilities(Array(logits[row..<row + count]))
                    let best = law.indices.max { law[$0] < law[$1] }!
                    guard law[best].isFinite else { throw FileError(file: model.source ?? "the model", problem: "computes values that are not finite", advice: "Check its weights with 'autodidact inspect'.") }
                    tags[part.text][part.first + word] = (labels[best], law[best])
                }
            }
        }
        return tags
    }
}

/// Words as tokens, with the first token of each: the one that is tagged.
public struct TaggedTokens {
    public let tokens: [Int32]
    public let places: [(word: Int, token: Int32)]
    /// Words from the first on that have been read: all, or as many as fit.
    public let wordCount: Int

    public init(_ words: [String], _ model: Model, limit: Int) throws {
        var starts: [Int: Int] = [:], at = 0
        for (index, word) in words.enumerated() {
            starts[at] = index
            at += word.unicodeScalars.count + 1
        }
        let encoding = model.tokenizer.encodeWithOffsets(words.joined(separator: " "))
        var places: [(word: Int, token: Int32)] = [], seen: Set<Int> = []
        let soft = Int32(model.transformer.softPromptTokens.count), room = try model.room(limit)
        for (index, range) in encoding.offsets.enumerated().prefix(room) where !encoding.isAddedSpecial[index] && !range.isEmpty {
            // A token may begin with the space before its word.
            guard let word = starts[range.lowerBound] ?? starts[range.lowerBound + 1], seen.insert(word).inserted else { continue }
            places.append((word, Int32(index) + soft))
        }
        self.places = places
        tokens = model.transformer.softPromptTokens + encoding.ids.prefix(room)
        wordCount = encoding.ids.count <= room ? words.count : max(1, (places.last?.word ?? 0) + 1)
    }
}

/// How well tags are met.
public struct TagScore: Sendable, Equatable, CustomStringConvertible {
    public private(set) var right = 0, count = 0
    /// Runs of words under one name, where tags are written as B-name and I-name.
    public private(set) var entitiesMet = 0, entitiesFound = 0, entities = 0

    public init() {}

    public mutating func add(_ found: [String?], expected: [String]) {
        count += expected.count
        right += zip(found, expected).count { $0 == $1 }
        let theirs = Self.entities(expected), ours = Self.entities(found.map { $0 ?? "O" })
        entities += theirs.count
        entitiesFound += ours.count
        entitiesMet += ours.intersection(theirs).count
    }

    public var accuracy: Double { Double(right) / Double(max(1, count)) }
    /// The harmonic mean of precision and recall over whole runs, as CoNLL counts; nil where tags name none.
    public var f1: Double? { entities + entitiesFound == 0 ? nil : 2 * Double(entitiesMet) / Double(entities + entitiesFound) }

    public var description: String {
        "\(right) of \(count) tags met (\(String(percent: accuracy)))" + (f1.map { ", F1 of whole names \(String(percent: $0))" } ?? "")
    }

    /// "first word–last word name" of every run.
    private static func entities(_ tags: [String]) -> Set<String> {
        var runs: Set<String> = [], open: (start: Int, name: Substring)?
        for (index, tag) in (tags + ["O"]).enumerated() {
            let name = tag.hasPrefix("B-") || tag.hasPrefix("I-") ? tag.dropFirst(2) : nil
            if let run = open, name != run.name || tag.hasPrefix("B-") {
                runs.insert("\(run.start)–\(index - 1) \(run.name)")
                open = nil
            }
            if let name, open == nil { open = (index, name) }
        }
        return runs
    }
}

func logProbabilities(_ scores: [Float]) -> [Double] {
    let scores = scores.map { Double($0) }, top = scores.max() ?? 0, normalizer = top + fixedLog(scores.reduce(0) { $0 + fixedExp($1 - top) })
    return scores.map { $0 - normalizer }
}

extension String {
    /// "12.3 %"
    public init(percent share: Double) {
        let tenths = Int((share * 1000).rounded())
        self = "\(tenths / 10).\(tenths % 10) %"
    }
}
