import Foundation
import ModelFiles
import Tensors
import Testing
import Training

@Suite("Policy gradients Golden losses", .enabled(if: Fixtures.hasLosses, "no loss fixtures: set AUTODIDACT_FIXTURES"))
struct PolicyGoldenTests {
    private struct Case {
        let key: String
        let parameters: JSON
    }

    private func cases(_ op: String) throws -> [Case] {
        let all = try #require(try JSON.read(path: "\(Fixtures.losses)/cases.json").array)
        return all.filter { $0["op"]?.string == op }.map { Case(key: $0["key"]!.string!, parameters: $0["params"]!) }
    }

    /// What an objective makes of the sequences of a case: the loss, and its gradient by log-probabilities and values.
    private func run(_ objective: any Objective, _ golden: Case, _ tensors: SafetensorsFile, own: [Float], width: Int, _ complete: (inout Example, Range<Int>) throws -> Void) throws -> (
        loss: Double, gradient: [Float], valueGradient: [Float]
    ) {
        let mask = try tensors.floats("\(golden.key).in.mask")
        let examples = try stride(from: 0, to: own.count, by: width).map { start in
            var example = Example(promptTokens: [0], completionTokens: Array(repeating: 0, count: width), trained: mask[start..<start + width].map { $0 != 0 })
            try complete(&example, start..<start + width)
            return example
        }
        let counts = Dictionary(uniqueKeysWithValues: objective.counts(examples).map { ($0.name, $0.count) })
        var result = (loss: 0.0, gradient: [Float](repeating: 0, count: own.count), valueGradient: [Float](repeating: 0, count: own.count))
        for (row, example) in examples.enumerated() {
            let places = (0..<width).filter { example.trained[$0] }.map { row * width + $0 }
            for term in objective.sums(example, places.map { RowLaw(logProbability: own[$0], logSumExp: 0, entropy: 0, value: own[$0]) }) {
                let factor = term.weight / counts[term.name]!
                result.loss += factor * term.sum
                for (place, value) in zip(places, term.logProbabilityGradients) { result.gradient[place] += value * Float(factor) }
                for (place, value) in zip(places, term.valueGradients ?? []) { result.valueGradient[place] += value * Float(factor) }
            }
        }
        return result
    }

    private func expect(_ loss: Double, _ gradient: [Float], _ golden: Case, by input: String, _ tensors: SafetensorsFile) throws {
        let expected = Double(try tensors.floats("\(golden.key).out")[0]), slopes = try tensors.floats("\(golden.key).grad.\(input)")
        #expect(abs(loss - expected) <= 1e-5 * max(1, abs(expected)), "\(golden.key)")
        #expect(gradient.count == slopes.count && zip(gradient, slopes).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($1)) }, "\(golden.key)")
    }

    @Test("clipped policy gradients: value and gradient, for every normalisation, weights of tokens and of sequences, with and without a reference")
    func clipped() throws {
        let tensors = try SafetensorsFile(path: "\(Fixtures.losses)/tensors.safetensors"), goldens = try cases("grpo")
        #expect(!goldens.isEmpty)
        for golden in goldens {
            let p = golden.parameters, type = try #require(p["loss_type"]?.string)
            let normalizations: [String: ClippedPolicyGradient.Normalization] = ["grpo": .sequences, "dapo": .tokens, "cispo": .tokens, "dr_grpo": .length(p["max_len"]?.int ?? 0)]
            let normalization = try #require(normalizations[type], "\(golden.key): \(type)")
            var objective = ClippedPolicyGradient(normalization, clipLow: p["eps_lo"]!.double!, clipHigh: p["eps_hi"]!.double!, maximumRatio: p["delta"]?.double)
            objective.level = try #require(ClippedPolicyGradient.Level(rawValue: p["level"]?.string ?? ""))
            objective.surrogate = type == "cispo" ? .bounded : .clipped
            objective.klWeight = try #require(p["beta"]?.double)
            func input(_ name: String) throws -> [Float] { try tensors.floats("\(golden.key).in.\(name)") }
            let (own, old, reference, advantages) = (try input("logp"), try input("old"), try input("ref"), try input("adv"))
            let width = try #require(tensors.info("\(golden.key).in.logp")).shape[1]
            let (loss, gradient, _) = try run(objective, golden, tensors, own: own, width: width) { example, range in
                (example.advantage, example.behaviorLogProbabilities, example.referenceLogProbabilities) = (advantages[range.lowerBound / width], Array(old[range]), Array(reference[range]))
            }
            try expect(loss, gradient, golden, by: "logp", tensors)
        }
    }

    @Test("PPO: clipped gradients with an advantage for every token, and clipped values")
    func proximal() throws {
        let tensors = try SafetensorsFile(path: "\(Fixtures.losses)/tensors.safetensors")
        for golden in try cases("ppo_clip") + cases("ppo_value_clip") {
            let p = golden.parameters, isValue = golden.key.hasPrefix("ppo_value"), name = isValue ? "v" : "logp"
            func input(_ name: String) throws -> [Float] { try tensors.floats("\(golden.key).in.\(name)") }
            let own = try input(name), old = try input("old"), other = try input(isValue ? "ret" : "adv"), clip = try #require((p["clip"] ?? p["eps"])?.double)
            let width = try #require(tensors.info("\(golden.key).in.\(name)")).shape[1]
            let objective = ActorCritic(ClippedPolicyGradient(.tokens, clipLow: clip, clipHigh: clip), valueWeight: 1, valueClip: clip)
            let result = try run(isValue ? objective : objective.policy, golden, tensors, own: own, width: width) { example, range in
                let zeros = Array(repeating: Float(0), count: width)
                example.tokenAdvantages = isValue ? zeros : Array(other[range])
                example.behaviorLogProbabilities = isValue ? nil : Array(old[range])
                (example.values, example.returns) = isValue ? (Array(old[range]), Array(other[range])) : (zeros, zeros)
            }
            try expect(result.loss, isValue ? result.valueGradient : result.gradient, golden, by: name, tensors)
        }
    }

    @Test("KTO with its divergence, NPO: value and gradient")
    func verdicts() throws {
        let tensors = try SafetensorsFile(path: "\(Fixtures.losses)/tensors.safetensors")
        for golden in try cases("kto") + cases("npo") {
            let p = golden.parameters, isNPO = golden.key.hasPrefix("npo")
            func input(_ name: String) throws -> [Float] { try tensors.floats("\(golden.key).in.\(name)") }
            let own = try input(isNPO ? "logp" : "policy"), reference = try input("ref"), beta = try #require(p["beta"]?.double)
            let labels = isNPO ? own.map { _ in true } : try booleans("\(golden.key).in.label", tensors)
            var kto = KTO(beta: beta, rightWeight: p["desirable_weight"]?.double ?? 1, wrongWeight: p["undesirable_weight"]?.double ?? 1)
            kto.divergence = p["kl"]?.double ?? 0
            let objective: any Objective = isNPO ? NegativePreference(beta: beta) : kto
            let examples = own.indices.map { index in
                var example = Example(promptTokens: [0], completionTokens: [1], advantage: labels[index] ? 1 : -1)
                example.referenceLogProbabilities = [reference[index]]
                return example
            }
            let count = objective.counts(examples)[0].count
            let terms = zip(examples, own).map { objective.sums($0, [RowLaw(logProbability: $1, logSumExp: 0, entropy: 0)])[0] }
            try expect(terms.reduce(0) { $0 + $1.sum } / count, terms.map { $0.logProbabilityGradients[0] / Float(count) }, golden, by: isNPO ? "logp" : "policy", tensors)
        }
        let golden = try #require(try cases("kto_kl").first)
        func input(_ name: String) throws -> [Double] { try tensors.floats("\(golden.key).in.\(name)").map { Double($0) } }
        let expected = Double(try tensors.floats("\(golden.key).out")[0])
        #expect(abs(KTO.divergence(policy: try input("policy_kl"), reference: try input("ref_kl")) - expected) <= 1e-5 * max(1, expected))
    }

    private func booleans(_ name: String, _ tensors: SafetensorsFile) throws -> [Bool] {
        let info = try #require(tensors.info(name)), width = info.byteCount / info.elementCount
        return withExtendedLifetime(tensors) { (0..<info.elementCount).map { tensors.bytes(info)[$0 * width] != 0 } }
    }

    @Test("RRHF: value and gradient")
    func ranked() throws {
        let tensors = try SafetensorsFile(path: "\(Fixtures.losses)/tensors.safetensors"), golden = try #require(try cases("rrhf").first)
        func input(_ name: String) throws -> [Float] { try tensors.floats("\(golden.key).in.\(name)") }
        let shape = try #require(tensors.info("\(golden.key).in.logp")).shape, width = try #require(shape.last)
        let (own, rewards) = (try input("logp"), try input("reward")), lengths = try whole("\(golden.key).in.length", tensors)
        let objective = RRHF()
        var examples: [Example] = [], laws: [[RowLaw]] = []
        for index in own.indices {
            examples.append(Example(promptTokens: [Int32(index / width)], completionTokens: Array(repeating: 1, count: lengths[index]), advantage: rewards[index]))
            // The first token carries all: single precision would add rounding of its own.
            laws.append((0..<lengths[index]).map { RowLaw(logProbability: $0 == 0 ? own[index] : 0, logSumExp: 0, entropy: 0) })
        }
        let counts = Dictionary(uniqueKeysWithValues: objective.counts(examples).map { ($0.name, $0.count) })
        var (loss, gradient) = (0.0, [Float](repeating: 0, count: own.count))
        for group in objective.groups(examples) {
            for (index, terms) in zip(group, objective.sums(examples[group], Array(laws[group]))) {
                for term in terms {
                    loss += term.sum / counts[term.name]!
                    gradient[index] += term.logProbabilityGradients[0] / Float(counts[term.name]!)
                }
            }
        }
        try expect(loss, gradient, golden, by: "logp", tensors)
    }

    private func whole(_ name: String, _ tensors: SafetensorsFile) throws -> [Int] {
        let info = try #require(tensors.info(name))
        guard info.dtype.name == "I64" else { return try tensors.floats(name).map { Int($0) } }
        return withExtendedLifetime(tensors) { (0..<info.elementCount).map { Int(tensors.bytes(info).loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self)) } }
    }

    @Test("a group without signal moves nothing, and an on-policy step is that of plain REINFORCE over tokens")
    func edges() {
        #expect(groupAdvantages([[1, 1, 1], [2]]) == [[0, 0, 0], [0]])
        let example = Example(promptTokens: [0], completionTokens: [1, 2, 3], trained: [true, false, true], advantage: -2)
        let laws = [-1.5, -0.25].map { RowLaw(logProbability: $0, logSumExp: 0, entropy: 0) }
        let terms = ClippedPolicyGradient(.tokens).sums(example, laws)
        #expect(terms[0].logProbabilityGradients == [2, 2] && terms[0].sum == 4)
        // Drawn under another law: weights e^(±1), bounded and clipped.
        func gradient(advantage: Float, ratio: Float, bound: Double?) -> Float {
            let drawn = Example(promptTokens: [0], completionTokens: [1], advantage: advantage, behaviorLogProbabilities: [-1])
            let law = RowLaw(logProbability: -1 + ratio, logSumExp: 0, entropy: 0)
            return ClippedPolicyGradient(.tokens, maximumRatio: bound).sums(drawn, [law])[0].logProbabilityGradients[0]
        }
        #expect(gradient(advantage: 1, ratio: 1, bound: nil) == 0 && gradient(advantage: -1, ratio: -1, bound: nil) == 0)
        #expect(abs(gradient(advantage: -1, ratio: 1, bound: nil) - 2.7182817) < 1e-5 && gradient(advantage: -1, ratio: 1, bound: 2) == 0)
        // A bound below the clipping range leaves the clipped side, which still is the weight itself.
        #expect(abs(gradient(advantage: -1, ratio: 0.15, bound: 1.1) - 1.1618342) < 1e-5)
        #expect(ClippedPolicyGradient(.tokens).counts([example])[0].count == 2 && ClippedPolicyGradient(.length(10)).counts([example])[0].count == 10)
    }
}
