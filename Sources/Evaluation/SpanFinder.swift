import Architectures
import ModelFiles
import Tasks
import Tensors

/// The span of a context that answers a question, by a trained head.
public struct SpanFinder {
    public struct Span: Sendable, Equatable {
        public var text: String
        /// Characters (Unicode scalars) of the context.
        public var range: Range<Int>
        /// Natural, of its beginning and its end among the tokens that were read with it.
        public var logProbability: Double
    }

    public let model: Model
    /// The longest answer in tokens.
    public var longest = 30
    /// Tokens computed in one pass.
    public var batchTokens = 2048

    /// - Throws: `FileError` for a model without a head of spans.
    public init(_ model: Model) throws {
        guard model.transformer.configuration.purpose == .span else {
            throw FileError(file: model.source ?? "the model", problem: "has no head of spans", advice: "Train one with 'autodidact sft --objective span'.")
        }
        self.model = model
    }

    /// That all questions can be read, before work is done on some.
    /// - Throws: `FileError` with the file and the line of one that cannot.
    public func check(_ questions: [SpanQuestion], file: String) throws {
        for question in questions {
            do { _ = try windows(question.question, question.context) } catch let error as FileError {
                throw FileError(file: file, problem: "line \(question.line) \(error.problem)", advice: error.advice)
            }
        }
    }

    private func windows(_ question: String, _ context: String) throws -> [LocatedTokens] {
        try LocatedTokens.windows(question, context, model, limit: try model.room(model.transformer.configuration.maxPositionEmbeddings))
    }

    /// The best span for each question. A context longer than the model's is read in windows that overlap by half.
    /// - Throws: `FileError` for a question that leaves no room for its context, or a context without tokens; `SamplingError.notFinite`.
    public func find(_ questions: [(question: String, context: String)]) throws -> [Span] {
        let windows = try questions.enumerated().flatMap { index, question in try self.windows(question.question, question.context).map { (question: index, tokens: $0) } }
        var best = [(range: Range<Int>, logProbability: Double, score: Float)?](repeating: nil, count: questions.count)
        for range in batches(windows.map(\.tokens.tokens.count), of: batchTokens) {
            let batch = RaggedBatch(windows[range].map(\.tokens.tokens)), pass = Pass(segments: windows[range].map { ($0.tokens.tokens, $0.tokens.segments) })
            let logits = model.transformer.labelLogits(model.transformer.hiddenStates(batch, pass), batch)!.read()
            for (window, rows) in zip(windows[range], batch.spans) {
                let starts = rows.rows.map { logits[2 * $0] }, ends = rows.rows.map { logits[2 * $0 + 1] }
                let laws = (try logProbabilities(starts.map { Double($0) }), try logProbabilities(ends.map { Double($0) }))
                let inside = window.tokens.inside
                for first in inside.indices {
                    for last in first..<first + min(longest, inside.count - first) {
                        let (start, end) = (inside[first], inside[last]), score = starts[start.token] + ends[end.token]
                        guard score > best[window.question]?.score ?? -.infinity else { continue }
                        best[window.question] = (start.range.lowerBound..<end.range.upperBound, laws.0[start.token] + laws.1[end.token], score)
                    }
                }
            }
        }
        return zip(questions, best).map { question, best in
            let text = String(String.UnicodeScalarView(Array(question.context.unicodeScalars)[best!.range]))
            return Span(text: text, range: best!.range, logProbability: best!.logProbability)
        }
    }
}

/// A question and its context as tokens, with the characters that those of the context stand for.
public struct LocatedTokens {
    public var tokens: [Int32]
    public var segments: [Int32]?
    /// The tokens of the context, each with its characters there.
    public var inside: [(token: Int, range: Range<Int>)]

    /// - Parameters:
    ///   - question: is read first.
    ///   - context: holds the answer.
    ///   - model: whose tokens they become.
    ///   - first: the character at which the context given begins.
    ///   - limit: of tokens beside a soft prompt; the longer of the two texts loses its end.
    public init(_ question: String, _ context: String, _ model: Model, first: Int = 0, limit: Int) {
        let soft = model.transformer.softPromptTokens
        let (encoding, own) = model.encodeWithOffsets(question, pair: context, limit: limit)
        tokens = soft + encoding.ids
        segments = own.map { soft.map { _ in 0 } + $0 }
        inside = encoding.offsets.indices.filter { encoding.sequenceIDs[$0] == 1 && !encoding.offsets[$0].isEmpty }.map { index in
            let range = encoding.offsets[index]
            return (index + soft.count, first + range.lowerBound..<first + range.upperBound)
        }
        // A token may hold the space before its word, which is no part of an answer.
        let scalars = Array(context.unicodeScalars)
        inside = inside.map { token, range in
            var start = range.lowerBound
            while start < range.upperBound - 1, scalars[start - first].properties.isWhitespace { start += 1 }
            return (token, start..<range.upperBound)
        }
    }

    /// As many as it takes to read all of the context.
    /// - Throws: `FileError` for a question that leaves no room, or a context without tokens.
    static func windows(_ question: String, _ context: String, _ model: Model, limit: Int) throws -> [LocatedTokens] {
        let whole = LocatedTokens(question, context, model, limit: .max)
        guard !whole.inside.isEmpty else { throw FileError(file: model.source ?? "the model", problem: "has a context without tokens", advice: "Leave out empty contexts.") }
        let around = whole.tokens.count - whole.inside.count - model.transformer.softPromptTokens.count, room = limit - around
        if room >= whole.inside.count { return [whole] }
        guard room >= 8, around <= room else {
            throw FileError(file: model.source ?? "the model", problem: "has a question of \(around) tokens, which leaves too few of \(limit) for the context", advice: "Shorten it.")
        }
        let scalars = Array(context.unicodeScalars)
        var windows: [LocatedTokens] = []
        for first in stride(from: 0, to: whole.inside.count, by: room / 2) {
            let start = whole.inside[first].range.lowerBound, end = whole.inside[min(whole.inside.count, first + room) - 1].range.upperBound
            windows.append(LocatedTokens(question, String(String.UnicodeScalarView(scalars[start..<end])), model, first: start, limit: limit))
            if first + room >= whole.inside.count { break }
        }
        return windows
    }
}
