import Synchronization

/// Memory for encoding that calls lend from each other: as much as there were calls at once.
final class ScratchPool: Sendable {
    private let idle = Mutex<[EncodingScratch]>([])

    func borrow<Result>(_ body: (inout EncodingScratch) throws -> Result) rethrows -> Result {
        var scratch = idle.withLock { $0.popLast() } ?? EncodingScratch()
        defer { idle.withLock { $0.append(scratch) } }
        return try body(&scratch)
    }
}
