import Foundation
import ModelFiles
import Sampling
import Tensors
import Testing

/// One case of samplers/cases.jsonl.
struct SamplerCase: Sendable {
    var operation: String
    var distribution: String
    /// In the order in which they act.
    var stages: [(name: String, value: Double)] = []
    var minimumKept = 1
    var kept: [Int]?
    var out: String?

    static let order = ["temperature", "top_k", "top_p", "min_p", "typical_p"]

    init?(_ object: JSONObject) {
        guard let operation = object["op"]?.string, let distribution = object["dist"]?.string else { return nil }
        self.operation = operation
        self.distribution = distribution
        let parameters = object["params"]
        minimumKept = parameters?["min_tokens_to_keep"]?.int ?? 1
        if operation == "chain" {
            for stage in parameters?["chain"]?.array ?? [] {
                guard let pair = stage.array, pair.count == 2, let name = pair[0].string else { return nil }
                stages.append((name, pair[1].double ?? 0))
            }
        } else {
            stages = [(operation, parameters?[operation == "typical_p" ? "mass" : operation]?.double ?? 0)]
        }
        kept = object["kept"]?.array?.compactMap(\.int)
        out = object["out"]?.string
    }

    /// What it needs and we have not.
    var missing: Set<String> {
        var names = Set(stages.map(\.name)).subtracting(Self.order)
        if minimumKept > 1 { names.insert("min_tokens_to_keep") }
        let places = stages.compactMap { Self.order.firstIndex(of: $0.name) }
        if names.isEmpty, zip(places, places.dropFirst()).contains(where: { $0 >= $1 }) { names.insert(operation) }
        return names
    }

    var options: SamplingOptions {
        var options = SamplingOptions()
        for stage in stages {
            switch stage.name {
            case "temperature": options.temperature = Float(stage.value)
            case "top_k": options.topK = Int(stage.value)
            case "top_p": options.topP = Float(stage.value)
            case "min_p": options.minP = Float(stage.value)
            default: options.typicalP = Float(stage.value)
            }
        }
        return options
    }

    func has(_ stage: String) -> Bool { stages.contains { $0.name == stage } }
}

/// The cases of one operation with the same parameters, over all distributions.
struct SamplerGroup: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var cases: [SamplerCase] = []

    static let all: [SamplerGroup] = {
        var groups: [SamplerGroup] = []
        for (_, object) in (try? JSONL.objects(path: "\(Fixtures.samplers)/cases.jsonl")) ?? [] {
            guard let entry = SamplerCase(object) else { continue }
            let label = "\(entry.operation) \(object["params"]?.text() ?? "")"
            if let index = groups.firstIndex(where: { $0.testDescription == label }) {
                groups[index].cases.append(entry)
            } else {
                groups.append(SamplerGroup(testDescription: label, cases: [entry]))
            }
        }
        return groups
    }()

    static let covered = all.filter { group in group.cases.allSatisfy { $0.missing.isEmpty } }
    static let missing = all.reduce(into: Set<String>()) { names, group in for entry in group.cases { names.formUnion(entry.missing) } }
}

@Suite("Samplers Golden cases", .enabled(if: Fixtures.hasSamplers, "no sampler fixtures: set AUTODIDACT_FIXTURES"))
struct SamplerGoldenTests {
    private let tensors: SafetensorsFile

    init() throws { tensors = try SafetensorsFile(path: "\(Fixtures.samplers)/tensors.safetensors") }

    @Test("what a stage keeps, and the law that is left", arguments: SamplerGroup.covered)
    func keeps(group: SamplerGroup) throws {
        for entry in group.cases {
            let logits = try tensors.floats("in.\(entry.distribution)")
            let law = entry.options.law(logits)
            if let kept = entry.kept {
                #expect(agree(entry, kept, law, logits), "\(entry.distribution): kept \(law.tokens), expected \(kept)")
            } else if let out = entry.out {
                let expected = try tensors.floats(out)
                #expect(agree(entry, law, expected), "\(entry.distribution): \(law.tokens)")
            }
        }
    }

    /// The rules of the fixtures' README: exact, but among equal logits top-p may cut where it likes, and where a sum lies on
    /// the threshold one token more or less is right.
    private func agree(_ entry: SamplerCase, _ kept: [Int], _ law: CandidateLaw, _ logits: [Float]) -> Bool {
        if law.tokens == kept { return true }
        let p = softmax(logits)
        if entry.has("top_p") {
            // A probability that float32 cannot tell from 0 is never drawn, kept or not.
            func values(_ tokens: [Int]) -> [Float] { tokens.filter { Float(p[$0]) > 0 }.map { logits[$0] }.sorted(by: >) }
            let (mine, theirs) = (values(law.tokens), values(kept))
            if mine == theirs { return true }
            guard entry.stages.count == 1, abs(mine.count - theirs.count) == 1, zip(mine, theirs).allSatisfy({ $0 == $1 }) else { return false }
            let shorter = mine.count < theirs.count ? law.tokens : kept
            return abs(shorter.reduce(0) { $0 + p[$1] } - entry.stages[0].value) <= 1e-6
        }
        if entry.has("typical_p"), entry.stages.count == 1 {
            // The reference sums the entropy in float32, so its centre is off by a few units in the last place (4.8e-7 near 4):
            // tokens whose distances differ by less than that may be kept or not.
            let information = p.map { $0 > 0 ? -Foundation.log($0) : Double.infinity }
            let entropy = zip(p, information).reduce(0) { $0 + ($1.0 > 0 ? $1.0 * $1.1 : 0) }
            let distance = information.map { abs($0 - entropy) }
            let threshold = kept.map { distance[$0] }.max() ?? 0
            let differing = Set(law.tokens).symmetricDifference(kept)
            return differing.allSatisfy { abs(distance[$0] - threshold) <= 2e-6 } && law.tokens.reduce(0) { $0 + p[$1] } >= entry.stages[0].value - 1e-6
        }
        return false
    }

    /// `expected` holds logits, -∞ where nothing is kept; they are right to 1e-5, so probabilities to that share of the logit.
    private func agree(_ entry: SamplerCase, _ law: CandidateLaw, _ expected: [Float]) -> Bool {
        let kept = expected.indices.filter { expected[$0] > -.infinity }
        let p = softmax(expected)
        let top = Double(expected.max() ?? 0)
        func near(_ mine: Double, _ theirs: Double, _ logit: Float) -> Bool {
            abs(mine - theirs) <= theirs * 1e-5 * (1 + abs(Double(logit)) + abs(top)) + 1e-20
        }
        if law.tokens == kept { return kept.allSatisfy { near(law.probability(of: $0), p[$0], expected[$0]) } }
        guard entry.has("top_p"), law.tokens.count == kept.count else { return false }
        let mine = law.tokens.map { law.probability(of: $0) }.sorted(by: >)
        let theirs = kept.sorted { (expected[$1], $0) < (expected[$0], $1) }
        return zip(mine, theirs).allSatisfy { near($0, p[$1], expected[$1]) }
    }

    @Test("docs/unsupported.json lists what the cases ask for and we have not, and nothing else that they ask for")
    func unsupported() throws {
        let listed = try Fixtures.unsupported("samplers")
        let covered = SamplerGroup.covered.reduce(into: Set<String>()) { names, group in
            for entry in group.cases { names.formUnion(entry.stages.map(\.name)) }
        }
        let unlisted = SamplerGroup.missing.subtracting(listed).sorted()
        #expect(unlisted.isEmpty, "not supported, but not listed under 'samplers' in docs/unsupported.json")
        let stale = listed.intersection(covered).sorted()
        #expect(stale.isEmpty, "listed under 'samplers' as unsupported, but works: take it off docs/unsupported.json")
        #expect(!covered.isEmpty)
    }

    static let distributions: [String] =
        ((try? JSON.read(path: "\(Fixtures.samplers)/draws.json"))?.object?.keys ?? []).sorted()

    @Test("draws by the inverse of the cumulative sum", arguments: distributions)
    func inverse(distribution: String) throws {
        let record = try #require(try JSON.read(path: "\(Fixtures.samplers)/draws.json")[distribution])
        let logits = try tensors.floats("in.\(distribution)")
        var cumulative: [Double] = []
        for p in softmax(logits) { cumulative.append((cumulative.last ?? 0) + p) }
        for pair in record["inverse_cdf"]?.array ?? [] {
            let uniform = try #require(pair.array?.first?.double)
            let expected = try #require(pair.array?.last?.int)
            let token = Int(try SamplingOptions(temperature: 1).draw(logits, uniform: uniform).token)
            // Where the cumulative sum meets the number drawn, float32 weights may decide either way.
            let onEdge = abs(token - expected) == 1 && abs(cumulative[min(token, expected)] - uniform) <= 1e-6 * uniform
            #expect(token == expected || onEdge, "\(uniform): \(token), expected \(expected)")
        }
    }

    @Test("greedy takes the first of the largest", arguments: distributions)
    func argmax(distribution: String) throws {
        let record = try #require(try JSON.read(path: "\(Fixtures.samplers)/draws.json")[distribution])
        let expected = try #require(record["argmax_first"]?.int)
        let draw = try SamplingOptions.greedy.draw(try tensors.floats("in.\(distribution)"), uniform: 0.5)
        #expect(Int(draw.token) == expected)
        #expect(draw.behaviorLogProbability == 0)
    }

    @Test("the recorded log-probability is that of the full softmax", arguments: distributions)
    func logProbabilities(distribution: String) throws {
        let logits = try tensors.floats("in.\(distribution)")
        let expected = try tensors.floats("logprob.\(distribution)")
        // The log-sum-exp is a float32 as large as the logits: a unit in its last place is the least error.
        let unit = Double((logits.max() ?? 0).ulp)
        for step in 0..<200 {
            let draw = try SamplingOptions(temperature: 1).draw(logits, uniform: (Double(step) + 0.5) / 200)
            let theirs = Double(expected[Int(draw.token)])
            #expect(abs(Double(draw.logProbability) - theirs) <= 1e-5 * abs(theirs) + max(unit, 1e-6), "token \(draw.token)")
            #expect(draw.behaviorLogProbability == draw.logProbability)
        }
    }

    @Test("the law with every stage off is the softmax", arguments: distributions)
    func probabilities(distribution: String) throws {
        let logits = try tensors.floats("in.\(distribution)")
        let expected = try tensors.floats("prob.\(distribution)")
        let law = SamplingOptions().law(logits)
        let wrong = expected.indices.filter { abs(law.probability(of: $0) - Double(expected[$0])) > 1e-5 * Double(expected[$0]) + 1e-20 }
        #expect(wrong.isEmpty)
        #expect(law.tokens == logits.indices.filter { logits[$0] > -.infinity })
    }
}
