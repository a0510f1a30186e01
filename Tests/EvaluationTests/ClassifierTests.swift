import Architectures
import Evaluation
import Foundation
import ModelFiles
import Tensors
import Testing
import Tokenization
import Training

/// One call for masked and generative models and for heads. Source: METHODS 7.1, "How to know it works".
@Suite("Classifying by masks, likelihoods and heads", .enabled(if: !Fixtures.folders("models").isEmpty, "no model fixtures: set AUTODIDACT_FIXTURES"))
struct ClassifierTests {
    private static let words = ["good", "bad", "film", "play", "it", "was", "the", "a", "fine", "awful", ".", "N", "/", "A"]

    /// A golden model with a tokenizer of a few words, of which "very" is written by two tokens.
    private func model(_ name: String) throws -> Model {
        let pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + Self.words + ["ve", "##ry"]
        let special = pieces.prefix(5).enumerated().map { "{\"id\": \($0), \"content\": \"\($1)\", \"special\": true, \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false}" }
        let vocabulary = pieces.enumerated().map { "\"\($1)\": \($0)" }
        let text = """
            {"version": "1.0", "added_tokens": [\(special.joined(separator: ", "))], "normalizer": null, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {\(vocabulary.joined(separator: ", "))}}}
            """
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("classifier-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try text.write(to: folder.appendingPathComponent("tokenizer.json"), atomically: true, encoding: .utf8)
        return Model(transformer: try Fixtures.model(name), tokenizer: try Tokenizer(path: folder.path), stopTokens: [])
    }

    private let texts: [(text: String, pair: String?)] = [("the film was fine", nil), ("a play", nil), ("it was awful . it was bad", nil)]

    @Test("the order of labels permutes the scores; they are log-probabilities", arguments: ["bert", "llama"])
    func permuted(name: String) throws {
        let model = try model(name)
        for (labels, isCalibrated) in [(["good", "bad", "film"], false), (["good", "bad", "film"], true), (["good", "very", "film"], false)] {
            let rows = try Classifier(model, labels: labels, isCalibrated: isCalibrated).classify(texts)
            let reversed = try Classifier(model, labels: labels.reversed(), isCalibrated: isCalibrated).classify(texts)
            for (a, b) in zip(rows, reversed) {
                #expect(abs(a.reduce(0) { $0 + exp($1) } - 1) < 1e-9)
                #expect(zip(a, b.reversed()).allSatisfy { abs($0 - $1) < 1e-9 })
            }
            let alone = try Classifier(model, labels: labels, isCalibrated: isCalibrated).classify([texts[1]])
            #expect(alone[0] == rows[1])
        }
    }

    @Test("by one token each, classes differ as the logits of the last row, or of the mask, do")
    func logits() throws {
        let generative = try model("llama"), masked = try model("bert")
        let good = Int(try #require(generative.tokenizer.id(of: "good"))), bad = Int(try #require(generative.tokenizer.id(of: "bad")))
        let row = try Classifier(generative, labels: ["good", "bad"], template: "{text} it was").classify([texts[0]])[0]
        let tokens = try generative.encode("the film was fine it was good")
        // The word stands before [SEP], which is no part of it: its law is that of the token before it.
        let all = generative.transformer.logits(generative.transformer.hiddenStates(RaggedBatch([tokens]))).read(), width = all.count / tokens.count, at = (tokens.count - 3) * width
        #expect(tokens[tokens.count - 2] == Int32(good))
        #expect(abs(row[0] - row[1] - Double(all[at + good] - all[at + bad])) < 1e-5)
        let fill = try Classifier(masked, labels: ["good", "bad"], template: "{text} {mask}").classify([texts[0]])[0]
        let input = try masked.encode("the film was fine [MASK]"), mask = input.count - 2
        let logits = masked.transformer.logits(masked.transformer.hiddenStates(RaggedBatch([input]))).read()
        #expect(abs(fill[0] - fill[1] - Double(logits[mask * width + good] - logits[mask * width + bad])) < 1e-5)
    }

    @Test("a text that is too long is refused where each mask is asked for, and cut for a class")
    func long() throws {
        let model = try model("bert"), filler = try MaskFiller(model), context = model.transformer.configuration.maxPositionEmbeddings
        let text = String(repeating: "film ", count: context) + "[MASK]"
        #expect(throws: FileError.self) { try filler.laws([text]) }
        #expect(try filler.laws([text], cutting: true)[0].count == 1)
        // Behind the mask the end is cut, also where the mask comes first; what stands before it stays where that is shorter.
        let films = String(repeating: "film ", count: context)
        #expect(try filler.laws(["[MASK] \(films)"], cutting: true) == filler.laws(["[MASK] " + String(repeating: "film ", count: context - 3)]))
        #expect(try filler.laws(["fine was the [MASK] \(films)"], cutting: true) == filler.laws(["fine was the [MASK] " + String(repeating: "film ", count: context - 6)]))
    }

    @Test("what decides a model's answers is its identity, not the weights alone")
    func identity() throws {
        let model = try model("bert"), other = Model(transformer: model.transformer, tokenizer: model.tokenizer, stopTokens: model.stopTokens + [3])
        #expect(model.identityHash() == (try self.model("bert")).identityHash() && model.identityHash() != other.identityHash())
        #expect(model.identityHash() != (try self.model("llama")).identityHash())
    }

    @Test("words of several tokens fill several masks, the surest first")
    func severalTokens() throws {
        let model = try model("bert"), filler = try MaskFiller(model)
        let word = try filler.tokens("very")
        #expect(word.count == 2)
        #expect(throws: (any Error).self) { try filler.tokens("ünknown") }
        let score = try filler.score(["the {mask} film"], word: word)[0]
        let first = try filler.laws(["the [MASK][MASK] film"])[0]
        let sure = first[0][Int(word[0])] >= first[1][Int(word[1])] ? 0 : 1
        var tokens = try model.encode("the [MASK][MASK] film")
        tokens[2 + sure] = word[sure]
        let hidden = model.transformer.logits(model.transformer.hiddenStates(RaggedBatch([tokens]))).read(), width = hidden.count / tokens.count
        let row = hidden[(3 - sure) * width..<(4 - sure) * width].map { Double($0) }
        let second = row[Int(word[1 - sure])] - log(row.reduce(0) { $0 + exp($1) })
        #expect(abs(score - Double(first[sure][Int(word[sure])]) - second) < 1e-4)
        #expect(try filler.score(["the {mask} film"], word: [5])[0] == Double(filler.laws(["the {mask} film"])[0][0][5]))
    }

    @Test("the pseudo-likelihood of a text of one token is the log-probability at its mask; batches change no bit")
    func pseudoLikelihood() throws {
        let model = try model("bert"), filler = try MaskFiller(model)
        let one = filler.pseudoLogProbabilities("film")
        #expect(one == [try filler.laws(["[MASK]"])[0][0][Int(try #require(model.tokenizer.id(of: "film")))]])
        let long = "the film was fine"
        #expect(filler.pseudoLogProbabilities(long).count == 4)
        // A word that the vocabulary does not know is scored too.
        #expect(filler.pseudoLogProbabilities("the ünknown film").count == 3)
        #expect(filler.pseudoLogProbabilities(long) == filler.pseudoLogProbabilities(long, batchTokens: 1))
    }

    @Test("words for masks and after texts over-fit sixteen sentences as a head does", arguments: [("bert", Classifier.Method.mask), ("llama", .likelihood)])
    func overfits(name: String, method: Classifier.Method) throws {
        let base = try model(name), model = base.with(base.transformer.copy(expanding: true))
        let classifier = try Classifier(model, labels: ["good", "bad"], method: method)
        let sentences = (0..<16).map { index -> (text: String, label: Int) in
            let key = RandomKey(seed: 3).folding(index)
            return ((0..<6).map { Self.words[key.index(below: 11, UInt64($0))] }.joined(separator: " "), index % 2)
        }
        let examples = try sentences.map { try classifier.example((text: $0.text, pair: nil), class: $0.label) }
        let trainer = Trainer(model.transformer, objective: NegativeLogLikelihood(), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 0.01)), totalSteps: 80)
        for _ in 0..<80 { _ = try trainer.step(examples) }
        let rows = try classifier.classify(sentences.map { (text: $0.text, pair: nil) })
        let right = zip(rows, sentences).count { ($0[0] > $0[1] ? 0 : 1) == $1.label }
        #expect(right >= 15, "\(right) of 16")
        let uneven = try Classifier(model, labels: ["very", "bad"], method: method)
        if method == .mask { #expect(throws: (any Error).self) { try uneven.example(("a film", nil), class: 0) } }
    }

    @Test("templates that do not fit are refused")
    func refusals() throws {
        let masked = try model("bert"), generative = try model("llama")
        func message(_ body: () throws -> Void) -> String { do { try body() } catch { return "\(error)" }; return "" }
        #expect(message { _ = try Classifier(generative, labels: ["good", "bad"], template: "{text} {mask}") }.contains("fills no mask"))
        #expect(message { _ = try Classifier(masked, labels: ["good", "bad"], template: "{text}") }.contains("without {mask}"))
        #expect(message { _ = try Classifier(masked, labels: ["good", "bad"], template: "{text} {pair} {mask}").classify(texts) }.contains("no second text"))
        #expect(message { _ = try Classifier(masked, labels: ["good", "bad"]).classify([("a", "the")]) }.contains("no {pair}"))
        #expect(message { _ = try Classifier(masked, labels: ["good", "bad"]).classify([("the [MASK] film", nil)]) }.contains("holds a mask itself"))
        #expect(message { _ = try Classifier(masked, labels: ["good", "bad"], words: ["good", "good"]) }.contains("one word for two classes"))
        #expect(message { _ = try Classifier(masked, labels: ["good", "good"]) }.contains("each once"))
        #expect(message { _ = try Classifier(masked, labels: ["good", "bad"], words: ["good"]) }.contains("1 words for 2 classes"))
        #expect(try Classifier(masked, labels: ["good", "bad"]).exceeds((String(repeating: "the film ", count: 400), nil)))
        #expect(try !Classifier(masked, labels: ["good", "bad"]).exceeds(texts[0]))
    }
}
