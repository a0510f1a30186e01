import Tasks
import Tensors
import Training

/// Turns judged rollouts into what is trained: filtered, paired, rewritten or weighted.
public protocol Selector: Sendable {
    /// Whether it is made of the very tokens that were sampled, also of completions that were cut off: what policy gradients need, and likelihood must not have.
    var trainsAsSampled: Bool { get }
    /// Whether the choice depends on what a reference says of the rollouts.
    var comparesFirst: Bool { get }
    /// - Parameters:
    ///   - groups: the rollouts of each problem, of all turns that the recipe gives, in key order.
    ///   - key: for random choices; the same key makes the same choice.
    ///   - make: the example of a rollout under its plain prompt; nil where nothing of it may train.
    func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example]
}

extension Selector {
    public var trainsAsSampled: Bool { false }
    public var comparesFirst: Bool { false }
}

/// Right completions, each once; at most `cap` of a problem, a random subset, so that easy problems do not dominate.
/// Source: Singh et al. 2024, arXiv:2312.06585, section 4 (cap); repeats are removed first.
public struct RightCompletions: Selector, Codable, Equatable {
    /// nil: all.
    public var cap: Int?

    public init(cap: Int? = nil) { self.cap = cap }

    public func examples(from groups: [[Rollout]], using key: RandomKey, _ make: (Rollout) -> Example?) -> [Example] {
        groups.flatMap { group in capped(group.filter(\.isRight).deduplicated(), key).compactMap(make) }
    }

    private func capped(_ group: [Rollout], _ key: RandomKey) -> [Rollout] {
        guard let cap, group.count > cap, let first = group.first else { return group }
        return key.folding(first.key.index).permutation(group.count).prefix(cap).sorted().map { group[$0] }
    }
}

extension Array where Element == Rollout {
    /// The rollouts of each problem, in key order.
    public func grouped() -> [[Rollout]] {
        var groups: [[Rollout]] = []
        for rollout in sorted(by: { $0.key < $1.key }) {
            if let last = groups.last?.first?.key, (last.iteration, last.phase, last.index) == (rollout.key.iteration, rollout.key.phase, rollout.key.index) {
                groups[groups.count - 1].append(rollout)
            } else {
                groups.append([rollout])
            }
        }
        return groups
    }

    /// How each sample of each problem ended, in key order: what an environment of several turns is judged by.
    public func lastTurns() -> [Rollout] {
        let ordered = sorted { $0.key < $1.key }
        return ordered.indices.filter { place in
            var next = ordered[place].key
            next.turn += 1
            return place + 1 == ordered.count || ordered[place + 1].key != next
        }.map { ordered[$0] }
    }

    /// Without repeats of the same completion of the same prompt.
    func deduplicated() -> [Rollout] {
        var seen: Set<[[Int32]]> = []
        return filter { seen.insert([$0.promptTokens, $0.completionTokens]).inserted }
    }
}
