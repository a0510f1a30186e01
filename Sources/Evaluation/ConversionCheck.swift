import Architectures
import Sampling
import Tensors

/// Whether a model that was written says what the one that it was made from says.
public struct ConversionCheck: Sendable, CustomStringConvertible {
    public var prompts: Int
    /// Prompts whose tokens are the same.
    public var sameTokens: Int
    /// Prompts after which greedy answers are the same, where the model writes.
    public var sameAnswers: Int?
    /// Mean over the prompts' tokens of the divergence of the second law from the first, in nats; nil without a vocabulary head.
    public var divergence: Double?
    /// Largest difference of final hidden states over their largest magnitude.
    public var deviation: Double

    /// Runs both models after the prompts, with greedy answers of `tokens` tokens.
    public init(_ first: Model, _ second: Model, prompts: [String], tokens: Int) throws {
        self.prompts = prompts.count
        let limit = max(2, first.transformer.configuration.maxPositionEmbeddings - tokens)
        let encoded = try prompts.map { try first.encode($0, limit: limit) }
        sameTokens = try zip(prompts, encoded).filter { try second.encode($0, limit: limit) == $1 }.count
        var largest = 0.0, difference = 0.0, sum = 0.0, rows = 0
        let c = first.transformer.configuration, hasHead = second.transformer.configuration.purpose == .languageModel && c.encoderLayers == nil
        for ids in encoded {
            func states(_ model: Model) -> Tensor {
                let batch = RaggedBatch([ids])
                return c.encoderLayers == nil ? model.transformer.hiddenStates(batch) : model.transformer.encode(batch)
            }
            let (a, b) = (states(first), states(second))
            for (x, y) in zip(a.read(), b.read()) {
                largest = max(largest, Double(abs(x)))
                // NaN is kept.
                if !(Double(abs(x - y)) <= difference) { difference = Double(abs(x - y)) }
            }
            guard hasHead else { continue }
            let (p, q) = (first.transformer.logits(a), second.transformer.logits(b)), width = p.shape[1]
            let none = Array(repeating: Int32(-1), count: ids.count)
            let (pLaws, qLaws) = (first.transformer.backend.laws(p, targets: none), second.transformer.backend.laws(q, targets: none))
            let (pValues, qValues) = (p.read(), q.read())
            for row in 0..<ids.count {
                for column in 0..<width {
                    let log = Double(pValues[row * width + column] - pLaws[row].logSumExp)
                    sum += fixedExp(log) * (log - Double(qValues[row * width + column] - qLaws[row].logSumExp))
                }
                rows += 1
            }
        }
        deviation = largest > 0 ? difference / largest : difference
        divergence = hasHead ? sum / Double(max(1, rows)) : nil
        guard c.isCausal, c.purpose == .languageModel else { return }
        func answers(_ model: Model) throws -> [[Int32]] {
            try Generator(model).run(encoded.map {
                GenerationRequest(promptTokens: $0, options: .greedy, maxTokens: tokens, stopTokens: model.stopTokens, key: RandomKey(seed: 0))
            }).map(\.tokens)
        }
        sameAnswers = zip(try answers(first), try answers(second)).filter { $0 == $1 }.count
    }

    public var description: String {
        var parts = ["\(sameTokens) of \(prompts) prompts have the same tokens"]
        if let sameAnswers { parts.append("\(sameAnswers) of \(prompts) greedy answers are the same") }
        if let divergence { parts.append("mean divergence \(rounded(divergence)) nats") }
        parts.append("hidden states differ by \(rounded(deviation * 100)) % of their largest at most")
        return parts.joined(separator: "; ")
    }

    private func rounded(_ value: Double) -> Double { value == 0 ? 0 : Double("\(Float(value))") ?? value }
}
