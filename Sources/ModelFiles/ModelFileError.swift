import Foundation

/// A model file or folder that cannot be used: which one, what is wrong with it, and what to do about it.
public struct ModelFileError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    /// The path of the file or folder, followed by the tensor or field where there is one.
    public let file: String
    /// What is wrong, without a full stop.
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

/// The operating system's words for an error number, such as "No space left on device".
func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
