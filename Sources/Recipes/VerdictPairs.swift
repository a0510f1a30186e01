import Tasks
import Tensors
import Training

/// Right and wrong completions of one problem in pairs, the right one first; never of two problems.
///
/// Each right one is paired with a wrong one by chance, each of them once, at most `cap` pairs of a problem; repeats are removed first.
public struct VerdictPairs: Selector, Codable, Equatable {
    /// nil: as many as there are.
    public var cap: Int?

    public init(cap: Int? = nil) { self.cap = cap }

    public func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example] {
        groups.flatMap { group -> [Example] in
            let distinct = group.deduplicated(), right = distinct.filter(\.isRight).compactMap(make)
            let wrong = distinct.filter(\.isWrong).compactMap(make)
            guard let first = group.first, !right.isEmpty, !wrong.isEmpty else { return [] }
            let own = key.folding(first.key.index), chosen = own.folding("right").permutation(right.count), rejected = own.folding("wrong").permutation(wrong.count)
            return zip(chosen, rejected).prefix(cap ?? .max).flatMap { [right[$0], wrong[$1]] }
        }
    }
}

/// Right completions, and wrong ones with an advantage of -1: what learns from both by themselves. Repeats are removed; of each kind at most `cap` of a problem.
///
/// Of a wrong one only what follows its longest common beginning with a right one is trained, where `sparesBeginnings`: what right answers say too must not become
/// unlikely.
public struct RightAndWrong: Selector, Codable, Equatable {
    /// nil: all.
    public var cap: Int?
    public var sparesBeginnings: Bool
    /// Whether each gets the completion of another problem beside its prompt, which some losses compare with.
    public var mismatches: Bool

    public init(cap: Int? = nil, sparesBeginnings: Bool = true, mismatches: Bool = false) {
        self.cap = cap
        self.sparesBeginnings = sparesBeginnings
        self.mismatches = mismatches
    }

    public func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example] {
        var examples = groups.flatMap { group -> [Example] in
            let distinct = group.deduplicated()
            guard let first = group.first else { return [] }
            func chosen(_ some: [Rollout], _ name: String) -> [Example] {
                let examples = some.compactMap(make)
                return key.folding(first.key.index).folding(name).permutation(examples.count).prefix(cap ?? .max).sorted().map { examples[$0] }
            }
            let allRight = distinct.filter(\.isRight).compactMap(make), right = chosen(distinct.filter(\.isRight), "right")
            let wrong = chosen(distinct.filter(\.isWrong), "wrong").compactMap { example -> Example? in
                var example = example
                example.advantage = -1
                guard sparesBeginnings else { return example }
                // Where nothing is right, nobody knows from where it is wrong.
                return allRight.isEmpty ? nil : example.sparing(allRight)
            }
            return right + wrong
        }
        if mismatches { examples.addMismatches() }
        return examples
    }
}

/// All completions of a problem with their rewards as advantages, where the rewards differ: what is ranked. Repeats are removed.
public struct RankedCompletions: Selector, Codable, Equatable {
    public init() {}

    public func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example] {
        groups.flatMap { group -> [Example] in
            let ranked = group.deduplicated().compactMap { rollout -> Example? in
                guard let verdict = rollout.verdict, verdict.outcome != .unknown, var example = make(rollout) else { return nil }
                example.advantage = Float(verdict.reward)
                return example
            }
            return Set(ranked.map(\.advantage)).count > 1 ? ranked : []
        }
    }
}

extension Rollout {
    /// Judged, and not right; neither cut off nor without a verdict.
    var isWrong: Bool { finishReason == .stop && [.wrong, .unreadable].contains(verdict?.outcome) }
}
