import Evaluation
import Foundation
import GRDB
import ModelFiles
import Tasks

/// Evaluations of models, many in one SQLite file: what was measured and how, every sample with its verdict, and the figures.
///
/// Every call is one transaction and durable when it returns, from any thread. An evaluation is found by the weights, the recipe and the seed, so one that was
/// killed goes on when it is begun again.
public final class EvaluationRecord: Sendable {
    /// One evaluation; of what decides nothing it keeps what people want to know.
    public struct Entry: Sendable, Equatable {
        public var id: Int64 = 0
        /// ISO 8601.
        public var created = ""
        public var model: String
        /// Of the model, with all that decides what it says; empty where the problems' own solutions were judged.
        public var modelHash: String
        public var adapter: String?
        public var recipe: EvaluationRecipe
        /// As the task was asked for: they explain why recipes differ.
        public var taskOptions: [String: String]
        public var seed: UInt64
        /// `nil` until all samples are there.
        public var summary: EvaluationSummary?

        public init(model: String, modelHash: String, adapter: String? = nil, recipe: EvaluationRecipe, taskOptions: [String: String] = [:], seed: UInt64) {
            (self.model, self.modelHash, self.adapter, self.recipe, self.taskOptions, self.seed) = (model, modelHash, adapter, recipe, taskOptions, seed)
        }

        public var task: String { recipe.parts["task"] ?? "" }
        public var split: String { recipe.parts["split"] ?? "" }
    }

    private struct Settings: Codable {
        var recipe: EvaluationRecipe
        var taskOptions: [String: String]
    }

    private static let version = 1
    /// "ADEV": another program's file, or a run's, is not taken for one of these.
    private static let application = 0x4144_4556
    let file: String
    private let queue: DatabaseQueue

    /// Opens the file for writing, and makes it where there is none.
    /// - Throws: `FileError` for a file that is something else, and for everything SQLite complains about.
    public init(writing file: String) throws {
        self.file = file
        queue = try withFileErrors(in: file) {
            var configuration = Configuration()
            configuration.foreignKeysEnabled = true
            configuration.busyMode = .timeout(10)
            let queue = try DatabaseQueue(path: file, configuration: configuration)
            try queue.write { db in
                if try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM sqlite_master") == 0 { try db.execute(sql: Self.schema) }
                try Self.check(db, file)
            }
            return queue
        }
    }

    /// Opens a file that is there.
    /// - Throws: as `init(writing:)`.
    public init(reading file: String) throws {
        guard FileManager.default.fileExists(atPath: file) else {
            throw FileError(file: file, problem: "there is no record of evaluations", advice: "Check the path, or make one with 'autodidact eval --record'.")
        }
        guard (try? FileManager.default.attributesOfItem(atPath: file)[.size] as? Int) != 0 else {
            throw FileError(file: file, problem: "holds no evaluations yet", advice: "Begin one with 'autodidact eval --record', without --resume.")
        }
        self.file = file
        queue = try withFileErrors(in: file) {
            func opened() throws -> DatabaseQueue {
                var configuration = Configuration()
                configuration.readonly = true
                configuration.busyMode = .timeout(10)
                let queue = try DatabaseQueue(path: file, configuration: configuration)
                try queue.read { try Self.check($0, file) }
                return queue
            }
            do { return try opened() } catch let error as DatabaseError where error.resultCode == .SQLITE_READONLY {
                // A writer was killed while it committed, and only one that may write can take that back.
                try DatabaseQueue(path: file).read { try Self.check($0, file) }
                return try opened()
            }
        }
    }

    private static func check(_ db: Database, _ file: String) throws {
        guard try Int.fetchOne(db, sql: "PRAGMA application_id") == application else {
            throw FileError(file: file, problem: "is no record of evaluations", advice: "Choose another file.")
        }
        let found = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        guard found <= version else {
            throw FileError(file: file, problem: "its schema is version \(found), and this release knows up to \(version)", advice: "Use the release of autodidact that made it, or a newer one.")
        }
    }

    private static let schema = """
        PRAGMA application_id = \(application);
        PRAGMA user_version = \(version);
        CREATE TABLE evaluations (
            id INTEGER PRIMARY KEY,
            created TEXT NOT NULL,
            model TEXT NOT NULL,             -- its path
            weightsHash TEXT NOT NULL,       -- of the model: what else decides its answers is in it
            adapter TEXT,
            task TEXT NOT NULL,
            split TEXT NOT NULL,
            recipeHash TEXT NOT NULL,
            seed TEXT NOT NULL,
            settings TEXT NOT NULL,          -- JSON: the recipe's parts, and the task's options as they were given
            metrics TEXT,                    -- JSON; NULL until all samples are there
            UNIQUE (weightsHash, recipeHash, seed)
        );
        CREATE TABLE samples (
            evaluation INTEGER NOT NULL REFERENCES evaluations (id),
            problem TEXT NOT NULL,
            sample INTEGER NOT NULL,
            prompt TEXT NOT NULL,
            text TEXT NOT NULL,
            outcome TEXT,                    -- NULL where the verifier could not do its work: evidence says why
            reward REAL,
            evidence TEXT NOT NULL,
            answer TEXT,                     -- what it votes for
            tokens INTEGER NOT NULL,
            logprob REAL NOT NULL,
            choices TEXT,                    -- JSON: the likelihoods of all options
            correct INTEGER,                 -- the place of the right one
            PRIMARY KEY (evaluation, problem, sample)
        ) WITHOUT ROWID;
        """

    /// The evaluation with the same weights, recipe and seed, or a new one.
    public func open(_ entry: Entry) throws -> Entry {
        try withFileErrors(in: file) {
            try queue.write { db in
                try db.insert(
                    into: "evaluations", or: .keep,
                    [
                        ("created", Stored.now()), ("model", Stored.text(entry.model)), ("weightsHash", entry.modelHash), ("adapter", Stored.text(entry.adapter)),
                        ("task", Stored.text(entry.task)), ("split", entry.split), ("recipeHash", entry.recipe.hash), ("seed", "\(entry.seed)"),
                        ("settings", Stored.json(Settings(recipe: entry.recipe, taskOptions: entry.taskOptions))),
                    ])
            }
        }
        return try find(entry)!
    }

    /// The evaluation with the same weights, recipe and seed; nil where there is none.
    public func find(_ entry: Entry) throws -> Entry? {
        try entries(where: "weightsHash = ? AND recipeHash = ? AND seed = ?", [entry.modelHash, entry.recipe.hash, "\(entry.seed)"]).first
    }

    /// In the order in which they were begun.
    public func entries() throws -> [Entry] { try entries(where: "TRUE", []) }

    private func entries(where condition: String, _ arguments: [(any DatabaseValueConvertible)?]) throws -> [Entry] {
        try rows("evaluations", "SELECT * FROM evaluations WHERE \(condition) ORDER BY id", arguments) { row in
            let settings = try row.json(Settings.self, "settings")
            guard let seed = UInt64(try row.text("seed")) else { throw row.wrong("seed", "a whole number") }
            guard try row.text("recipeHash") == settings.recipe.hash else { throw row.wrong("recipeHash", "the hash of its settings") }
            var entry = Entry(
                model: try row.text("model"), modelHash: try row.text("weightsHash"), adapter: try row.optionalText("adapter"), recipe: settings.recipe,
                taskOptions: settings.taskOptions, seed: seed)
            (entry.id, entry.created) = (Int64(try row.int("id")), try row.text("created"))
            entry.summary = try row.optionalText("metrics") == nil ? nil : row.json(EvaluationSummary.self, "metrics")
            return entry
        }
    }

    /// Samples of one place are replaced.
    public func record(_ samples: [EvaluatedSample], of evaluation: Int64) throws {
        try withFileErrors(in: file) {
            try queue.write { db in
                for sample in samples {
                    var row: WrittenRow
                    switch sample.judgement {
                    case .judged(let verdict):
                        guard verdict.reward.isFinite else { throw FileError.refused(file, "the reward of problem '\(sample.problem)'") }
                        row = [("outcome", verdict.outcome.rawValue), ("reward", verdict.reward), ("evidence", Stored.text(verdict.evidence))]
                    case .failed(let reason): row = [("outcome", nil), ("reward", nil), ("evidence", Stored.text(reason))]
                    }
                    guard sample.logProbability.isFinite else { throw FileError.refused(file, "the log-probability of problem '\(sample.problem)'") }
                    row += [
                        ("evaluation", evaluation), ("problem", Stored.text(sample.problem)), ("sample", sample.sample), ("prompt", Stored.text(sample.prompt)),
                        ("text", Stored.text(sample.text)), ("answer", Stored.text(sample.answer)), ("tokens", sample.tokens), ("logprob", sample.logProbability),
                        ("choices", try sample.choices.map { try Stored.json($0) }), ("correct", sample.right),
                    ]
                    try db.insert(into: "samples", or: .replace, row)
                }
            }
        }
    }

    /// In order of problems and samples.
    public func samples(of evaluation: Int64) throws -> [EvaluatedSample] {
        try rows("samples", "SELECT * FROM samples WHERE evaluation = ? ORDER BY problem, sample", [evaluation]) { row in
            let judgement: Judgement =
                try row.optionalText("outcome") == nil
                ? .failed(reason: row.text("evidence")) : .judged(Verdict(row.choice(Verdict.Outcome.self, "outcome"), reward: row.double("reward"), evidence: row.text("evidence")))
            let choices = try row.optionalText("choices") == nil ? nil : row.json([ChoiceScore].self, "choices")
            return EvaluatedSample(
                problem: try row.text("problem"), sample: try row.int("sample"), prompt: try row.text("prompt"), text: try row.text("text"), judgement: judgement,
                answer: try row.optionalText("answer"), tokens: try row.int("tokens"), logProbability: try row.double("logprob"), choices: choices,
                right: choices == nil ? nil : try row.int("correct"))
        }
    }

    /// All samples are there.
    public func finish(_ evaluation: Int64, _ summary: EvaluationSummary) throws {
        try withFileErrors(in: file) { try queue.write { db in try db.run("UPDATE evaluations SET metrics = ? WHERE id = ?", [Stored.json(summary), evaluation]) } }
    }

    private func rows<Value>(_ table: String, _ sql: String, _ arguments: [(any DatabaseValueConvertible)?], as value: (StoredRow) throws -> Value) throws -> [Value] {
        try withFileErrors(in: file) {
            try queue.read { db in
                let cursor = try Row.fetchCursor(db, sql: sql, arguments: StatementArguments(arguments))
                var values: [Value] = []
                while let row = try cursor.next() { values.append(try value(StoredRow(row: row, file: file, table: table))) }
                return values
            }
        }
    }
}
