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

    /// Those without a reference model, with weights per token.
    @Test("clipped policy gradients: value and gradient, for every normalisation")
    func clipped() throws {
        let tensors = try SafetensorsFile(path: "\(Fixtures.losses)/tensors.safetensors")
        var seen = 0
        for golden in try cases("grpo") {
            let p = golden.parameters
            guard p["level"]?.string == "token", p["beta"]?.double == 0, let type = p["loss_type"]?.string, type != "cispo" else { continue }
            let normalizations: [String: ClippedPolicyGradient.Normalization] = ["grpo": .sequences, "dapo": .tokens, "dr_grpo": .length(p["max_len"]?.int ?? 0)]
            let normalization = try #require(normalizations[type], "\(golden.key): \(type)")
            let objective = ClippedPolicyGradient(normalization, clipLow: p["eps_lo"]!.double!, clipHigh: p["eps_hi"]!.double!, maximumRatio: p["delta"]?.double)
            let shape = try #require(tensors.info("\(golden.key).in.logp")).shape
            func input(_ name: String) throws -> [Float] { try tensors.floats("\(golden.key).in.\(name)") }
            let (logp, old, mask, advantages) = (try input("logp"), try input("old"), try input("mask"), try input("adv"))
            let width = shape[1]
            let examples = (0..<shape[0]).map { row in
                Example(
                    promptTokens: [0], completionTokens: Array(repeating: 0, count: width), trained: mask[row * width..<(row + 1) * width].map { $0 != 0 },
                    advantage: advantages[row], behaviorLogProbabilities: Array(old[row * width..<(row + 1) * width]))
            }
            let count = objective.counts(examples)[0].count
            var loss = 0.0
            var gradient = [Float](repeating: 0, count: logp.count)
            for (row, example) in examples.enumerated() {
                let places = (0..<width).filter { example.trained[$0] }
                let terms = objective.sums(example, places.map { RowLaw(logProbability: logp[row * width + $0], logSumExp: 0, entropy: 0) })
                loss += terms[0].sum / count
                for (place, value) in zip(places, terms[0].logProbabilityGradients) { gradient[row * width + place] = value / Float(count) }
            }
            let expected = Double(try tensors.floats("\(golden.key).out")[0]), expectedGradient = try tensors.floats("\(golden.key).grad.logp")
            #expect(abs(loss - expected) <= 1e-5 * max(1, abs(expected)), "\(golden.key)")
            #expect(zip(gradient, expectedGradient).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($1)) }, "\(golden.key)")
            seen += 1
        }
        #expect(seen > 0)
    }

    @Test("advantages in groups")
    func advantages() throws {
        let tensors = try SafetensorsFile(path: "\(Fixtures.losses)/tensors.safetensors")
        let goldens = try cases("grpo_advantages")
        #expect(!goldens.isEmpty)
        for golden in goldens where golden.parameters["scale"]?.string != "batch" {
            let rewards = try tensors.floats("\(golden.key).in.rewards").map { Double($0) }, size = golden.parameters["group_size"]!.int!
            let ours = stride(from: 0, to: rewards.count, by: size).flatMap {
                groupAdvantages(Array(rewards[$0..<$0 + size]), dividingByDeviation: golden.parameters["scale"]?.string == "group")
            }
            let expected = try tensors.floats("\(golden.key).out")
            #expect(ours.count == expected.count && zip(ours, expected).allSatisfy { abs($0 - Double($1)) <= 1e-5 * max(1, abs(Double($1))) })
        }
    }

    @Test("a group without signal moves nothing, and an on-policy step is that of plain REINFORCE over tokens")
    func edges() {
        #expect(groupAdvantages([1, 1, 1]) == [0, 0, 0] && groupAdvantages([2]) == [0])
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
