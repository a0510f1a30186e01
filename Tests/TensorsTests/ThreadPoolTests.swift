import Synchronization
import Tensors
import Testing

@Suite("The thread pool")
struct ThreadPoolTests {
    @Test("runs every tile once, job after job", arguments: [1, 2, 5])
    func everyTileOnce(threads: Int) {
        let pool = ThreadPool(threads: threads)
        for count in [0, 1, 2, 7, 1000] {
            let sum = Atomic<Int>(0)
            pool.run(count) { tile, worker in
                sum.add(tile + 1, ordering: .relaxed)
                precondition(worker < threads)
            }
            #expect(sum.load(ordering: .relaxed) == count * (count + 1) / 2)
        }
    }

    @Test("goes away with its last owner")
    func lifetime() {
        weak var gone: ThreadPool?
        do {
            let pool = ThreadPool(threads: 3)
            pool.run(10) { _, _ in }
            gone = pool
        }
        #expect(gone == nil)
    }
}
