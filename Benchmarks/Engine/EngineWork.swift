import Autodidact
import Foundation

/// A whole model at work: sampling, scoring and training.
final class EngineWork {
    private let opened: Model
    /// The model that was opened, at the precision of the work.
    private var model: Model
    private var models: [Precision: Model] = [:]
    private let key = RandomKey(seed: 0)
    private var trainers: [String: Trainer] = [:]
    /// Iterations of policy gradient so far: each takes other questions.
    private var iterations = 0

    init(model: Model) {
        opened = model
        self.model = model
    }

    /// Nil for work that is not known.
    func answer(_ request: Request) throws -> [String: Double]? {
        let size = request.size ?? [], precision = request.precision ?? .float32
        if models[precision] == nil { models[precision] = opened.at(precision) }
        model = models[precision]!
        switch (request.work, size.count) {
        case ("load", 0): return ["seconds": try seconds { _ = try Model(path: model.source!, on: model.transformer.backend) }]
        case ("prefill", 1): return try prefill(tokens: size[0])
        case ("decode", 3): return try decode(sequences: size[0], prompt: size[1], new: size[2])
        case ("shared-prefix", 5): return try sharedPrefix(prompts: size[0], samples: size[1], prefix: size[2], own: size[3], new: size[4])
        case ("score", 2): return score(batch: size[0], length: size[1])
        case ("train", 2): return try train(batch: size[0], length: size[1], activations: request.kind.flatMap(ActivationFormat.init) ?? .float32)
        case ("train-some", 3): return try train(batch: size[0], length: size[1], trained: size[2])
        case ("train-random", 5): return try trainRandom(width: size[0], layers: size[1], vocabulary: size[2], batch: size[3], length: size[4])
        case ("sft", 2): return try request.path.map { try sft(Question.load($0), count: size[0], batch: size[1], sharing: request.kind == "shared") }
        case ("same-completions", 0): return try request.path.map { try sameCompletions(JSONDecoder().decode([Recorded].self, from: Data(contentsOf: URL(fileURLWithPath: $0)))) }
        case ("policy", 3): return try request.path.map { try policy(Question.load($0), prompts: size[0], samples: size[1], length: size[2], forced: request.kind == "forced") }
        default: return nil
        }
    }

    // MARK: Sampling

    private func tokens(_ count: Int, _ key: RandomKey) -> [Int32] {
        key.permutation(model.transformer.configuration.vocabularySize - 100).prefix(count).map { Int32($0 + 50) }
    }

    private func prefill(tokens count: Int) throws -> [String: Double] {
        let request = GenerationRequest(promptTokens: tokens(count, key), options: SamplingOptions(temperature: 0), maxTokens: 1, stopTokens: [], key: key)
        let generator = Generator(model)
        let time = try seconds { try generator.run([request]) }
        return ["tokens_s": Double(count) / time, "seconds": time]
    }

    /// Sequences that decode together, in all and from when each has its first token.
    private func decode(sequences: Int, prompt: Int, new: Int) throws -> [String: Double] {
        let generator = Generator(model)
        generator.maxSequences = sequences
        generator.maxPrefillTokens = sequences * prompt
        let requests = (0..<sequences).map { index in
            GenerationRequest(promptTokens: tokens(prompt, key.folding(index)), options: SamplingOptions(temperature: 1), maxTokens: new, stopTokens: [], key: key.folding(index))
        }
        var (first, drawn) = (ContinuousClock.now, 0)
        let time = try seconds {
            try generator.run(requests, onToken: { _, _, _ in
                drawn += 1
                if drawn == sequences { first = .now }
            })
        }
        let decoding = (ContinuousClock.now - first) / .seconds(1)
        return ["tokens_s": Double(sequences * (new - 1)) / decoding, "with_prefill_tokens_s": Double(sequences * new) / time, "seconds": time]
    }

    private func sharedPrefix(prompts: Int, samples: Int, prefix: Int, own: Int, new: Int) throws -> [String: Double] {
        let generator = Generator(model)
        generator.maxSequences = 256
        let common = tokens(prefix, key)
        let requests = (0..<prompts).map { index in
            GenerationRequest(
                promptTokens: common + tokens(own, key.folding(index + 1)), samples: samples, options: SamplingOptions(temperature: 1), maxTokens: new, stopTokens: [],
                key: key.folding(index))
        }
        let time = try seconds { try generator.run(requests) }
        return ["seconds": time, "tokens_s": Double(prompts * samples * new) / time]
    }

    // MARK: Training

    /// Every token but the first is trained, or scored, as in the peer.
    private func examples(_ batch: Int, _ length: Int) -> [Example] {
        (0..<batch).map { index in
            let ids = tokens(length, key.folding(index))
            return Example(promptTokens: [ids[0]], completionTokens: Array(ids.dropFirst()))
        }
    }

    private func score(batch: Int, length: Int) -> [String: Double] {
        let examples = examples(batch, length)
        let time = seconds { _ = model.transformer.score(examples) }
        return ["tokens_s": Double(batch * length) / time, "seconds": time]
    }

    /// One trainer for each kind of work: its moments are there from the second step on.
    private func trainer(_ name: String, _ objective: any Objective, learningRate: Double = 1e-5, sharing: Bool = true, activations: ActivationFormat = .float32) -> Trainer {
        if let trainer = trainers[name] { return trainer }
        let options = TrainerOptions(optimizer: OptimizerOptions(learningRate: learningRate), sharesPrefixes: sharing, activations: activations)
        let isCoded = model.transformer.parameters.parameters.contains { $0.format != .float32 }
        let trainer = Trainer(isCoded ? model.transformer.copy(expanding: true) : model.transformer, objective: objective, options: options, totalSteps: 1000)
        trainers[name] = trainer
        return trainer
    }

    /// One step; with `trained`, only on so many tokens, the same share of every sequence.
    private func train(batch: Int, length: Int, trained: Int? = nil, activations: ActivationFormat = .float32) throws -> [String: Double] {
        let trainer = trainer("train \(batch) \(length) \(activations)", NegativeLogLikelihood(), activations: activations)
        var examples = examples(batch, length)
        if let trained {
            for index in examples.indices { examples[index].trained = (0..<length - 1).map { $0 < trained / batch } }
        }
        let time = try seconds { _ = try trainer.step(examples) }
        return ["tokens_s": Double(batch * length) / time, "seconds": time]
    }

    /// A model of random values in place of the one that was opened.
    private func trainRandom(width: Int, layers: Int, vocabulary: Int, batch: Int, length: Int) throws -> [String: Double] {
        let name = "random \(width) \(layers)"
        if trainers[name] == nil {
            let configuration = TransformerConfiguration(
                modelType: "llama", vocabularySize: vocabulary, hiddenSize: width, intermediateSize: 4 * width, numHiddenLayers: layers, numAttentionHeads: width / 64,
                maxPositionEmbeddings: 2048, tieWordEmbeddings: true)
            let decoder = Transformer(configuration, on: model.transformer.backend)
            decoder.initialize(key)
            trainers[name] = Trainer(decoder, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 1e-5)), totalSteps: 1000)
        }
        let examples = (0..<batch).map { index in
            let ids = key.folding(index).permutation(vocabulary).prefix(length).map { Int32($0) }
            return Example(promptTokens: [ids[0]], completionTokens: Array(ids.dropFirst()))
        }
        let time = try seconds { _ = try trainers[name]!.step(examples) }
        return ["tokens_s": Double(batch * length) / time, "seconds": time]
    }

    /// Completions of questions are trained, `batch` examples a step.
    private func sft(_ questions: [Question], count: Int, batch: Int, sharing: Bool) throws -> [String: Double] {
        let trainer = trainer("sft \(sharing)", NegativeLogLikelihood(), sharing: sharing)
        let examples = try questions.prefix(count).map { question in
            Example(promptTokens: try question.prompt(of: model), completionTokens: try model.encode("The answer is \(question.answer).<|im_end|>\n", addSpecialTokens: false))
        }
        var loss = 0.0, computed = 0
        let time = try seconds {
            for start in stride(from: 0, to: examples.count, by: batch) {
                let result = try trainer.step(Array(examples[start..<min(examples.count, start + batch)]))
                if start == 0 { loss = result.loss }
                computed += result.computedTokens
            }
        }
        return [
            "examples_s": Double(examples.count) / time, "seconds": time, "tokens_per_example": Double(examples.reduce(0) { $0 + $1.tokenCount }) / Double(examples.count),
            "computed_per_example": Double(computed) / Double(examples.count), "first_loss": loss,
        ]
    }

    /// One iteration of sampling, rewarding and training. Forced: every completion has `length` tokens and every fourth is rewarded.
    private func policy(_ questions: [Question], prompts: Int, samples: Int, length: Int, forced: Bool) throws -> [String: Double] {
        let trainer = trainer("policy", ClippedPolicyGradient(), learningRate: 1e-6)
        let chosen = (0..<prompts).map { questions[(iterations * prompts + $0) % questions.count] }
        iterations += 1
        var sampling = 0.0, completions: [Completion] = [], silent = 0
        let time = try seconds {
            let model = model.with(trainer.decoder)
            let requests = try chosen.enumerated().map { index, question in
                GenerationRequest(
                    promptTokens: try question.prompt(of: model), samples: samples, options: SamplingOptions(temperature: 1), maxTokens: length,
                    stopTokens: forced ? [] : model.stopTokens, key: key.folding(iterations).folding(index))
            }
            sampling = try seconds { completions = try Generator(model).run(requests) }
            var examples: [Example] = []
            for group in 0..<prompts {
                let members = completions[group * samples..<(group + 1) * samples]
                let rewards = members.map { completion -> Double in
                    if forced { return completion.sample % 4 == 0 ? 1 : 0 }
                    return finalNumber(completion.text) == chosen[group].answer ? 1 : 0
                }
                let advantages = groupAdvantages([rewards])[0]
                if advantages.allSatisfy({ $0 == 0 }) { silent += 1 }
                examples += zip(members, advantages).map { completion, advantage in
                    Example(promptTokens: requests[group].promptTokens, completionTokens: completion.tokens, advantage: Float(advantage))
                }
            }
            _ = try trainer.step(examples)
        }
        let drawn = completions.reduce(0) { $0 + $1.tokens.count }
        return [
            "seconds": time, "sampling_seconds": sampling, "training_seconds": time - sampling, "tokens_s": Double(drawn) / time,
            "mean_length": Double(drawn) / Double(completions.count), "groups_without_signal": Double(silent) / Double(prompts),
        ]
    }

    /// What the peer drew and rewarded.
    private struct Recorded: Decodable {
        var prompt: String
        var completion: [Int32]
        var reward: Double
    }

    /// Loss and gradient of one step on the peer's completions, groups of 8.
    private func sameCompletions(_ recorded: [Recorded]) throws -> [String: Double] {
        let advantages = groupAdvantages(stride(from: 0, to: recorded.count, by: 8).map { recorded[$0..<$0 + 8].map(\.reward) }).flatMap { $0 }
        let examples = try zip(recorded, advantages).map { sample, advantage in
            Example(promptTokens: try model.encode([(role: "user", content: sample.prompt)]), completionTokens: sample.completion, advantage: Float(advantage))
        }
        let result = try trainer("same completions", ClippedPolicyGradient(), learningRate: 0).step(examples)
        return ["loss": result.loss, "gradient_norm": result.gradientNorm]
    }

    private func finalNumber(_ text: String) -> Int? { text.matches(of: /-?\d+/).last.flatMap { Int($0.output) } }
}

/// A line of Benchmarks/questions.jsonl.
struct Question: Decodable {
    var question: String
    var answer: Int

    static func load(_ path: String) throws -> [Question] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { try JSONDecoder().decode(Question.self, from: Data($0.utf8)) }
    }

    func prompt(of model: Model) throws -> [Int32] {
        try model.encode([(role: "user", content: "Solve the problem step by step and end with 'The answer is N.'\n\n" + question)])
    }
}
