/// How well tags are met.
public struct TagScore: Sendable, Equatable, CustomStringConvertible {
    /// Words whose tag is met, of all.
    public private(set) var right = 0, count = 0
    /// Runs of words under one name that are met, found, and there.
    public private(set) var entitiesMet = 0, entitiesFound = 0, entities = 0
    private var hasEntities = true

    public init() {}

    public mutating func add(_ found: [String?], expected: [String]) {
        precondition(found.count == expected.count, "\(found.count) tags found for \(expected.count) words")
        count += expected.count
        right += zip(found, expected).count { $0 == $1 }
        guard let theirs = Self.entities(expected), let ours = Self.entities(found.map { $0 ?? "O" }) else {
            hasEntities = false
            return
        }
        entities += theirs.count
        entitiesFound += ours.count
        entitiesMet += ours.intersection(theirs).count
    }

    /// The share of words whose tag is met.
    public var accuracy: Double { Double(right) / Double(max(1, count)) }
    /// The harmonic mean of precision and recall over whole runs, as CoNLL counts; nil where tags name none.
    public var f1: Double? { !hasEntities || entities + entitiesFound == 0 ? nil : 2 * Double(entitiesMet) / Double(entities + entitiesFound) }

    public var description: String {
        "\(right) of \(count) tags met (\(String(percent: accuracy)))" + (f1.map { ", F1 of whole names \(String(percent: $0))" } ?? "")
    }

    /// "first word–last word name" of every run: B-, I-, and of the longer schemes E- or L- for its end, S- or U- for one word. Nil where a tag is of another
    /// scheme.
    private static func entities(_ tags: [String]) -> Set<String>? {
        var runs: Set<String> = [], open: (start: Int, name: Substring)?
        for (index, tag) in (tags + ["O"]).enumerated() {
            let parts = tag.split(separator: "-", maxSplits: 1), kind = parts.count == 2 ? parts[0] : tag == "O" ? "O" : ""
            guard ["B", "I", "E", "L", "S", "U", "O"].contains(kind) else { return nil }
            if let run = open, kind == "O" || ["B", "S", "U"].contains(kind) || parts[1] != run.name {
                runs.insert("\(run.start)–\(index - 1) \(run.name)")
                open = nil
            }
            if kind == "O" { continue }
            let run = open ?? (index, parts[1])
            open = run
            if ["E", "L", "S", "U"].contains(kind) {
                runs.insert("\(run.start)–\(index) \(run.name)")
                open = nil
            }
        }
        return runs
    }
}
