import Architectures
import Evaluation
import Foundation
import ModelFiles
import Recipes
import Tasks
import Tensors
import Testing
import Tokenization
import Training

/// Questions with eight sentences, each of which has one of two values; the fourth one's is the label. p(r|x) and p(y|x,r) are tables, so that both steps of EM are exact.
private struct Tables {
    let values: [[Int]]
    let labels: [Int]
    var relevance = Array(repeating: 1.0 / 8, count: 8)
    /// By sentence, its value, and the label.
    var likelihood = Array(repeating: [[0.5, 0.5], [0.5, 0.5]], count: 8)
    static let informative = 3

    init(_ count: Int, isShuffled: Bool = false) {
        let key = RandomKey(seed: 5), order = key.folding("shuffled").permutation(count)
        values = (0..<count).map { question in (0..<8).map { key.folding(question).index(below: 2, UInt64($0)) } }
        let own = values.map { $0[Self.informative] }
        labels = isShuffled ? order.map { own[$0] } : own
    }

    var laws: [RationaleLaw] {
        values.map { values in RationaleLaw(joint: (0..<8).map { r in likelihood[r][values[r]].map { log(relevance[r]) + log($0) } }) }
    }
    var score: RationaleScore { RationaleScore(laws, labels: labels) }
    var posteriors: [[Double]] { zip(laws, labels).map { $0.posterior(of: $1) } }

    /// The tables that are likeliest under weights of the sentences: shares of weights.
    mutating func maximise(_ weights: [[Double]]) {
        for r in 0..<8 {
            var sums = [[0.0, 0], [0.0, 0]]
            for (question, weights) in weights.enumerated() { sums[values[question][r]][labels[question]] += weights[r] }
            let all = sums.flatMap { $0 }.reduce(0, +)
            relevance[r] = all / Double(weights.count)
            for value in 0..<2 {
                let sum = sums[value][0] + sums[value][1]
                if sum > 0 { likelihood[r][value] = sums[value].map { $0 / sum } }
            }
        }
    }
}

@Suite("EM over candidate rationales")
struct RationaleLawTests {
    @Test("posterior, marginal, answer and the filter's weights are those of a case by hand")
    func byHand() {
        // p(r) = 0.2, 0.8 and p(y|r) = 0.9, 0.1 and 0.3, 0.7.
        let law = RationaleLaw(joint: [[0.2 * 0.9, 0.2 * 0.1], [0.8 * 0.3, 0.8 * 0.7]].map { $0.map { log($0) } })
        func near(_ a: [Double], _ b: [Double]) -> Bool { a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) < 1e-12 } }
        #expect(near(law.posterior(of: 0), [0.18 / 0.42, 0.24 / 0.42]) && near(law.posterior(of: 1), [0.02 / 0.58, 0.56 / 0.58]))
        #expect(near([law.logLikelihood(of: 0), law.logLikelihood(of: 1)], [log(0.42), log(0.58)]) && near(law.labels, [log(0.42), log(0.58)]))
        #expect(law.answer == 1 && law.best == (1, 1))
        #expect(law.weights(for: 1, .hard) == [0, 1] && law.weights(for: 0, .hard) == nil && law.weights(for: 0, .soft) == law.posterior(of: 0))
        let score = RationaleScore([law, law], labels: [0, 1])
        #expect(score.count == 2 && score.right == 1 && near([score.logLikelihood, score.greatestWeight], [(log(0.42) + log(0.58)) / 2, (0.24 / 0.42 + 0.56 / 0.58) / 2]))
        // Probabilities that would be 0 in a number of their own.
        let far = RationaleLaw(joint: [[-2000, -1500], [-2001, -.infinity]])
        #expect(near(far.posterior(of: 0), [1 / (1 + exp(-1)), 1 / (1 + exp(1))]) && far.posterior(of: 1) == [1, 0] && far.logLikelihood(of: 1) == -1500)
        #expect(RationaleLaw(joint: [[0, -.infinity]]).logLikelihood(of: 1) == -.infinity)
    }

    @Test("the marginal likelihood never falls from one exact step to the next, and the sentence that determines the label gets the weight; with shuffled labels none does", arguments: [false, true])
    func exactSteps(isShuffled: Bool) throws {
        var tables = Tables(1200, isShuffled: isShuffled)
        var likelihoods = [tables.score.logLikelihood]
        for _ in 0..<20 {
            tables.maximise(tables.posteriors)
            likelihoods.append(tables.score.logLikelihood)
        }
        #expect(zip(likelihoods, likelihoods.dropFirst()).allSatisfy { $1 >= $0 - 1e-12 }, "\(likelihoods)")
        #expect(abs(likelihoods[0] - log(0.5)) < 1e-12)
        if isShuffled {
            #expect(try #require(tables.posteriors.joined().max()) < 0.3)
            #expect(try #require(likelihoods.last) < log(0.5) + 0.05)
        } else {
            #expect(tables.posteriors.allSatisfy { $0[Tables.informative] > 0.9 })
            #expect(tables.score.right == 1200 && tables.score.greatestWeight > 0.9 && likelihoods.last! > -0.01)
        }
    }

    @Test("under weights that are not the posterior the marginal likelihood does fall")
    func wrongWeights() {
        var tables = Tables(1200)
        tables.maximise(tables.posteriors)
        let before = tables.score.logLikelihood
        tables.maximise(zip(tables.laws, tables.labels).map { $0.posterior(of: 1 - $1) })
        #expect(tables.score.logLikelihood < before - 0.01)
    }
}

@Suite("Choosing rationales with small networks")
struct RationaleSelectionTests {
    private static let subjects = ["fox", "owl", "cat", "dog", "hen", "bee", "ant", "cow"], colours = ["red", "blue", "green", "white"]
    private static let asked = ["who", "what", "why", "how", "when", "where", "which", "whose"]

    /// A tokenizer of a few words, and a network with random values.
    private func model(_ method: RationaleModel.Method, labels: [String] = colours) throws -> Model {
        let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + Self.subjects + Self.colours + Self.asked + ["is", "Reason", "Answer", ":"]
        let special = pieces.prefix(5).enumerated().map { "{\"id\": \($0), \"content\": \"\($1)\", \"special\": true, \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false}" }
        let text = """
            {"version": "1.0", "added_tokens": [\(special.joined(separator: ", "))], "normalizer": null, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {\(pieces.enumerated().map { "\"\($1)\": \($0)" }.joined(separator: ", "))}}}
            """
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("rationales-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try text.write(to: folder.appendingPathComponent("tokenizer.json"), atomically: true, encoding: .utf8)
        let names = labels.enumerated().map { "\"\($0)\": \"\($1)\"" }.joined(separator: ", ")
        let sizes = "\"vocab_size\": \(pieces.count), \"hidden_size\": 32, \"intermediate_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"max_position_embeddings\": 64"
        let config = method == .head
            ? "{\"model_type\": \"bert\", \"architectures\": [\"BertForSequenceClassification\"], \(sizes), \"id2label\": {\(names)}}"
            : "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \(sizes), \"num_key_value_heads\": 2, \"rms_norm_eps\": 1e-5}"
        let object = try #require(try JSON.parse(config, source: "config").object)
        let transformer = Transformer(try TransformerConfiguration(ConfigFields(object, file: "config")), on: try CPUBackend(threads: 2))
        transformer.initialize(RandomKey(seed: 1), deviation: 0.1)
        return Model(transformer: transformer, tokenizer: try Tokenizer(path: folder.path), stopTokens: [3])
    }

    private func base(_ method: RationaleModel.Method = .head) throws -> RationaleModel {
        try RationaleModel(model(method), form: .init(labels: Self.colours, method: method, maxTokens: 32))
    }

    /// Eight sentences in any order, of which the fox's colour is the label; the question itself says nothing.
    private func questions(_ count: Int, _ name: String, hasRationales: Bool = true) -> [RationaleQuestion] {
        (0..<count).map { index in
            let key = RandomKey(seed: 9).folding(name).folding(index), colours = (0..<8).map { Self.colours[key.index(below: 4, UInt64($0))] }
            let sentences = key.folding("order").permutation(8).map { "\(Self.subjects[$0]) is \(colours[$0])" }
            let text = "\(Self.asked[key.index(below: 8, 100)]) \(Self.asked[key.index(below: 8, 101)])"
            return RationaleQuestion(line: index + 1, text: text, rationales: hasRationales ? sentences : [""], label: colours[0])
        }
    }

    private func classes(_ questions: [RationaleQuestion]) throws -> [Int] { try RationaleQuestion.classes(questions, names: Self.colours, file: "questions") }

    private func selection(rounds: Int) -> RationaleSelection {
        var selection = RationaleSelection(trainer: TrainerOptions(optimizer: OptimizerOptions(learningRate: 3e-3), schedule: Schedule(.linear, warmupSteps: 10)))
        (selection.rounds, selection.epochs, selection.leastUpdates, selection.batch) = (rounds, 1, 120, 16)
        return selection
    }

    @Test("an encoder finds the sentence that determines the label, by its posterior and by the filter after it, and answers others by it", arguments: RationaleLaw.Weighting.allCases)
    func learns(weighting: RationaleLaw.Weighting) throws {
        let train = questions(200, "train"), held = questions(200, "held"), base = try base()
        var selection = selection(rounds: 6), scores: [RationaleScore] = []
        (selection.weighting, selection.softRounds) = (weighting, 3)
        let result = try selection.run(train, classes: classes(train), makeModel: base.copy) { round in
            scores.append(round.score)
            #expect(round.updates == (round.number == 0 ? 0 : 120) && (weighting == .hard || round.trained == (round.number == 0 ? 0 : 200)))
            return true
        }
        let first = try #require(scores.first), last = try #require(scores.last)
        #expect(scores.count == 7 && first.greatestWeight < 0.2 && last.logLikelihood > first.logLikelihood + 0.5, "\(scores)")
        let posteriors = try zip(result.laws(train), classes(train)).map { $0.posterior(of: $1) }
        let informative = zip(posteriors, train).reduce(0) { $0 + $1.0[$1.1.rationales.firstIndex { $0.hasPrefix("fox") }!] } / 200
        #expect(informative > 0.5, "\(informative)")
        let score = try RationaleScore(result.laws(held), labels: classes(held))
        #expect(score.right > 120, "\(score)")
    }

    @Test("without rationales the same model guesses, and so it does with shuffled labels, under which no sentence gets much weight", arguments: [true, false])
    func controls(hasRationales: Bool) throws {
        var train = questions(200, "train", hasRationales: hasRationales)
        let held = questions(200, "held", hasRationales: hasRationales), base = try base()
        if hasRationales {
            let labels = train.map(\.label), order = RandomKey(seed: 4).permutation(200)
            for index in train.indices { train[index].label = labels[order[index]] }
        }
        var last: RationaleScore?
        let result = try selection(rounds: hasRationales ? 3 : 1).run(train, classes: classes(train), makeModel: base.copy) { round in
            last = round.score
            return true
        }
        let score = try RationaleScore(result.laws(held), labels: classes(held)), weight = try #require(last?.greatestWeight)
        #expect(score.right < 90, "\(score)")
        #expect(RationaleQuestion.areDegenerate(train) == !hasRationales && (hasRationales ? weight < 0.3 : weight == 1), "\(weight)")
    }

    @Test("what is saved opens again and says the same; a classifier reads its head, and another folder is refused", arguments: RationaleModel.Method.allCases)
    func reopened(method: RationaleModel.Method) async throws {
        let base = try base(method), questions = questions(4, "held")
        try await withFolder { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/model", withIntermediateDirectories: true)
            try base.save(to: "\(folder)/model")
            let opened = try RationaleModel(path: "\(folder)/model", on: CPUBackend(threads: 1)), laws = try base.laws(questions)
            #expect(try opened.form == base.form && opened.laws(questions) == laws)
            if method == .head {
                let row = try Classifier(opened.model).classify([(questions[0].text, questions[0].rationales[1])])[0], joint = laws[0].joint[1], relevance = log(joint.reduce(0) { $0 + exp($1) })
                #expect(zip(row, joint).allSatisfy { abs($0 - ($1 - relevance)) < 1e-5 })
                #expect(abs(laws[0].joint.joined().reduce(0) { $0 + exp($1) } - 1) < 1e-9)
            }
            try FileManager.default.removeItem(atPath: "\(folder)/model/rationales.json")
            let error = #expect(throws: FileError.self) { try RationaleModel(path: "\(folder)/model", on: CPUBackend(threads: 1)) }
            #expect(error?.description.contains("has no rationales.json") == true, "\(String(describing: error))")
        }
    }

    @Test("a generative model's law is the sum of the log-probabilities of rationale, label and end; rounds raise the marginal likelihood")
    func generative() throws {
        let base = try base(.likelihood), one = RationaleQuestion(line: 1, text: "who why", rationales: ["fox is red", "owl is blue"], label: "red")
        let tokens = try base.model.encode("who why Reason : owl is blue Answer : green")
        let logits = base.model.transformer.logits(base.model.transformer.hiddenStates(RaggedBatch([tokens]))).read().map { Double($0) }, width = logits.count / tokens.count
        // [CLS] who why Reason : is read; what follows is written, [SEP] at its end.
        let expected = (5..<tokens.count).reduce(0) { $0 + SoftmaxRow(Array(logits[($1 - 1) * width..<$1 * width])).logProbabilities[Int(tokens[$1])] }
        #expect(tokens.count == 12 && tokens.last == 3)
        #expect(try abs(base.laws([one])[0].joint[1][2] - expected) < 1e-4)
        // A candidate without weight is not trained.
        #expect(try base.examples(one, number: 0, label: 0, weights: [1, 0]).map(\.weight) == [1] && base.examples(one, number: 0, label: 0, weights: [0.75, 0.25]).map(\.weight) == [0.75, 0.25])
        let train = questions(16, "train")
        var likelihoods: [Double] = [], selection = selection(rounds: 2)
        (selection.leastUpdates, selection.batch) = (60, 8)
        try selection.run(train, classes: classes(train), makeModel: base.copy) { round in
            likelihoods.append(round.score.logLikelihood)
            return true
        }
        #expect(likelihoods.count == 3 && likelihoods[1] > likelihoods[0] + 3 && likelihoods[2] > likelihoods[0] + 3, "\(likelihoods)")
    }

    private func message(_ body: () throws -> Void) -> String { do { try body() } catch { return "\(error)" }; return "" }

    @Test("models, classes and texts that do not fit are refused, and so is a filter that keeps nothing")
    func refusals() throws {
        let head = try model(.head), writer = try model(.likelihood)
        func form(_ labels: [String], _ method: RationaleModel.Method, _ limit: Int = 32) -> RationaleModel.Form { .init(labels: labels, method: method, maxTokens: limit) }
        #expect(message { _ = try RationaleModel(head, form: form(["red"], .head)) }.contains("not two or more"))
        #expect(message { _ = try RationaleModel(head, form: form(["red", "red"], .head)) }.contains("each once"))
        #expect(message { _ = try RationaleModel(head, form: form(["red", "blue"], .head)) }.contains("no head of the classes red, blue"))
        #expect(message { _ = try RationaleModel(head, form: form(Self.colours, .likelihood)) }.contains("does not write text"))
        #expect(message { _ = try RationaleModel(writer, form: form(Self.colours, .head)) }.contains("no head of the classes"))
        #expect(message { _ = try RationaleModel(head, form: form(Self.colours, .head, 2)) }.contains("too few"))
        let train = questions(6, "train")
        #expect(message { _ = try RationaleModel(writer, form: form(Self.colours, .likelihood, 7)).laws(train) }.contains("line 1 has a rationale that takes 7"))
        let base = try base(), best = try base.laws(train).map(\.best.label)
        var selection = selection(rounds: 1)
        (selection.weighting, selection.softRounds) = (.hard, 0)
        let wrong = message { try selection.run(train, classes: best.map { ($0 + 1) % 4 }, makeModel: base.copy) { _ in true } }
        #expect(wrong.contains("none of 6 questions") && wrong.contains("keeps nothing"), "\(wrong)")
        selection.leastUpdates = 1
        #expect(message { try selection.run(train, classes: best, makeModel: base.copy) { _ in true } } == "")
    }
}
