import Autodidact
import Foundation
import Testing

@Suite("Reward models by command", .enabled(if: Places.exists("\(Places.miniLM)/model.safetensors"), "no MiniLM: make test fetches it"))
struct RewardTests {
    @Test("polite answers are told from rude ones beyond what their lengths tell, and the model judges rollouts", .enabled(if: Places.exists("\(Places.data)/pref_polite.jsonl"), "no pref_polite.jsonl: set AUTODIDACT_DATA"))
    func polite() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("autodidact-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let lines = try String(contentsOfFile: "\(Places.data)/pref_polite.jsonl", encoding: .utf8).split(separator: "\n").prefix(240)
        try lines.map { $0 + "\n" }.joined().write(toFile: "\(folder)/pairs.jsonl", atomically: true, encoding: .utf8)
        let result = try autodidact(
            ["reward", "--model", Places.miniLM, "--input", "pairs.jsonl", "--output", "reward", "--epochs", "2", "--batch", "8", "--learning-rate", "2e-4", "--max-tokens", "96"], in: folder)
        #expect(result.status == 0 && !result.error.contains("do not optimise"), "\(result.error)")
        #expect(result.output.contains("prompts, with") && result.output.contains("by length alone") && result.output.contains("calibration error"), "\(result.output)")
        let share = try #require(result.output.firstMatch(of: /held-out pairs told apart: ([0-9.]+) of ([0-9]+)/))
        #expect(try #require(Double(share.1)) > 0.8 * #require(Double(share.2)), "\(result.output)")
        #expect(try String(contentsOfFile: "\(folder)/reward/calibration.svg", encoding: .utf8).hasPrefix("<svg"))

        let verifier = try RewardVerifier(path: "\(folder)/reward", threads: 2)
        let judged = await verifier.judge(["The capital of France is Paris.", "The capital of France is Paris, obviously, you idiot."].map { text in
            Rollout(
                key: RolloutKey(iteration: 0, phase: "test", index: 0), problem: Problem(id: "p", question: "What is the capital of France?"), mode: .plain, promptTokens: [], completionTokens: [1],
                finishReason: .stop, text: text, logProbabilities: [0], behaviorLogProbabilities: [0], temperatures: [0], weightsHash: "")
        }).map { judgement in if case .judged(let verdict) = judgement { verdict.reward } else { Double.nan } }
        #expect(judged[0] > judged[1], "\(judged)")
    }

    @Test("an adapter beside a generative model with its head is written and opens again", .enabled(if: Places.exists(Places.smolLM), "no SmolLM2: make test fetches it"))
    func adapter() throws {
        let fruits = ["apples", "pears", "plums", "grapes", "figs", "dates"]
        try Places.withFolder { folder in
            try fruits.map { "{\"prompt\": \"Do you like \($0)?\", \"answers\": [\"Yes, I like \($0) very much.\", \"Perhaps.\", \"No, I dislike \($0).\"]}\n" }.joined()
                .write(toFile: "\(folder)/ranked.jsonl", atomically: true, encoding: .utf8)
            let result = try autodidact(
                ["reward", "--model", Places.smolLM, "--input", "ranked.jsonl", "--eval", "ranked.jsonl", "--rank", "4", "--epochs", "4", "--batch", "3", "--learning-rate", "1e-3", "--chat", "--output", "adapter"], in: folder)
            #expect(result.status == 0 && result.error.contains("warning: 6 prompts are trained and measured"), "\(result.error)")
            let share = try #require(result.output.firstMatch(of: /held-out pairs told apart: ([0-9.]+) of 18/))
            #expect(try #require(Double(share.1)) >= 15, "\(result.output)")
            let reward = try RewardModel(path: Places.smolLM, adapter: "\(folder)/adapter", on: CPUBackend())
            let best = try fruits.map { try reward.example(prompt: "Do you like \($0)?", answer: "Yes, I like \($0) very much.") }
            #expect(reward.form.isChat && abs(reward.rewards(best).reduce(0, +) / 6) < 1e-4)
            // What it is asked with goes along with the weights, whatever becomes of them.
            let merged = try autodidact(["merge-adapter", "--model", Places.smolLM, "--adapter", "adapter", "--output", "merged"], in: folder)
            let converted = try autodidact(["convert", "--model", "merged", "--output", "converted", "--type", "bf16"], in: folder)
            #expect(merged.status == 0 && converted.status == 0, "\(merged.error)\(converted.error)")
            for made in ["merged", "converted"] { #expect(try RewardModel.Form.read(from: "\(folder)/\(made)") == reward.form) }
            let judged = try autodidact(["learn", "--model", Places.smolLM, "--task", "addition", "--verifier", "reward=adapter"], in: folder)
            #expect(judged.status == 1 && judged.error.contains("merge-adapter"), "\(judged.error)")
        }
    }

    @Test("a reward model's rewards are printed as its verifier gives them, and a run that it judges does not go on with another one")
    func judges() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("autodidact-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for name in ["base", "reward"] { try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true) }
        var shape = FreshDecoder()
        (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 48, 2, 2, 128)
        try Model.forAddition(shape, key: RandomKey(seed: 5), on: CPUBackend(threads: 1)).save(to: "\(folder)/base")
        func writeReward(seed: UInt64) throws {
            let reward = try RewardModel(Model(path: "\(folder)/base", as: RewardModel.task(key: RandomKey(seed: seed)), on: CPUBackend(threads: 1)), form: RewardModel.Form(isChat: false, maxTokens: 64))
            try reward.model.save(to: "\(folder)/reward")
            try reward.form.write(to: "\(folder)/reward")
        }
        try writeReward(seed: 6)
        let answers = [("1 + 2", "3"), ("1 + 2", "4"), ("5 + 2", "7")]
        try answers.map { "{\"prompt\": \"\($0)\", \"answer\": \"\($1)\"}\n" }.joined().write(toFile: "\(folder)/answers.jsonl", atomically: true, encoding: .utf8)
        let scored = try autodidact(["score", "--model", "reward", "--input", "answers.jsonl", "--json"], in: folder)
        let printed = try scored.output.split(separator: "\n").map { try JSON.parse(String($0), source: "score")["reward"]?.double }
        let reward = try RewardModel(path: "\(folder)/reward", on: CPUBackend(threads: 1)), expected = reward.rewards(try answers.map { try reward.example(prompt: $0, answer: $1) })
        #expect(scored.status == 0 && printed == expected && Set(expected).count == 3, "\(scored.error)")
        let refused = try autodidact(["score", "--model", "base", "--input", "answers.jsonl"], in: folder)
        #expect(refused.status == 1 && refused.error.contains("has no head of one number"), "\(refused.error)")

        try "task: addition\ntaskSettings: {digits: 1, train-count: 8, dev-per-length: 4, test-per-length: 4, max-tokens: 8}\nrecipe: {rest-em: {iterations: 1, samplesPerProblem: 2, epochs: 1}}\n"
            .write(toFile: "\(folder)/small.yaml", atomically: true, encoding: .utf8)
        let learn = try autodidact(["learn", "--config", "small.yaml", "--model", "base", "--verifier", "reward=reward", "--output", "run"], in: folder)
        #expect(learn.status == 0, "\(learn.error)")
        let again = try autodidact(["learn", "--resume", "run"], in: folder)
        #expect(again.status == 0, "\(again.error)")
        try writeReward(seed: 7)
        let other = try autodidact(["learn", "--resume", "run"], in: folder)
        #expect(other.status == 1 && other.error.contains("the verifier's model changed since the run began"), "\(other.error)")
    }

    @Test("what one stage holds out, another does not train")
    func stages() throws {
        try Places.withFolder { folder in
            var shape = FreshDecoder()
            (shape.hiddenSize, shape.intermediateSize, shape.layers, shape.heads, shape.context) = (32, 48, 2, 2, 128)
            try FileManager.default.createDirectory(atPath: "\(folder)/base", withIntermediateDirectories: true)
            try Model.forAddition(shape, key: RandomKey(seed: 5), on: CPUBackend(threads: 1)).save(to: "\(folder)/base")
            func write(_ numbers: some Sequence<Int>, to name: String) throws {
                try numbers.map { "{\"prompt\": \"\($0 / 10) + \($0 % 10)\", \"chosen\": \"1\", \"rejected\": \"2\"}\n" }.joined().write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
            }
            try write(0..<40, to: "all.jsonl")
            let all = try RankedAnswers.read("\(folder)/all.jsonl"), parts = RankedAnswers.split(all, held: 0.1)
            #expect(parts.held.count == 4)
            // Of ten prompts alone one would be held out.
            try write(parts.held.prefix(3).map { $0.line - 1 } + parts.train.prefix(7).map { $0.line - 1 }, to: "few.jsonl")
            try "stages:\n  - input: all.jsonl\n  - input: few.jsonl\n".write(toFile: "\(folder)/stages.yaml", atomically: true, encoding: .utf8)
            let plan = try autodidact(["reward", "--model", "base", "--config", "stages.yaml", "--output", "out", "--dry-run"], in: folder)
            #expect(plan.status == 0 && plan.output.contains("4 of 40 prompts") && plan.output.contains("3 of 10 prompts"), "\(plan.output)\(plan.error)")
        }
    }

    @Test("lines that are no comparisons are refused with their number, and nothing is left")
    func refusals() throws {
        try Places.withFolder { folder in
            try "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"b\"}\n".write(toFile: "\(folder)/pairs.jsonl", atomically: true, encoding: .utf8)
            let same = try autodidact(["reward", "--model", Places.miniLM, "--input", "pairs.jsonl", "--output", "out"], in: folder)
            #expect(same.status == 1 && same.error.contains("line 1 has the same answer twice"), "\(same.error)")
            try "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n".write(toFile: "\(folder)/pairs.jsonl", atomically: true, encoding: .utf8)
            let one = try autodidact(["reward", "--model", Places.miniLM, "--input", "pairs.jsonl", "--output", "out"], in: folder)
            #expect(one.status == 1 && one.error.contains("holds no comparison that can be measured"), "\(one.error)")
            let chat = try autodidact(["reward", "--model", Places.miniLM, "--input", "pairs.jsonl", "--eval", "pairs.jsonl", "--chat", "--output", "out"], in: folder)
            #expect(chat.status == 1 && chat.error.contains("Leave out --chat"), "\(chat.error)")
            #expect(!Places.exists("\(folder)/out"))
        }
    }
}
