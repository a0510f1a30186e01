/// A key that stands in more than one split: what a run must not start with.
public struct Overlap: Codable, Sendable, Equatable, CustomStringConvertible {
    public var key: String
    /// Where it stands, as "train alpaca-7", in the order train, dev, test.
    public var places: [String]

    public init(key: String, places: [String]) {
        self.key = key
        self.places = places
    }

    public var description: String { "\(places.joined(separator: ", ")): \(key)" }

    /// The near-duplicates (`Problem.splitKey`) that stand in two splits, in the order in which they are met.
    public static func between(train: [Problem], dev: [Problem], test: [Problem]) -> [Overlap] {
        var splits: [String: Set<String>] = [:]
        var places: [String: [String]] = [:]
        var order: [String] = []
        for (split, problems) in [(Split.train, train), (.dev, dev), (.test, test)] {
            for problem in problems {
                let key = problem.splitKey
                if splits[key] == nil { order.append(key) }
                splits[key, default: []].insert(split.rawValue)
                places[key, default: []].append("\(split.rawValue) \(problem.id)")
            }
        }
        return order.filter { splits[$0]!.count > 1 }.map { Overlap(key: $0, places: places[$0]!) }
    }

    /// - Throws: whatever the environment throws when its problems are asked for.
    public static func inside(_ environment: any Environment) throws -> [Overlap] {
        try between(
            train: environment.problems(in: .train), dev: environment.problems(in: .dev), test: environment.problems(in: .test))
    }

    /// The held-out problems that share a run of `words` words with the training text (GPT-3's rule, 13 words).
    ///
    /// A question with fewer words counts when all of it occurs. Case and punctuation are ignored. The training text is
    /// everything trained on, self-generated text included.
    /// - Returns: ids, in the order of `problems`.
    public static func contaminated(_ problems: [Problem], by training: [String], words length: Int = 13) -> [String] {
        precondition(length > 0, "a run of \(length) words")
        let questions = problems.map { wordHashes($0.question) }
        let lengths = Set(questions.map { min(length, $0.count) }).subtracting([0]).sorted()
        var seen: [Int: Set<UInt64>] = [:]
        for text in training {
            let hashes = wordHashes(text)
            for length in lengths { seen[length, default: []].formUnion(runs(of: length, in: hashes)) }
        }
        return zip(problems, questions).compactMap { problem, hashes in
            let length = min(length, hashes.count)
            guard let known = seen[length] else { return nil }
            return runs(of: length, in: hashes).contains(where: known.contains) ? problem.id : nil
        }
    }

    private static func wordHashes(_ text: String) -> [UInt64] {
        Splitting.words(of: text.lowercased()).map { StableHash.mix(StableHash.fnv1a($0)) }
    }

    private static func runs(of length: Int, in words: [UInt64]) -> [UInt64] {
        guard length > 0, words.count >= length else { return [] }
        return (0...words.count - length).map { start in
            words[start..<start + length].reduce(0) { StableHash.mix($0 &* 31 &+ $1 &+ 1) }
        }
    }
}
