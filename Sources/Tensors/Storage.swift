import Synchronization

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A block of float32 memory, 64-byte aligned. It goes back to its allocator when the last tensor lets go of it.
public final class Storage {
    public let count: Int
    let pointer: UnsafeMutablePointer<Float>
    let allocator: Allocator
    let sizeClass: Int

    init(count: Int, pointer: UnsafeMutablePointer<Float>, sizeClass: Int, allocator: Allocator) {
        self.count = count
        self.pointer = pointer
        self.sizeClass = sizeClass
        self.allocator = allocator
    }

    deinit { allocator.release(pointer, sizeClass: sizeClass) }
}

/// A caching allocator with size classes; live and peak bytes are what the classes hold.
///
/// Classes are eight steps to a power of two, so at most an eighth is wasted. Blocks from 1 MiB on are mapped, so that
/// what is trimmed returns to the system.
public final class Allocator: @unchecked Sendable {
    // @unchecked: all mutable state is behind the mutex.
    private struct State {
        /// Addresses of cached blocks by size class.
        var free: [Int: [UInt]] = [:]
        var live = 0
        var cached = 0
        var peak = 0
    }
    private let state = Mutex(State())
    private static let mapped = 1 << 20
    /// Bytes of free blocks that may be kept beyond the most that was ever live.
    public static let spareBytes = 64 << 20

    public init() {}

    public var liveBytes: Int { state.withLock { $0.live } }
    public var peakBytes: Int { state.withLock { $0.peak } }
    public func resetPeak() { state.withLock { $0.peak = $0.live } }

    static func sizeClass(bytes: Int) -> Int {
        let least = max(bytes, 256)
        let step = max(64, 1 << (Int.bitWidth - 1 - (least - 1).leadingZeroBitCount - 3))
        return (least + step - 1) / step * step
    }

    /// Memory for `count` floats; its contents are undefined unless `zeroed`.
    public func allocate(_ count: Int, zeroed: Bool = false) -> Storage {
        let size = Self.sizeClass(bytes: count * MemoryLayout<Float>.stride)
        let reused = state.withLock { state -> UInt? in
            state.live += size
            state.peak = max(state.peak, state.live)
            guard let address = state.free[size]?.popLast() else {
                // What is cached in other sizes must not add to the most that was ever needed.
                Self.trim(&state, to: max(0, state.peak - state.live) + Self.spareBytes)
                return nil
            }
            state.cached -= size
            return address
        }
        let pointer = reused.flatMap { UnsafeMutablePointer<Float>(bitPattern: $0) } ?? Self.obtain(size)
        // Fresh mappings are zero already, and touching them would only cost time.
        if zeroed, reused != nil || size < Self.mapped { memset(pointer, 0, size) }
        return Storage(count: count, pointer: pointer, sizeClass: size, allocator: self)
    }

    func release(_ pointer: UnsafeMutablePointer<Float>, sizeClass: Int) {
        let address = UInt(bitPattern: pointer)
        state.withLock {
            $0.live -= sizeClass
            $0.cached += sizeClass
            $0.free[sizeClass, default: []].append(address)
        }
    }

    /// Returns cached blocks to the system.
    public func trim() { state.withLock { Self.trim(&$0, to: 0) } }

    /// Large blocks first: they are few, and what follows them in memory is not cut up.
    private static func trim(_ state: inout State, to limit: Int) {
        guard state.cached > limit else { return }
        for size in state.free.keys.sorted(by: >) {
            while state.cached > limit, let block = state.free[size]?.popLast() {
                giveBack(UnsafeMutablePointer(bitPattern: block)!, size)
                state.cached -= size
            }
        }
    }

    private static func obtain(_ size: Int) -> UnsafeMutablePointer<Float> {
        if size >= mapped {
            let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            guard let address, address != MAP_FAILED else { fatalError("out of memory: \(size) bytes asked for") }
            #if canImport(Glibc)
            // Pages of 2 MiB are cleared and found faster; where the system has none, nothing changes.
            madvise(address, size, MADV_HUGEPAGE)
            #endif
            return address.assumingMemoryBound(to: Float.self)
        }
        var address: UnsafeMutableRawPointer?
        guard posix_memalign(&address, 64, size) == 0, let address else { fatalError("out of memory: \(size) bytes asked for") }
        return address.assumingMemoryBound(to: Float.self)
    }

    private static func giveBack(_ pointer: UnsafeMutablePointer<Float>, _ size: Int) {
        if size >= mapped { munmap(pointer, size) } else { free(pointer) }
    }

    deinit { trim() }
}
