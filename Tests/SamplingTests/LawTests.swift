import Foundation
import Sampling
import Tensors
import Testing

/// The worked law of METHODS 4: 1/2, 1/4, 1/8, 1/16, 1/16.
private let halves: [Float] = [0.5, 0.25, 0.125, 0.0625, 0.0625].map { Float(Foundation.log($0)) }

private let logits: [Float] = [1.5, -0.25, 0.75, 2, -1, 0, 1, 0.5, -0.5, 1.25, 0.25, -2]

private let everyOption = [
    SamplingOptions(), SamplingOptions(temperature: 0.7), .greedy, SamplingOptions(topK: 3), SamplingOptions(topP: 0.8), SamplingOptions(minP: 0.2),
    SamplingOptions(typicalP: 0.6), SamplingOptions(temperature: 1.7, topK: 5, topP: 0.9, minP: 0.05, typicalP: 0.95),
]

@Suite("What each stage keeps")
struct StageTests {
    @Test("top-p: the token that crosses p stays; a mass met exactly is enough")
    func topP() {
        #expect(SamplingOptions(topP: 0.75).law(halves).tokens == [0, 1])
        #expect(SamplingOptions(topP: 0.76).law(halves).tokens == [0, 1, 2])
        #expect(SamplingOptions(topP: 0.01).law(halves).tokens == [0])
    }

    @Test("min-p and top-k")
    func minPAndTopK() {
        #expect(SamplingOptions(minP: 0.3).law(halves).tokens == [0, 1])
        #expect(SamplingOptions(topK: 3).law(halves).tokens == [0, 1, 2])
        #expect(SamplingOptions(topK: 4).law(halves).tokens == [0, 1, 2, 3, 4], "equal to the k-th stays")
        #expect(SamplingOptions(topK: 99).law(halves).tokens == [0, 1, 2, 3, 4])
    }

    @Test("locally typical: a small mass drops the mode; ties with the last stay")
    func typical() {
        #expect(SamplingOptions(typicalP: 0.2).law(halves).tokens == [1])
        #expect(SamplingOptions(typicalP: 0.7).law(halves).tokens == [0, 1])
        #expect(SamplingOptions(typicalP: 0.8).law(halves).tokens == [0, 1, 2])
        #expect(SamplingOptions(typicalP: 0.95).law(halves).tokens == [0, 1, 2, 3, 4])
    }

    @Test("locally typical keeps the whole of a uniform law", arguments: [Float(0.1), 0.5, 0.9], [3, 7, 64])
    func typicalUniform(mass: Float, count: Int) {
        #expect(SamplingOptions(typicalP: mass).law([Float](repeating: 0.3, count: count)).tokens == Array(0..<count))
    }

    @Test("what is left is renormalised in its old proportions")
    func renormalised() {
        let law = SamplingOptions(topK: 3).law(halves)
        #expect(abs(law.probability(of: 0) - 4.0 / 7) < 1e-6)
        #expect(abs(law.probability(of: 1) - 2.0 / 7) < 1e-6)
        #expect(abs(law.probability(of: 2) - 1.0 / 7) < 1e-6)
        #expect(law.probability(of: 3) == 0 && law.probability(of: 4) == 0 && law.probability(of: 99) == 0)
    }

    @Test("stages act in order, each on the renormalised rest of the one before")
    func order() {
        // Top-k 3 leaves 4/7, 2/7, 1/7: the first two have 0.857 of it, but 0.75 of the whole.
        #expect(SamplingOptions(topK: 3, topP: 0.85).law(halves).tokens == [0, 1])
        #expect(SamplingOptions(topP: 0.85).law(halves).tokens == [0, 1, 2])
        // Temperature comes first: at 2 the law is flatter, and the same mass needs one token more.
        #expect(SamplingOptions(temperature: 2, topP: 0.75).law(halves).tokens == [0, 1, 2])
    }

    @Test("random laws: kept sets are those of the definitions", arguments: 0..<40)
    func definitions(seed: Int) {
        let key = RandomKey(seed: UInt64(seed))
        let count = 2 + key.index(below: 300, 1)
        let logits = (0..<count).map { Float(key.folding(2).normal(UInt64($0)) * 3) }
        let p = softmax(logits)
        let k = 1 + key.index(below: count, 3)
        let kth = logits.sorted(by: >)[k - 1]
        #expect(SamplingOptions(topK: k).law(logits).tokens == logits.indices.filter { logits[$0] >= kth })

        let mass = 0.05 + 0.9 * key.uniform(4)
        let kept = SamplingOptions(topP: Float(mass)).law(logits).tokens
        let least = kept.min { p[$0] < p[$1] }!
        let sum = kept.reduce(0) { $0 + p[$1] }
        #expect(sum >= mass - 1e-6 && sum - p[least] < mass + 1e-6)
        #expect(logits.indices.filter { logits[$0] > logits[least] }.allSatisfy { kept.contains($0) })

        let share = key.uniform(5)
        let above = SamplingOptions(minP: Float(share)).law(logits).tokens
        let limit = share * p.max()!
        #expect(logits.indices.allSatisfy { abs(p[$0] - limit) < 1e-5 * limit || above.contains($0) == (p[$0] > limit) })
    }

    @Test("entropy does not fall as temperature rises", arguments: 0..<10)
    func entropy(seed: Int) {
        let key = RandomKey(seed: UInt64(seed))
        let logits = (0..<50).map { Float(key.normal(UInt64($0)) * 4) }
        var before = -1.0
        for temperature: Float in [0.05, 0.1, 0.3, 0.5, 0.8, 1, 1.3, 2, 4, 10, 100] {
            let law = SamplingOptions(temperature: temperature).law(logits)
            let entropy = law.tokens.reduce(0.0) {
                let p = law.probability(of: $1)
                return $0 - (p > 0 ? p * Foundation.log(p) : 0)
            }
            #expect(entropy >= before - 1e-6)
            before = entropy
        }
        #expect(abs(before - Foundation.log(50)) < 0.01)
    }
}

@Suite("Draws")
struct DrawTests {
    @Test("100,000 draws follow the renormalised law", arguments: [
        SamplingOptions(), SamplingOptions(temperature: 0.7), SamplingOptions(temperature: 1.3, topK: 5), SamplingOptions(topP: 0.8),
        SamplingOptions(temperature: 1.5, minP: 0.3), SamplingOptions(typicalP: 0.6),
        SamplingOptions(temperature: 0.9, topK: 8, topP: 0.9, minP: 0.1, typicalP: 0.95),
    ])
    func frequencies(options: SamplingOptions) throws {
        let kept = options.law(logits).tokens
        let p = softmax(logits, temperature: Double(options.temperature))
        let mass = kept.reduce(0) { $0 + p[$1] }
        let key = RandomKey(seed: 100)
        var counts = [Int](repeating: 0, count: logits.count)
        for index in 0..<100_000 { counts[Int(try options.draw(logits, uniform: key.uniform(UInt64(index))).token)] += 1 }
        #expect(kept.reduce(0) { $0 + counts[$1] } == 100_000, "a token was drawn that is not kept")
        let statistic = chiSquare(kept.map { counts[$0] }, kept.map { p[$0] / mass })
        let bound = try #require(chiSquareBound[kept.count - 1])
        #expect(statistic < bound)
    }

    @Test("the recorded probabilities are those of the full softmax and of the law drawn from", arguments: everyOption)
    func recorded(options: SamplingOptions) throws {
        let p = softmax(logits)
        let law = options.temperature > 0 ? options.law(logits) : nil
        for step in 0..<100 {
            let draw = try options.draw(logits, uniform: (Double(step) + 0.5) / 100)
            #expect(abs(Double(draw.logProbability) - Foundation.log(p[Int(draw.token)])) < 1e-5)
            let behavior = law.map { Foundation.log($0.probability(of: Int(draw.token))) } ?? 0
            #expect(abs(Double(draw.behaviorLogProbability) - behavior) < 1e-5)
        }
    }

    @Test("a stage that keeps everything changes no draw", arguments: 0..<20)
    func neutral(seed: Int) throws {
        let key = RandomKey(seed: UInt64(seed))
        let logits = (0..<(1 + key.index(below: 700, 1))).map { Float(key.folding(2).normal(UInt64($0)) * 2) }
        for index in 0..<50 {
            let uniform = key.uniform(UInt64(10 + index))
            let plain = try SamplingOptions().draw(logits, uniform: uniform)
            let kept = try SamplingOptions(topK: logits.count).draw(logits, uniform: uniform)
            #expect(plain.token == kept.token && plain.logProbability == kept.logProbability)
            #expect(abs(plain.behaviorLogProbability - kept.behaviorLogProbability) < 1e-5)
        }
    }

    @Test("equal logits: greedy takes the lowest index")
    func ties() throws {
        #expect(try SamplingOptions.greedy.draw([0, 3, 1, 3, 3], uniform: 0.99).token == 1)
    }

    @Test("a low temperature draws what greedy takes", arguments: [Float(1e-2), 1e-4, 1e-6, 1e-12])
    func cold(temperature: Float) throws {
        for options in [SamplingOptions(temperature: temperature), SamplingOptions(temperature: temperature, topK: 5)] {
            for uniform in [1e-12, 0.3, 1 - 0x1p-53] {
                let draw = try options.draw(logits, uniform: uniform)
                #expect(draw.token == 3)
                #expect(abs(draw.behaviorLogProbability) < 1e-5)
            }
        }
    }

    @Test("a logit of -∞, or one whose probability is 0, is never drawn", arguments: everyOption)
    func impossible(options: SamplingOptions) throws {
        let uniforms = [0, 0x1p-53, 0.25, 0.5, 0.75, 1 - 0x1p-20, 1 - 0x1p-53]
        for row in [[-Float.infinity, 1, -.infinity, 2, -.infinity], [-.infinity, 5], [5, -.infinity], [-400, 0, -400], [-.infinity, -3, -500]] as [[Float]] {
            let top = row.max()!
            for uniform in uniforms {
                let draw = try options.draw(row, uniform: uniform)
                #expect(row[Int(draw.token)] > top - 300, "\(row) at \(uniform): \(draw.token)")
                #expect(draw.logProbability.isFinite && draw.behaviorLogProbability.isFinite)
            }
        }
    }

    @Test("logits that are not finite are refused, wherever they are", arguments: everyOption)
    func notFinite(options: SamplingOptions) throws {
        for count in [1, 5, 8, 16, 31, 64, 67] {
            for place in 0..<count {
                for bad in [Float.nan, -Float.nan, .infinity] {
                    var row = (0..<count).map { Float($0 % 7) - 3 }
                    row[place] = bad
                    #expect(throws: SamplingError.notFinite) { try options.draw(row, uniform: 0.5) }
                }
            }
        }
        #expect(throws: SamplingError.notFinite) { try options.draw([Float](repeating: -.infinity, count: 9), uniform: 0.5) }
    }
}

@Suite("Sampling options")
struct SamplingOptionsTests {
    @Test("an option out of range is named, with what it may be", arguments: [
        ("temperature", SamplingOptions(temperature: -1)), ("temperature", SamplingOptions(temperature: .nan)), ("temperature", SamplingOptions(temperature: .infinity)),
        ("top-k", SamplingOptions(topK: -1)), ("top-p", SamplingOptions(topP: 0)), ("top-p", SamplingOptions(topP: 1.5)), ("top-p", SamplingOptions(topP: .nan)),
        ("min-p", SamplingOptions(minP: -0.1)), ("min-p", SamplingOptions(minP: 1)), ("min-p", SamplingOptions(minP: .nan)),
        ("typical-p", SamplingOptions(typicalP: 0)), ("typical-p", SamplingOptions(typicalP: 1.1)), ("typical-p", SamplingOptions(typicalP: .nan)),
    ])
    func refused(option: String, options: SamplingOptions) throws {
        let error = #expect(throws: SamplingError.self) { try options.validate() }
        guard case .invalid(let named, let value, let allowed) = try #require(error) else {
            Issue.record("another error: \(String(describing: error))")
            return
        }
        #expect(named == option && !value.isEmpty && !allowed.isEmpty)
        #expect("\(try #require(error))".contains("--\(option) \(value)"))
    }

    @Test("the ends of every range are allowed", arguments: everyOption + [SamplingOptions(temperature: 50, topK: 1, topP: 1e-6, minP: 0.999, typicalP: 1e-6)])
    func allowed(options: SamplingOptions) { #expect(throws: Never.self) { try options.validate() } }

    @Test("options survive JSON", arguments: everyOption)
    func coded(options: SamplingOptions) throws {
        let decoded = try JSONDecoder().decode(SamplingOptions.self, from: JSONEncoder().encode(options))
        #expect(decoded == options)
    }
}

@Suite("More rows than tokens")
struct PaddedVocabularyTests {
    @Test("a row that is no token is never drawn, and still counts in the model's own probability")
    func paddedRows() throws {
        let logits: [Float] = [1, 2, 0.5, 9]
        try logits.withUnsafeBufferPointer { row in
            #expect(try SamplingOptions.greedy.draw(row, uniform: 0, candidates: 3).token == 1)
            for step in 0..<50 {
                for options in [SamplingOptions(temperature: 1), SamplingOptions(temperature: 2, topK: 3), SamplingOptions(temperature: 0.5)] {
                    let draw = try options.draw(row, uniform: Double(step) / 50, candidates: 3)
                    #expect(draw.token < 3)
                    #expect(abs(draw.logProbability - (logits[Int(draw.token)] - RowMath.logSumExp(row))) < 1e-6)
                    #expect(draw.behaviorLogProbability > draw.logProbability)
                }
            }
        }
    }
}
