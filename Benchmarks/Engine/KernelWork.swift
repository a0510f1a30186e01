import Autodidact
import Machine

/// Matrix products, and what the machine could do at most.
final class KernelWork {
    private let backend: CPUBackend
    private let pool: ThreadPool
    private lazy var memory = [Float](repeating: 1, count: 1 << 26)
    private var products: [[Int]: Product] = [:]

    init(_ backend: CPUBackend) {
        self.backend = backend
        pool = ThreadPool(threads: backend.threads)
    }

    func answer(_ request: Request) -> [String: Double]? {
        switch (request.work, request.size) {
        // The best of some, as of products: what the machine can do, not what others leave of it.
        case ("multiply-add", nil): ["gflops": (0..<5).map { _ in multiplyAdd() }.max()!]
        case ("read", nil): ["gb_s": (0..<5).map { _ in read() }.max()!]
        case ("matmul", let size?) where size.count == 3: product(size).gflops(request.kind).map { ["gflops": $0] }
        default: nil
        }
    }

    private func multiplyAdd() -> Double {
        let rounds = 20_000_000, lanes: Int32 = backend.variant.hasPrefix("avx512") ? 16 : 8
        var operations = [Double](repeating: 0, count: pool.threads)
        let time = operations.withUnsafeMutableBufferPointer { operations in
            seconds { pool.run(pool.threads) { tile, _ in operations[tile] = machine_multiply_add(rounds, lanes) } }
        }
        return operations.reduce(0, +) / time / 1e9
    }

    private func read() -> Double {
        let part = memory.count / pool.threads
        var sums = [Float](repeating: 0, count: pool.threads)
        let time = memory.withUnsafeBufferPointer { memory in
            sums.withUnsafeMutableBufferPointer { sums in
                seconds { pool.run(pool.threads) { tile, _ in sums[tile] = machine_read(memory.baseAddress! + tile * part, part) } }
            }
        }
        return Double(part * pool.threads * 4) / time / 1e9
    }

    private func product(_ size: [Int]) -> Product {
        if products[size] == nil { products = [size: Product(size, on: backend)] }
        return products[size]!
    }
}

/// y `[M, N]` = x `[M, K]` Wᵀ and its gradients.
private final class Product {
    private let backend: CPUBackend
    private let weight: Parameter
    private let gradients: Gradients
    private let x, dx, y: Tensor
    private let operations: Double

    init(_ size: [Int], on backend: CPUBackend) {
        let (M, N, K) = (size[0], size[1], size[2])
        self.backend = backend
        let set = ParameterSet(on: backend)
        let weight = set.declare("weight", N, K)
        self.weight = weight
        set.allocate()
        let key = RandomKey(seed: 1)
        let values = { (count: Int) in (0..<count).map { Float(key.uniform(UInt64($0 % 9973))) - 0.5 } }
        operations = 2 * Double(M) * Double(N) * Double(K)
        values(N * K).withUnsafeBufferPointer { set.write($0, to: weight) }
        gradients = Gradients(of: set)
        x = backend.tensor(values(M * K), shape: [M, K])
        y = backend.tensor(values(M * N), shape: [M, N])
        dx = backend.zeros([M, K])
    }

    /// The best within a fifth of a second, and of three at least, as the peer counts: the first calls of many threads find some of them asleep.
    func gflops(_ kind: String?) -> Double? {
        let work: () -> Void
        switch kind {
        case "forward": work = { [self] in backend.linear(x, [(weight.matrix, nil, y)]) }
        case "input-gradient": work = { [self] in backend.linearInputGradient(y, weight.matrix, into: dx) }
        case "weight-gradient": work = { [self] in backend.linearWeightGradient(y, x, into: gradients.matrix(weight)) }
        default: return nil
        }
        var times: [Double] = []
        while times.count < 3 || times.reduce(0, +) < 0.2 { times.append(seconds(work)) }
        return operations / times.min()! / 1e9
    }
}
