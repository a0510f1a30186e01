/// Reads which of a few labels a completion names (positive or negative, yes or no), and compares it with the problem's.
///
/// The label is what stands behind the last "answer is" or "answer:"; else what the text begins with ("Yes, because …"); else the one label of the
/// last line, or of the whole text. A label behind "not" is not named. Two labels are unreadable.
public struct LabelVerifier: AnswerReader {
    public let name = "label"
    public let labels: [String]
    /// Per label, the ways of saying it, as words in lower case: the label first, then its verbalizers.
    private let sayings: [[[String]]]

    /// - Parameters:
    ///   - labels: the possible answers, of which `problem(with:)` finds nothing to say.
    ///   - verbalizers: other words for a label, such as `["positive": ["great", "good"]]`.
    public init(_ labels: [String], verbalizers: [String: [String]] = [:]) {
        precondition(Self.problem(with: labels, verbalizers) == nil && verbalizers.keys.allSatisfy(labels.contains), "labels \(labels) with words for \(verbalizers.keys.sorted())")
        self.labels = labels
        sayings = labels.map { label in ([label] + (verbalizers[label] ?? [])).map { Splitting.words(of: $0.lowercased()) }.filter { !$0.isEmpty } }
    }

    /// Why a text could not say which of some labels it means; `nil` where it can. What is read are words: "-1" and "1" are the same, and "1.5" begins with "1".
    public static func problem(with labels: [String], _ verbalizers: [String: [String]] = [:]) -> String? {
        if labels.count < 2 { return "Name two or more different answers, as [yes, no]." }
        let ways = labels.map { label in ([label] + (verbalizers[label] ?? [])).filter { !Splitting.words(of: $0.lowercased()).isEmpty } }
        if let silent = labels.indices.first(where: { ways[$0].isEmpty }) { return "'\(labels[silent])' has neither letters nor digits to be read by. Call the answers by words." }
        for a in labels.indices {
            let whole = Set(ways[a].map { Splitting.words(of: $0.lowercased()) })
            for b in labels.indices where b != a && ways[b].contains(where: { whole.contains(Splitting.words(of: $0.lowercased())) || whole.contains(opening(of: $0)) }) {
                return "'\(labels[min(a, b)])' and '\(labels[max(a, b)])' would be read as the same. Name two or more different answers."
            }
        }
        return nil
    }

    /// What a text begins with, up to a mark.
    private static func opening(of text: some StringProtocol) -> [String] {
        Splitting.words(of: String(text).replacing(" - ", with: ",").drop(while: \.isWhitespace).prefix { !",.;:!—–(\n".contains($0) }.lowercased())
    }

    public func judge(_ rollouts: [Rollout]) async -> [Judgement] {
        rollouts.map { rollout in
            guard let expected = rollout.problem.answer, labels.contains(expected) else {
                return .failed(reason: "problem '\(rollout.problem.id)' has none of the labels \(labels.joined(separator: ", ")) as its answer")
            }
            if let cutOff = rollout.cutOff { return .judged(cutOff) }
            let named = read(rollout.text)
            guard named.count == 1 else {
                let problem = named.isEmpty ? "no label" : named.map { labels[$0] }.joined(separator: " and ")
                return .judged(Verdict(.unreadable, evidence: "\(problem) in '\(shortened(rollout.text.suffix(60)))', expected \(expected)"))
            }
            return .judged(Verdict(labels[named[0]] == expected ? .right : .wrong, evidence: "read \(labels[named[0]]), expected \(expected)"))
        }
    }

    public var settings: [String: String] {
        ["labels": zip(labels, sayings).map { label, sayings in "\(label) (\(sayings.map { $0.joined(separator: " ") }.joined(separator: ", ")))" }.joined(separator: "; ")]
    }

    public func answer(in rollout: Rollout) -> String? {
        let named = rollout.finishReason == .length ? [] : read(rollout.text)
        return named.count == 1 ? labels[named[0]] : nil
    }

    /// The labels named, in their order.
    private func read(_ text: String) -> [Int] {
        let statement = AnswerStatement.last(in: text)
        let said = statement ?? text[...]
        let opening = Self.opening(of: said)
        if let index = labels.indices.first(where: { sayings[$0].contains(opening) }) { return [index] }
        if let statement { return named(in: AnswerStatement.firstSentence(of: statement)) }
        let ofLine = named(in: text.split(whereSeparator: \.isNewline).last { !$0.allSatisfy(\.isWhitespace) } ?? "")
        return ofLine.isEmpty ? named(in: said) : ofLine
    }

    private func named(in text: Substring) -> [Int] { AnswerStatement.named(sayings, in: Splitting.words(of: text.lowercased())) }
}
