import Architectures
import ModelFiles
import Tensors
import Testing
import Training

@Suite("Rationales and labels by one head of classes")
struct RationaleObjectiveTests {
    private func candidate(_ question: Int, weight: Double, label: Int32 = 0, tokens: [Int32] = [1]) -> Example {
        var example = Example(tokens: tokens, labels: .init(targets: [label]))
        example.standing = .init(comparison: question, score: weight)
        return example
    }

    /// What the objective says of one question, from the logits of each candidate.
    private func terms(_ weights: [Double], label: Int, _ logits: [[Double]]) -> [TermSum] {
        let group = weights.map { candidate(0, weight: $0, label: Int32(label)) }
        let laws = logits.map { row -> [RowLaw] in
            let law = SoftmaxRow(row)
            return [RowLaw(logProbability: Float(law.logProbabilities[label]), logSumExp: Float(law.logSumExp), entropy: 0)]
        }
        return RationaleObjective().sums(group[...], laws).flatMap { $0 }
    }

    @Test("the loss is the weighted sum of minus the joint log-probabilities, by one softmax over all candidates and classes; its slopes are by the law of each")
    func formula() {
        let logits = [[0.5, -1, 2], [1.5, 0.25, -0.5]], weights = [0.75, 0.25], label = 2
        let whole = SoftmaxRow(logits.flatMap { $0 }), terms = terms(weights, label: label, logits)
        let expected = -0.75 * whole.logProbabilities[2] - 0.25 * whole.logProbabilities[5]
        #expect(abs(terms.reduce(0) { $0 + $1.sum } - expected) < 1e-6)
        for (candidate, term) in terms.enumerated() {
            let law = SoftmaxRow(logits[candidate]).probabilities, joint = whole.probabilities[candidate * 3..<candidate * 3 + 3]
            for (index, together) in joint.enumerated() {
                // What the pass back makes of the two slopes, beside p(r, c|x) less the weight of the right class.
                let isRight = index == label ? 1.0 : 0
                let slope = Double(term.logProbabilityGradients[0]) * (isRight - law[index]) + Double(term.normalizerGradients?[0] ?? .nan) * law[index]
                #expect(abs(slope - (together - weights[candidate] * isRight)) < 1e-6)
            }
        }
        // Candidates of one question are judged together, and each question counts once.
        let examples = [candidate(0, weight: 1), candidate(0, weight: 0), candidate(1, weight: 1)]
        #expect(RationaleObjective().groups(examples) == [0..<2, 2..<3] && RationaleObjective().counts(examples) == [TermCount("rationale", 2)])
    }

    private func model() throws -> Transformer {
        let config: JSON = [
            "model_type": "bert", "architectures": ["BertForSequenceClassification"], "vocab_size": .integer(Int64(Tiny.vocabulary)), "hidden_size": 24, "intermediate_size": 40,
            "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64, "id2label": ["0": "a", "1": "b", "2": "c"],
        ]
        let model = Transformer(try TransformerConfiguration(ConfigFields(try #require(config.object), file: "bert")), on: try CPUBackend(threads: 2))
        model.initialize(RandomKey(seed: 1), deviation: 0.2)
        return model
    }

    /// Questions of two to four candidates, with weights that sum to 1.
    private var questions: [[Example]] {
        (0..<5).map { question in
            let key = RandomKey(seed: 3).folding(question), count = 2 + question % 3, shares = (0..<count).map { key.uniform(UInt64($0)) + 0.1 }, sum = shares.reduce(0, +)
            return (0..<count).map { candidate(question, weight: shares[$0] / sum, label: Int32(question % 3), tokens: Tiny.tokens(key.folding("tokens").folding($0), 3 + $0)) }
        }
    }

    @Test("gradients are those of central differences; order and cut of a batch do not change them")
    func gradients() throws {
        let model = try model(), examples = questions.flatMap { $0 }
        let whole = try gradient(of: model, RationaleObjective(), examples), cut = try gradient(of: model, RationaleObjective(), examples, microBatchTokens: 1)
        #expect(bits(whole.values) == bits(cut.values) && whole.loss == cut.loss)
        let turned = try gradient(of: model, RationaleObjective(), questions.reversed().flatMap { $0.reversed() })
        #expect(abs(turned.loss - whole.loss) < 1e-6 && deviation(turned.values, whole.values) < 1e-4)
        let (found, looked) = mismatches(whole.values, of: model) { RationaleObjective().loss(examples, under: $0) }
        #expect(found == [] && looked > 3)
    }

    @Test("an even law of candidates under even weights gives nothing to learn about them, and another weight moves them")
    func balance() {
        let even = [[1.0, -1], [1, -1]]
        #expect(terms([0.5, 0.5], label: 0, even).map { $0.normalizerGradients?[0] } == [0, 0])
        #expect(terms([0.9, 0.1], label: 0, even).map { ($0.normalizerGradients?[0] ?? 0) < 0 } == [true, false])
    }
}
