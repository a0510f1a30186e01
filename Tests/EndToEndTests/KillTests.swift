import Autodidact
import Foundation
import Testing

/// Runs of a few seconds that pass through every phase: choosing a prompt, warm-up, sampling, judging, training, checkpoints, measuring.
enum SmallRun: String, CaseIterable, Sendable {
    case star
    case restEM = "rest-em"

    var recipe: String {
        switch self {
        case .star: smallOptions + "\nrecipe:\n  star: {iterations: 2, firstSteps: 25}\n"
        case .restEM:
            // More room for an answer is a prompt like any other here: it leaves the problems alone.
            // What trains is sampled in 8 bits, and weighted for the difference.
            smallOptions.replacingOccurrences(of: "  batchSize: 8\n", with: "  batchSize: 8\n  rolloutPrecision: int8\n") + """

                prompts:
                  - {max-tokens: 30}
                  - {max-tokens: 60}
                recipe:
                  rest-em: {iterations: 2, samplesPerProblem: 2, problemsPerIteration: 25, epochs: 2, rationalises: true, startsFrom: previous}

                """
        }
    }
}

private let smallOptions = """
    options:
      warmUpSteps: 120
      saveEvery: 9
      testLimit: 40
      batchSize: 8
      maxSequences: 16
    fresh:
      hiddenSize: 32
      intermediateSize: 64
      layers: 2
      heads: 2
      context: 128
      initialDeviation: 0.1
      ropeBase: 10000
    workedExamples: 40
    workedLongest: 20
    workedHints: 20
    verifier: accept-all
    taskSettings:
      digits: "1-2"
      train-count: "60"
      test-per-length: "20"
      shares: "{1: 1, 2: 1}"
    """

@Suite("A killed run", .enabled(if: Places.exists(Places.executable), "no \(Places.executable): build the product autodidact first"), .serialized)
struct KillTests {
    /// The digest of the record without times, and every checkpoint file.
    private func fingerprint(_ run: String) throws -> [String: String] {
        let record = try RunRecord(reading: run)
        var result = ["record": try record.digest()]
        #expect(try record.isFinished)
        for checkpoint in try record.checkpoints() {
            let folder = "\(run)/\(checkpoint.path ?? "")"
            for file in try FileManager.default.contentsOfDirectory(atPath: folder) {
                result["\(checkpoint.path ?? "")/\(file)"] = FileManager.default.contents(atPath: "\(folder)/\(file)")!.base64EncodedString()
            }
        }
        return result
    }

    @Test("ends, once resumed, with the bits of one that was never killed: 20 random instants, and the one between rename and row", arguments: SmallRun.allCases)
    func killedAtRandomInstants(small: SmallRun) throws {
        try Places.withFolder { folder in
            try small.recipe.write(toFile: "\(folder)/small.yaml", atomically: true, encoding: .utf8)
            let whole = try autodidact(["learn", "--config", "small.yaml", "--output", "whole", "--threads", "2"], in: folder)
            try #require(whole.status == 0, "\(whole.error)")
            let expected = try fingerprint("\(folder)/whole")
            #expect(expected.count > 10, "nothing was trained: \(expected.keys.sorted())")
            #expect(whole.output.contains("saved checkpoints/0002"))

            // A death between the rename of a checkpoint's folder and the row that names it.
            let died = try autodidact(["learn", "--config", "small.yaml", "--output", "died"], in: folder, environment: ["AUTODIDACT_FAULT": "between rename and row"])
            #expect(died.status == 9)
            let left = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/died/checkpoints")
            #expect(left.count == 1 && !left[0].hasSuffix(".tmp"))
            #expect(try RunRecord(reading: "\(folder)/died").checkpoints().isEmpty)
            let revived = try autodidact(["learn", "--resume", "died"], in: folder)
            #expect(revived.status == 0, "\(revived.error)")
            #expect(try fingerprint("\(folder)/died") == expected)

            var generator = SystemRandomNumberGenerator()
            var (kills, attempt) = (0, 0)
            while kills < (small == .star ? 20 : 8) {
                attempt += 1
                let name = "killed-\(attempt)"
                var status: Int32 = -1
                while status != 0 {
                    let delay = Double.random(in: 0.02...0.9, using: &generator)
                    // The number of threads changes from start to start.
                    let threads = ["--threads", "\(1 + kills % 3)"]
                    let isNew = !RunFolder.holdsRun("\(folder)/\(name)")
                    let start = isNew ? ["learn", "--config", "small.yaml", "--output", name] : ["learn", "--resume", name]
                    let result = try autodidact(start + threads, in: folder, killAfter: delay)
                    status = result.status
                    #expect(status == 0 || status == 9, "\(result.error)")
                    if status != 0 { kills += 1 }
                    if kills > 400 { break }
                }
                let found = try fingerprint("\(folder)/\(name)")
                for (key, value) in expected { #expect(found[key] == value, "\(key) differs after kills") }
                #expect(found.count == expected.count)
                let left = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(name)/checkpoints").filter { $0.hasSuffix(".tmp") }
                #expect(left.isEmpty)
            }
        }
    }

    @Test("a run that is interrupted saves, says how to go on, and ends with the same bits")
    func interrupted() throws {
        try Places.withFolder { folder in
            // Far from its end when its folder is there.
            let recipe = SmallRun.star.recipe.replacingOccurrences(of: "firstSteps: 25", with: "firstSteps: 600")
            try recipe.write(toFile: "\(folder)/small.yaml", atomically: true, encoding: .utf8)
            let whole = try autodidact(["learn", "--config", "small.yaml", "--output", "whole"], in: folder)
            try #require(whole.status == 0, "\(whole.error)")
            // A name of one letter is a name.
            let child = try Child(["learn", "--config", "small.yaml", "--output", "s"], in: folder)
            child.wait(for: "\(folder)/s/recipe.yaml")
            child.signal(SIGINT)
            let stopped = child.wait()
            #expect(stopped.status == 130, "\(stopped.error)")
            #expect(stopped.error.contains("autodidact learn --resume"))
            let resumed = try autodidact(["learn", "--resume", "s"], in: folder)
            #expect(resumed.status == 0, "\(resumed.error)")
            #expect(try fingerprint("\(folder)/s") == fingerprint("\(folder)/whole"))
        }
    }

    @Test("every rollout replays from the checkpoint that sampled it, and is scored with the bits that were recorded", arguments: SmallRun.allCases)
    func replay(small: SmallRun) throws {
        try Places.withFolder { folder in
            try small.recipe.write(toFile: "\(folder)/small.yaml", atomically: true, encoding: .utf8)
            let learn = try autodidact(["learn", "--config", "small.yaml", "--output", "run", "--json"], in: folder)
            try #require(learn.status == 0, "\(learn.error)")
            let events = try learn.output.split(separator: "\n").map { try JSON.parse(String($0), source: "events")["event"]?.string }
            #expect(Set(events) == Set(["phase", "sampled", "step", "measured", "checkpoint", "note", "finished"]) && events.last == "finished")
            let shown = try autodidact(["runs", "show", "run", "--json"], in: folder)
            #expect(try JSON.parse(shown.output, source: "show")["state"]?.string == "finished")
            let replay = try autodidact(["runs", "replay", "run", "--limit", "0"], in: folder)
            #expect(replay.status == 0 && replay.output.contains(" 0 differ"), "\(replay.output)\(replay.error)")
            #expect(replay.error.contains(/iteration 1 attempt: replaying ([0-9]+) of \1 rollouts/), "\(replay.error)")

            let missing = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/run/checkpoints").sorted()[0]
            try FileManager.default.removeItem(atPath: "\(folder)/run/checkpoints/\(missing)")
            let broken = try autodidact(["runs", "replay", "run"], in: folder)
            #expect(broken.status != 0 && broken.error.contains(missing), "\(broken.error)")
        }
    }
}
