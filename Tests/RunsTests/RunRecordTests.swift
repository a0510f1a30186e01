import Foundation
import ModelFiles
import Recipes
import Runs
import Tasks
import Testing
import Training

@Suite("Run records")
struct RunRecordTests {
    @Test("rollouts come back as they were, in key order")
    func rollouts() throws {
        try withRecord { record in
            let recorded = [
                rollout(3, sample: 1, judgement: judged(.cutOff)), rollout(0, judgement: .failed(reason: "no sandbox")), rollout(0, sample: 1),
                rollout(2, mode: .hinted, text: "NUL \0, é, 🦊, ' \" <b>", judgement: judged(.unknown, reward: -0.25)),
            ]
            try record.record(recorded)
            try record.record([rollout(0, iteration: 1), rollout(0, phase: "test")])
            #expect(try record.rollouts(iteration: 0, phase: "attempt") == recorded.sorted { $0.key < $1.key })
            #expect(try record.rollouts(iteration: 0, phase: "attempt").map { Array($0.text.utf8) }.contains(Array("NUL \0, é, 🦊, ' \" <b>".utf8)))
            #expect(try record.rollouts(iteration: 2, phase: "attempt").isEmpty)
            #expect(try record.rollout(recorded[3].key) == recorded[3])
            #expect(try record.rollout(RolloutKey(iteration: 9, phase: "attempt", index: 0)) == nil)
        }
    }

    @Test("an empty completion comes back empty")
    func emptyRollout() throws {
        try withRecord { record in
            var empty = rollout(0, text: "")
            (empty.promptTokens, empty.completionTokens, empty.logProbabilities, empty.behaviorLogProbabilities, empty.temperatures) = ([], [], [], [], [])
            empty.problem = Problem(id: "", question: "")
            try record.record([empty])
            #expect(try record.rollouts(iteration: 0, phase: "attempt") == [empty])
        }
    }

    @Test("a rollout with the same key is replaced, verdict and all")
    func replaces() throws {
        try withRecord { record in
            try record.record([rollout(0, text: "first", judgement: judged(.wrong))])
            try record.record([rollout(0, text: "second", judgement: .failed(reason: "gone"))])
            #expect(try record.rollouts(iteration: 0, phase: "attempt") == [rollout(0, text: "second", judgement: .failed(reason: "gone"))])
        }
    }

    @Test("examples come back in training order; not started is not empty")
    func examples() throws {
        try withRecord { record in
            let training = TrainingKey(iteration: 1, phase: "improve")
            #expect(try record.examples(training) == nil)
            var whole = Example(
                promptTokens: [5, 6], completionTokens: [7, 8], trained: [false, true], weight: 0.1, advantage: -1.5, behaviorLogProbabilities: [-0.5, -2],
                rollouts: [RolloutKey(iteration: 1, phase: "attempt", index: 4, sample: 2, turn: 1)])
            (whole.referenceLogProbabilities, whole.tokenAdvantages, whole.values, whole.returns) = ([-0.25, -1e-30], [0.1, -3], [2, 0.3], [1, 0])
            whole.mismatch = .init(promptTokens: [4], completionTokens: [3, 2], referenceLogProbabilities: [-1, -0.1])
            (whole.labels, whole.segments) = (.init(places: [1], targets: [6]), [0, 1])
            whole.standing = .init(comparison: 3, score: 0.1, margin: 0.5)
            #expect(Mirror(reflecting: whole).children.allSatisfy { Mirror(reflecting: $0.value).displayStyle != .optional || Mirror(reflecting: $0.value).children.count == 1 })
            let examples = [whole, Example(promptTokens: [1], completionTokens: [])]
            try record.record(examples, for: training)
            #expect(try record.examples(training) == examples)
            try record.record([examples[1]], for: training)
            #expect(try record.examples(training) == [examples[1]])
            try record.record([], for: training)
            #expect(try record.examples(training) == [])
            #expect(try record.examples(TrainingKey(iteration: 2, phase: "improve")) == nil)
            #expect(try record.trainings() == [training])
        }
    }

    @Test("steps come back to the last bit, in order of steps")
    func steps() throws {
        try withRecord { record in
            let steps = [try step(10), try step(2), try step(9, loss: 1e-17)]
            for step in steps { try record.record(step) }
            try record.record(step(2, loss: 7))
            #expect(try record.steps(TrainingKey(iteration: 1, phase: "improve")) == [step(2, loss: 7), steps[2], steps[0]])
            #expect(try record.steps(TrainingKey(iteration: 1, phase: "warm-up")).isEmpty)
        }
    }

    @Test("checkpoints, metrics and complete phases come back")
    func rest() throws {
        try withRecord { record in
            let made = checkpoint(3, hash: "cc", parents: ["aa", "bb"])
            try record.record(made)
            #expect(try record.checkpoints(made.training) == [made])
            #expect(try record.checkpoints(TrainingKey(iteration: 4, phase: "improve")).isEmpty)

            let metrics = [
                MetricRecord(iteration: 0, phase: "test", name: "accuracy", value: 1.0 / 3, count: 99),
                MetricRecord(iteration: 0, phase: "test", name: "accuracy", category: "4", value: 0, count: 10),
            ]
            try record.record([metrics[1]])
            try record.record([MetricRecord(iteration: 0, phase: "test", name: "accuracy", value: 0.9, count: 1)])
            try record.record([metrics[0]])
            #expect(try record.metrics() == metrics)

            #expect(try !record.isComplete(iteration: 0, phase: "test"))
            try record.complete(iteration: 0, phase: "test")
            try record.complete(iteration: 0, phase: "test")
            #expect(try record.isComplete(iteration: 0, phase: "test"))
            #expect(try record.completePhases() == [TrainingKey(iteration: 0, phase: "test")])
            #expect(try record.iterations() == [0, 3])
        }
    }

    @Test("numbers that are none are refused by name, and nothing of the call is kept")
    func notFinite() throws {
        try withRecord { record throws in
            let bad = MetricRecord(iteration: 2, phase: "test", name: "perplexity", value: .nan, count: 1)
            let good = MetricRecord(iteration: 1, phase: "test", name: "perplexity", value: 1, count: 1)
            #expect(runError { try record.record([good, bad]) }.contains("the metric perplexity of test 2 is not a finite number"))
            #expect(try record.metrics().isEmpty)
            #expect(runError { try record.record([rollout(0, judgement: judged(.right, reward: .infinity))]) }.contains("attempt 0/0/0"))
            #expect(try record.rollouts(iteration: 0, phase: "attempt").isEmpty)
        }
    }

    @Test("a checkpoint lies within its run, in a folder of its own")
    func checkpointPaths() throws {
        try withRecord { record in
            for path in ["/elsewhere", "checkpoints/../../x", ""] {
                var wrong = checkpoint(1, hash: "bb", parents: [])
                wrong.path = path
                #expect(runError { try record.record(wrong) }.contains("not within the run's folder"))
            }
            try record.record(checkpoint(1, hash: "bb", parents: []))
            try record.record(checkpoint(1, hash: "bc", parents: []))
            var second = checkpoint(2, hash: "cc", parents: [])
            second.path = "checkpoints/0001-improve"
            #expect(runError { try record.record(second) }.contains("belongs to another checkpoint"))
        }
    }

    @Test("the digest does not depend on the order of recording, on times, or on being recorded twice")
    func digest() throws {
        let plain = try withRecord { record in
            for piece in try pieces() { try piece(record) }
            return try record.digest()
        }
        let shuffled = try withRecord { record in
            for piece in try pieces(seconds: 9).reversed() { try piece(record) }
            for piece in try pieces(seconds: 3) { try piece(record) }
            return try record.digest()
        }
        let other = try withRecord { record in
            for piece in try pieces() { try piece(record) }
            try record.record([rollout(0, text: "A: 3", judgement: judged(.right))])
            return try record.digest()
        }
        #expect(plain == shuffled)
        #expect(plain != other)
        #expect(plain.count == 32)
    }

    @Test("a run killed after any commit loses nothing, and ends as one that never was killed")
    func killed() throws {
        let whole = try withRecord { record in
            for piece in try pieces() { try piece(record) }
            return (try record.digest(), try String(contentsOfFile: "\(record.folderPath)/lineage.json", encoding: .utf8))
        }
        let count = try pieces().count
        for moment in 0...count {
            try withTemporaryPath { path in
                let copy = path + "-killed"
                var committed = ""
                do {
                    let record = try RunRecord(writing: RunFolder(creating: path, recipe: recipe))
                    for piece in try pieces(seconds: 7).prefix(moment) { try piece(record) }
                    committed = try record.digest()
                    // What the disk holds while the record is open: the database and its log, not the shared memory.
                    try FileManager.default.createDirectory(atPath: copy, withIntermediateDirectories: true)
                    for name in ["recipe.yaml", "run.sqlite", "run.sqlite-wal"] where FileManager.default.fileExists(atPath: "\(path)/\(name)") {
                        try FileManager.default.copyItem(atPath: "\(path)/\(name)", toPath: "\(copy)/\(name)")
                    }
                    try record.close()
                }
                let record = try RunRecord(writing: RunFolder(opening: copy))
                #expect(try record.digest() == committed)
                // The last piece may have been under way, and is done again.
                for piece in try pieces().dropFirst(max(0, moment - 1)) { try piece(record) }
                #expect(try record.digest() == whole.0)
                #expect(try String(contentsOfFile: "\(copy)/lineage.json", encoding: .utf8) == whole.1)
                try record.close()
            }
        }
    }

    @Test("a record of a newer release is refused, and left as it is")
    func newerSchema() throws {
        try withTemporaryPath { path in
            do {
                let record = try RunRecord(writing: RunFolder(creating: path, recipe: recipe))
                try record.close()
            }
            // PRAGMA user_version: 4 bytes, big-endian, at offset 60 of the file.
            let url = URL(fileURLWithPath: "\(path)/run.sqlite")
            var bytes = try Data(contentsOf: url)
            bytes.replaceSubrange(60..<64, with: [0, 0, 0, 99])
            try bytes.write(to: url)
            let message = runError { _ = try RunRecord(writing: RunFolder(opening: path)) }
            #expect(message.contains("schema is version 99") && message.contains("newer"))
            #expect(runError { _ = try RunRecord(reading: path) }.contains("schema is version 99"))
            #expect(try Data(contentsOf: url) == bytes)
        }
    }

    @Test("a run can be read while it is written, and not be written by who reads it")
    func reader() throws {
        try withTemporaryPath { path in
            let writer = try RunRecord(writing: RunFolder(creating: path, recipe: recipe))
            let reader = try RunRecord(reading: path)
            #expect(try reader.metrics().isEmpty)
            for piece in try pieces() { try piece(writer) }
            #expect(try reader.digest() == writer.digest())
            #expect(try reader.recipe() == recipe)
            #expect(runError { try reader.complete(iteration: 0, phase: "test") }.contains("run.sqlite: SQLite: "))
            #expect(RunSummary(of: path).state == .running)
            try reader.close()
            try writer.close()
        }
    }

    @Test("lineage names models, data, recipe, code and every checkpoint's parents")
    func lineage() throws {
        try withRecord { record in
            try record.recordModel(hash: "aa", name: "SmolLM2-135M")
            try record.recordData(hash: "dd", name: "addition", order: "by key, seed 7")
            record.recordCode(version: "0.1.0")
            try record.record(checkpoint(1, hash: "bb", parents: ["aa"]))
            try record.record(checkpoint(2, hash: "cc", parents: ["bb", "ee"]))
            let lineage = try record.lineage()
            #expect(lineage.nodes.map(\.kind) == [.model, .model, .data, .recipe, .code, .checkpoint, .checkpoint])
            #expect(lineage.edges.filter { $0.from == "cc" }.map(\.kind) == [.checkpoint, .model, .data, .recipe, .code])
            #expect(lineage.nodes.last?.paths == ["checkpoints/0002-improve"])

            let json = try JSON.read(path: "\(record.folderPath)/lineage.json")
            #expect(json["nodes"]?.array?.count == 7)
            #expect(json["nodes"]?.array?.first?["name"]?.string == "SmolLM2-135M")
            #expect(json["edges"]?.array?.count == 9)
        }
    }

    @Test("summaries count outcomes, cut completions and groups without signal")
    func summaries() throws {
        try withRecord { record in
            try record.record([
                rollout(0, judgement: judged(.right)), rollout(0, sample: 1, judgement: judged(.wrong)),
                rollout(1, judgement: judged(.wrong)), rollout(1, sample: 1, judgement: judged(.unreadable)),
                rollout(3, judgement: .failed(reason: "x")), rollout(5, mode: .hinted),
            ])
            let summary = try #require(try record.phaseSummaries().first)
            #expect((summary.rollouts, summary.judged, summary.right, summary.wrong, summary.unreadable, summary.failed) == (6, 4, 1, 2, 1, 1))
            #expect(summary.lengthStopped == 1)
            #expect(summary.meanReward == 0.25)
            #expect(summary.meanCompletionLength == 3)
            #expect((summary.groups, summary.groupsWithoutSignal) == (2, 1))
            let parts = try record.phaseSummaries(byCategory: true)
            #expect(parts.map(\.category) == ["1", "2", "2"])
            #expect(parts.map(\.mode) == [.plain, .hinted, .plain])
            #expect(parts.map(\.groups) == [1, 0, 1])
            #expect(try record.sample(iteration: 0, phase: "attempt", outcome: .wrong, limit: 1).map(\.key.index) == [0])
        }
    }

    @Test("before and after are of the same problem, changes first")
    func beforeAfter() throws {
        try withRecord { record in
            let now: [Verdict.Outcome] = [.right, .wrong, .right, .wrong]
            for (iteration, outcomes) in [(0, [.wrong, .wrong, .right, .right]), (1, [.wrong, .wrong, .wrong, .wrong]), (2, now)] as [(Int, [Verdict.Outcome])] {
                try record.record(outcomes.enumerated().map { rollout($0, iteration: iteration, phase: "test", judgement: judged($1)) })
            }
            let pairs = try record.beforeAfter()
            #expect(pairs.map(\.before.key.index) == [0, 1, 2, 3])
            #expect(pairs.allSatisfy { $0.before.problem == $0.after.problem && $0.before.key.iteration == 0 && $0.after.key.iteration == 2 })
            #expect(try record.beforeAfter(limit: 1).map(\.after.isRight) == [true])
            #expect(try record.beforeAfter(phase: "attempt").isEmpty)
            // A run that ends with what it began with has no after.
            #expect(try record.resultIteration() == nil)
            try record.record([MetricRecord(iteration: 0, phase: "run", name: "tokens", value: 7)])
            #expect(try record.resultIteration() == 0 && record.beforeAfter().isEmpty && record.beforeAfter(phase: "test").count == 4)
        }
    }

    @Test("an episode of several turns counts once, as its last turn ended")
    func lastTurns() throws {
        try withRecord { record in
            for (iteration, last) in [(0, Verdict.Outcome.wrong), (1, .right)] {
                var second = rollout(0, iteration: iteration, phase: "test", text: "again", judgement: judged(last, reward: last == .right ? 1 : 0))
                second.key.turn = 1
                try record.record([rollout(0, iteration: iteration, phase: "test", judgement: judged(.wrong, reward: 0)), second])
                try record.record([rollout(0, iteration: iteration, phase: "test", sample: 1, judgement: judged(.wrong, reward: 0))])
            }
            let pair = try #require(record.beforeAfter().first)
            #expect(pair.before.text == "again" && pair.after.text == "again" && !pair.before.isRight && pair.after.isRight)
            let summaries = try record.phaseSummaries()
            #expect(summaries.map(\.rollouts) == [2, 2] && summaries.map(\.right) == [0, 1])
            #expect(summaries.map(\.groups) == [1, 1] && summaries.map(\.groupsWithoutSignal) == [1, 0])
        }
    }

    @Test("runs are listed with their state")
    func list() throws {
        try withTemporaryPath { path in
            let folder = (path as NSString).deletingLastPathComponent
            do { _ = try RunFolder(creating: "\(folder)/a-started", recipe: recipe) }
            do {
                let record = try RunRecord(writing: RunFolder(creating: "\(folder)/b-done", recipe: recipe))
                for piece in try pieces() { try piece(record) }
                try record.markFinished()
                try record.close()
            }
            do {
                let broken = try RunFolder(creating: "\(folder)/c-broken", recipe: recipe)
                try Data("nothing".utf8).write(to: URL(fileURLWithPath: broken.recordPath))
            }
            let runs = RunSummary.list(in: folder)
            #expect(runs.map(\.name) == ["a-started", "b-done", "c-broken"])
            #expect(runs[0].state == .interrupted)
            #expect(runs[1].state == .finished)
            #expect(runs[1].iterations == [0, 1])
            #expect(runs[1].accuracy?.value == 0.5)
            #expect((runs[1].checkpoints, runs[1].steps) == (1, 3))
            #expect(runs[2].state.description.hasPrefix("unreadable"))
        }
    }

    @Test("a run goes on only with a verifier that judges as the one it began with; one without settings leaves no trace")
    func verifier() throws {
        try withRecord { record in
            let before = try record.digest()
            try record.expectVerifier([:])
            #expect(try record.digest() == before)
            let settings = ["model": String(repeating: "a", count: 64), "threshold": "0.0"]
            try record.expectVerifier(settings)
            try record.expectVerifier(settings)
            let weights = runError { try record.expectVerifier(settings.merging(["model": String(repeating: "b", count: 64)]) { $1 }) }
            #expect(weights.contains("the verifier's model changed since the run began (aaaaaaaaaaaa… then, bbbbbbbbbbbb… now)"), "\(weights)")
            #expect(runError { try record.expectVerifier([:]) }.contains("none now"))
        }
    }
}
