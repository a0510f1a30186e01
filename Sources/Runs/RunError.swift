import Foundation
import GRDB
import ModelFiles

/// A run that cannot be written, read or resumed: which file, what is wrong with it, and what to do about it.
public struct RunError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    /// The file or folder, as the caller named the run.
    public let file: String
    /// What is wrong, without a full stop; SQLite's or the system's own words where they have any.
    public let problem: String
    /// What the reader can do, as a sentence.
    public let advice: String

    public init(file: String, problem: String, advice: String) {
        self.file = file
        self.problem = problem
        self.advice = advice
    }

    public var description: String { "\(file): \(problem). \(advice)" }
    public var errorDescription: String? { description }
}

extension RunError {
    /// A failed system call.
    init(file: String, cannot what: String, errno code: Int32) {
        let advice =
            switch code {
            case ENOSPC, EDQUOT: "Free some space on that disk, then resume the run: nothing committed is lost."
            case EACCES, EPERM, EROFS: "Check that you may write there, or choose another folder for the run."
            case ENOENT, ENOTDIR: "Check the path: every part of it but the last must be a folder."
            default: "Check that the folder exists, may be written to and has room."
            }
        self.init(file: file, problem: "cannot be \(what): \(String(cString: strerror(code)))", advice: advice)
    }

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
    static func damaged(_ file: String, _ where: String, _ what: String) -> RunError {
        RunError(file: file, problem: "\(`where`): \(what)", advice: "The record is damaged or was changed by another program; restore it from a copy.")
    }

    /// A value that the record refuses, so that no failure turns into a plausible number.
    static func refused(_ file: String, _ what: String) -> RunError {
        RunError(file: file, problem: "\(what) is not a finite number, and is not recorded", advice: "Look for a division by zero or a diverged training where it comes from.")
    }
}

/// Runs `body`; whatever it throws becomes a `RunError` about `file`.
func withRunErrors<Result>(in file: String, _ body: () throws -> Result) throws -> Result {
    do {
        return try body()
    } catch let error as RunError {
        throw error
    } catch let error as DatabaseError {
        throw RunError(file: file, sqlite: error)
    } catch let error as ModelFileError {
        throw RunError(file: error.file, problem: error.problem, advice: error.advice)
    } catch is EncodingError {
        throw RunError.refused(file, "a value of the step")
    } catch let error as DecodingError {
        throw RunError.damaged(file, "a JSON column", "cannot be read (\(error))")
    } catch {
        throw RunError(file: file, problem: "\(error)", advice: "Check that the folder exists, may be written to and has room.")
    }
}
