import Architectures
import Testing

@Suite("Biases by distance")
struct PositionTests {
    @Test("buckets are those of the paper's code")
    func buckets() {
        for (distance, bucket) in [(-200, 15), (-64, 14), (-16, 10), (-8, 8), (-7, 7), (-1, 1), (0, 0), (1, 17), (7, 23), (8, 24), (16, 26), (64, 30), (127, 31)] {
            #expect(relativeBucket(distance, of: 32, maxDistance: 128, isBidirectional: true) == bucket, "\(distance)")
        }
        for (distance, bucket) in [(-1, 1), (-15, 15), (-16, 16), (-17, 16), (-32, 21), (-64, 26), (-127, 31), (0, 0), (5, 0)] {
            #expect(relativeBucket(distance, of: 32, maxDistance: 128, isBidirectional: false) == bucket, "\(distance)")
        }
    }

    @Test("slopes of eight heads are halves of each other, and six heads take every second of the next eight")
    func slopes() {
        #expect(alibiSlopes(heads: 8) == (1...8).map { Float(1) / Float(1 << $0) })
        #expect(alibiSlopes(heads: 6).count == 6 && alibiSlopes(heads: 6)[0] == 0.25 && alibiSlopes(heads: 6)[4] == 0.5)
    }
}
