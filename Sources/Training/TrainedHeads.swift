import Architectures
import Tensors

/// The loss's gradient by what each row's law says.
struct RowGradients {
    var logProbability, entropy, value, normalizer: [Float]

    init(count: Int) {
        logProbability = Array(repeating: 0, count: count)
        (entropy, value, normalizer) = (logProbability, logProbability, logProbability)
    }

    var usesNormalizer: Bool { normalizer.contains { $0 != 0 } }
}

extension Transformer {
    /// The laws of all trained rows of a batch, under the head that the model has, with a critic's values where there is one.
    func laws(_ examples: ExampleBatch, critic: Critic? = nil) -> [RowLaw] {
        switch trainedHead {
        case .vocabulary:
            let hidden = headInput(hiddenStates(examples))
            return valued(head.laws(hidden, targets: examples.targets), critic?.values(hidden))
        case .classes:
            let logits = classLogits(examples, Pass())
            return valued(backend.laws(logits, targets: examples.targets), rewards(logits))
        case .places:
            return placeLaws(classLogits(examples, Pass()).read(), examples).map(\.law)
        }
    }

    /// One recorded pass over a batch and back.
    /// - Parameters:
    ///   - critic: gives the rows their values, and learns from the values' gradients.
    ///   - groups: rows whose gradients depend on each other's laws, together all rows.
    ///   - differentiate: given some of the groups and the laws of their rows, the loss's gradient by each row's log-probability, entropy and value, and under a head of
    ///     classes by its log-sum-exp.
    func backward(
        _ examples: ExampleBatch, _ pass: Pass, critic: Critic? = nil, groups: [Range<Int>], _ differentiate: (_ groups: Range<Int>, _ laws: [RowLaw]) -> RowGradients
    ) {
        guard let tape = pass.tape else { preconditionFailure("a pass without a tape has no backward pass") }
        switch trainedHead {
        case .vocabulary:
            let hidden = headInput(hiddenStates(examples, pass))
            let values = critic?.values(hidden)
            var slopes: [Float] = []
            let dHidden = head.backward(hidden, targets: examples.targets, groups: groups, into: tape.gradients) { some, laws in
                let rows = differentiate(some, valued(laws, values.map { Array($0[slopes.count..<slopes.count + laws.count]) }))
                precondition(!rows.usesNormalizer, "the log-sum-exp of a vocabulary is not trained")
                slopes += rows.value
                return (rows.logProbability, rows.entropy)
            }
            critic?.backward(slopes, hidden, into: dHidden)
            pass.balance?.complete()
            tape.backward([(hidden, dHidden)])
        case .classes:
            let logits = classLogits(examples, pass), laws = backend.laws(logits, targets: examples.targets), numbers = rewards(logits)
            let rows = differentiate(groups.indices, valued(laws, numbers))
            if numbers != nil {
                pass.balance?.complete()
                tape.backward([(logits, backend.tensor(rows.value, shape: logits.shape))])
            } else {
                // Before the logits become their gradient.
                let added = rows.usesNormalizer ? normalizerSlopes(logits, laws, rows.normalizer) : nil
                backend.headBackward(logits, targets: examples.targets, laws: laws, logProbabilityGradients: rows.logProbability, entropyGradients: rows.entropy)
                pass.balance?.complete()
                tape.backward([(logits, added.map { add(logits.detached, $0) } ?? logits.detached)])
            }
        case .places:
            let logits = classLogits(examples, pass), values = logits.read()
            let rows = placeLaws(values, examples), gradients = differentiate(groups.indices, rows.map(\.law))
            precondition(!gradients.usesNormalizer, "the log-sum-exp over places is not trained")
            var slopes = [Float](repeating: 0, count: values.count)
            for (index, (law, places)) in rows.enumerated() {
                for (token, place) in places.enumerated() {
                    let log = values[place] - law.logSumExp, p = Float(fixedExp(Double(log)))
                    slopes[place] = gradients.logProbability[index] * ((token == Int(examples.targets[index]) ? 1 : 0) - p) - gradients.entropy[index] * p * (log + law.entropy)
                }
            }
            pass.balance?.complete()
            tape.backward([(logits, backend.tensor(slopes, shape: logits.shape))])
        }
    }

    /// The loss's gradient by logits, as far as it goes through the log-sum-exp of each row.
    private func normalizerSlopes(_ logits: Tensor, _ laws: [RowLaw], _ gradients: [Float]) -> Tensor {
        let width = logits.shape[1]
        let slopes = logits.read().enumerated().map { index, value in gradients[index / width] * Float(fixedExp(Double(value - laws[index / width].logSumExp))) }
        return backend.tensor(slopes, shape: logits.shape)
    }

    /// What a head of one number says of each row: a reward.
    private func rewards(_ logits: Tensor) -> [Float]? { logits.shape[1] == 1 ? logits.read() : nil }

    private func valued(_ laws: [RowLaw], _ values: [Float]?) -> [RowLaw] {
        guard let values else { return laws }
        return zip(laws, values).map { law, value in
            var law = law
            law.value = value
            return law
        }
    }

    private enum TrainedHead {
        case vocabulary
        /// A class for each sequence or token.
        case classes
        /// A place in each sequence: where a span begins, and where it ends.
        case places
    }

    private var trainedHead: TrainedHead {
        switch configuration.purpose {
        case .languageModel, .pretraining: .vocabulary
        case .sequenceClassification, .tokenClassification, .base: .classes
        case .span: .places
        }
    }

    /// `[trained rows, classes]`; of places `[tokens, 2]`.
    private func classLogits(_ examples: ExampleBatch, _ pass: Pass) -> Tensor {
        var pass = pass
        pass.segments = examples.segments
        guard let logits = labelLogits(hiddenStates(examples.batch, pass), examples.batch) else {
            preconditionFailure("a model of type '\(configuration.modelType)' without a head of classes is trained on labels")
        }
        return configuration.purpose == .tokenClassification ? gatherRows(logits, examples.rows) : logits
    }

    /// For each trained place its law over the tokens of its sequence, and where their logits lie.
    private func placeLaws(_ values: [Float], _ examples: ExampleBatch) -> [(law: RowLaw, places: [Int])] {
        zip(examples.ranges, examples.batch.spans).flatMap { range, span in
            range.map { index in
                let places = span.rows.map { $0 * 2 + index - range.lowerBound }
                let logits = places.map { values[$0] }
                let normalizer = logits.withUnsafeBufferPointer { RowMath.logSumExp($0) }
                let entropy = logits.reduce(Float(0)) { $0 - Float(fixedExp(Double($1 - normalizer))) * ($1 - normalizer) }
                return (RowLaw(logProbability: logits[Int(examples.targets[index])] - normalizer, logSumExp: normalizer, entropy: entropy), places)
            }
        }
    }
}
