import ArgumentParser
import Autodidact
import Foundation

struct RunsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs", abstract: "Look at what was learned, and prove it.", subcommands: [List.self, Show.self, Compare.self, Replay.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "The runs in a folder.")

        @Argument(help: "Where the runs are; runs when left out.")
        var folder: String?

        @Flag(help: "One JSON object a line instead of text.")
        var json = false

        private struct Line: Encodable {
            var path, state: String
            var iteration, checkpoints, steps: Int
            var accuracy: Double?
        }

        func run() async throws {
            if let folder, !FileManager.default.fileExists(atPath: folder) { throw FileError(file: folder, problem: "is no folder", advice: "Give the folder that holds the runs.") }
            let folder = folder ?? "runs"
            let runs = RunSummary.list(in: folder)
            if json {
                return try runs.forEach {
                    try printJSON(
                        Line(
                            path: $0.path, state: $0.state.description, iteration: $0.iterations.last ?? 0, checkpoints: $0.checkpoints, steps: $0.steps,
                            accuracy: $0.accuracy?.value))
                }
            }
            if runs.isEmpty { printLine("no runs in \(folder)") }
            for run in runs {
                let accuracy = run.accuracy.map { String(format: "%.1f %% on ", $0.value * 100) + $0.phase } ?? "–"
                printLine("\(run.path)  \(run.state)  iteration \(run.iterations.last ?? 0)  accuracy \(accuracy)  \(run.checkpoints) checkpoints  \(run.steps) steps")
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One run: its table, its checkpoints, and its report made anew.")

        @Argument(help: "The run's folder.")
        var run: String

        @Flag(help: "Print the digest of everything in the record except times.")
        var digest = false

        @Flag(help: "One JSON object with every metric and checkpoint instead of text.")
        var json = false

        private struct Whole: Encodable {
            var path, state: String
            var metrics: [MetricRecord]
            var checkpoints: [CheckpointRecord]
        }

        func run() async throws {
            let record = try RunRecord(reading: run)
            if digest { return printLine(json ? jsonLine([("digest", .string(try record.digest()))]) : try record.digest()) }
            let state = RunSummary(of: run).state
            if json { return try printJSON(Whole(path: record.folderPath, state: state.description, metrics: record.metrics(), checkpoints: record.checkpoints())) }
            printLine("\(record.folderPath) is \(state)" + (state == .interrupted ? ". Go on with: autodidact learn --resume \(record.folderPath)" : ""))
            printLine(try ResultTable(record).text)
            if let iteration = try record.resultIteration() { printLine("the result is " + (iteration == 0 ? "what the run began with" : "that of iteration \(iteration)")) }
            for checkpoint in try record.checkpoints() where checkpoint.path != nil {
                printLine("\(checkpoint.path ?? "")  iteration \(checkpoint.training.iteration) \(checkpoint.training.phase), \(checkpoint.step) steps, weights \(checkpoint.weightsHash)")
            }
            let report = "\(record.folderPath)/report.html"
            try Report(record).write(to: report)
            printLine("report: \(report)")
        }
    }

    struct Compare: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Two runs side by side.")

        @Argument(help: "A run's folder.")
        var first: String

        @Argument(help: "Another run's folder.")
        var second: String

        func run() async throws {
            printLine(try RunComparison(try RunRecord(reading: first), try RunRecord(reading: second)).text)
        }
    }

    struct Replay: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sample recorded rollouts again from the checkpoints that sampled them, and compare every token.",
            discussion: "Every log-probability is also scored again in one pass; both must agree bit for bit. Exit code 1 when one does not.")

        @Argument(help: "The run's folder.")
        var run: String

        @Option(help: "Only this iteration.")
        var iteration: Int?

        @Option(help: "Only this phase (attempt, rationalise, dev, test, prompt-1 …).")
        var phase: String?

        @Option(help: "At most this many rollouts of each phase, evenly spread; 0 is all.")
        var limit: Int = 32

        @OptionGroup var engine: EngineOptions

        func validate() throws {
            if !(0...1_000_000_000).contains(limit) { throw ValidationError("--limit \(limit): must be 0 (all) to 1000000000.") }
        }

        func run() async throws {
            let record = try RunRecord(reading: run)
            let plan = try RunPlan(yaml: try record.recipe(), file: "\(run)/recipe.yaml")
            let environments = try plan.environments()
            let threads = engine.threads
            let loop = try LearningLoop(
                executor: EngineExecutor(), environments: environments, options: plan.options, folder: run,
                makeModel: { try plan.makeModel(on: CPUBackend(threads: threads)) }, makeJournal: { record }, report: { _ in })
            let policies = try await loop.policies(try record.trainings())
            var (replayed, differing, lost) = (0, 0, 0)
            for key in try record.completePhases() where iteration.map({ $0 == key.iteration }) ?? true && phase.map({ $0 == key.phase }) ?? true {
                let rollouts = try record.rollouts(iteration: key.iteration, phase: key.phase)
                let stride = limit > 0 ? max(1, (rollouts.count + limit - 1) / limit) : 1
                let lostBefore = lost, chosen = rollouts.enumerated().filter { $0.offset % stride == 0 }.map(\.element)
                printError("iteration \(key.iteration) \(key.phase): replaying \(chosen.count) of \(rollouts.count) rollouts")
                var last = ContinuousClock.now
                for (place, rollout) in chosen.enumerated() {
                    if .now - last > .seconds(10) {
                        printError("iteration \(key.iteration) \(key.phase): \(place) of \(chosen.count) replayed, \(differing) differ")
                        last = .now
                    }
                    let sampling = plan.recipe.chosen.recordedSampling(of: key.phase)
                    let completion: Completion, scores: [Float], exact: [Float]
                    do {
                        completion = try await loop.replay(rollout, sampling: sampling, policies: policies)
                        scores = try await loop.score([rollout], policies: policies)[0]
                        exact = rollout.policyLogProbabilities == nil ? [] : try await loop.score([rollout], policies: policies, at: .float32)[0]
                    } catch let error as ReplayError {
                        // One message for all rollouts of a phase; the other phases may have their checkpoints.
                        printError("iteration \(key.iteration) \(key.phase): \(error)")
                        lost += 1
                        break
                    }
                    replayed += 1
                    let isEqual = completion.tokens == rollout.completionTokens
                        && completion.logProbabilities.map(\.bitPattern) == rollout.logProbabilities.map(\.bitPattern)
                        && scores.map(\.bitPattern) == rollout.logProbabilities.map(\.bitPattern)
                        && exact.map(\.bitPattern) == (rollout.policyLogProbabilities ?? []).map(\.bitPattern)
                        && completion.behaviorLogProbabilities.map(\.bitPattern) == rollout.behaviorLogProbabilities.map(\.bitPattern)
                        && completion.finishReason == rollout.finishReason && completion.text == rollout.text
                    if !isEqual {
                        differing += 1
                        printLine("DIFFERS iteration \(key.iteration) \(key.phase) \(rollout.key.index)/\(rollout.key.sample)/\(rollout.key.turn)")
                    }
                }
                if lost == lostBefore { printLine("iteration \(key.iteration) \(key.phase): \(rollouts.count) rollouts, \(stride == 1 ? "all" : "one in \(stride)") replayed") }
            }
            printLine("\(replayed) rollouts replayed, \(differing) differ\(lost > 0 ? "; \(lost) phases could not be replayed" : "")")
            if replayed == 0, lost == 0 { throw ValidationError("nothing to replay: no complete phase matches.") }
            if differing > 0 || lost > 0 { throw ExitCode(1) }
        }
    }
}
