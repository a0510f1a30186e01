/// How well answers are met, as SQuAD counts: lower case, without punctuation and articles; the best of all right answers. Source: Rajpurkar et al. 2016,
/// arXiv:1606.05250.
public struct SpanScore: Sendable, Equatable, CustomStringConvertible {
    /// Answers, and how many are met exactly.
    public private(set) var count = 0, exact = 0
    private var overlap = 0.0

    public init() {}

    public mutating func add(_ found: String, expected: [String]) {
        count += 1
        let ours = Self.words(found), theirs = expected.map(Self.words)
        if theirs.contains(ours) { exact += 1 }
        overlap += theirs.map { Self.f1(ours, $0) }.max() ?? 0
    }

    /// The mean over questions of the harmonic mean of precision and recall over words.
    public var f1: Double { overlap / Double(max(1, count)) }
    /// The share of answers met exactly.
    public var exactShare: Double { Double(exact) / Double(max(1, count)) }
    public var description: String { "\(exact) of \(count) answers met exactly (\(String(percent: exactShare))), F1 of words \(String(percent: f1))" }

    private static func words(_ text: String) -> [String] {
        let plain = String(text.lowercased().filter { !$0.isASCII || !$0.isPunctuation && !$0.isSymbol })
        return plain.split(whereSeparator: \.isWhitespace).map { String($0) }.filter { !["a", "an", "the"].contains($0) }
    }

    private static func f1(_ a: [String], _ b: [String]) -> Double {
        if a.isEmpty || b.isEmpty { return a == b ? 1 : 0 }
        var left = Dictionary(grouping: b, by: { $0 }).mapValues(\.count), common = 0
        for word in a where (left[word] ?? 0) > 0 {
            left[word]! -= 1
            common += 1
        }
        return 2 * Double(common) / Double(a.count + b.count)
    }
}
