import Autodidact
import Foundation
import Testing

/// A run of ten thousand attempts at sums, judged by a program of the user's own that crashes at one completion in twenty and hangs at another.
///
/// A decoder that knows nothing answers with a few tokens, for every digit ends an answer.
private enum FlakyProgram {
    enum Fate { case judged, crash, hang }

    static let (problems, samples, iterations) = (40, 125, 2)

    /// What becomes of the judgement of a completion, by its key alone.
    static func fate(_ key: RolloutKey) -> Fate {
        switch (key.index * 7 + key.sample * 13 + key.iteration) % 20 {
        case 3: .crash
        case 11: .hang
        default: .judged
        }
    }

    /// Logs what it is asked, and ends with whoever asked, also while it hangs.
    static let source = """
        log=$1
        while IFS= read -r line; do
            id=${line#*'"id":'}
            id=${id#*'"'}
            id=${id%%'"'*}
            echo "$id" >>"$log"
            IFS=/
            set -- $id
            IFS=' '
            case $((($3 * 7 + $4 * 13 + $1) % 20)) in
            3) kill -9 $$ ;;
            11) while read -r line; do :; done ;;
            esac
            echo '{"outcome": "right"}'
        done

        """

    static let task = """
        type: jsonl
        train: train.jsonl
        dev: dev.jsonl
        test: test.jsonl
        check: external
        program: [sh, ./judge.sh, ./asked.log]
        time-limit: 0.2
        prompt: "Input:{question}\\nTarget:"
        stops: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
        max-tokens: 16

        """

    static let recipe = """
        model: model
        task: task.yaml
        options:
          trainer: {optimizer: {learningRate: 0.001}}
          batchSize: 256
        recipe:
          rest-em: {iterations: \(iterations), samplesPerProblem: \(samples), cap: 10000, epochs: 1, sampling: {temperature: 1}}

        """

    static func write(to folder: String) throws {
        for (name, text) in [("judge.sh", source), ("task.yaml", task), ("recipe.yaml", recipe)] { try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8) }
        var next = 0
        for (part, count) in [("train", problems), ("dev", 10), ("test", 10)] {
            let lines = (next..<next + count).map { #"{"question": " \#($0 / 9 + 1) + \#($0 % 9 + 1)", "answer": "\#($0 / 9 + $0 % 9 + 2)"}"# + "\n" }
            try lines.joined().write(toFile: "\(folder)/\(part).jsonl", atomically: true, encoding: .utf8)
            next += count
        }
        var shape = FreshDecoder()
        (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 64, 2, 2, 64)
        try FileManager.default.createDirectory(atPath: "\(folder)/model", withIntermediateDirectories: true)
        _ = try Model.forAddition(shape, form: .direct, key: RandomKey(seed: 3), on: CPUBackend(threads: 1)).save(to: "\(folder)/model")
    }
}

@Suite("A killed run whose verifier crashes and hangs", .enabled(if: Places.exists(Places.executable), "no \(Places.executable): build the product autodidact first"))
struct KilledJudgingTests {
    /// Rollouts that train and whose judgement, or its failure, is recorded; 0 as long as there is no record.
    private func settledAttempts(_ run: String) -> Int {
        guard let phases = try? RunRecord(reading: run).phaseSummaries() else { return 0 }
        return phases.reduce(0) { $0 + ($1.phase == "attempt" ? $1.judged + $1.failed : 0) }
    }

    private func rollouts(_ run: String) throws -> [Rollout] {
        let record = try RunRecord(reading: run)
        return try (0...FlakyProgram.iterations).flatMap { n in try ["attempt", "dev", "test"].flatMap { try record.rollouts(iteration: n, phase: $0) } }
    }

    private func name(_ key: RolloutKey) -> String { "\(key.iteration)/\(key.phase)/\(key.index)/\(key.sample)/\(key.turn)" }

    /// The names that the program was asked to judge, in order, over all of its starts.
    private func asked(_ folder: String) throws -> [Substring] { try String(contentsOfFile: "\(folder)/asked.log", encoding: .utf8).split(separator: "\n") }

    @Test("ends complete: of ten thousand attempts each is judged once or failed for its own reason, and what failed has no reward and trains nothing", .timeLimit(.minutes(10)))
    func killedThreeTimes() throws {
        try Places.withFolder { folder in
            try FlakyProgram.write(to: folder)
            let run = "\(folder)/run", total = FlakyProgram.problems * FlakyProgram.samples
            var kills = 0
            /// What was settled at a kill, and how much had been asked until then.
            var before: [(settled: Set<String>, asked: Int)] = []
            for limit in [total * 2 / 5, total * 7 / 10, total * 8 / 5, Int.max] {
                let start = RunFolder.holdsRun(run) ? ["learn", "--resume", "run"] : ["learn", "--config", "recipe.yaml", "--output", "run"]
                let child = try Child(start, in: folder)
                while child.isRunning, limit == Int.max || settledAttempts(run) < limit { Thread.sleep(forTimeInterval: 0.2) }
                child.signal(SIGKILL)
                let ended = child.wait()
                if limit == Int.max {
                    try #require(ended.status == 0, "\(ended.error)")
                } else {
                    try #require(ended.status == SIGKILL, "\(ended.error)")
                    kills += 1
                    before.append((Set(try rollouts(run).filter { $0.judgement != nil }.map { name($0.key) }), try asked(folder).count))
                    #expect(before.last!.settled.count >= limit)
                }
            }
            #expect(kills == 3)

            let shown = try JSON.parse(autodidact(["runs", "show", "run", "--json"], in: folder).output, source: "show")
            #expect(shown["state"]?.string == "finished")
            func metric(_ name: String, _ iteration: Int) -> (value: Double?, count: Int?) {
                let found = shown["metrics"]?.array?.first {
                    ($0["iteration"]?.int, $0["phase"]?.string, $0["name"]?.string, $0["category"]?.string) == (iteration, "attempt", name, "")
                }
                return (found?["value"]?.double, found?["count"]?.int)
            }
            let record = try RunRecord(reading: run), log = try asked(folder)
            for n in 1...FlakyProgram.iterations {
                let attempts = try record.rollouts(iteration: n, phase: "attempt"), whole = attempts.filter { $0.finishReason == .stop }
                // Every one that there should be, once.
                #expect(attempts.map { [$0.key.index, $0.key.sample] } == (0..<FlakyProgram.problems).flatMap { index in (0..<FlakyProgram.samples).map { [index, $0] } })
                #expect(attempts.allSatisfy { $0.finishReason == .stop || $0.verdict?.outcome == .cutOff } && whole.count * 10 > total * 8)
                var failed: Set<RolloutKey> = []
                for rollout in whole {
                    switch (FlakyProgram.fate(rollout.key), rollout.judgement) {
                    case (.judged, .judged(let verdict)): #expect(verdict.outcome == .right && verdict.reward == 1)
                    // A machine that is busy elsewhere may be late with any answer, which is another failure, and no verdict either.
                    case (let fate, .failed(let reason)):
                        failed.insert(rollout.key)
                        #expect(reason.contains("no answer within 0.2 seconds") || (fate == .crash && reason.contains("it ended without an answer")), "\(rollout.key): \(reason)")
                    case (let fate, let judgement): Issue.record("\(rollout.key): \(fate), but \(String(describing: judgement))")
                    }
                }
                #expect(failed.count * 12 > total && failed.count * 2 < total)
                // A program that was late may not have begun to read.
                #expect(Set(log).isSuperset(of: whole.filter { !failed.contains($0.key) }.map { name($0.key)[...] }))
                // Whatever is said of all of them leaves the failed ones out.
                let (right, judged) = (whole.count - failed.count, total - failed.count)
                for name in ["accuracy", "reward"] {
                    let found = metric(name, n)
                    #expect(found.value == Double(right) / Double(judged) && found.count == judged, "\(name): \(found)")
                }
                #expect(metric("failedJudgements", n).value == Double(failed.count) / Double(total))
                let examples = try #require(try record.examples(TrainingKey(iteration: n, phase: "improve"))), trained = Set(examples.flatMap(\.rollouts))
                #expect(!trained.isEmpty && trained.isDisjoint(with: failed) && trained.isSubset(of: whole.filter(\.isRight).map(\.key)))
            }
            // What was settled when the run was killed is not asked again.
            for (settled, asked) in before { #expect(settled.isDisjoint(with: log.dropFirst(asked).map(String.init))) }
        }
    }
}
