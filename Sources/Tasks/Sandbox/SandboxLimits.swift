/// What a sandboxed program may use up before it is stopped.
public struct SandboxLimits: Codable, Sendable, Equatable {
    public var wallTime: Duration
    /// Seconds of processor time, for each process.
    public var cpuSeconds: Int
    /// Bytes of address space, for each process.
    public var addressSpaceBytes: Int
    /// Bytes of resident memory, all processes together; looked at every 20 ms.
    public var memoryBytes: Int
    /// Processes and threads at a time.
    public var processes: Int
    /// Bytes of one file.
    public var fileBytes: Int
    public var openFiles: Int
    /// Bytes of the private `/tmp`.
    public var temporaryBytes: Int
    /// Bytes of standard output and standard error together.
    public var outputBytes: Int

    public init(
        wallTime: Duration = .seconds(10), cpuSeconds: Int = 10, addressSpaceBytes: Int = 1 << 30, memoryBytes: Int = 1 << 30, processes: Int = 32,
        fileBytes: Int = 16 << 20, openFiles: Int = 64, temporaryBytes: Int = 64 << 20, outputBytes: Int = 1 << 20
    ) {
        self.wallTime = wallTime
        self.cpuSeconds = cpuSeconds
        self.addressSpaceBytes = addressSpaceBytes
        self.memoryBytes = memoryBytes
        self.processes = processes
        self.fileBytes = fileBytes
        self.openFiles = openFiles
        self.temporaryBytes = temporaryBytes
        self.outputBytes = outputBytes
    }
}
