import Architectures
import Evaluation
import Foundation
import ModelFiles
import Recipes
import Tasks
import Tensors
import Testing
import Training

@Suite("Judged answers as examples")
struct JudgedDataTests {
    private let model: Model

    init() throws {
        var shape = FreshDecoder()
        (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 64, 2, 2, 64)
        model = try Model.forAddition(shape, key: RandomKey(seed: 3), on: try CPUBackend(threads: 2))
    }

    /// What `body` makes of files of these lines.
    private func read<Result>(_ files: [String], limit: Int = 64, _ body: (JudgedData) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("judged-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let paths = files.indices.map { "\(folder)/\($0).jsonl" }
        for (path, text) in zip(paths, files) { try text.write(toFile: path, atomically: true, encoding: .utf8) }
        return try body(try JudgedData(paths, model, limit: limit, isChat: false))
    }

    private static let labels = """
        {"prompt": "1 + 2 =", "completion": " 3", "label": true}
        {"prompt": "1 + 2 =", "completion": " 4", "label": false}
        {"prompt": "2 + 2 =", "completion": " 4", "label": true}
        {"prompt": "2 + 3 =", "completion": " 5", "label": true}
        """
    private static let pairs = "{\"prompt\": \"1 + 1 =\", \"chosen\": \" 2 1\", \"rejected\": \" 2 3\"}"

    private func tokens(_ text: String, end: Bool = true) throws -> [Int32] { try model.encode(text) + (end ? [try #require(model.tokenizer.eosToken)] : []) }

    @Test("for KTO right and wrong answers have the same weight in all, and beside each prompt stands an answer to another, whose reference is found too")
    func desirability() throws {
        let files = try read([Self.labels, Self.pairs]) { try $0.desirability() }, all = files.flatMap(\.self)
        #expect(files.map(\.count) == [4, 2] && all.map { $0.advantage ?? 0 } == [1, -1, 1, 1, 1, -1])
        // Four right ones and two wrong ones.
        #expect(all.map(\.weight) == [1, 2, 1, 1, 1, 2])
        #expect(try read([Self.labels, Self.pairs]) { try $0.desirability(wrongWeight: 0.75) }.joined().map(\.weight) == [1, 1.5, 1, 1, 1, 1.5])
        // In an epoch with shares all right answers weigh as much as all wrong ones too.
        let shared = try read([Self.labels, Self.pairs]) { try $0.desirability(shares: [0.9, 0.1]) }
        func sum(_ isWrong: Bool) -> Double {
            zip([0.9, 0.1], shared).reduce(0) { sum, file in sum + file.0 / Double(file.1.count) * file.1.filter { ($0.advantage! < 0) == isWrong }.reduce(0) { $0 + Double($1.weight) } }
        }
        #expect(abs(sum(true) - sum(false)) < 1e-6 && shared.joined().map(\.weight) != all.map(\.weight))
        #expect(try all[0].promptTokens == tokens("1 + 2 =", end: false) && all[1].completionTokens == tokens(" 4"))
        for (place, example) in files[0].enumerated() {
            let mismatch = try #require(example.mismatch)
            #expect(mismatch.promptTokens == example.promptTokens && mismatch.completionTokens.count <= example.completionTokens.count)
            // That of the next line with another prompt.
            #expect(mismatch.completionTokens == files[0][[2, 2, 3, 0][place]].completionTokens)
        }
        // A pair has one prompt.
        #expect(files[1].allSatisfy { $0.mismatch == nil })

        let compared = all.compared(with: model.transformer), expected = model.transformer.score(compared.map { Example(promptTokens: $0.promptTokens, completionTokens: $0.completionTokens) })
        #expect(zip(compared, expected).allSatisfy { $0.referenceLogProbabilities == $1.map(\.logProbability) })
        #expect(compared.compactMap(\.mismatch).allSatisfy { $0.referenceLogProbabilities.allSatisfy { $0 < 0 } })
        // At the reference: half of the weights, divided by the number, and nothing diverges.
        #expect(abs(KTO().loss(compared, under: model.transformer) - 0.5 * 8 / 6) < 1e-5)
    }

    @Test("for unlikelihood a wrong answer is trained from where it leaves right ones to its prompt; without such, all of it")
    func likelihoods() throws {
        let lonely = "{\"prompt\": \"3 + 3 =\", \"completion\": \" 7\", \"label\": false}"
        let (files, lost) = try read([Self.labels, Self.pairs, lonely]) { try $0.likelihoods() }
        #expect(lost == 0 && files.map(\.count) == [4, 2, 1])
        // " 4" and " 3" differ at once; " 2 3" and " 2 1" have their first token in common.
        #expect(files[0][1].trained == [true, true] && files[1][0].trained == [true, true, true] && files[1][1].trained == [false, true, true] && files[2][0].trained == [true, true])
        #expect(files[1].map { $0.advantage ?? 0 } == [1, -1])
        // Cut to one token of the answer, both answers are the same.
        #expect(try read([Self.pairs], limit: 2) { try $0.likelihoods() }.lost == 1)
    }

    @Test("for RRHF the answers of a line are a group with their scores, and lines without a best are left out")
    func rankings() throws {
        let ranked = """
            {"prompt": "1 + 2 =", "completions": [" 2", " 3", " 4"], "scores": [0.5, 2, -1]}
            {"prompt": "1 + 2 =", "completions": [" 5", " 3"], "scores": [0, 1]}
            {"prompt": "1 + 2 =", "completions": [" 5", " 6"], "scores": [1, 1]}
            """
        let (files, tied) = try read([ranked, Self.pairs]) { try $0.rankings() }
        #expect(tied == 1 && files.map(\.count) == [5, 2] && files[0].map { $0.advantage ?? 0 } == [0.5, 2, -1, 0, 1])
        // Lines of one prompt next to each other stay apart.
        #expect(RRHF().groups(files.flatMap(\.self)) == [0..<3, 3..<5, 5..<7])
        let score = AnswerScore(files.flatMap(\.self), under: model.transformer)
        #expect(score.count == 5 && (0...5).contains(score.right) && !score.comparesWithReference)
    }

    @Test("for chains the best and the worst of a line are taken, each after the prompt of its kind; what is measured is asked for as good")
    func chains() throws {
        let ranked = "{\"prompt\": \"1 + 2 =\", \"completions\": [\" 2\", \" 3\", \" 4\"], \"scores\": [0.5, 2, -1]}"
        let (files, tied) = try read([ranked, Self.pairs]) { try $0.chains(HindsightPhrases(good: "0", bad: "9")) }, chain = files[0][0]
        #expect(tied == 0 && files.map(\.count) == [1, 1])
        #expect(try chain.better.completionTokens == tokens(" 3") && chain.worse.completionTokens == tokens(" 4"))
        #expect(try chain.better.promptTokens == tokens("1 + 2 = 0", end: false) && chain.worse.promptTokens == tokens("1 + 2 = 9", end: false))
        #expect(try chain.toBetter == tokens("\n\n0", end: false) && chain.toWorse == tokens("\n\n9", end: false))
        let asked = chain.asked(limit: 64, comparison: 3)
        #expect(asked.map { $0.advantage ?? 0 } == [1, -1] && asked.allSatisfy { $0.promptTokens == chain.better.promptTokens && $0.standing?.comparison == 3 })
    }

    @Test("files of one kind only, or without better and worse answers, are refused with what is missing")
    func refusals() throws {
        func message(_ files: [String], _ body: (JudgedData) throws -> Void) -> String { #expect(throws: FileError.self) { try read(files, body) }?.description ?? "" }
        let right = "{\"prompt\": \"1 + 2 =\", \"completion\": \" 3\", \"label\": true}", wrong = right.replacing("true", with: "false")
        #expect(message([right, right]) { _ = try $0.desirability() }.contains("holds no wrong answer. Both kinds are needed: add lines with \"label\": false"))
        #expect(message([wrong]) { _ = try $0.likelihoods() }.contains("holds no right answer"))
        // In two files there are both.
        #expect(try read([right, wrong]) { try $0.desirability() }.map(\.count) == [1, 1])
        let tied = "{\"prompt\": \"1 + 2 =\", \"completions\": [\" 3\", \" 4\"], \"scores\": [1, 1]}"
        #expect(message([tied]) { _ = try $0.rankings() }.contains("holds no line in which one answer is better than another"))
        #expect(message([tied]) { _ = try $0.chains(HindsightPhrases()) }.contains("holds no line in which one answer is better than another"))
    }

    @Test("answers are told apart by what they gained on a reference where there is one, by their likelihood a token where there is none")
    func score() throws {
        let files = try read([Self.labels]) { try $0.desirability() }
        // Against itself nothing is gained.
        let still = AnswerScore(files[0].compared(with: model.transformer), under: model.transformer)
        #expect(still.comparesWithReference && still.count == 3 && still.right == 1.5)
        #expect("\(still)".contains("has gained more in 50.0 % of 3 comparisons"))
        let trainer = Trainer(model.transformer, objective: Unlikelihood(weight: 1), options: TrainerOptions(optimizer: OptimizerOptions(learningRate: 4e-3)), totalSteps: 30)
        let compared = files[0].compared(with: model.transformer)
        for _ in 0..<30 { _ = try trainer.step(compared) }
        let trained = AnswerScore(compared, under: model.transformer)
        #expect(trained.right == 3 && trained.best > still.best, "\(trained)")
    }
}
