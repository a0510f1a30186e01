import Foundation
import GRDB
import ModelFiles

extension FileError {
    /// What SQLite said, with advice for the codes that people meet.
    init(file: String, sqlite error: DatabaseError) {
        let advice =
            switch error.resultCode {
            case .SQLITE_FULL: "Free some space on that disk, then resume the run: nothing committed is lost."
            case .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_AUTH: "Check that the file and its folder exist and that you may write to both."
            case .SQLITE_BUSY, .SQLITE_LOCKED: "Another process is using the record; close it and try again."
            case .SQLITE_CORRUPT, .SQLITE_NOTADB: "The record is damaged or is no run record; restore it from a copy, or save what is left with `sqlite3 run.sqlite .recover`."
            case .SQLITE_IOERR: "The disk failed or is full; check it, then resume the run: nothing committed is lost."
            case .SQLITE_CONSTRAINT: "What was to be recorded contradicts what is there; please report this with the message above."
            default: "Check the file and the disk, then resume the run."
            }
        self.init(file: file, problem: "SQLite: \(error.message ?? "unknown error") (code \(error.extendedResultCode.rawValue))", advice: advice)
    }

    /// What can only be a record that something else has changed.
    static func damaged(_ file: String, _ where: String, _ what: String) -> FileError {
        FileError(file: file, problem: "\(`where`): \(what)", advice: "The record is damaged or was changed by another program; restore it from a copy.")
    }

    /// A value that the record refuses, so that no failure turns into a plausible number.
    static func refused(_ file: String, _ what: String) -> FileError {
        FileError(file: file, problem: "\(what) is not a finite number, and is not recorded", advice: "Look for a division by zero or a diverged training where it comes from.")
    }
}

/// Runs `body`; whatever it throws becomes a `FileError` about `file`.
func withFileErrors<Result>(in file: String, _ body: () throws -> Result) throws -> Result {
    do {
        return try body()
    } catch let error as FileError {
        throw error
    } catch let error as DatabaseError {
        throw FileError(file: file, sqlite: error)
    } catch is EncodingError {
        throw FileError.refused(file, "a value of the step")
    } catch let error as DecodingError {
        throw FileError.damaged(file, "a JSON column", "cannot be read (\(error))")
    } catch {
        throw FileError(file: file, problem: "\(error)", advice: "Check that the folder exists, may be written to and has room.")
    }
}
