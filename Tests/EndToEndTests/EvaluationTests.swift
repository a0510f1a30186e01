import Autodidact
import Foundation
import Testing

/// `autodidact eval` with a real model on a handful of problems.
@Suite(
    "Evaluation: SmolLM2-135M-Instruct", .enabled(if: Places.exists(Places.smolLM), "no \(Places.smolLM): run scripts/setup.sh"),
    .enabled(if: Places.exists(Places.executable), "no \(Places.executable): build the product autodidact first"), .serialized)
struct EvaluationEndToEndTests {
    private let sums = ["--model", Places.smolLM, "--task", "addition", "--task-option", "form=direct", "--task-option", "digits=1", "--task-option", "max-tokens=6", "--limit", "5"]

    private func line(_ finished: Finished) throws -> JSON {
        try #require(finished.status == 0, "\(finished.error)")
        return try JSON.parse(finished.output, source: "eval")
    }

    @Test("a killed evaluation goes on to the samples of one that was not; another recipe is not compared without a warning")
    func sampled() throws {
        try Places.withFolder { folder in
            let sampled = sums + ["--task-option", "few-shot=3", "--samples", "4", "--temperature", "0.7", "--pass-at", "1,4", "--json"]
            let whole = try line(autodidact(["eval"] + sampled + ["--record", "whole.sqlite"], in: folder))
            _ = try autodidact(["eval"] + sampled + ["--record", "killed.sqlite"], in: folder, killAfter: 1.5)
            let resumed = try line(autodidact(["eval"] + sampled + ["--record", "killed.sqlite"], in: folder))
            #expect(whole["summary"] == resumed["summary"] && whole["recipe"] == resumed["recipe"])
            let samples = try ["whole", "killed"].map { try EvaluationRecord(reading: "\(folder)/\($0).sqlite").samples(of: 1) }
            #expect(samples[0].count == 20 && samples[0] == samples[1])
            let pass = try #require(whole["summary"]?["passAt"]?["4"]?["value"]?.double), accuracy = try #require(whole["summary"]?["accuracy"]?["value"]?.double)
            #expect(accuracy > 0 && pass >= accuracy, "one digit and three worked examples are within its reach")

            let greedy = try autodidact(["eval"] + sums + ["--record", "killed.sqlite"], in: folder)
            try #require(greedy.status == 0, "\(greedy.error)")
            let recipe = try #require(whole["recipe"]?.string?.prefix(12))
            #expect(greedy.output.contains("accuracy") && !greedy.output.contains(recipe))
            let compared = try autodidact(["eval", "--compare", "killed.sqlite"], in: folder).output
            #expect(compared.contains("warning: measured by different recipes") && compared.contains("few-shot=3 and (left out)") && compared.contains("temperature 0.7 and 0.0"), "\(compared)")
        }
    }

    @Test("paths in a task file start at its folder, those of --task-option at the current one; a file that does not name itself is called as it is called")
    func taskFile() throws {
        try Places.withFolder { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/tasks", withIntermediateDirectories: true)
            try "type: jsonl\ntrain: train.jsonl\ntest: gone.jsonl\nmax-tokens: 8\n".write(toFile: "\(folder)/tasks/mine.yaml", atomically: true, encoding: .utf8)
            try #"{"question": "1 + 1?", "answer": "2"}"#.write(toFile: "\(folder)/tasks/train.jsonl", atomically: true, encoding: .utf8)
            try #"{"question": "2 + 2?", "answer": "4"}"#.write(toFile: "\(folder)/here.jsonl", atomically: true, encoding: .utf8)
            let command = ["eval", "--model", Places.smolLM, "--task", "tasks/mine.yaml", "--dry-run"]
            let plan = try autodidact(command + ["--task-option", "test=here.jsonl"], in: folder)
            #expect(plan.status == 0 && plan.output.hasPrefix("mine test: 1 problems"), "\(plan.output)\(plan.error)")
            let missing = try autodidact(command, in: folder)
            #expect(missing.status == 1 && missing.error.contains("/tasks/gone.jsonl: cannot be read"), "\(missing.error)")
            // Likelihood compares options, which these have not: it is found before the first task is measured, and no record is made.
            let both = ["eval", "--model", Places.smolLM, "--task", "tasks/mine.yaml", "--method", "likelihood", "--task-option", "test=here.jsonl", "--record", "record.sqlite"]
            let refused = try autodidact(both, in: folder)
            #expect(refused.status == 1 && refused.error.contains("has no options") && !Places.exists("\(folder)/record.sqlite"), "\(refused.error)")
        }
    }

    @Test("options stand in a file; a dry run says what would be done and does nothing, and --resume goes on with nothing else")
    func file() throws {
        try Places.withFolder { folder in
            try """
                model: \(Places.smolLM)
                task: [addition]
                task-option: [form=direct, digits=1, max-tokens=6, few-shot=3]
                limit: 5
                samples: 2
                temperature: 0.7
                pass-at: [1, 2]

                """.write(toFile: "\(folder)/sums.yaml", atomically: true, encoding: .utf8)
            let command = ["eval", "--config", "sums.yaml", "--record", "evals.sqlite"]
            let plan = try line(autodidact(command + ["--dry-run", "--json"], in: folder))
            #expect(plan["problems"] == 5 && plan["samples"] == 2 && plan["judged"] == 0 && plan["record"] == "evals.sqlite")
            #expect(try #require(plan["tokens"]?.double) > 0 && #require(plan["seconds"]?.double) > 0 && !Places.exists("\(folder)/evals.sqlite"))
            let words = try autodidact(command + ["--dry-run"], in: folder)
            #expect(words.output.contains("addition test: 5 problems, 2 samples of each, by generate; recipe \(try #require(plan["recipe"]?.string).prefix(12))") && words.output.contains("tokens to sample"), "\(words.output)\(words.error)")
            let early = try autodidact(command + ["--resume"], in: folder)
            #expect(early.status == 1 && early.error.contains("evals.sqlite: there is no record") && !Places.exists("\(folder)/evals.sqlite"), "\(early.error)")
            #expect(try autodidact(["eval", "--config", "sums.yaml", "--resume"], in: folder).error.contains("--resume: goes on with what a --record"))

            let whole = try line(autodidact(command + ["--json"], in: folder))
            #expect(whole["recipe"] == plan["recipe"] && whole["summary"]?["samples"] == 10)
            #expect(try line(autodidact(command + ["--resume", "--json"], in: folder))["summary"] == whole["summary"])
            #expect(try line(autodidact(command + ["--dry-run", "--json"], in: folder))["judged"] == 10)
            let other = try autodidact(command + ["--resume", "--temperature", "0.9", "--seed", "4"], in: folder)
            #expect(other.status == 1 && other.error.contains("holds no evaluation of addition") && other.error.contains("seed 0 and 4, temperature 0.7 and 0.9"), "\(other.error)")
            #expect(try EvaluationRecord(reading: "\(folder)/evals.sqlite").entries().count == 1)

            try "tasks: addition\nstages: []\n".write(toFile: "\(folder)/bad.yaml", atomically: true, encoding: .utf8)
            let refused = try autodidact(["eval", "--config", "bad.yaml"], in: folder)
            #expect(refused.status == 1 && refused.error.contains("bad.yaml: line 1: unknown setting 'tasks'; did you mean 'task'?"), "\(refused.error)")
        }
    }

    @Test("likelihood tells plain sentiments apart, in any order of labels")
    func likelihood() throws {
        try Places.withFolder { folder in
            let texts = [("A wonderful, moving film that I loved.", 1), ("A boring, terrible waste of time.", 0), ("Great fun from start to end!", 1), ("I hated this awful mess.", 0)]
            try texts.map { "{\"question\": \"\($0)\", \"answer\": \"\(["negative", "positive"][$1])\"}\n" }.joined().write(toFile: "\(folder)/test.jsonl", atomically: true, encoding: .utf8)
            func run(_ labels: String) throws -> JSON {
                let prompt = #"prompt="Review: {question}\nSentiment:""#
                return try line(autodidact(
                    ["eval", "--model", Places.smolLM, "--method", "likelihood", "--json", "--task", "jsonl", "--task-option", "test=test.jsonl", "--task-option", "labels=\(labels)", "--task-option", prompt], in: folder))
            }
            let first = try run("[negative, positive]"), second = try run("[positive, negative]")
            #expect(try #require(first["summary"]?["accuracy"]?["value"]?.double) >= 0.75)
            #expect(first["summary"]?["rules"] == second["summary"]?["rules"] && first["recipe"] != second["recipe"])
        }
    }

    @Test("what cannot be measured is refused before a model is opened", arguments: [
        (["--task", "addition", "--model", "none", "--samples", "2"], "--temperature"), (["--task", "addition"], "--model"), (["--model", "none"], "--task"),
        (["--task", "addition", "--model", "none", "--pass-at", "2"], "--pass-at 2"), (["--task", "additoin", "--model", "none"], "addition"), (["--compare", "none.sqlite"], "none.sqlite"),
        (["--task", "addition", "--solutions", "reference"], "has no solution of its own"),
    ])
    func refused(arguments: [String], named: String) throws {
        try Places.withFolder { folder in
            let finished = try autodidact(["eval"] + arguments, in: folder)
            #expect(finished.status != 0 && finished.error.contains(named), "\(finished.error)")
        }
    }
}
