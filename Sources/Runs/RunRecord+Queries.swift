import GRDB
import Recipes
import Tasks
import Training

/// What became of the rollouts of one phase of one iteration, or of one category of them.
public struct PhaseSummary: Equatable, Sendable {
    public var iteration: Int
    public var phase: String
    /// `nil` for all categories together.
    public var category: String?
    public var mode: PromptMode?
    public var rollouts: Int
    /// By the verifier; neither failed nor still waiting.
    public var judged: Int
    public var right: Int
    public var wrong: Int
    public var unreadable: Int
    public var cutOff: Int
    /// The verifier could not do its work.
    public var failed: Int
    /// Completions that ran out of tokens, whatever their verdict.
    public var lengthStopped: Int
    /// Over the judged; `nil` when there are none.
    public var meanReward: Double?
    /// Tokens, including the stop token.
    public var meanCompletionLength: Double
    /// Prompts with more than one judged completion.
    public var groups: Int
    /// Those whose rewards are all equal: nothing to learn from comparing them.
    public var groupsWithoutSignal: Int
}

/// The same problem at the beginning and at the end of a run.
public struct BeforeAfter: Equatable, Sendable {
    public var before: Rollout
    public var after: Rollout
    public var problem: Problem { before.problem }
}

/// What the command line and the report ask of a run.
extension RunRecord {
    /// Every iteration that left anything, in order.
    public func iterations() throws -> [Int] {
        try rows(
            "rollouts",
            """
            SELECT iteration FROM (SELECT DISTINCT iteration FROM rollouts UNION SELECT iteration FROM trainings UNION SELECT iteration FROM steps
                UNION SELECT iteration FROM metrics UNION SELECT iteration FROM phases UNION SELECT iteration FROM checkpoints) ORDER BY iteration
            """) { try $0.int("iteration") }
    }

    /// The phases that are complete, in order of iteration and name.
    public func completePhases() throws -> [TrainingKey] {
        try rows("phases", "SELECT iteration, phase FROM phases ORDER BY iteration, phase") {
            TrainingKey(iteration: try $0.int("iteration"), phase: try $0.text("phase"))
        }
    }

    /// The trainings that were started, in order of iteration and name.
    public func trainings() throws -> [TrainingKey] {
        try rows("trainings", "SELECT iteration, phase FROM trainings ORDER BY iteration, phase") {
            TrainingKey(iteration: try $0.int("iteration"), phase: try $0.text("phase"))
        }
    }

    /// The iteration of the policy that came out, 0 for what the run began with; nil before the end.
    public func resultIteration() throws -> Int? {
        try rows("metrics", "SELECT iteration FROM metrics WHERE phase = 'run' AND name = 'tokens'") { try $0.int("iteration") }.last
    }

    /// All steps, in order of iteration, training and step.
    public func steps() throws -> [StepRecord] { try steps(where: "1", []) }

    /// All checkpoints, in order of iteration, training and step.
    public func checkpoints() throws -> [CheckpointRecord] { try checkpoints(where: "1", []) }

    public func rollout(_ key: RolloutKey) throws -> Rollout? {
        try rollouts(
            where: "iteration = ? AND phase = ? AND idx = ? AND sample = ? AND turn = ?",
            [key.iteration, Stored.text(key.phase), key.index, key.sample, key.turn]
        ).first
    }

    /// The first rollouts of a phase of one iteration, at most `limit`, with a given outcome; `nil` for any.
    public func sample(iteration: Int, phase: String, outcome: Verdict.Outcome? = nil, limit: Int = 10) throws -> [Rollout] {
        var condition = "iteration = ? AND phase = ?"
        var arguments: [(any DatabaseValueConvertible)?] = [iteration, Stored.text(phase)]
        if let outcome {
            condition += " AND outcome = ?"
            arguments.append(outcome.rawValue)
        }
        return try rollouts(where: condition, arguments, limit: max(0, limit))
    }

    /// Problems that a phase met in its first and in its last iteration: those that changed from wrong to right, stayed wrong,
    /// stayed right and changed from right to wrong, in turn, at most `limit` together.
    ///
    /// Without a phase: "test", "dev" or "attempt", else the first that came back; nothing where what came out is what the run began with.
    public func beforeAfter(phase: String? = nil, limit: Int = 12) throws -> [BeforeAfter] {
        if phase == nil, try resultIteration() == 0 { return [] }
        let spans = try rows(
            "rollouts", "SELECT phase, MIN(iteration) AS first, MAX(iteration) AS last FROM rollouts GROUP BY phase HAVING first < last ORDER BY phase"
        ) { (phase: try $0.text("phase"), first: try $0.int("first"), last: try $0.int("last")) }
        let preferred = phase.map { [$0] } ?? ["test", "dev", "attempt"]
        guard let span = preferred.lazy.compactMap({ name in spans.first { $0.phase == name } }).first ?? (phase == nil ? spans.first : nil) else { return [] }
        let keys = try rows(
            "rollouts",
            """
            SELECT before, beforeTurn, after, afterTurn FROM (
                SELECT a.idx AS before, a.turn AS beforeTurn, b.idx AS after, b.turn AS afterTurn, a.outcome IS 'right' AS wasRight, b.outcome IS 'right' AS isRight,
                    ROW_NUMBER() OVER (PARTITION BY a.outcome IS 'right', b.outcome IS 'right' ORDER BY a.idx, b.idx) AS place
                FROM rollouts a JOIN rollouts b ON b.problem = a.problem
                WHERE a.phase = ?1 AND b.phase = ?1 AND a.iteration = ?2 AND b.iteration = ?3
                    AND a.sample = 0 AND b.sample = 0 AND \(Self.isLast("a")) AND \(Self.isLast("b")))
            ORDER BY place, wasRight, isRight DESC LIMIT ?4
            """, [Stored.text(span.phase), span.first, span.last, max(0, limit)]
        ) {
            (
                before: RolloutKey(iteration: span.first, phase: span.phase, index: try $0.int("before"), turn: try $0.int("beforeTurn")),
                after: RolloutKey(iteration: span.last, phase: span.phase, index: try $0.int("after"), turn: try $0.int("afterTurn"))
            )
        }
        return try keys.compactMap { key in
            guard let before = try rollout(key.before), let after = try rollout(key.after) else { return nil }
            return BeforeAfter(before: before, after: after)
        }
    }

    /// What became of the rollouts, each sample's last turn, in order of iteration, phase, category and mode.
    /// - Parameter byCategory: one summary for each category and prompt mode instead of one for all.
    public func phaseSummaries(byCategory: Bool = false) throws -> [PhaseSummary] {
        let columns = byCategory ? "iteration, phase, category, mode" : "iteration, phase"
        return try rows(
            "rollouts",
            """
            WITH all_rollouts AS (SELECT * FROM rollouts o JOIN problems ON problems.hash = o.problem WHERE \(Self.isLast("o"))),
            grouped AS (
                SELECT \(columns), COUNT(*) AS groupCount, SUM(lowest = highest) AS unanimous
                FROM (SELECT \(columns), MIN(reward) AS lowest, MAX(reward) AS highest FROM all_rollouts
                    GROUP BY \(columns), idx HAVING COUNT(reward) > 1)
                GROUP BY \(columns))
            SELECT \(columns), COUNT(*) AS total, SUM(outcome IS NOT NULL) AS judged, SUM(outcome IS 'right') AS rights,
                SUM(outcome IS 'wrong') AS wrongs, SUM(outcome IS 'unreadable') AS unreadables, SUM(outcome IS 'cutOff') AS cut,
                SUM(failure IS NOT NULL) AS failures, SUM(finishReason = 'length') AS lengths, AVG(reward) AS meanReward,
                AVG(LENGTH(completionTokens) / 4.0) AS meanLength,
                IFNULL((SELECT groupCount FROM grouped g WHERE \(Self.same(columns))), 0) AS groupCount,
                IFNULL((SELECT unanimous FROM grouped g WHERE \(Self.same(columns))), 0) AS unanimous
            FROM all_rollouts r GROUP BY \(columns) ORDER BY \(columns)
            """
        ) { row in
            PhaseSummary(
                iteration: try row.int("iteration"), phase: try row.text("phase"), category: byCategory ? try row.text("category") : nil,
                mode: byCategory ? try row.choice(PromptMode.self, "mode") : nil, rollouts: try row.int("total"), judged: try row.int("judged"),
                right: try row.int("rights"), wrong: try row.int("wrongs"), unreadable: try row.int("unreadables"), cutOff: try row.int("cut"),
                failed: try row.int("failures"), lengthStopped: try row.int("lengths"), meanReward: try row.optionalDouble("meanReward"),
                meanCompletionLength: try row.double("meanLength"), groups: try row.int("groupCount"), groupsWithoutSignal: try row.int("unanimous"))
        }
    }

    /// Whether no turn follows.
    private static func isLast(_ rollout: String) -> String {
        "NOT EXISTS (SELECT 1 FROM rollouts n WHERE \(["iteration", "phase", "idx", "sample"].map { "n.\($0) = \(rollout).\($0)" }.joined(separator: " AND ")) AND n.turn = \(rollout).turn + 1)"
    }

    private static func same(_ columns: String) -> String {
        columns.split(separator: ", ").map { "g.\($0) = r.\($0)" }.joined(separator: " AND ")
    }
}
