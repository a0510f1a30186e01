import ModelFiles

/// A line of words, each with its tag.
public struct TaggedWords: Sendable, Equatable {
    public var line: Int
    public var words: [String]
    /// One a word; nil where the file has none.
    public var tags: [String]?

    public init(line: Int, words: [String], tags: [String]? = nil) {
        (self.line, self.words, self.tags) = (line, words, tags)
    }

    /// Reads {"tokens", "tags"}; with `needsTags` a line without tags is an error. A tag is a name or a number.
    /// - Throws: `FileError` that names the line, `JSONError`.
    public static func read(_ path: String, needsTags: Bool) throws -> [TaggedWords] {
        try JSONL.objects(path: path).map { line, object in
            func refuse(_ problem: String) -> FileError {
                FileError(file: path, problem: "line \(line) \(problem)", advice: "Write {\"tokens\": [\"…\"], \"tags\": [\"…\"]} on every line.")
            }
            guard let list = object["tokens"]?.array, !list.isEmpty, case let words = list.compactMap(\.string), words.count == list.count else {
                throw refuse("has no words in a list 'tokens'")
            }
            guard !words.contains(where: { $0.allSatisfy(\.isWhitespace) }) else { throw refuse("has an empty word among 'tokens'") }
            let tags = object["tags"]?.array.map { $0.compactMap { $0.string ?? $0.int.map { "\($0)" } } }
            if needsTags, tags == nil { throw refuse("has no list 'tags'") }
            if let tags, tags.count != words.count { throw refuse("has \(words.count) words, but \(tags.count) tags") }
            return TaggedWords(line: line, words: words, tags: tags)
        }
    }

    /// The same with every tag as one of the `names`, which a file may number.
    /// - Throws: `FileError` for a tag that is neither.
    public static func named(_ lines: [TaggedWords], _ names: [String], file: String) throws -> [TaggedWords] {
        try lines.map { line in
            var line = line
            let number = line.line
            line.tags = try line.tags?.map { names[try LabelledText.index(of: $0, in: names, line: number, file: file)] }
            return line
        }
    }

    /// The tags that lines have, by name.
    public static func tags(_ lines: [TaggedWords]) -> [String] { Set(lines.flatMap { $0.tags ?? [] }).sorted() }
}
