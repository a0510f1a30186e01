import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A fixed set of threads that claim tiles from a counter. Who computes a tile never changes its bits.
///
/// Waiting threads spin briefly, then sleep. One job runs at a time, started by the pool's owner, who works too.
public final class ThreadPool: @unchecked Sendable {
    // @unchecked: `body` and `tiles` are written only while every worker waits for the next generation.
    public let threads: Int
    private var body: ((_ tile: Int, _ worker: Int) -> Void)?
    private var tiles = 0
    private let generation = Atomic<Int>(0)
    private let next = Atomic<Int>(0)
    private let finished = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let sleepers = Atomic<Int>(0)
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    #if canImport(Glibc)
    private var handles: [pthread_t] = []
    #else
    private var handles: [pthread_t?] = []
    #endif

    private final class Start {
        // Unsafe: the pool joins its threads before it goes away, but may already be going when one starts.
        unowned(unsafe) let pool: ThreadPool
        let worker: Int
        init(_ pool: ThreadPool, _ worker: Int) {
            self.pool = pool
            self.worker = worker
        }
    }

    public init(threads: Int) {
        precondition(threads >= 1, "a pool needs at least one thread, not \(threads)")
        self.threads = threads
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
        for worker in 1..<max(threads, 1) {
            let start = Unmanaged.passRetained(Start(self, worker)).toOpaque()
            #if canImport(Glibc)
            var handle = pthread_t()
            pthread_create(&handle, nil, { raw in
                let start = Unmanaged<Start>.fromOpaque(raw!).takeRetainedValue()
                start.pool.work(start.worker)
                return nil
            }, start)
            #else
            var handle: pthread_t?
            pthread_create(&handle, nil, { raw in
                let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
                start.pool.work(start.worker)
                return nil
            }, start)
            #endif
            handles.append(handle)
        }
    }

    deinit {
        stopping.store(true, ordering: .sequentiallyConsistent)
        generation.add(1, ordering: .sequentiallyConsistent)
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(mutex)
        for handle in handles {
            #if canImport(Glibc)
            pthread_join(handle, nil)
            #else
            if let handle { pthread_join(handle, nil) }
            #endif
        }
        pthread_cond_destroy(wake)
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
        wake.deallocate()
    }

    /// Calls `body` once for every tile in `0..<count`, on any thread, and returns when all are done.
    public func run(_ count: Int, _ body: (_ tile: Int, _ worker: Int) -> Void) {
        guard count > 1, threads > 1 else {
            for tile in 0..<count { body(tile, 0) }
            return
        }
        withoutActuallyEscaping(body) { body in
            self.body = body
            tiles = count
            next.store(0, ordering: .relaxed)
            finished.store(0, ordering: .relaxed)
            generation.add(1, ordering: .sequentiallyConsistent)
            if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
                pthread_mutex_lock(mutex)
                pthread_cond_broadcast(wake)
                pthread_mutex_unlock(mutex)
            }
            claim(worker: 0)
            var spins = 0
            while finished.load(ordering: .acquiring) < threads - 1 {
                spins += 1
                if spins > 20_000 { sched_yield() } else { _spinHint() }
            }
            self.body = nil
        }
    }

    private func claim(worker: Int) {
        while true {
            let tile = next.add(1, ordering: .relaxed).oldValue
            if tile >= tiles { return }
            body!(tile, worker)
        }
    }

    private func work(_ worker: Int) {
        var seen = 0
        while true {
            var spins = 0
            while generation.load(ordering: .acquiring) == seen {
                spins += 1
                if spins < 20_000 {
                    _spinHint()
                    continue
                }
                pthread_mutex_lock(mutex)
                sleepers.add(1, ordering: .sequentiallyConsistent)
                while generation.load(ordering: .sequentiallyConsistent) == seen { pthread_cond_wait(wake, mutex) }
                sleepers.subtract(1, ordering: .sequentiallyConsistent)
                pthread_mutex_unlock(mutex)
            }
            seen += 1
            if stopping.load(ordering: .sequentiallyConsistent) { return }
            claim(worker: worker)
            finished.add(1, ordering: .acquiringAndReleasing)
        }
    }
}

@inline(__always) private func _spinHint() {
    // A handful of dependent loads stands in for a pause instruction, which Swift does not expose.
    for _ in 0..<4 { _ = atomicHint.load(ordering: .relaxed) }
}

private let atomicHint = Atomic<Int>(0)
