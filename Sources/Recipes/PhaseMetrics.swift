import Evaluation
import Tasks

extension MetricRecord {
    /// Shares and means of a phase's last turns, overall and by category.
    /// - Parameters:
    ///   - rollouts: of the phase, judged.
    ///   - iteration: of the recipe.
    ///   - phase: its name.
    ///   - verifier: what judged them; one that reads answers lets several samples of a problem vote.
    public static func summary(of rollouts: [Rollout], iteration: Int, phase: String, verifier: (any Verifier)? = nil) -> [MetricRecord] {
        let (all, rollouts) = (rollouts, rollouts.lastTurns())
        var metrics: [MetricRecord] = []
        func add(_ name: String, _ category: String, _ value: Double, _ count: Int) {
            metrics.append(MetricRecord(iteration: iteration, phase: phase, name: name, category: category, value: value, count: count))
        }
        func mean(_ values: [Double]) -> Double { values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count) }
        // Problems without a category count overall.
        let categories = Set(rollouts.map(\.problem.category)).subtracting([""]).sorted()
        var accuracies: [Double] = []
        for category in (categories.count > 1 ? categories : []) + [""] {
            let group = category.isEmpty ? rollouts : rollouts.filter { $0.problem.category == category }
            // What the verifier could not judge, or calls unknown, counts neither way.
            let judged = group.filter(\.isDecided)
            let right = judged.count(where: \.isRight)
            add("right", category, Double(right), judged.count)
            guard !judged.isEmpty else { continue }
            let accuracy = Double(right) / Double(judged.count)
            add("accuracy", category, accuracy, judged.count)
            if !category.isEmpty { accuracies.append(accuracy) }
        }
        if !accuracies.isEmpty { add("macroAccuracy", "", mean(accuracies), rollouts.count) }
        let rewards = rollouts.filter(\.isDecided).compactMap { $0.verdict?.reward }
        if !rewards.isEmpty { add("reward", "", mean(rewards), rewards.count) }
        guard !rollouts.isEmpty else { return metrics }
        add("length", "", mean(rollouts.map { Double($0.completionTokens.count) }), rollouts.count)
        add("cutOff", "", mean(rollouts.map { $0.finishReason == .length ? 1 : 0 }), rollouts.count)
        add("unreadable", "", mean(rollouts.map { $0.verdict?.outcome == .unreadable ? 1 : 0 }), rollouts.count)
        if case let unknown = rollouts.count(where: { $0.verdict?.outcome == .unknown }), unknown > 0 { add("unknown", "", Double(unknown) / Double(rollouts.count), rollouts.count) }
        add("failedJudgements", "", mean(rollouts.map { $0.verdict == nil ? 1 : 0 }), rollouts.count)
        // Where they were sampled at another precision: by how much a token's log-probability differs, and what the rollouts weigh.
        let differences = rollouts.flatMap { rollout in zip(rollout.policyLogProbabilities ?? [], rollout.logProbabilities).map { Double(abs($0 - $1)) } }
        if !differences.isEmpty {
            add("mismatch", "", mean(differences), differences.count)
            add("mismatchMost", "", differences.max()!, differences.count)
            add("importanceRatio", "", mean(rollouts.map { $0.importanceWeight(atMost: .infinity) }), rollouts.count)
        }
        // Where there were several turns: the first answer beside the last, which it is itself where it was cut off.
        let firsts = Dictionary(all.filter { $0.key.turn == 0 }.map { ([$0.key.index, $0.key.sample], $0) }, uniquingKeysWith: { first, _ in first })
        let tries = rollouts.filter(\.isDecided).compactMap { last in
            firsts[[last.key.index, last.key.sample]].flatMap { !$0.isDecided ? nil : (first: $0.isRight, last: last.isRight) }
        }
        if !tries.isEmpty, rollouts.contains(where: { $0.key.turn > 0 }) {
            add("firstTry", "", mean(tries.map { $0.first ? 1 : 0 }), tries.count)
            add("lastTry", "", mean(tries.map { $0.last ? 1 : 0 }), tries.count)
            add("wrongToRight", "", mean(tries.map { !$0.first && $0.last ? 1 : 0 }), tries.count)
            add("rightToWrong", "", mean(tries.map { $0.first && !$0.last ? 1 : 0 }), tries.count)
        }
        let groups = rollouts.filter(\.isDecided).grouped().filter { $0.count > 1 }
        let counts = groups.map { (samples: $0.count, right: $0.count(where: \.isRight)) }
        for k in sequence(first: 1, next: { $0 * 2 }).prefix(while: { $0 <= counts.map(\.samples).max() ?? 0 }) {
            if let share = PassAtK.mean(k, over: counts) { add("pass@\(k)", "", share.value, counts.count { $0.samples >= k }) }
        }
        if let reader = verifier as? any AnswerReader, !groups.isEmpty {
            let chosen = groups.map { group in
                let votes = group.map { MajorityVote.Vote(reader.answer(in: $0), logProbability: $0.logProbabilities.reduce(0) { $0 + Double($1) }) }
                return MajorityVote.winner(of: votes, areEqual: reader.areEqual).map { group[$0].isRight } ?? false
            }
            add("majority", "", mean(chosen.map { $0 ? 1 : 0 }), chosen.count)
        }
        if !groups.isEmpty {
            add("withoutSignal", "", mean(groups.map { Set($0.compactMap { $0.verdict?.reward }).count < 2 ? 1 : 0 }), groups.count)
        }
        return metrics
    }

    /// All first, then numbers by size, then words.
    public static func categoryOrder(_ a: String, _ b: String) -> Bool {
        switch (Int(a), Int(b)) {
        case (let a?, let b?) where a != b: a < b
        case (_?, nil): !b.isEmpty
        case (nil, _?): a.isEmpty
        default: a < b
        }
    }
}
