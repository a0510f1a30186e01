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

    @Test("what a run recorded of a verifier that chooses among candidates is shown beside its table")
    func candidates() throws {
        try Places.withFolder { folder in
            let plan = try RunPlan.defaults(model: nil, task: "addition", settings: [:], recipe: "v-star")
            let record = try RunRecord(writing: RunFolder(creating: "\(folder)/run", recipe: try plan.yaml()))
            func metric(_ phase: String, _ name: String, _ value: Double, _ count: Int) -> MetricRecord { MetricRecord(iteration: 3, phase: phase, name: name, value: value, count: count) }
            try record.record([metric("test", "accuracy", 0.25, 40)])
            let plain = try autodidact(["runs", "show", "run"], in: folder)
            #expect(plain.status == 0 && plain.output.contains("25.0") && !plain.output.contains("candidates"), "\(plain.output)\(plain.error)")
            try record.record([metric("candidates", "verified", 0.45, 40), metric("candidates", "average", 0.3, 40), metric("candidates", "anyRight", 0.6, 40)])
            let shown = try autodidact(["runs", "show", "run"], in: folder)
            #expect(shown.output.contains("right among the candidates of 40 test problems: the verifier's choice 45.0 % (30.7–60.2), a candidate on average 30.0 %, any of them 60.0 % (44.6–73.7)"), "\(shown.output)")
        }
    }

    @Test("a task's data is fetched, converted and compared with what the task was tested with; other data only by its hash", .enabled(if: Places.exists("/usr/bin/python3"), "no /usr/bin/python3 to serve files"))
    func data() throws {
        try Places.withFolder { folder in
            let server = "import http.server, os\nos.chdir('published')\ns = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\nopen('../port.new', 'w').write(str(s.server_port))\nos.rename('../port.new', '../port')\ns.serve_forever()\n"
            let file = try #require(DataFile.files(of: "coin-flip")?.first), path = "\(folder)/published/\(file.repository)/raw/\(file.commit)/\(file.path)"
            try FileManager.default.createDirectory(atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            let python = try Child(["-c", server], executable: "/usr/bin/python3", in: folder)
            defer {
                python.signal(SIGKILL)
                _ = python.wait()
            }
            python.wait(for: "\(folder)/port")
            let endpoint = "http://127.0.0.1:\(try String(contentsOfFile: "\(folder)/port", encoding: .utf8))"
            func pull(_ task: String = "coin-flip", _ arguments: [String] = []) throws -> Finished {
                try autodidact(["pull", "--data", task, "--data-dir", "data", "--endpoint", endpoint] + arguments, in: folder, environment: ["no_proxy": "127.0.0.1"])
            }
            let missing = try pull()
            #expect(missing.status == 1 && missing.error.contains("status 404") && !Places.exists("\(folder)/data"), "\(missing.error)")

            try #"{"examples": [{"question": "Ann flips the coin.", "answer": "no"}]}"#.write(toFile: path, atomically: true, encoding: .utf8)
            let other = try pull(), hash = try #require(other.error.firstMatch(of: /--sha256 ([0-9a-f]{64})/)).1
            #expect(other.status == 1 && other.error.contains(file.sha256) && other.error.contains("Nothing was written") && !Places.exists("\(folder)/data"), "\(other.error)")
            let wrong = try pull("coin-flip", ["--sha256", String(repeating: "0", count: 64)])
            #expect(wrong.status == 1 && !Places.exists("\(folder)/data"))
            let taken = try pull("coin-flip", ["--sha256", String(hash)])
            #expect(taken.status == 0 && taken.error.contains("warning: coin_flip.jsonl is not the file"), "\(taken.error)")
            #expect(try String(contentsOfFile: "\(folder)/data/coin_flip.jsonl", encoding: .utf8) == #"{"id":"coin_flip-0","question":"Ann flips the coin.","answer":"no","consistent":true}"# + "\n")
            #expect(try pull().output.contains("is there already"))
            #expect(try pull("coin-flop").error.contains("did you mean 'coin-flip'?"))
            let byHand = try pull("sst2")
            #expect(byHand.status == 1 && byHand.error.contains("sst2_train.jsonl: cannot be made from one published file"), "\(byHand.error)")

            guard let ours = FileManager.default.contents(atPath: "\(Places.data)/coin_flip.jsonl") else { return }
            try FileManager.default.removeItem(atPath: "\(folder)/data")
            let examples = try JSONL.objects(path: "\(Places.data)/coin_flip.jsonl").map { ["question": $0.object["question"] ?? .null, "answer": $0.object["answer"] ?? .null] as JSON }
            try JSON.object(JSONObject([("examples", .array(examples))])).text(pretty: true).write(toFile: path, atomically: true, encoding: .utf8)
            let whole = try pull()
            #expect(whole.status == 0 && FileManager.default.contents(atPath: "\(folder)/data/coin_flip.jsonl") == ours, "\(whole.error)")
        }
    }
}
