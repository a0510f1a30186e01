import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A file or folder that cannot be used, of a model or of a run: which one, what is wrong with it, and what to do about it.
public struct FileError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    /// The path of the file or folder as the caller named it, followed by the tensor or field where there is one.
    public let file: String
    /// What is wrong, without a full stop; the system's own words where it has any.
    public let problem: String
    /// What the reader can do, as a sentence.
    public let advice: String

    public init(file: String, problem: String, advice: String) {
        self.file = file
        self.problem = problem
        self.advice = advice
    }

    /// A system call that failed.
    /// - Parameters:
    ///   - file: its path.
    ///   - what: the participle of what was tried, such as "created".
    ///   - code: `errno`.
    public init(file: String, cannotBe what: String, errno code: Int32) {
        let advice =
            switch code {
            case ENOSPC, EDQUOT: "Make room on that disk and try again, or resume the run: what was there before is untouched."
            case EACCES, EPERM, EROFS: "Check that you may write there, or choose another folder."
            case ENOENT, ENOTDIR: "Check the path: every part of it but the last must be a folder."
            default: "Check that the folder exists, may be written to and has room."
            }
        self.init(file: file, problem: "cannot be \(what): \(reason(code))", advice: advice)
    }

    public var description: String { "\(file): \(problem). \(advice)" }
    public var errorDescription: String? { description }
}

/// The operating system's words for an error number, such as "No space left on device".
func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
