import CAutodidact
import Synchronization

#if canImport(Glibc)
import Glibc
private typealias ThreadHandle = pthread_t
#else
import Darwin
private typealias ThreadHandle = pthread_t?
#endif

/// A fixed set of threads that claim tiles from a counter. Who computes a tile never changes its bits.
///
/// Waiting threads spin for 0.2 ms, then sleep. One job runs at a time, started by the pool's owner, who works too.
public final class ThreadPool: @unchecked Sendable {
    // @unchecked: `handles` is written only while the pool is made.
    private let core: Core
    private var handles: [ThreadHandle] = []

    /// Threads that compute, the caller's included.
    public var threads: Int { handles.count + 1 }

    /// Starts `threads - 1` threads; fewer where the system gives no more.
    public init(threads: Int) {
        precondition(threads >= 1, "a pool needs at least one thread, not \(threads)")
        core = Core(threads: threads)
        for worker in 1..<max(threads, 1) {
            let start = Unmanaged.passRetained(Start(core, worker))
            #if canImport(Glibc)
            var handle = pthread_t()
            let status = pthread_create(&handle, nil, { raw in
                Start.run(raw!)
                return nil
            }, start.toOpaque())
            #else
            var handle: pthread_t?
            let status = pthread_create(&handle, nil, { raw in
                Start.run(raw)
                return nil
            }, start.toOpaque())
            #endif
            guard status == 0 else {
                start.release()
                break
            }
            handles.append(handle)
        }
        core.helpers = handles.count
    }

    deinit {
        core.stop()
        for handle in handles {
            #if canImport(Glibc)
            pthread_join(handle, nil)
            #else
            if let handle { pthread_join(handle, nil) }
            #endif
        }
    }

    /// Calls `body` once for every tile in `0..<count`, on any thread, and returns when all are done.
    public func run(_ count: Int, _ body: (_ tile: Int, _ worker: Int) -> Void) {
        guard count > 1, !handles.isEmpty else {
            for tile in 0..<count { body(tile, 0) }
            return
        }
        withoutActuallyEscaping(body) { core.run(count, $0) }
    }
}

/// What a thread needs to begin. It holds the core and not the pool, so that the pool can go away and stop it.
private final class Start {
    let core: Core
    let worker: Int

    init(_ core: Core, _ worker: Int) {
        self.core = core
        self.worker = worker
    }

    static func run(_ raw: UnsafeMutableRawPointer) {
        let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
        start.core.work(start.worker)
    }
}

/// What the threads of a pool share.
private final class Core: @unchecked Sendable {
    // @unchecked: `body`, `tiles` and `helpers` are written only while every thread waits for the next generation.
    var helpers = 0
    /// With more threads than processors, who waits must not keep a processor.
    private let spins: Bool
    private var body: ((_ tile: Int, _ worker: Int) -> Void)?
    private var tiles = 0
    private let generation = Atomic<Int>(0)
    private let next = Atomic<Int>(0)
    private let finished = Atomic<Int>(0)
    private let sleepers = Atomic<Int>(0)
    private let isStopping = Atomic<Bool>(false)
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// Longer than what lies between two jobs of a model's pass: waking a thread that sleeps takes as long as many a job.
    private static let spinning = Duration.microseconds(200)

    init(threads: Int) {
        spins = threads <= sysconf(Int32(_SC_NPROCESSORS_ONLN))
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
    }

    deinit {
        pthread_cond_destroy(wake)
        pthread_mutex_destroy(mutex)
        wake.deallocate()
        mutex.deallocate()
    }

    func run(_ count: Int, _ job: @escaping (_ tile: Int, _ worker: Int) -> Void) {
        body = job
        tiles = count
        next.store(0, ordering: .relaxed)
        finished.store(0, ordering: .relaxed)
        begin()
        claim(worker: 0)
        if !spin(until: { finished.load(ordering: .acquiring) == helpers }) {
            while finished.load(ordering: .acquiring) < helpers { sched_yield() }
        }
        body = nil
    }

    func stop() {
        isStopping.store(true, ordering: .sequentiallyConsistent)
        begin()
    }

    /// Lets every waiting thread go on.
    private func begin() {
        generation.add(1, ordering: .sequentiallyConsistent)
        guard sleepers.load(ordering: .sequentiallyConsistent) > 0 else { return }
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(mutex)
    }

    private func claim(worker: Int) {
        while true {
            let tile = next.add(1, ordering: .relaxed).oldValue
            if tile >= tiles { return }
            body!(tile, worker)
        }
    }

    func work(_ worker: Int) {
        var seen = 0
        while true {
            if !spin(until: { generation.load(ordering: .acquiring) != seen }) {
                pthread_mutex_lock(mutex)
                sleepers.add(1, ordering: .sequentiallyConsistent)
                while generation.load(ordering: .sequentiallyConsistent) == seen { pthread_cond_wait(wake, mutex) }
                sleepers.subtract(1, ordering: .sequentiallyConsistent)
                pthread_mutex_unlock(mutex)
            }
            seen += 1
            if isStopping.load(ordering: .sequentiallyConsistent) { return }
            claim(worker: worker)
            finished.add(1, ordering: .acquiringAndReleasing)
        }
    }

    /// Looks again and again for a while.
    /// - Returns: whether what was waited for has come.
    @inline(__always) private func spin(until isDone: () -> Bool) -> Bool {
        guard spins else { return isDone() }
        let began = ContinuousClock.now
        repeat {
            for _ in 0..<200 {
                if isDone() { return true }
                ad_pause()
            }
        } while ContinuousClock.now - began < Self.spinning
        return false
    }
}
