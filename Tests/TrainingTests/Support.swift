import Architectures
import Foundation
import ModelFiles
import Tasks
import Tensors
import Training

/// The golden data of other implementations; other sizes and counts under the same layout are as good.
enum Fixtures {
    private static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static let folder = ProcessInfo.processInfo.environment["AUTODIDACT_FIXTURES"]
        ?? package.appendingPathComponent("../shared/fixtures").standardizedFileURL.path
    static let optim = folder + "/optim", losses = folder + "/losses"

    static var hasOptim: Bool { FileManager.default.fileExists(atPath: "\(optim)/cases.json") }
    static var hasLosses: Bool { FileManager.default.fileExists(atPath: "\(losses)/cases.json") }

    /// What docs/unsupported.json lists under a key.
    static func unsupported(_ key: String) throws -> Set<String> {
        Set(try JSON.read(path: package.appendingPathComponent("docs/unsupported.json").path)[key]?.array?.compactMap(\.string) ?? [])
    }
}

func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

enum Tiny {
    static let vocabulary = 23

    static func decoder(seed: UInt64 = 1, threads: Int = 2, kernels: String? = nil, tied: Bool = true, deviation: Double = 0.2) throws -> Transformer {
        let configuration = TransformerConfiguration(
            modelType: "llama", vocabularySize: vocabulary, hiddenSize: 24, intermediateSize: 40, numHiddenLayers: 2, numAttentionHeads: 4, numKeyValueHeads: 2,
            maxPositionEmbeddings: 128, tieWordEmbeddings: tied)
        let decoder = Transformer(configuration, on: try CPUBackend(threads: threads, kernels: kernels))
        decoder.initialize(RandomKey(seed: seed), deviation: deviation)
        return decoder
    }

    static func tokens(_ key: RandomKey, _ count: Int) -> [Int32] { (0..<count).map { Int32(key.index(below: vocabulary, UInt64($0))) } }

    /// Examples of many lengths, two in three behind a common prompt, with gaps in their masks and advantages of both signs.
    static func examples(seed: UInt64 = 1, count: Int = 9) -> [Example] {
        let key = RandomKey(seed: seed).folding("examples")
        let common = tokens(key.folding("common"), 19)
        return (0..<count).map { index in
            let k = key.folding(index)
            let prompt = (index % 3 == 2 ? [] : common) + tokens(k.folding("prompt"), 1 + k.index(below: 4, 1))
            let completion = tokens(k.folding("completion"), 1 + k.index(below: 12, 2))
            return Example(
                promptTokens: prompt, completionTokens: completion, trained: completion.indices.map { $0 == 0 || k.uniform(UInt64(10 + $0)) < 0.7 },
                advantage: Float(k.normal(3)), rollouts: [RolloutKey(iteration: 1, phase: "attempt", index: index)])
        }
    }
}

extension Transformer {
    var weightBits: [[UInt32]] { parameters.parameters.map { bits(parameters.read($0)) } }

    func set(_ name: String, _ values: [Float]) {
        values.withUnsafeBufferPointer { parameters.write($0, to: parameters[name]!) }
    }

    func values(_ name: String) -> [Float] { parameters.read(parameters[name]!) }
}

extension OptimizerOptions {
    /// Gradient descent: with an epsilon far above every gradient, and no memory, what is left of Adam is `rate` times the gradient.
    static func plain(_ rate: Double, clip: Double = 0) -> OptimizerOptions {
        OptimizerOptions(learningRate: rate * 1e4, beta1: 0, beta2: 0, epsilon: 1e4, maxGradientNorm: clip)
    }
}

/// Puts gradients of its choice before the backward pass adds its own, and remembers those of the update.
final class GradientProbe: StepPlugin {
    let name = "gradient probe"
    var injected: [(parameter: Parameter, values: [Float])] = []
    private(set) var seen: [String: [Float]] = [:]
    private(set) var byteCount = 0

    func beforeForward(_ pass: Pass, step: Int) -> Pass {
        for (parameter, values) in injected { values.withUnsafeBufferPointer { pass.tape!.gradients.write($0, to: parameter) } }
        return pass
    }

    func beforeUpdate(_ gradients: Gradients, rate: Double, step: Int) -> Double {
        byteCount = gradients.byteCount
        for parameter in gradients.parameters.parameters where gradients.trains(parameter) { seen[parameter.name] = gradients.read(parameter) }
        return rate
    }
}

/// A loss that is 0 with gradient 0: what changes then is not the loss's doing.
struct Silence: Objective {
    func counts(_ examples: [Example]) -> [TermCount] { [TermCount("silence", 1)] }
    func sums(_ example: Example, _ laws: [RowLaw]) -> [TermSum] {
        [TermSum("silence", sum: 0, logProbabilityGradients: Array(repeating: 0, count: laws.count))]
    }
}

/// The loss of a batch and its gradient in every parameter, in order; the weights stay as they are.
func gradient(of decoder: Transformer, _ objective: any Objective, _ examples: [Example], sharesPrefixes: Bool = false, microBatchTokens: Int = 2048) throws -> (
    loss: Double, values: [Float], result: StepResult
) {
    let trainer = Trainer(
        decoder, objective: objective,
        options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0), microBatchTokens: microBatchTokens, sharesPrefixes: sharesPrefixes), totalSteps: 1)
    let probe = GradientProbe()
    trainer.plugins = [probe]
    let result = try trainer.step(examples)
    return (result.loss, decoder.parameters.parameters.flatMap { probe.seen[$0.name] ?? [] }, result)
}

/// Whether a gradient is that of the loss: along each parameter's part of it the loss changes by the squared length of that part, within 1 %. Parts that are
/// too small for float32 to show are passed over.
/// - Parameters:
///   - gradient: all parameters' values, in their order.
///   - model: where it was taken.
///   - loss: of a model with other values.
/// - Returns: the parameters where it is not, with both numbers; and how many were looked at.
func mismatches(_ gradient: [Float], of model: Transformer, _ loss: (Transformer) throws -> Double) rethrows -> (found: [String], looked: Int) {
    func length(_ values: ArraySlice<Float>) -> Double { values.reduce(0) { $0 + Double($1) * Double($1) } }
    var (found, looked, first) = ([String](), 0, 0)
    for parameter in model.parameters.parameters {
        let values = model.parameters.read(parameter), part = gradient[first..<first + values.count], expected = length(part)
        first += values.count
        guard expected > 1e-3 * length(gradient[...]) else { continue }
        looked += 1
        let step = 1e-2 / expected.squareRoot()
        func shifted(by distance: Double) throws -> Double {
            let moved = model.copy()
            moved.set(parameter.name, zip(values, part).map { $0 + Float(distance) * $1 })
            return try loss(moved)
        }
        let slope = try (shifted(by: step) - shifted(by: -step)) / (2 * step)
        if !(abs(slope - expected) < 0.01 * expected) { found.append("\(parameter.name): \(slope) beside \(expected)") }
    }
    return (found, looked)
}

/// The largest difference, as a share of the largest value.
func deviation(_ a: [Float], _ b: [Float]) -> Double {
    let largest = Double(b.map(abs).max() ?? 0)
    guard (a + b).allSatisfy(\.isFinite) else { return .infinity }
    let difference = zip(a, b).map { abs(Double($0) - Double($1)) }.max() ?? 0
    return a.count == b.count ? difference / max(largest, .leastNormalMagnitude) : .infinity
}
