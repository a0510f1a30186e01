/// How a sandboxed program ended, and what it wrote.
public struct SandboxResult: Sendable, Equatable {
    public enum Reason: String, Codable, Sendable {
        /// It ended by itself, by a signal of its own included.
        case finished
        case wallTime, cpuTime, memory, outputCap
        /// The task that waited for it was cancelled.
        case cancelled
    }

    public var reason: Reason
    /// nil where a signal ended the program, or the sandbox was stopped.
    public var exitCode: Int?
    /// The signal that ended the program. A program that exits with 128 + n looks as if signal n had ended it.
    public var signal: Int?
    public var output: String
    public var errors: String
    /// Whether the program wrote more than the limit.
    public var isTruncated: Bool
    public var wallTime: Duration
    /// Of every process that was waited for; those killed with the sandbox are missing.
    public var cpuTime: Duration
}
