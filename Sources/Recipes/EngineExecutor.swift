import Foundation

/// One thread that runs an actor's work in order: computing for minutes must not occupy Swift's shared pool.
public final class EngineExecutor: SerialExecutor, @unchecked Sendable {
    // @unchecked: the queue is only touched under the condition's lock.
    private let condition = NSCondition()
    private var jobs: [UnownedJob] = []

    public init() {
        let thread = Thread { [self] in work() }
        thread.name = "engine"
        thread.stackSize = 16 << 20
        thread.start()
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        condition.lock()
        jobs.append(unowned)
        condition.signal()
        condition.unlock()
    }

    private func work() {
        // The thread lives as long as the process: an engine is made once.
        while true {
            condition.lock()
            while jobs.isEmpty { condition.wait() }
            let job = jobs.removeFirst()
            condition.unlock()
            job.runSynchronously(on: asUnownedSerialExecutor())
        }
    }
}
