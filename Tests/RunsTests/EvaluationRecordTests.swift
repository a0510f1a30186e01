import Evaluation
import Foundation
import ModelFiles
import Runs
import Tasks
import Testing

@Suite("Recorded evaluations")
struct EvaluationRecordTests {
    private func withFile<Result>(_ body: (String) throws -> Result) throws -> Result {
        try withTemporaryPath { path in try body("\(path).sqlite") }
    }

    private func entry(weights: String = "aa", temperature: String = "0.0", options: [String: String] = [:], seed: UInt64 = 0, task: String = "sums") -> EvaluationRecord.Entry {
        EvaluationRecord.Entry(
            model: "model", modelHash: weights, recipe: EvaluationRecipe(parts: ["task": task, "split": "test", "temperature": temperature]), taskOptions: options, seed: seed)
    }

    private func sample(_ problem: Int, _ isRight: Bool, sample: Int = 0) -> EvaluatedSample {
        EvaluatedSample(
            problem: "p\(problem)", sample: sample, prompt: "Q\u{0}", text: "\(problem)", judgement: judged(isRight ? .right : .wrong), answer: isRight ? "1" : nil, tokens: 3, logProbability: -0.1)
    }

    @Test("entries and samples are read as they were written; the same weights, recipe and seed are one evaluation")
    func roundTrip() throws {
        try withFile { file in
            let scores = [ChoiceScore(text: "a", logLikelihood: -1, unconditional: -2, tokens: 1), ChoiceScore(text: "b", logLikelihood: -1.5, unconditional: -2, tokens: 2)]
            var choice = sample(2, true)
            (choice.choices, choice.right) = (scores, 0)
            var failed = sample(3, false)
            failed.judgement = .failed(reason: "no sandbox")
            let samples = [sample(1, false), choice, failed]
            let summary = EvaluationSummary(samples, verifier: AnswerVerifier())
            var id: Int64 = 0
            do {
                let record = try EvaluationRecord(writing: file)
                let opened = try record.open(entry(options: ["few-shot": "5"]))
                id = opened.id
                #expect(try record.open(entry()).id == id && record.open(entry(seed: 1)).id != id && record.open(entry(weights: "bb")).id != id && record.open(entry(temperature: "1")).id != id)
                try record.record([sample(3, true)], of: id)
                try record.record(samples, of: id)
                #expect(try record.entries()[0].summary == nil)
                try record.finish(id, summary)
            }
            let record = try EvaluationRecord(reading: file)
            #expect(try record.samples(of: id) == samples)
            let read = try record.entries()
            #expect(read.count == 4 && read[0].summary == summary && read[0].taskOptions == ["few-shot": "5"] && read[0].recipe == entry().recipe && read[2].modelHash == "bb")
        }
    }

    @Test("what a killed writer left half committed is taken back by whoever reads")
    func halfCommitted() throws {
        try withFile { file in
            var id: Int64 = 0
            do {
                let record = try EvaluationRecord(writing: file)
                id = try record.open(entry()).id
                try record.record([sample(1, true)], of: id)
            }
            // SQLite takes a journal that does not begin with a zero, and that nobody holds, for one of a writer that was killed.
            let journal = "\(file)-journal"
            try Data(repeating: 0xD9, count: 1024).write(to: URL(fileURLWithPath: journal))
            #expect(try EvaluationRecord(reading: file).samples(of: id) == [sample(1, true)])
            #expect(!FileManager.default.fileExists(atPath: journal))
        }
    }

    @Test("another file is refused, and so is what is no number")
    func refused() throws {
        try withFile { file in
            try Data("a text that is no database, and longer than a header".utf8).write(to: URL(fileURLWithPath: file))
            #expect(throws: FileError.self) { try EvaluationRecord(writing: file) }
            #expect(throws: FileError.self) { try EvaluationRecord(reading: file + ".none") }
            _ = FileManager.default.createFile(atPath: file + ".new", contents: Data())
            #expect(runError { _ = try EvaluationRecord(reading: file + ".new") }.contains("holds no evaluations yet"))
        }
        try withRecord { run in
            #expect(runError { _ = try EvaluationRecord(writing: run.folderPath + "/run.sqlite") }.contains("is no record of evaluations"))
        }
        try withFile { file in
            let record = try EvaluationRecord(writing: file), id = try record.open(entry()).id
            var sample = sample(1, true)
            sample.logProbability = .nan
            #expect(runError { try record.record([sample], of: id) }.contains("p1"))
            #expect(try record.samples(of: id).isEmpty)
        }
    }

    @Test("a comparison is paired over common problems; other recipes are never compared without a line that says what differs")
    func compared() throws {
        try withFile { file in
            let record = try EvaluationRecord(writing: file)
            for (entry, right) in [(entry(), 10), (entry(weights: "bb"), 16), (entry(weights: "cc", temperature: "0.7", options: ["few-shot": "5"]), 12), (entry(task: "other"), 3)] {
                let id = try record.open(entry).id, samples = (0..<20).map { sample($0, $0 < right) }
                try record.record(samples, of: id)
                try record.finish(id, EvaluationSummary(samples, verifier: AnswerVerifier()))
            }
            let all = try EvaluationComparison.all(in: record)
            #expect(all.map { [$0.first.id, $0.second.id] } == [[1, 2], [1, 3], [2, 3]], "the other task is compared with nothing")
            let same = all[0]
            #expect(same.warnings.isEmpty && same.paired?.onlySecond == 6 && same.paired?.onlyFirst == 0 && abs((same.paired?.difference ?? 0) - 0.3) < 1e-12)
            #expect(same.text.contains("+30.0 points"))
            for mixed in all.dropFirst() {
                #expect(mixed.warnings.count == 1 && mixed.text.contains("temperature 0.0 and 0.7") && mixed.text.contains("few-shot=(left out) and 5"), "\(mixed.text)")
                #expect(mixed.text.split(separator: "\n")[1].contains("warning: measured by different recipes, \(mixed.first.recipe.shortHash) and \(mixed.second.recipe.shortHash)"))
            }
        }
    }

    @Test("unfinished evaluations and missing problems are said")
    func partial() throws {
        let first = (entry(), (0..<4).map { sample($0, true) }), second = (entry(weights: "bb"), (2..<4).map { sample($0, false) })
        let comparison = EvaluationComparison((entry: first.0, samples: first.1), (entry: second.0, samples: second.1))
        #expect(comparison.paired?.problems == 2 && comparison.paired?.difference == -1)
        #expect(comparison.warnings.filter { $0.contains("not finished") }.count == 2 && comparison.warnings.contains { $0.contains("on the 2 problems") })
        #expect(EvaluationComparison((entry: first.0, samples: first.1), (entry: second.0, samples: [])).paired == nil)
    }

    @Test("seeds of one recipe and model are one measurement, whose interval is over problems")
    func seeds() throws {
        try withFile { file in
            let record = try EvaluationRecord(writing: file)
            for seed in 0..<3 as Range<UInt64> {
                let id = try record.open(entry(seed: seed)).id
                let samples = (0..<10).map { sample($0, $0 < 4 || ($0 == 4 && seed == 0)) }
                try record.record(samples, of: id)
                try record.finish(id, EvaluationSummary(samples, verifier: AnswerVerifier()))
            }
            _ = try record.open(entry(seed: 9))
            let all = try SeedSummary.all(in: record)
            #expect(all.count == 1 && all[0].ids == [1, 2, 3])
            #expect(abs(all[0].accuracy.value - 13.0 / 30) < 1e-12 && all[0].accuracy.high - all[0].accuracy.value > 0.25)
            #expect(abs(all[0].deviation - 0.1 / 3.0.squareRoot()) < 1e-12)
        }
    }
}
