import Autodidact
import Foundation
import Testing

@Suite("Commands", .enabled(if: Places.exists(Places.executable), "no \(Places.executable): build the product autodidact first"))
struct CommandTests {
    @Test("a learnt model is planned, generated with and scored, also from a pipe; what it cannot read is refused")
    func small() throws {
        try Places.withFolder { folder in
            try SmallRun.star.recipe.write(toFile: "\(folder)/small.yaml", atomically: true, encoding: .utf8)
            let plan = try autodidact(["learn", "--config", "small.yaml", "--dry-run", "--json"], in: folder)
            let estimate = try JSON.parse(plan.output, source: "plan")
            #expect(try RunPlan(yaml: #require(estimate["recipe"]?.string), file: "plan").task == "addition")
            for key in ["sampledTokens", "trainedTokens", "peakBytes", "seconds"] { #expect(try #require(estimate[key]?.double) > 0, "\(key)") }
            #expect(!Places.exists("\(folder)/runs"))

            let learn = try autodidact(["learn", "--config", "small.yaml", "--output", "run"], in: folder)
            try #require(learn.status == 0, "\(learn.error)")
            let model = "run/checkpoints/" + (try #require(FileManager.default.contentsOfDirectory(atPath: "\(folder)/run/checkpoints").max()))
            let prompt = "Input:\n1 2 + 3\nTarget:\n"
            #expect(try autodidact(["generate", "--model", model, "--prompt", prompt, "--max-tokens", "2"], in: folder).status == 0)
            let refused = try autodidact(["generate", "--model", model, "--prompt", "1 × 3"], in: folder)
            #expect(refused.status == 1 && refused.error.contains("no token for '×'"), "\(refused.error)")

            try (0..<30).map { "{\"question\": \"\($0) × \($0 * $0)\", \"answer\": \"\($0)\"}\n" }.joined().write(toFile: "\(folder)/q.jsonl", atomically: true, encoding: .utf8)
            let unreadable = try autodidact(["learn", "--model", model, "--task", "jsonl", "--task-option", "data=q.jsonl", "--task-option", "splits={by: exact}", "--output", "no"], in: folder)
            #expect(unreadable.status == 1 && unreadable.error.contains("has no token for '×'"), "\(unreadable.error)")
            #expect(!Places.exists("\(folder)/no"))

            let line = JSON.object(JSONObject([(key: "text", value: .string(prompt))])).text() + "\n"
            try line.write(toFile: "\(folder)/texts.jsonl", atomically: true, encoding: .utf8)
            let fromFile = try autodidact(["score", "--model", model, "--input", "texts.jsonl", "--json"], in: folder)
            let fromPipe = try Child(["-c", "cat texts.jsonl | '\(Places.executable)' score --model \(model) --input - --json"], executable: "/bin/sh", in: folder).wait()
            #expect(fromFile.status == 0 && fromPipe.status == 0, "\(fromFile.error)\(fromPipe.error)")
            #expect(fromFile.output == fromPipe.output && !fromFile.output.isEmpty)
        }
    }
}
