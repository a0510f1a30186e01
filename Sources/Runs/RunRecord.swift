import Foundation
import GRDB
import ModelFiles
import Synchronization

/// What happened in a run, in `run.sqlite`: the journal of a learning loop, and what the command line shows.
///
/// Every call is one transaction and durable when it returns (WAL, synchronous=FULL). Values of the world that cannot be
/// stored (a loss that is not a number) are refused with `FileError`, as is everything SQLite complains about.
public final class RunRecord: Sendable {
    /// The run's folder.
    public let folderPath: String
    /// Held while the record is open for writing; `nil` in one that only reads.
    let folder: RunFolder?
    let file: String
    /// Which code writes now; goes into the rows of the checkpoints it makes.
    let codeVersion = Mutex("")
    private let queue: DatabaseQueue

    /// Opens the record of a run for writing, making it when the run is new.
    ///
    /// Removes what a killed process left in the folder, and brings lineage.json up to date.
    public init(writing folder: RunFolder) throws {
        let file = folder.recordPath
        self.folder = folder
        self.file = file
        folderPath = folder.path
        queue = try withFileErrors(in: file) {
            var configuration = Configuration()
            configuration.journalMode = .wal
            configuration.foreignKeysEnabled = true
            configuration.busyMode = .timeout(10)
            configuration.prepareDatabase { db in _ = try RunSchema.check(db, file: file) }
            let queue = try DatabaseQueue(path: file, configuration: configuration)
            try queue.writeWithoutTransaction { db in
                // After opening: GRDB chooses NORMAL when it turns WAL on.
                try db.execute(sql: "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON")
            }
            try queue.write { db in try RunSchema.migrate(db, file: file) }
            return queue
        }
        syncFolder(folder.path)
        try folder.removeLeftovers(named: checkpoints().compactMap(\.path))
        try writeLineage()
    }

    /// Opens the record of a run that somebody else may be writing now.
    public init(reading folderPath: String) throws {
        let folderPath = RunFolder.normalized(folderPath)
        let file = "\(folderPath)/run.sqlite"
        guard FileManager.default.fileExists(atPath: file) else {
            throw FileError(file: file, problem: "there is no record", advice: "Check the path; a run that has just been started writes its record in a moment.")
        }
        folder = nil
        self.file = file
        self.folderPath = folderPath
        queue = try withFileErrors(in: file) {
            var configuration = Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(10)
            let queue = try DatabaseQueue(path: file, configuration: configuration)
            let version = try queue.read { db in try RunSchema.check(db, file: file) }
            guard version > 0 else {
                throw FileError(file: file, problem: "holds no tables yet", advice: "A run that has just been started writes them in a moment; try again.")
            }
            return queue
        }
    }

    /// Gives the file back; the record cannot be used afterwards. The run itself stays locked until its `RunFolder` is gone.
    public func close() throws { try withFileErrors(in: file) { try queue.close() } }

    /// The text of recipe.yaml.
    public func recipe() throws -> String { try folder?.recipe ?? RunFolder.storedRecipe(folderPath) }

    // MARK: - What the parts of this type share

    func read<Result>(_ body: (Database) throws -> Result) throws -> Result { try withFileErrors(in: file) { try queue.read(body) } }

    /// One transaction: all of it or nothing.
    func write(_ body: (Database) throws -> Void) throws { try withFileErrors(in: file) { try queue.write(body) } }

    func rows<Value>(
        _ table: String, _ sql: String, _ arguments: [(any DatabaseValueConvertible)?] = [], as value: (StoredRow) throws -> Value
    ) throws -> [Value] {
        try read { db in
            let cursor = try Row.fetchCursor(db, sql: sql, arguments: StatementArguments(arguments))
            var values: [Value] = []
            while let row = try cursor.next() { values.append(try value(StoredRow(row: row, file: file, table: table))) }
            return values
        }
    }

    /// - Throws: `FileError` for NaN, which SQLite would store as NULL, and for infinity.
    func finite(_ number: Double, _ what: @autoclosure () -> String) throws -> Double {
        guard number.isFinite else { throw FileError.refused(file, what()) }
        return number
    }
}

/// A row that is written, column by column.
typealias WrittenRow = [(column: String, value: (any DatabaseValueConvertible)?)]

extension Database {
    /// What becomes of a row that is there already.
    enum Conflict: String {
        case fail = "ABORT", keep = "IGNORE", replace = "REPLACE"
    }

    func insert(into table: String, or conflict: Conflict, _ row: WrittenRow) throws {
        let places = repeatElement("?", count: row.count).joined(separator: ", ")
        try run("INSERT OR \(conflict.rawValue) INTO \(table) (\(row.map(\.column).joined(separator: ", "))) VALUES (\(places))", row.map(\.value))
    }

    /// One statement, prepared once.
    func run(_ sql: String, _ arguments: [(any DatabaseValueConvertible)?]) throws {
        try cachedStatement(sql: sql).execute(arguments: StatementArguments(arguments))
    }
}
