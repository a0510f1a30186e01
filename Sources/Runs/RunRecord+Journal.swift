import Foundation
import GRDB
import ModelFiles
import Recipes
import Sampling
import Tasks
import Tensors
import Training

extension RunRecord: Journal {
    // MARK: - Rollouts

    public func rollouts(iteration: Int, phase: String) throws -> [Rollout] {
        try rollouts(where: "iteration = ? AND phase = ?", [iteration, Stored.text(phase)])
    }

    public func record(_ rollouts: [Rollout]) throws {
        try write { db in
            for rollout in rollouts {
                let problem = rollout.problem.contentHash
                try db.insert(
                    into: "problems", or: .keep,
                    [
                        ("hash", problem), ("id", Stored.text(rollout.problem.id)), ("question", Stored.text(rollout.problem.question)), ("answer", Stored.text(rollout.problem.answer)),
                        ("category", Stored.text(rollout.problem.category)), ("details", Stored.json(rollout.problem.details)),
                    ])
                try db.insert(into: "rollouts", or: .replace, row(of: rollout, problem: problem))
            }
        }
    }

    /// - Parameter condition: SQL over the columns of `rollouts` and `problems`.
    func rollouts(where condition: String, _ arguments: [(any DatabaseValueConvertible)?], order: String = "iteration, phase, idx, sample, turn", limit: Int? = nil)
        throws -> [Rollout]
    {
        try rows(
            "rollouts",
            "SELECT * FROM rollouts JOIN problems ON problems.hash = rollouts.problem WHERE \(condition) ORDER BY \(order)"
                + (limit.map { " LIMIT \($0)" } ?? ""),
            arguments, as: rollout)
    }

    private func row(of rollout: Rollout, problem: String) throws -> WrittenRow {
        let key = rollout.key
        var verdict: Verdict?, failure: String?
        switch rollout.judgement {
        case nil: break
        case .judged(let given): verdict = given
        case .failed(let reason): failure = reason
        }
        return [
            ("iteration", key.iteration), ("phase", Stored.text(key.phase)), ("idx", key.index), ("sample", key.sample), ("turn", key.turn), ("problem", problem),
            ("mode", rollout.mode.rawValue), ("promptTokens", Stored.tokens(rollout.promptTokens)), ("completionTokens", Stored.tokens(rollout.completionTokens)),
            ("finishReason", rollout.finishReason.rawValue), ("text", Stored.text(rollout.text)), ("logProbabilities", Stored.numbers(rollout.logProbabilities)),
            ("behaviorLogProbabilities", Stored.numbers(rollout.behaviorLogProbabilities)), ("temperatures", Stored.numbers(rollout.temperatures)),
            ("weightsHash", Stored.text(rollout.weightsHash)), ("precision", rollout.precision == .float32 ? nil : rollout.precision.rawValue),
            ("policyLogProbabilities", rollout.policyLogProbabilities.map(Stored.numbers)), ("outcome", verdict?.outcome.rawValue),
            ("reward", try verdict.map { try finite($0.reward, "the reward of rollout \(key.phase) \(key.iteration)/\(key.index)/\(key.sample)/\(key.turn)") }),
            ("evidence", Stored.text(verdict?.evidence)), ("failure", Stored.text(failure)),
        ]
    }

    private func rollout(_ row: StoredRow) throws -> Rollout {
        let judgement: Judgement? =
            if let reason = try row.optionalText("failure") {
                .failed(reason: reason)
            } else if try row.optionalText("outcome") != nil {
                .judged(Verdict(try row.choice(Verdict.Outcome.self, "outcome"), reward: try row.double("reward"), evidence: try row.text("evidence")))
            } else {
                nil
            }
        return Rollout(
            key: RolloutKey(
                iteration: try row.int("iteration"), phase: try row.text("phase"), index: try row.int("idx"), sample: try row.int("sample"),
                turn: try row.int("turn")),
            problem: Problem(
                id: try row.text("id"), question: try row.text("question"), answer: try row.optionalText("answer"), category: try row.text("category"),
                details: try row.json([String: String].self, "details")),
            mode: try row.choice(PromptMode.self, "mode"), promptTokens: try row.tokens("promptTokens"), completionTokens: try row.tokens("completionTokens"),
            finishReason: try row.choice(FinishReason.self, "finishReason"), text: try row.text("text"), logProbabilities: try row.numbers("logProbabilities"),
            behaviorLogProbabilities: try row.numbers("behaviorLogProbabilities"), temperatures: try row.numbers("temperatures"),
            weightsHash: try row.text("weightsHash"), precision: try row.optionalText("precision") == nil ? .float32 : row.choice(Precision.self, "precision"),
            policyLogProbabilities: try row.optionalNumbers("policyLogProbabilities"), judgement: judgement)
    }

    // MARK: - Examples

    public func examples(_ training: TrainingKey) throws -> [Example]? {
        let key: [(any DatabaseValueConvertible)?] = [training.iteration, Stored.text(training.phase)]
        let counts = try rows("trainings", "SELECT exampleCount FROM trainings WHERE iteration = ? AND phase = ?", key) { try $0.int("exampleCount") }
        guard let count = counts.first else { return nil }
        let examples = try rows("examples", "SELECT * FROM examples WHERE iteration = ? AND phase = ? ORDER BY position", key) { row in
            let completion = try row.tokens("completionTokens")
            let (prompt, trained) = (try row.tokens("promptTokens"), try row.flags("trained"))
            guard !prompt.isEmpty, trained.count == completion.count else { throw row.wrong("trained", "one flag per completion token") }
            var example = Example(
                promptTokens: prompt, completionTokens: completion, trained: trained, weight: Float(try row.double("weight")),
                advantage: try row.optionalDouble("advantage").map { Float($0) },
                behaviorLogProbabilities: try row.optionalNumbers("behaviorLogProbabilities"), rollouts: try row.json([RolloutKey].self, "rollouts"))
            func numbers(_ column: String) throws -> [Float]? {
                let numbers = try row.optionalNumbers(column)
                guard numbers.map({ $0.count == completion.count }) ?? true else { throw row.wrong(column, "one number per completion token") }
                return numbers
            }
            (example.referenceLogProbabilities, example.tokenAdvantages) = (try numbers("referenceLogProbabilities"), try numbers("tokenAdvantages"))
            (example.values, example.returns) = (try numbers("criticValues"), try numbers("returns"))
            if try row.optionalText("mismatch") != nil { example.mismatch = try row.json(Example.Mismatch.self, "mismatch") }
            if try row.optionalText("labels") != nil { example.labels = try row.json(Example.Labels.self, "labels") }
            example.segments = try row.optionalTokens("segments")
            if try row.optionalText("standing") != nil { example.standing = try row.json(Example.Standing.self, "standing") }
            return example
        }
        guard examples.count == count else {
            throw FileError.damaged(file, "table examples", "\(examples.count) examples of training \(training.phase) \(training.iteration), not \(count)")
        }
        return examples
    }

    public func record(_ examples: [Example], for training: TrainingKey) throws {
        let phase = Stored.text(training.phase)
        try write { db in
            try db.run("DELETE FROM examples WHERE iteration = ? AND phase = ?", [training.iteration, phase])
            try db.insert(into: "trainings", or: .replace, [("iteration", training.iteration), ("phase", phase), ("exampleCount", examples.count)])
            for (position, example) in examples.enumerated() {
                let what = "of example \(position) of training \(training.phase) \(training.iteration)"
                try db.insert(
                    into: "examples", or: .fail,
                    [
                        ("iteration", training.iteration), ("phase", phase), ("position", position), ("promptTokens", Stored.tokens(example.promptTokens)),
                        ("completionTokens", Stored.tokens(example.completionTokens)), ("trained", Stored.flags(example.trained)),
                        ("weight", finite(Double(example.weight), "the weight \(what)")), ("advantage", example.advantage.map { try finite(Double($0), "the advantage \(what)") }),
                        ("behaviorLogProbabilities", example.behaviorLogProbabilities.map(Stored.numbers)), ("rollouts", Stored.json(example.rollouts)),
                        ("referenceLogProbabilities", example.referenceLogProbabilities.map(Stored.numbers)), ("tokenAdvantages", example.tokenAdvantages.map(Stored.numbers)),
                        ("criticValues", example.values.map(Stored.numbers)), ("returns", example.returns.map(Stored.numbers)), ("mismatch", example.mismatch.map { try Stored.json($0) }),
                        ("labels", example.labels.map { try Stored.json($0) }), ("segments", example.segments.map(Stored.tokens)), ("standing", example.standing.map { try Stored.json($0) }),
                    ])
            }
        }
    }

    // MARK: - Steps

    public func record(_ step: StepRecord) throws {
        try write { db in
            try db.insert(
                into: "steps", or: .replace,
                [
                    ("iteration", step.training.iteration), ("phase", Stored.text(step.training.phase)), ("step", step.result.step), ("result", Stored.json(step.result)),
                    ("seconds", finite(step.seconds, "the duration of step \(step.result.step)")),
                ])
        }
    }

    public func steps(_ training: TrainingKey) throws -> [StepRecord] {
        try steps(where: "iteration = ? AND phase = ?", [training.iteration, Stored.text(training.phase)])
    }

    func steps(where condition: String, _ arguments: [(any DatabaseValueConvertible)?]) throws -> [StepRecord] {
        try rows("steps", "SELECT iteration, phase, result, seconds FROM steps WHERE \(condition) ORDER BY iteration, phase, step", arguments) { row in
            StepRecord(
                training: TrainingKey(iteration: try row.int("iteration"), phase: try row.text("phase")),
                result: try row.json(StepResult.self, "result"), seconds: try row.double("seconds"))
        }
    }

    // MARK: - Checkpoints

    public func checkpoints(_ training: TrainingKey) throws -> [CheckpointRecord] {
        try checkpoints(where: "iteration = ? AND phase = ?", [training.iteration, Stored.text(training.phase)])
    }

    /// - Throws: `FileError` also when the path leaves the run's folder, or belongs to another checkpoint.
    public func record(_ checkpoint: CheckpointRecord) throws {
        let (training, path) = (checkpoint.training, checkpoint.path)
        if let path, path.isEmpty || path.hasPrefix("/") || path.split(separator: "/").contains("..") {
            throw FileError(file: file, problem: "the checkpoint's path '\(path)' is not within the run's folder", advice: "Record it as checkpoints/NNNN.")
        }
        let code = codeVersion.withLock { $0 }
        try write { db in
            let key: WrittenRow = [("iteration", training.iteration), ("phase", Stored.text(training.phase)), ("step", checkpoint.step)]
            let others = try Int.fetchOne(
                db, sql: "SELECT COUNT(*) FROM checkpoints WHERE path = ? AND NOT (iteration = ? AND phase = ? AND step = ?)",
                arguments: StatementArguments([Stored.text(path)] + key.map(\.value)))
            if let path, others != 0 {
                throw FileError(
                    file: file, problem: "the folder '\(path)' belongs to another checkpoint", advice: "Give every checkpoint a folder of its own; one is never written over.")
            }
            try db.insert(
                into: "checkpoints", or: .replace,
                key + [
                    ("isFinal", checkpoint.isFinal ? 1 : 0), ("path", Stored.text(path ?? "")), ("weightsHash", Stored.text(checkpoint.weightsHash)),
                    ("parents", Stored.json(checkpoint.parents)), ("codeVersion", Stored.text(code)), ("recordedAt", Stored.now()),
                ])
        }
        if path != nil { try writeLineage() }
    }

    func checkpoints(where condition: String, _ arguments: [(any DatabaseValueConvertible)?]) throws -> [CheckpointRecord] {
        try rows("checkpoints", "SELECT * FROM checkpoints WHERE \(condition) ORDER BY iteration, phase, step", arguments, as: checkpoint)
    }

    func checkpoint(_ row: StoredRow) throws -> CheckpointRecord {
        let path = try row.text("path")
        return CheckpointRecord(
            training: TrainingKey(iteration: try row.int("iteration"), phase: try row.text("phase")), step: try row.int("step"),
            isFinal: try row.int("isFinal") != 0, path: path.isEmpty ? nil : path, weightsHash: try row.text("weightsHash"),
            parents: try row.json([String].self, "parents"))
    }

    // MARK: - Metrics and phases

    /// In order of iteration, phase, name and category.
    public func metrics() throws -> [MetricRecord] {
        try rows("metrics", "SELECT * FROM metrics ORDER BY iteration, phase, name, category") { row in
            MetricRecord(
                iteration: try row.int("iteration"), phase: try row.text("phase"), name: try row.text("name"), category: try row.text("category"),
                value: try row.double("value"), count: try row.int("count"))
        }
    }

    public func record(_ metrics: [MetricRecord]) throws {
        try write { db in
            for metric in metrics {
                try db.insert(
                    into: "metrics", or: .replace,
                    [
                        ("iteration", metric.iteration), ("phase", Stored.text(metric.phase)), ("name", Stored.text(metric.name)), ("category", Stored.text(metric.category)),
                        ("value", finite(metric.value, "the metric \(metric.name) of \(metric.phase) \(metric.iteration)")), ("count", metric.count),
                    ])
            }
        }
    }

    public func isComplete(iteration: Int, phase: String) throws -> Bool {
        try !rows("phases", "SELECT iteration FROM phases WHERE iteration = ? AND phase = ?", [iteration, Stored.text(phase)]) { try $0.int("iteration") }.isEmpty
    }

    public func complete(iteration: Int, phase: String) throws {
        try write { db in
            try db.insert(into: "phases", or: .replace, [("iteration", iteration), ("phase", Stored.text(phase)), ("recordedAt", Stored.now())])
        }
    }
}

extension Problem {
    /// What a rollout's row names its problem by: the same problem is stored once, a changed one beside the old.
    var contentHash: String {
        var hash = ContentHash()
        hash.combine(id)
        hash.combine(question)
        hash.combine(answer == nil ? 0 : 1)
        hash.combine(answer ?? "")
        hash.combine(category)
        for (key, value) in details.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            hash.combine(key)
            hash.combine(value)
        }
        return hash.hex
    }
}
