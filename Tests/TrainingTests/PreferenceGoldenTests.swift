import Foundation
import ModelFiles
import Tensors
import Testing
import Training

@Suite("Preferences Golden losses", .enabled(if: Fixtures.hasLosses, "no loss fixtures: set AUTODIDACT_FIXTURES"))
struct PreferenceGoldenTests {
    private func cases(_ ops: [String]) throws -> [(key: String, op: String, parameters: JSON)] {
        let all = try #require(try JSON.read(path: "\(Fixtures.losses)/cases.json").array)
        return all.filter { ops.contains($0["op"]?.string ?? "") }.map { ($0["key"]!.string!, $0["op"]!.string!, $0["params"]!) }
    }

    /// What an objective makes of pairs of answers whose tokens share the summed log-probabilities evenly.
    private func run(
        _ loss: PreferenceLoss, _ chosen: [Double], _ rejected: [Double], _ references: ([Double], [Double]), lengths: ([Int], [Int])
    ) -> (loss: Double, chosen: [Double], rejected: [Double]) {
        let objective = PreferenceObjective(loss)
        func example(_ reference: Double, _ length: Int) -> Example {
            var example = Example(promptTokens: [0], completionTokens: Array(repeating: 1, count: length))
            // The first token carries all: single precision would add rounding of its own.
            example.referenceLogProbabilities = [Float(reference)] + Array(repeating: 0, count: length - 1)
            return example
        }
        let pairs = chosen.indices.map { [example(references.0[$0], lengths.0[$0]), example(references.1[$0], lengths.1[$0])] }
        let count = objective.counts(pairs.flatMap { $0 })[0].count
        var result = (loss: 0.0, chosen: [Double](), rejected: [Double]())
        for (index, pair) in pairs.enumerated() {
            let laws = [(chosen[index], lengths.0[index]), (rejected[index], lengths.1[index])].map { sum, length in
                (0..<length).map { RowLaw(logProbability: $0 == 0 ? Float(sum) : 0, logSumExp: 0, entropy: 0) }
            }
            let terms = objective.sums(pair[...], laws)
            result.loss += (terms[0][0].sum + terms[1][0].sum) / count
            result.chosen.append(Double(terms[0][0].logProbabilityGradients[0]) / count)
            result.rejected.append(Double(terms[1][0].logProbabilityGradients[0]) / count)
            for side in terms { #expect(Set(side[0].logProbabilityGradients).count == 1) }
        }
        return result
    }

    @Test("every loss over pairs: value and gradient")
    func pairs() throws {
        let tensors = try SafetensorsFile(path: "\(Fixtures.losses)/tensors.safetensors")
        let ops = ["dpo", "dpo_hinge", "ipo", "ipo_trl", "cdpo", "rdpo_robust", "exo_pair", "nca_pair", "bco_pair_no_delta", "sppo_hard", "apo_zero", "apo_down", "simpo"]
        var seen: Set<String> = []
        for golden in try cases(ops) {
            func input(_ name: String) throws -> [Double]? {
                guard let info = tensors.info("\(golden.key).in.\(name)") else { return nil }
                guard info.dtype.name == "I64" else { return try tensors.floats(info.name).map { Double($0) } }
                return withExtendedLifetime(tensors) { (0..<info.elementCount).map { Double(tensors.bytes(info).loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self)) } }
            }
            func p(_ name: String) -> Double { golden.parameters[name]?.double ?? .nan }
            let loss: PreferenceLoss =
                switch golden.op {
                case "dpo": .dpo(beta: p("beta"))
                case "dpo_hinge": .hinge(beta: p("beta"))
                case "ipo": .ipo(beta: p("beta"))
                case "ipo_trl": .ipo(beta: p("beta"), averaged: true)
                case "cdpo": .conservativeDPO(beta: p("beta"), noise: p("label_smoothing"))
                case "rdpo_robust": .robustDPO(beta: p("beta"), noise: p("label_smoothing"))
                case "exo_pair": .exo(beta: p("beta"), noise: p("label_smoothing"))
                case "nca_pair": .nca(beta: p("beta"))
                case "bco_pair_no_delta": .bco(beta: p("beta"))
                case "sppo_hard": .sppo(beta: p("beta"))
                case "apo_zero": .apoZero(beta: p("beta"))
                case "apo_down": .apoDown(beta: p("beta"))
                default: .simpo(beta: p("beta"), gamma: p("gamma"))
                }
            let chosen = try #require(try input("chosen")), rejected = try #require(try input("rejected")), zeros = chosen.map { _ in 0.0 }
            let lengths = (try input("len_chosen") ?? chosen.map { _ in 1 }, try input("len_rejected") ?? chosen.map { _ in 1 })
            let ours = run(
                loss, chosen, rejected, (try input("ref_chosen") ?? zeros, try input("ref_rejected") ?? zeros), lengths: (lengths.0.map { Int($0) }, lengths.1.map { Int($0) }))
            let expected = Double(try tensors.floats("\(golden.key).out")[0])
            #expect(abs(ours.loss - expected) <= 1e-5 * max(1, abs(expected)), "\(golden.key): \(ours.loss), \(expected)")
            for (gradient, name) in [(ours.chosen, "chosen"), (ours.rejected, "rejected")] {
                let wanted = try tensors.floats("\(golden.key).grad.\(name)")
                #expect(zip(gradient, wanted).allSatisfy { abs($0 - Double($1)) <= 1e-5 * max(1, abs(Double($1))) }, "\(golden.key), \(name): \(gradient), \(wanted)")
            }
            seen.insert(golden.op)
        }
        #expect(seen == Set(ops))
    }

    /// Their likelihood term is a number of its own in the golden files: it is the chosen answer's here, so that its gradient adds to the chosen one's.
    @Test("losses with a likelihood of their own: value and gradient")
    func withLikelihood() throws {
        let tensors = try SafetensorsFile(path: "\(Fixtures.losses)/tensors.safetensors")
        var seen: Set<String> = []
        for golden in try cases(["orpo", "cpo", "slic_hf"]) {
            func input(_ name: String) throws -> [Double] { try tensors.floats("\(golden.key).in.\(name)").map { Double($0) } }
            func gradient(_ name: String) throws -> [Double] { try tensors.floats("\(golden.key).grad.\(name)").map { Double($0) } }
            let p = golden.parameters, chosen = try input("chosen"), rejected = try input("rejected"), zeros = chosen.map { _ in 0.0 }
            let (loss, own, slope): (PreferenceLoss, String, Double) =
                switch golden.op {
                case "orpo": (.orpo(beta: p["beta"]!.double!), "nll", -1)
                case "cpo": (.cpo(beta: p["beta"]!.double!, alpha: p["alpha"]!.double!), "nll", -1)
                default: (.slic(delta: p["delta"]!.double!, lambda: p["lambda"]!.double!), "target", 1)
                }
            let ours = run(loss, chosen, rejected, (zeros, zeros), lengths: (chosen.map { _ in 1 }, chosen.map { _ in 1 }))
            // The golden value has another likelihood in it; both are linear in theirs.
            let theirs = try input(own), weights = try gradient(own), each = theirs.count == chosen.count
            let count = Double(chosen.count), meanOwn = chosen.reduce(0) { $0 + slope * $1 } / count, weight = weights.reduce(0, +)
            let meanTheirs = theirs.reduce(0, +) / Double(theirs.count)
            let expected = Double(try tensors.floats("\(golden.key).out")[0]) + weight * (meanOwn - meanTheirs)
            #expect(abs(ours.loss - expected) <= 1e-5 * max(1, abs(expected)), "\(golden.key): \(ours.loss), \(expected)")
            for (index, wanted) in try gradient("chosen").enumerated() {
                let added = slope * (each ? weights[index] : weight / count)
                #expect(abs(ours.chosen[index] - wanted - added) <= 1e-5 * max(1, abs(wanted)), "\(golden.key)")
            }
            for (ours, wanted) in zip(ours.rejected, try gradient("rejected")) { #expect(abs(ours - wanted) <= 1e-5 * max(1, abs(wanted)), "\(golden.key)") }
            seen.insert(golden.op)
        }
        #expect(seen == ["orpo", "cpo", "slic_hf"])
    }

    @Test("unlikelihood of each negative token: value and gradient by the logits")
    func unlikelihood() throws {
        let tensors = try SafetensorsFile(path: "\(Fixtures.losses)/tensors.safetensors")
        let golden = try #require(try cases(["unlikelihood"]).first)
        let logits = try tensors.floats("\(golden.key).in.logits").map { Double($0) }, shape = try #require(tensors.info("\(golden.key).in.logits")).shape
        let negatives = try tensors.floats("\(golden.key).in.negatives"), rows = shape[0], width = shape[1]
        var wrong = Example(promptTokens: [0], completionTokens: [1])
        wrong.advantage = -1
        var loss = 0.0, gradient = [Double](repeating: 0, count: logits.count)
        for row in 0..<rows {
            let values = Array(logits[row * width..<(row + 1) * width]), top = values.max()!, normalizer = top + log(values.reduce(0) { $0 + exp($1 - top) })
            let tokens = try #require(tensors.info("\(golden.key).in.negatives")).shape[1] == width
                ? (0..<width).filter { negatives[row * width + $0] != 0 } : negatives[row * (negatives.count / rows)..<(row + 1) * (negatives.count / rows)].map { Int($0) }.filter { $0 >= 0 }
            for token in tokens {
                let law = RowLaw(logProbability: Float(values[token] - normalizer), logSumExp: Float(normalizer), entropy: 0)
                let term = Unlikelihood().sums(wrong, [law])[0]
                loss += term.sum / Double(rows)
                for other in 0..<width {
                    gradient[row * width + other] += Double(term.logProbabilityGradients[0]) * ((other == token ? 1 : 0) - exp(values[other] - normalizer)) / Double(rows)
                }
            }
        }
        let expected = Double(try tensors.floats("\(golden.key).out")[0])
        #expect(abs(loss - expected) <= 1e-5 * max(1, abs(expected)), "\(loss), \(expected)")
        #expect(zip(gradient, try tensors.floats("\(golden.key).grad.logits")).allSatisfy { abs($0 - Double($1)) <= 1e-5 * max(1, abs(Double($1))) })
    }

    @Test("certain tokens lose a finite amount, and right answers are trained by their likelihood")
    func edges() {
        var wrong = Example(promptTokens: [0], completionTokens: [1, 2], trained: [true, false])
        wrong.advantage = -1
        let certain = Unlikelihood().sums(wrong, [RowLaw(logProbability: 0, logSumExp: 0, entropy: 0)])[0]
        #expect(certain.sum.isFinite && certain.logProbabilityGradients == [0])
        let right = Example(promptTokens: [0], completionTokens: [1, 2])
        #expect(Unlikelihood().sums(right, [-1, -2].map { RowLaw(logProbability: $0, logSumExp: 0, entropy: 0) })[0].logProbabilityGradients == [-1, -1])
        #expect(Unlikelihood().counts([wrong, right]).map(\.count) == [2, 1])
    }
}
