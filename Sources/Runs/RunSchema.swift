import GRDB
import ModelFiles

/// The tables of run.sqlite.
///
/// Every row is found by what it is about, never by when it was written: no row numbers, no clock, except in columns whose
/// name ends in `seconds` or `At`. So a run that was killed and resumed leaves the record of one that never was.
///
/// Token ids are little-endian `Int32`, numbers per token little-endian `Float`. Text that holds U+0000 is stored as a BLOB of
/// its UTF-8, because SQLite's text ends there.
enum RunSchema {
    static let version = 4

    /// In the order in which `RunRecord.digest()` reads them.
    static let tables = ["problems", "rollouts", "trainings", "examples", "steps", "metrics", "checkpoints", "phases", "models", "data", "facts"]

    /// Refuses what a newer release has written, before anything is changed.
    static func check(_ db: Database, file: String) throws -> Int {
        let found = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        guard found <= version else {
            throw FileError(
                file: file, problem: "its schema is version \(found), and this release knows up to \(version)",
                advice: "Use the release of autodidact that made the run, or a newer one.")
        }
        return found
    }

    static func migrate(_ db: Database, file: String) throws {
        let found = try check(db, file: file)
        for (number, statements) in zip(1..., [version1, version2, version3, version4]) where number > found {
            try db.execute(sql: statements)
            try db.execute(sql: "PRAGMA user_version = \(number)")
        }
    }

    /// Count in the digest where they hold something, so that a record has the same digest before and after it got them.
    static let addedColumns: Set<String> = Set(["precision", "policyLogProbabilities"] + exampleColumns)

    /// What only some objectives need of an example.
    static let exampleColumns = ["referenceLogProbabilities", "tokenAdvantages", "criticValues", "returns", "mismatch", "labels", "segments", "standing"]

    /// Rollouts sampled at another precision than float32; both are NULL for the others.
    private static let version2 = """
        ALTER TABLE rollouts ADD COLUMN precision TEXT;
        ALTER TABLE rollouts ADD COLUMN policyLogProbabilities BLOB;
        """

    /// The first seven of them.
    private static let version3 = zip(exampleColumns, ["BLOB", "BLOB", "BLOB", "BLOB", "TEXT", "TEXT", "BLOB"]).map { "ALTER TABLE examples ADD COLUMN \($0) \($1);" }.joined(separator: "\n")

    private static let version4 = "ALTER TABLE examples ADD COLUMN standing TEXT;"

    private static let version1 = """
        CREATE TABLE problems (
            hash TEXT NOT NULL PRIMARY KEY,  -- of all that follows
            id TEXT NOT NULL,
            question TEXT NOT NULL,
            answer TEXT,
            category TEXT NOT NULL,
            details TEXT NOT NULL            -- JSON
        ) WITHOUT ROWID;

        CREATE TABLE rollouts (
            iteration INTEGER NOT NULL,
            phase TEXT NOT NULL,
            idx INTEGER NOT NULL,
            sample INTEGER NOT NULL,
            turn INTEGER NOT NULL,
            problem TEXT NOT NULL REFERENCES problems (hash),
            mode TEXT NOT NULL,
            promptTokens BLOB NOT NULL,
            completionTokens BLOB NOT NULL,
            finishReason TEXT NOT NULL,
            text TEXT NOT NULL,
            logProbabilities BLOB NOT NULL,
            behaviorLogProbabilities BLOB NOT NULL,
            temperatures BLOB NOT NULL,
            weightsHash TEXT NOT NULL,
            outcome TEXT,                    -- judged
            reward REAL,
            evidence TEXT,
            failure TEXT,                    -- the verifier could not do its work
            PRIMARY KEY (iteration, phase, idx, sample, turn)
        ) WITHOUT ROWID;

        CREATE TABLE trainings (             -- those that were started
            iteration INTEGER NOT NULL,
            phase TEXT NOT NULL,
            exampleCount INTEGER NOT NULL,
            PRIMARY KEY (iteration, phase)
        ) WITHOUT ROWID;

        CREATE TABLE examples (
            iteration INTEGER NOT NULL,
            phase TEXT NOT NULL,
            position INTEGER NOT NULL,       -- in training order
            promptTokens BLOB NOT NULL,
            completionTokens BLOB NOT NULL,
            trained BLOB NOT NULL,           -- one byte per completion token
            weight REAL NOT NULL,
            advantage REAL,
            behaviorLogProbabilities BLOB,
            rollouts TEXT NOT NULL,          -- keys, JSON
            PRIMARY KEY (iteration, phase, position),
            FOREIGN KEY (iteration, phase) REFERENCES trainings (iteration, phase)
        ) WITHOUT ROWID;

        CREATE TABLE steps (
            iteration INTEGER NOT NULL,
            phase TEXT NOT NULL,
            step INTEGER NOT NULL,
            result TEXT NOT NULL,            -- JSON; the columns below are views into it
            seconds REAL NOT NULL,
            loss REAL GENERATED ALWAYS AS (json_extract(result, '$.loss')) VIRTUAL,
            gradientNorm REAL GENERATED ALWAYS AS (json_extract(result, '$.gradientNorm')) VIRTUAL,
            learningRate REAL GENERATED ALWAYS AS (json_extract(result, '$.learningRate')) VIRTUAL,
            entropy REAL GENERATED ALWAYS AS (json_extract(result, '$.entropy')) VIRTUAL,
            trainedTokens INTEGER GENERATED ALWAYS AS (json_extract(result, '$.trainedTokens')) VIRTUAL,
            computedTokens INTEGER GENERATED ALWAYS AS (json_extract(result, '$.computedTokens')) VIRTUAL,
            PRIMARY KEY (iteration, phase, step)
        ) WITHOUT ROWID;

        CREATE TABLE metrics (
            iteration INTEGER NOT NULL,
            phase TEXT NOT NULL,
            name TEXT NOT NULL,
            category TEXT NOT NULL,
            value REAL NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (iteration, phase, name, category)
        ) WITHOUT ROWID;

        CREATE TABLE checkpoints (
            iteration INTEGER NOT NULL,
            phase TEXT NOT NULL,
            step INTEGER NOT NULL,
            isFinal INTEGER NOT NULL,
            path TEXT NOT NULL,              -- within the run's folder
            weightsHash TEXT NOT NULL,
            parents TEXT NOT NULL,           -- hashes, JSON
            codeVersion TEXT NOT NULL,
            recordedAt TEXT NOT NULL,
            PRIMARY KEY (iteration, phase, step)
        ) WITHOUT ROWID;

        CREATE TABLE phases (                -- complete ones
            iteration INTEGER NOT NULL,
            phase TEXT NOT NULL,
            recordedAt TEXT NOT NULL,
            PRIMARY KEY (iteration, phase)
        ) WITHOUT ROWID;

        CREATE TABLE models (hash TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;

        CREATE TABLE data (hash TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, ordering TEXT NOT NULL) WITHOUT ROWID;

        CREATE TABLE facts (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        """
}
